"""Causal evidence on networks trained by others: values measured on them before mechgrok could."""

from pathlib import Path

import pytest

import mechgrok as mg

A, B, DELTA = "pizza/p99zdpze5l", "pizza/l8k1hzciux", "pizza/qlvxqhkvit"
NANDA = "nanda/wd_10-1_mod_addition_loss_curve"
GROKKED = (A, B, DELTA, NANDA)


@pytest.fixture(scope="module")
def networks(peer_data: Path) -> dict[str, mg.HookedTransformer]:
    return {name: mg.load_model(peer_data / f"{name}.safetensors") for name in GROKKED}


@pytest.mark.parametrize(("name", "alignment"), [(A, 1.0), (B, 1.0), (NANDA, 1.0), (DELTA, 0.013)])
def test_phase_alignment(name: str, alignment: float, networks):
    """A disc wherever attention adds up the embeddings, and a torus where they are concatenated."""
    assert mg.neuron_phases(networks[name]).alignment() == pytest.approx(alignment, abs=5e-3)


@pytest.mark.parametrize(
    ("name", "accuracy", "loss", "products"),
    [
        (A, 1.0, 1.4e-7, 0.0),
        (B, 0.9161, 0.239, 0.0297),
        (NANDA, 1.0, 4.8e-5, 0.0077),
        (DELTA, 1.0, 9.17e-6, 0.0),
    ],
)
def test_without_products(name: str, accuracy: float, loss: float, products: float, networks):
    found = mg.additive_only(networks[name])
    assert found.accuracy == pytest.approx(accuracy, abs=5e-5)
    assert found.loss == pytest.approx(loss, rel=0.02)
    assert found.products == pytest.approx(products, abs=5e-5)


def test_a_clock_without_products_still_looks_like_one(networks):
    """What the verdict of Zhong et al. 2023 measures does not need multiplication."""
    logits = mg.additive_only(networks[B]).logits
    task = mg.cache_grid(networks[B]).task
    assert mg.distance_irrelevance(networks[B]) == pytest.approx(0.848, abs=1e-3)
    assert mg.distance_irrelevance(mg.grid_from_tensors(task, logits)) == pytest.approx(0.855, abs=1e-3)


@pytest.mark.parametrize("name", GROKKED)
def test_scrubbing(name: str, networks):
    found = mg.scrub(networks[name])
    assert found.accuracy >= 0.999
    assert found.recovered >= 0.999
    assert found.control_accuracy <= 1.5 / mg.cache_grid(networks[name]).task.n_classes
    assert found.partition.loss > 50 * found.loss


def test_a_memory_is_scrubbed_away(peer_data: Path):
    """A network that never generalised answers its train inputs alone, and no train input survives."""
    task = mg.modular_task("add", 71)
    network = mg.load_model(peer_data / "raw/unixsysdev_p71_final.pt", task=task)
    grid = mg.cache_grid(network, task)
    train = grid.logits.argmax(1) == grid.labels
    found = mg.scrub(network, train)
    assert found.before.accuracy == 1
    assert found.accuracy < 0.1
    assert found.recovered < 0.9
    assert mg.explain(network).explained_share == 0


@pytest.mark.parametrize("name", GROKKED)
@pytest.mark.parametrize("site", ["logits", "neurons"])
def test_interchange(name: str, site: str, networks):
    keys = mg.find_key_frequencies(networks[name])
    found = mg.interchange(networks[name], keys, site)
    assert found.accuracy >= 0.999
    assert found.r2 >= 0.95
    # Nanda's weakest keys have coefficients that differ from input to input.
    assert min(exchange.r2 for exchange in found.by_key.values()) >= (0.84 if name == NANDA else 0.9)


@pytest.mark.parametrize(
    ("name", "share", "missed"),
    [
        (A, 0.9, []),
        (B, 0.74, []),
        (NANDA, 0.74, ["one key from another input, at the neurons"]),
        (DELTA, 0.9, ["keys removed from the logits"]),
    ],
)
def test_explained(name: str, share: float, missed: list[str], networks):
    """The formula alone is right everywhere; what it does not account for, and what does not come true, is said."""
    found = mg.explain(networks[name])
    assert share <= found.explained_share < 1.0001
    assert (found.accuracy, found.agreement) == (1, 1)
    assert [item.intervention for item in found.interventions if not item.came_true] == missed
