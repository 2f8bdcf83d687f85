"""The four networks of Zhong et al. 2023 give the same numbers as their authors' own code."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

import mechgrok as mg
from mechgrok.analysis.algorithms import classify_algorithm
from mechgrok.analysis.circles import isolate_circle
from mechgrok.analysis.embeddings import circularity
from mechgrok.analysis.logit_surface import distance_irrelevance
from mechgrok.analysis.symmetricity import gradient_symmetricity

A, B, BETA, DELTA = "p99zdpze5l", "l8k1hzciux", "p71frej8t7", "qlvxqhkvit"
NAMES = (A, B, BETA, DELTA)


def close(value: float):
    return pytest.approx(value, abs=1e-3)


@pytest.fixture(scope="module")
def expected(peer_data: Path) -> dict:
    numbers = json.loads((peer_data / "expected.json").read_text())
    return {name: numbers[f"pizza/{name}"] for name in NAMES}


@pytest.fixture(scope="module")
def grids(peer_data: Path) -> dict[str, mg.ActivationGrid]:
    return {name: mg.cache_grid(mg.load_model(peer_data / f"pizza/{name}.safetensors")) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_what_they_were_taken_for(name: str, grids, peer_data: Path):
    grid = grids[name]
    assert "Zhong et al. 2023" in grid.model.layout
    assert (grid.task.name, grid.task.slots) == ("add59", ("a", "b"))
    with safe_open(peer_data / f"pizza/{name}.safetensors", framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    if "attn_coeff" in config:
        assert (grid.model.cfg.attention_rate, grid.model.cfg.attention_dir) == (
            config["attn_coeff"],
            "bidirectional",
        )


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_loss_and_norm(name: str, grids, expected):
    numbers = expected[name]
    assert mg.accuracy(grids[name]) == numbers["accuracy_all"]
    assert mg.full_loss(grids[name]) == pytest.approx(numbers["loss_all"], rel=1e-3)
    assert mg.sum_squared_weights(grids[name].model) ** 0.5 == close(numbers["parameter_norm"])


@pytest.mark.parametrize("name", NAMES)
def test_gradient_symmetricity(name: str, grids, expected):
    numbers = expected[name]
    published, exact = gradient_symmetricity(grids[name], 100), gradient_symmetricity(grids[name])
    assert float(published) == close(numbers["gradient_symmetricity_100_triples_Random(42)"])
    assert float(exact) == close(numbers["gradient_symmetricity_all_triples"])
    assert (published.exact, exact.exact, exact.n_triples) == (False, True, 59**3)


@pytest.mark.parametrize("name", NAMES)
def test_distance_irrelevance_and_circularity(name: str, grids, expected):
    assert distance_irrelevance(grids[name]) == close(expected[name]["distance_irrelevance"])
    assert circularity(grids[name]) == close(expected[name]["circularity"])


@pytest.mark.parametrize("name", NAMES)
def test_embedding_power(name: str, grids, expected):
    found = mg.find_key_frequencies(grids[name], "embedding")
    for k, share in expected[name]["embedding_power_fraction_per_frequency"].items():
        assert found.share(int(k)) == close(share)


def test_circle_isolation(grids, expected):
    numbers = expected[A]["circle_isolation_fve_percent"]
    for k in (17, 3, 15):
        circle = isolate_circle(grids[A], k)
        for formula, percent in numbers[f"k={k}"].items():
            assert 100 * circle.fve[formula] == pytest.approx(percent, abs=6e-3)
    accompanying = [isolate_circle(grids[A], k) for k in (25, 6, 29)]
    percents = [100 * circle.fve["accompanying"] for circle in accompanying]
    assert percents == pytest.approx(numbers["accompanying k=25,6,29"]["A_c"], abs=6e-3)
    assert [circle.accompanies for circle in accompanying] == [17, 3, 15]
    assert isolate_circle(grids[A], 17).accuracy == pytest.approx(0.348, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "algorithm", "by_scores"),
    [
        (A, "pizza", "pizza"),
        (B, "clock", "clock"),
        (BETA, "pizza", "pizza"),
        (DELTA, "undetermined", "clock"),  # embeddings side by side: its neurons do all the multiplying
    ],
)
def test_verdict(name: str, algorithm: str, by_scores: str, grids, expected):
    verdict = classify_algorithm(grids[name], triples=2000)
    assert (verdict.algorithm, verdict.by_scores) == (algorithm, by_scores)
    assert (algorithm == "pizza") == expected[name]["verdict"].startswith("pizza")
    assert verdict.circularity == close(expected[name]["circularity"])
    fading = verdict.value("circle fading")
    assert fading == pytest.approx(1.0 if algorithm == "pizza" else 0.05, abs=0.06)


def test_a_network_between_clock_and_pizza(peer_data: Path):
    """Full attention and weak weight decay: its strongest circle fades by half, and its small ones are pizzas."""
    network = mg.load_model(peer_data / "nanda/wd_10-1_mod_addition_loss_curve.safetensors")
    verdict = classify_algorithm(network, triples=500)
    assert verdict.algorithm == "hybrid"
    assert [item.vote for item in verdict.evidence] == ["between", "between", "between", "between", "silent"]
    assert verdict.value("accuracy without products") == 1
    assert verdict.value("phase alignment") == pytest.approx(1, abs=5e-3)
    fading = {circle.k: circle.fading for circle in verdict.circles}
    assert fading[23] == pytest.approx(0.5, abs=0.05)
    assert min(fading[k] for k in (37, 39, 41)) > 0.9


def test_without_its_attention_rate_model_a_is_another_network(peer_data: Path, grids):
    """The trap: accuracy stays perfect, the logits do not."""
    plain = mg.load_model(peer_data / f"pizza/{A}.safetensors", config=mg.ModelConfig(attention_rate=1.0))
    assert mg.accuracy(plain) == 1.0
    assert float(gradient_symmetricity(plain, 2000)) == pytest.approx(0.978, abs=3e-3)
    assert (mg.cache_grid(plain).logits - grids[A].logits).abs().max() > 1
