"""Isolated circles: planted clocks and pizzas match the right formula."""

from math import pi

import pytest
import torch
from planted import cosine_logits

import mechgrok as mg
from mechgrok.analysis.circles import circle_fading, circle_fve, isolate_circle
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.models.constructed import cosine_network, pizza_network


def pearson(x: torch.Tensor, y: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1].item()


def grids(p: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    a, b, c = (x.flatten().double() for x in torch.meshgrid(*[torch.arange(p)] * 3, indexing="ij"))
    return a, b, c


@pytest.mark.parametrize(("p", "k"), [(7, 1), (7, 3), (10, 3), (13, 6), (59, 17)])
def test_every_formula(p: int, k: int):
    a, b, c = grids(p)
    w, logits = 2 * pi * k / p, torch.randn(p**3, generator=torch.Generator().manual_seed(k)).double()
    formulas = {
        "clock": (w * (a + b - c)).cos(),
        "pizza_product": (w * (a - b) / 2).cos().abs() * (w * (a + b - c)).cos(),
        "pizza_two_term": (w * (a - b) / 2).cos().abs()
        * ((w * (a + b - c) / 2).cos().abs() - (w * (a + b - c) / 2).sin().abs()),
    }
    half = next((h for h in range(1, p) if 2 * h % p == k), None) if p % 2 else None
    if half:
        u = 2 * pi * half / p
        formulas["accompanying"] = -(u * (a - b)).cos() * (u * (a + b - c)).cos()
    task = mg.modular_task("add", p)
    fve, accompanies = circle_fve(mg.grid_from_tensors(task, logits.view(p * p, p)), k)
    assert accompanies == (half and min(half, p - half))
    assert fve == pytest.approx({name: 2 * pearson(logits, f) - 1 for name, f in formulas.items()}, abs=1e-9)


def test_the_clock_formula_explains_80_percent_of_an_ideal_pizza():
    """2r - 1 with the correlation r = (2/pi) / sqrt(1/2) of 1 and |cos|."""
    circle = isolate_circle(pizza_network(59, {17: 1.0}), 17)
    assert circle.fve["clock"] == pytest.approx(2 * (2 / pi) / 0.5**0.5 - 1, abs=2e-3)
    assert circle.fve["pizza_product"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("p", "k"), [(7, 3), (10, 3), (10, 5), (13, 6), (59, 17)])
@pytest.mark.parametrize("fading", [0.0, 0.3, 1.0, 1.1])
def test_planted_fading(p: int, k: int, fading: float):
    """Whatever else is in the logits, other frequencies included."""
    a, b, c = grids(p)
    w = 2 * pi * k / p
    amplitude = 1 - fading + fading * (w * (a - b) / 2).cos().abs()
    other = (2 * pi * (k - 1) / p * (a + b - c)).cos() * (w * (a - b)).cos()
    logits = 3 * amplitude * (w * (a + b - c)).cos() + other + a * b / p
    grid = mg.grid_from_tensors(mg.modular_task("add", p), logits.view(p * p, p))
    assert circle_fading(grid, k) == pytest.approx(fading, abs=1e-6)


@pytest.mark.parametrize("turned", [1, 4, 20])
@pytest.mark.parametrize("fading", [0.3, 1.0])
def test_fading_of_circles_that_are_turned_against_each_other(turned: int, fading: float):
    """Operands with embeddings of their own are closest at another distance than 0."""
    a, b, c = grids(59)
    w = 2 * pi * 3 / 59
    amplitude = 1 - fading + fading * (w * (a - b - turned) / 2).cos().abs()
    logits = amplitude * (w * (a + b - c)).cos()
    grid = mg.grid_from_tensors(mg.modular_task("add", 59), logits.view(59 * 59, 59))
    assert circle_fading(grid, 3) == pytest.approx(fading, abs=1e-3)


def test_a_wave_that_is_not_there_does_not_fade():
    grid = mg.grid_from_tensors(
        mg.modular_task("add", 13), cosine_logits(mg.modular_task("add", 13), {2: 5.0})
    )
    assert circle_fading(grid, 3) is None


@pytest.mark.parametrize("by", ["pca", "fourier"])
@pytest.mark.parametrize("p", [7, 13, 59])
def test_one_circle_of_several_is_cut_out(by, p: int):
    """Circles of different size: each one alone computes its own waves alone."""
    for network, formula in ((cosine_network, "clock"), (pizza_network, "pizza_product")):
        model = network(p, {1: 3.0, 3: 2.0})
        with torch.no_grad():
            model.embed.W_E[:, 2:4] *= 2
        circle = isolate_circle(model, 3, by=by)
        assert circle.fve[formula] == pytest.approx(1, abs=2e-3)
        assert mg.find_key_frequencies(circle.grid).frequencies == (3,)


def test_components_that_mix_are_refused_and_separated_by_fourier():
    model = cosine_network(13, {2: 5.0, 3: 5.0})  # two circles of exactly one size
    turned, _ = torch.linalg.qr(
        torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )
    with torch.no_grad():
        model.embed.W_E[:, :4] *= 1 + 1e-3 * torch.arange(4)
        model.embed.W_E[:, :4] = model.embed.W_E[:, :4] @ turned
        for block in (model.blocks[0].attn.W_V[0], model.blocks[0].mlp.W_in):
            block[:4] = turned.T @ block[:4]
        scores = model.embed.W_E[:, :4] @ turned.T
        model.embed.W_E[:, :4] = torch.stack([scores[:, [0, 2]].sum(1), scores[:, 0] - scores[:, 2],
                                              scores[:, [1, 3]].sum(1), scores[:, 1] - scores[:, 3]], 1) * torch.tensor(
                                                  [1.3, 1.2, 1.1, 1.0])  # fmt: skip
    with pytest.raises(UndefinedMetricError, match="by='fourier' separates them"):
        isolate_circle(model, 2)
    assert isolate_circle(model, 2, by="fourier").k == 2


def test_accuracy_is_that_of_the_circle_alone():
    model = pizza_network(13, {1: 3.0, 3: 2.0})
    alone = isolate_circle(model, 3, by="fourier")
    assert alone.accuracy == mg.accuracy(mg.grid_from_tensors(model.task, alone.grid.logits))
    assert alone.accuracy == 1.0
    assert mg.accuracy(model) == 1.0


def test_operands_with_tokens_of_their_own():
    """The circle is cut out of both vocabularies."""
    plain = pizza_network(7, {1: 3.0, 3: 2.0})
    doubled = mg.models.mlp.HookedMLP(plain.cfg.replace(d_vocab=14)).double()
    weights = dict(plain.state_dict())
    weights["embed.W_E"] = torch.cat([weights["embed.W_E"]] * 2)
    doubled.load_state_dict(weights)
    doubled.task = mg.modular_task("add", 7, sequence=("a", "b'"))
    for k in (1, 3):
        ours, theirs = isolate_circle(doubled, k, by="fourier"), isolate_circle(plain, k, by="fourier")
        torch.testing.assert_close(ours.grid.logits, theirs.grid.logits)


def test_errors_at_the_door():
    model = cosine_network(7, {2: 5.0})
    with pytest.raises(ConfigError, match=r"allowed: 1\.\.3"):
        isolate_circle(model, 4)
    with pytest.raises(UndefinedMetricError, match="no two principal components of frequency 1"):
        isolate_circle(model, 1)
