"""Planted networks are explained by their formula, and by nothing else."""

from math import cos, pi

import pytest
import torch
from planted import MODULI, cosine_logits, extreme_frequencies, lookup_logits

import mechgrok as mg


def explained(task: mg.Task, logits: torch.Tensor) -> mg.Explanation:
    return mg.explain(mg.grid_from_tensors(task, logits))


@pytest.mark.parametrize("p", [3, 10, 15, 53])
def test_a_cosine_network_is_its_formula(p: int):
    amplitudes = {k: 30.0 + k for k in extreme_frequencies(p)[-2:]}
    network = mg.cosine_network(p, amplitudes)
    found = mg.explain(network)
    assert {t.label: t.amplitude for t in found.fitted.terms} == pytest.approx(amplitudes)
    assert (found.explained_share, found.accuracy, found.agreement) == (1, 1, 1)
    assert found.loss == pytest.approx(mg.full_loss(network), rel=1e-6)
    assert (found.fve, found.kl) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    assert found.left_out == {}
    assert [item.intervention for item in found.interventions if not item.came_true] == []
    assert torch.allclose(found.logits, mg.cache_grid(network).logits)


@pytest.mark.parametrize("p", [7, 15, 53])
def test_a_pizza_is_its_formula(p: int):
    amplitudes = {1: 90.0, (p - 1) // 2: 60.0}
    found = mg.explain(mg.pizza_network(p, amplitudes))
    assert {t.label: t.fading for t in found.fitted.terms} == pytest.approx(amplitudes, rel=3 / p**2)
    assert all(t.amplitude == 0 for t in found.fitted.terms)
    assert (found.explained_share, found.accuracy) == (1, 1)
    assert found.phase_alignment == pytest.approx(1)
    assert all(item.came_true for item in found.interventions)


@pytest.mark.parametrize("name", ["S3", "D5", "S4"])
def test_irreps_are_their_formula(name: str):
    group = mg.named_group(name)
    amplitudes = {label: 9.0 + i for i, label in enumerate(mg.IrrepBasis(group).labels)}
    found = mg.explain(mg.character_network(name, amplitudes))
    assert {t.label: t.amplitude for t in found.fitted.terms} == pytest.approx(amplitudes)
    assert (found.explained_share, found.fve) == (1, pytest.approx(1))
    assert found.phase_alignment is None


@pytest.mark.parametrize(
    "task", [mg.modular_task("add", 53), mg.modular_task("mul", 12 + 1), mg.group_task("S3")]
)
def test_a_lookup_table_is_no_formula(task: mg.Task):
    found = explained(task, lookup_logits(task))
    assert (found.formula, found.latex, found.explained_share) == ("", "", 0)
    assert "lookup table" in found.reason
    assert found.interventions == ()


def test_a_part_of_a_table_is_no_formula():
    task = mg.modular_task("add", 53)
    found = explained(task, lookup_logits(task) * task.split(0.3).train[:, None])
    assert (found.formula, found.explained_share) == ("", 0)
    assert found.reason


@pytest.mark.parametrize("p", [11, 12, 53])
@pytest.mark.parametrize("height", [0.2, 0.45, 0.6, 2.0])
def test_deviations_of_known_size_move_the_explained_share_as_by_hand(p: int, height: float):
    """One logit of some inputs is off by a multiple of the margin; the mean over the classes takes 1/p of it away."""
    task = mg.modular_task("add", p)
    margin = 10 * (1 - cos(2 * pi / p))
    logits = cosine_logits(task, {1: 10.0})
    hit = torch.arange(0, task.n_inputs, 7)
    # Signs in pairs, so that the fit stays where it was up to what the test allows.
    signs = torch.ones(len(hit)).double()
    signs[1::2] = -1
    logits[hit, (task.labels[hit] + 1) % p] += height * margin * signs
    share = 1 - len(hit) / task.n_inputs * (2 * height * (1 - 1 / p) > 1)
    found = explained(task, logits)
    if abs(2 * height * (1 - 1 / p) - 1) > 0.05:
        assert found.explained_share == pytest.approx(share, abs=0.02)
    assert found.accuracy == 1


def test_gaussian_noise_of_known_size():
    """P(margin > 2 max |noise|) in closed form, for noise that is independent over the classes."""
    p, sigma = 53, 2.0
    task = mg.modular_task("add", p)
    dice = torch.Generator().manual_seed(0)
    clean = cosine_logits(task, {1: 100.0, 5: 100.0, 17: 100.0})
    top = (
        clean.gather(1, task.labels[:, None])
        - clean.scatter(1, task.labels[:, None], -torch.inf).amax(1)[:, None]
    )
    limit = top.min().item() / 2
    sigma = limit / 3
    found = explained(task, clean + sigma * torch.randn(clean.shape, generator=dice, dtype=torch.float64))
    inside = torch.special.erf(torch.tensor(limit / (sigma * (1 - 1 / p) ** 0.5) / 2**0.5)).item() ** p
    assert found.explained_share == pytest.approx(inside, abs=0.03)
    assert 0.5 < inside < 0.95


def test_where_the_network_is_wrong_the_formula_may_be_right():
    task = mg.modular_task("add", 53)
    logits = cosine_logits(task, {1: 30.0, 5: 30.0})
    logits[:40] = 0
    logits[:40, 7] = 100
    found = explained(task, logits)
    assert found.accuracy == 1
    wrong = (task.labels[:40] != 7).sum().item()
    assert found.agreement == pytest.approx(1 - wrong / task.n_inputs)
    assert found.agreement_where_wrong == 0
    with pytest.raises(mg.UndefinedMetricError, match="every input rightly"):
        _ = explained(task, cosine_logits(task, {1: 30.0})).agreement_where_wrong


def test_bare_logits_leave_out_what_needs_the_network():
    task = mg.modular_task("add", 13)
    found = explained(task, cosine_logits(task, {2: 30.0, 3: 30.0}))
    assert set(found.left_out) == {"clusters scrubbed", "neurons perturbed", "products removed"}
    assert all(item.came_true for item in found.interventions)


@pytest.mark.parametrize("operation", ["mul", "div", "x^2+y^2"])
def test_inputs_outside_the_group_are_left_out(operation: str):
    task = mg.modular_task(operation, 13)
    gap = (task.frame.results[..., None] - torch.arange(task.frame.order)).double()
    logits = torch.zeros(task.n_inputs, 13, dtype=torch.float64)
    waves = 40 * (2 * pi / task.frame.order * gap).cos()
    logits[task.frame.rows.flatten()[:, None], task.frame.classes] = waves.flatten(0, 1)
    found = explained(task, logits)
    assert found.explained_share == 1
    assert len(found.logits) == task.frame.rows.numel()


def test_a_parity_has_a_formula():
    task = mg.parity_task(4, (0, 2))
    found = explained(task, 6 * torch.nn.functional.one_hot(task.labels, 2).double())
    assert (found.accuracy, found.explained_share) == (1, 1)
    assert len(found.fitted.terms) == 1


def test_a_task_without_a_group_is_refused_in_words():
    task = mg.task_from_function(lambda a, b: max(a, b) > 4, n=9, name="max above 4")
    with pytest.raises(mg.NoGroupError):
        mg.explain(mg.build_model(task, mg.ModelConfig(d_model=16), seed=0))


def test_moduli_of_all_kinds():
    for p in MODULI:
        task = mg.modular_task("add", p)
        if p > 3:
            assert explained(task, cosine_logits(task, {1: 50.0, p // 2: 40.0})).explained_share == 1
