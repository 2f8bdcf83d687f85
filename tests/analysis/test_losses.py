"""Losses on planted logits with values in closed form."""

import inspect
from math import cos, exp, log, log1p, pi

import pytest
import torch
from planted import MODULI, NEURONS, cosine_logits, extreme_frequencies, lookup_logits

import mechgrok as mg
from mechgrok.analysis import key_losses
from mechgrok.analysis.key_losses import excluded_loss, restricted_loss
from mechgrok.analysis.losses import accuracy, cross_entropy, full_loss
from mechgrok.errors import ActivationError, ConfigError, UndefinedMetricError

AMPLITUDES = (3.0, 2.0, 4.0)
TASK = mg.modular_task("add", 7)


def planted(p: int, operation: str = "add") -> tuple[mg.ActivationGrid, dict[int, float]]:
    task = mg.modular_task(operation, p)
    amplitudes = dict(zip(extreme_frequencies(task.frame.order), AMPLITUDES, strict=False))
    return mg.grid_from_tensors(task, cosine_logits(task, amplitudes)), amplitudes


def cosine_loss(n: int, amplitudes: dict[int, float], extra_classes: int = 0) -> float:
    """Of logits sum_k A_k cos(w_k(s - c)), the same for every input; further classes have a logit of 0."""
    profile = [sum(a * cos(2 * pi * k * c / n) for k, a in amplitudes.items()) for c in range(n)]
    return log(sum(map(exp, profile)) + extra_classes) - profile[0]


@pytest.mark.parametrize(
    ("operation", "p"), [*(("add", p) for p in MODULI), ("sub", 3), ("sub", 10), ("sub", 59)]
)
def test_planted_logits_have_their_losses_in_closed_form(operation, p):
    grid, amplitudes = planted(p, operation)
    full = cosine_loss(p, amplitudes)
    assert full_loss(grid) == pytest.approx(full, rel=1e-12)
    assert accuracy(grid) == 1
    for space in ("product", "character"):
        assert restricted_loss(grid, amplitudes, space=space) == pytest.approx(full, rel=1e-12)
        assert restricted_loss(grid, amplitudes, space=space, keep_mean=False) == pytest.approx(
            full, rel=1e-12
        )
        assert excluded_loss(grid, amplitudes, space=space) == pytest.approx(log(p), rel=1e-12)
        for k in amplitudes:
            rest = {j: a for j, a in amplitudes.items() if j != k}
            assert excluded_loss(grid, [k], space=space) == pytest.approx(cosine_loss(p, rest), rel=1e-12)
            alone = cosine_loss(p, {k: amplitudes[k]})
            assert restricted_loss(grid, [k], space=space) == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("p", [3, 10, 53, 59, 97, 113])
@pytest.mark.parametrize("operation", ["mul", "div"])
def test_products_have_theirs_over_the_units(p, operation):
    grid, amplitudes = planted(p, operation)
    n = grid.task.frame.order
    inside = grid.task.frame.covers(grid.task.n_inputs)
    full = cosine_loss(n, amplitudes, extra_classes=p - n)
    assert full_loss(grid, inside) == pytest.approx(full, rel=1e-12)
    for space in ("product", "character"):
        assert restricted_loss(grid, amplitudes, space=space) == pytest.approx(full, rel=1e-12)
        assert excluded_loss(grid, amplitudes, space=space) == pytest.approx(log(p), rel=1e-12)


@pytest.mark.parametrize("p", [3, 10, 53, 113])
def test_lookup_table_is_the_sum_of_all_frequencies(p):
    task = mg.modular_task("add", p)
    grid = mg.grid_from_tensors(task, lookup_logits(task, 6.0))
    full = log1p((p - 1) * exp(-6.0))
    every = task.frame.basis.labels
    assert full_loss(grid) == pytest.approx(full, rel=1e-12)
    assert restricted_loss(grid, every) == pytest.approx(full, rel=1e-12)
    assert excluded_loss(grid, every) == pytest.approx(log(p), rel=1e-12)


@pytest.mark.parametrize(("operation", "p"), [("x^2+y^2", 7), ("x^2+x*y+y^2", 10)])
def test_uneven_answers_lose_nothing_when_all_frequencies_are_kept(operation, p):
    task = mg.modular_task(operation, p)
    grid = mg.grid_from_tensors(task, lookup_logits(task, 6.0))
    assert restricted_loss(grid, task.frame.basis.labels) == pytest.approx(full_loss(grid), rel=1e-9)
    prior = task.labels.bincount(minlength=p).double() / task.n_inputs
    bias_alone = cross_entropy((6 * prior).expand(task.n_inputs, p), task.labels).mean().item()
    assert excluded_loss(grid, task.frame.basis.labels) == pytest.approx(bias_alone, rel=1e-9)


def noisy_grid(p: int) -> mg.ActivationGrid:
    task = mg.modular_task("add", p)
    noise = torch.randn(p * p, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return mg.grid_from_tensors(task, cosine_logits(task, {1: 3.0, p // 2: 2.0}) + noise + torch.arange(p))


@pytest.mark.parametrize("p", [7, 10])
def test_losses_against_the_notebook_formulas(p):
    """Nanda et al. 2023 step by step: project on C_k and S_k, add the mean of the rest, log_softmax."""
    grid = noisy_grid(p)
    logits, labels = grid.logits, grid.labels
    mask = grid.task.split(0.5, seed=1).train
    keys = [1, p // 2]
    waves = torch.stack([f(2 * pi * k / p * labels.double()) for k in keys for f in (torch.cos, torch.sin)])
    waves = waves[waves.norm(dim=1) > 1e-6]
    waves = waves / waves.norm(dim=1, keepdim=True)
    kept = waves.T @ (waves @ logits)

    def loss(x, chosen):
        return -x.log_softmax(1).gather(1, labels[:, None])[chosen].mean().item()

    everywhere = torch.ones_like(mask)
    corrected = kept + (logits - kept).mean(0)
    assert full_loss(grid, mask) == pytest.approx(loss(logits, mask), rel=1e-12)
    assert restricted_loss(grid, keys) == pytest.approx(loss(corrected, everywhere), rel=1e-12)
    assert restricted_loss(grid, keys, mask) == pytest.approx(loss(corrected, mask), rel=1e-12)
    assert restricted_loss(grid, keys, keep_mean=False) == pytest.approx(loss(kept, everywhere), rel=1e-12)
    assert excluded_loss(grid, keys, mask) == pytest.approx(loss(logits - kept, mask), rel=1e-12)
    values = {full_loss(grid), restricted_loss(grid, keys), restricted_loss(grid, keys, keep_mean=False)}
    assert len({round(v, 6) for v in values}) == 3


def test_spaces_differ_where_the_phase_depends_on_the_class():
    p, k = 11, 2
    task = mg.modular_task("add", p)
    w = 2 * pi * k / p
    phases = torch.arange(p).double() ** 2
    logits = 5 * (w * (task.labels[:, None] - torch.arange(p)).double() + phases).cos()
    grid = mg.grid_from_tensors(task, logits)
    assert restricted_loss(grid, [k]) == pytest.approx(full_loss(grid), rel=1e-12)
    share = torch.cos(phases).mean().item()
    projected = cosine_loss(p, {k: 5 * share})
    assert restricted_loss(grid, [k], space="character") == pytest.approx(projected, rel=1e-9)
    assert excluded_loss(grid, [k]) == pytest.approx(log(p), rel=1e-12)
    assert excluded_loss(grid, [k], space="character") != pytest.approx(log(p), rel=1e-3)


@pytest.mark.parametrize("p", [10, 59])
def test_neurons_of_a_planted_network_are_restricted_like_its_logits(p):
    amplitudes = dict(zip(extreme_frequencies(p), AMPLITUDES, strict=False))
    grid = mg.cache_grid(mg.cosine_network(p, amplitudes))
    full = cosine_loss(p, amplitudes)
    assert restricted_loss(grid, amplitudes, site=NEURONS) == pytest.approx(full, rel=1e-9)
    assert excluded_loss(grid, amplitudes, site=NEURONS) == pytest.approx(log(p), rel=1e-9)
    rest = dict(list(amplitudes.items())[1:])
    assert excluded_loss(grid, [1], site=NEURONS) == pytest.approx(cosine_loss(p, rest), rel=1e-9)


def test_a_network_is_as_good_as_its_grid():
    model = mg.cosine_network(7, {2: 5.0})
    grid = mg.cache_grid(model)
    for loss in (restricted_loss, excluded_loss):
        assert loss(model, [2]) == loss(grid, [2])
        assert loss(model, [2], site="blocks.0.hook_resid_post") == pytest.approx(loss(grid, [2]), rel=1e-9)
    assert full_loss(model) == full_loss(grid)
    assert accuracy(model) == accuracy(grid)


def test_hook_that_is_not_in_the_grid():
    with pytest.raises(ActivationError, match="'hook_embed' was not cached"):
        restricted_loss(mg.cache_grid(mg.cosine_network(7, {2: 5.0})), [2], site="hook_embed")


def test_masks_choose_the_inputs():
    task = mg.modular_task("add", 5)
    logits = lookup_logits(task, 4.0)
    wrong = task.labels == 2
    logits[wrong] = logits[wrong].roll(1, dims=1)
    grid = mg.grid_from_tensors(task, logits)
    right_loss, wrong_loss = log1p(4 * exp(-4.0)), 4.0 + log1p(4 * exp(-4.0))
    assert full_loss(grid, ~wrong) == pytest.approx(right_loss)
    assert full_loss(grid, wrong) == pytest.approx(wrong_loss)
    assert full_loss(grid) == pytest.approx(0.8 * right_loss + 0.2 * wrong_loss)
    assert (accuracy(grid), accuracy(grid, wrong), accuracy(grid, ~wrong)) == (0.8, 0, 1)


@pytest.mark.parametrize("margin", [1.0, 30.0, 50.0, 300.0, 700.0])
def test_tiny_losses_keep_their_digits(margin):
    logits = torch.tensor([[0.0, margin, 0.0]], dtype=torch.float64)
    value = cross_entropy(logits, torch.tensor([1])).item()
    assert value == pytest.approx(log1p(2 * exp(-margin)), rel=1e-12, abs=0)
    assert cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(
        margin + log1p(2 * exp(-margin)), rel=1e-6
    )


def test_loss_of_float32_logits_is_evaluated_in_float64():
    logits = torch.tensor([[0.0, 20.0]])
    assert cross_entropy(logits, torch.tensor([1])).dtype == torch.float64
    task = mg.modular_task("add", 5)
    grid = mg.grid_from_tensors(task, lookup_logits(task, 20.0).float())
    assert full_loss(grid) == pytest.approx(log1p(4 * exp(-20.0)), rel=1e-12)


def test_cross_entropy_equals_torchs_on_ordinary_logits():
    logits = 5 * torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(50) % 7
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(cross_entropy(logits, labels), expected)
    torch.testing.assert_close(cross_entropy(logits + 1e4, labels), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("loss", [restricted_loss, excluded_loss])
@pytest.mark.parametrize("key", [0, 4, 5, -1])
def test_keys_out_of_range(loss, key):
    grid = mg.grid_from_tensors(mg.modular_task("add", 7), torch.zeros(49, 7))
    with pytest.raises(ConfigError, match=rf"^{key} is not a frequency of Z7; allowed: 1\.\.3$"):
        loss(grid, [1, key])


@pytest.mark.parametrize("loss", [restricted_loss, excluded_loss])
def test_no_keys_at_all(loss):
    grid, _ = planted(10)
    with pytest.raises(UndefinedMetricError, match=r"no key frequency given.*has not learned a circuit"):
        loss(grid, [])
    untrained = mg.build_model(mg.modular_task("add", 11), mg.ModelConfig(d_model=16), seed=0)
    with pytest.raises(UndefinedMetricError, match="no key frequency given"):
        loss(untrained, mg.find_key_frequencies(untrained))


@pytest.mark.parametrize(
    "measure",
    [full_loss, accuracy, lambda g, m: restricted_loss(g, [1], m), lambda g, m: excluded_loss(g, [1], m)],
)
def test_empty_mask(measure):
    grid, _ = planted(10)
    with pytest.raises(UndefinedMetricError, match="mask selects no input"):
        measure(grid, torch.zeros(100, dtype=torch.bool))


def test_mask_outside_of_the_frame():
    grid, _ = planted(53, "mul")
    outside = ~grid.task.frame.covers(grid.task.n_inputs)
    assert full_loss(grid, outside) == pytest.approx(log(53))
    with pytest.raises(UndefinedMetricError, match="mask selects no input"):
        restricted_loss(grid, [1], outside)


def test_unknown_space_and_character_at_a_hook():
    grid = mg.cache_grid(mg.cosine_network(7, {2: 5.0}))
    with pytest.raises(ConfigError, match=r"space='character' compares with the classes.*got 'blocks"):
        restricted_loss(grid, [2], space="character", site=NEURONS)
    untyped = inspect.unwrap(key_losses._key_part)
    with pytest.raises(ConfigError, match="space must be one of product, character; got 'products'"):
        untyped(grid, [2], "products", "logits")


@pytest.mark.parametrize("write", [lambda x: x.mul_(2), lambda x: x.data.mul_(2)], ids=["in place", "data"])
def test_losses_follow_logits_that_somebody_writes_into(write):
    grid = mg.grid_from_tensors(TASK, 3 * torch.eye(7)[TASK.labels])
    before = mg.full_loss(grid)
    assert mg.full_loss(grid) == before
    write(grid.logits)
    assert mg.full_loss(grid) == pytest.approx(log1p(6 * exp(-6))) != before


def test_a_grid_made_in_inference_mode_has_losses():
    with torch.inference_mode():
        logits = 3 * torch.eye(7)[TASK.labels]
    expected = pytest.approx(log1p(6 * exp(-3)))
    assert [mg.full_loss(mg.grid_from_tensors(TASK, logits)) for _ in range(2)] == [expected] * 2
