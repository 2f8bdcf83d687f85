"""The clock and the pizza as transformers: their logits, and the analyses' results for the planted parts."""

import math

import pytest
import torch
from torch import Tensor

import mechgrok as mg

PLANTED = {
    "one circle": (7, {2: 5.0}, {2: 0.3}),
    "smallest": (3, {1: 3.0}, None),
    "composite": (15, {1: 2.0, 6: 3.0}, {6: 1.0}),
    "highest frequency": (13, {6: 4.0}, {6: -2.0}),
    "prime": (59, {17: 4.0, 3: 2.0}, {3: 2.2, 17: 40.0}),
}
EVEN = {
    "two": (2, {1: 3.0}, {1: 0.7}),
    "four": (4, {1: 3.0}, None),
    "alternating": (10, {5: 2.0, 2: 2.0}, {5: 0.4}),
}
ALL = PLANTED | EVEN


def operands_of(p: int) -> tuple[Tensor, Tensor, Tensor]:
    a, b = torch.cartesian_prod(torch.arange(p), torch.arange(p)).double().T
    return a[:, None], b[:, None], torch.arange(p).double()


def clock_logits(p: int, amplitudes: dict[int, float]) -> Tensor:
    a, b, c = operands_of(p)
    return torch.stack([A * (2 * math.pi * k / p * (a + b - c)).cos() for k, A in amplitudes.items()]).sum(0)


def pizza_logits(p: int, amplitudes: dict[int, float]) -> Tensor:
    a, b, c = operands_of(p)
    waves = [
        A * (math.pi * k / p * (a - b)).cos().abs() * (2 * math.pi * k / p * (a + b - c)).cos()
        for k, A in amplitudes.items()
    ]
    return torch.stack(waves).sum(0)


@pytest.mark.parametrize("name", ALL)
def test_the_clock_has_the_clock_s_logits_and_all_answers(name: str):
    p, amplitudes, phases = ALL[name]
    grid = mg.cache_grid(mg.clock_transformer(p, amplitudes, phases))
    expected = clock_logits(p, amplitudes)
    torch.testing.assert_close(grid.logits, expected, atol=2e-7 * sum(amplitudes.values()), rtol=0)
    assert mg.accuracy(grid) == 1
    assert mg.find_key_frequencies(grid).frequencies == tuple(sorted(amplitudes))


@pytest.mark.parametrize("name", PLANTED)
def test_the_pizza_has_the_pizza_s_logits_and_all_answers(name: str):
    p, amplitudes, phases = PLANTED[name]
    grid = mg.cache_grid(mg.pizza_transformer(p, amplitudes, phases))
    ripples = 3 / p**2 * sum(amplitudes.values())
    torch.testing.assert_close(grid.logits, pizza_logits(p, amplitudes), atol=ripples, rtol=0)
    assert mg.accuracy(grid) == 1
    plain = mg.cache_grid(mg.pizza_network(p, amplitudes)).logits
    if phases is None:
        torch.testing.assert_close(grid.logits, plain)


@pytest.mark.parametrize("network", [mg.clock_transformer, mg.pizza_transformer])
def test_frequencies_with_a_common_factor_tell_answers_apart_only_up_to_it(network):
    grid = mg.cache_grid(network(15, {3: 2.0, 6: 1.0}))
    assert torch.equal(grid.logits.argmax(1) % 5, grid.labels % 5)
    torch.testing.assert_close(grid.logits[:, :5], grid.logits[:, 5:10], atol=1e-6, rtol=0)


@pytest.mark.parametrize("p", [11, 31, 59])
def test_measures_of_the_two_algorithms_come_out_as_planted(p: int):
    clock = mg.classify_algorithm(mg.clock_transformer(p, {3: 9.0}, {3: 1.0}))
    assert clock.algorithm == "clock"
    assert clock.value("distance irrelevance") == 1
    assert clock.value("gradient symmetricity") == pytest.approx(0, abs=0.02)
    assert clock.value("circle fading") == pytest.approx(0, abs=1e-5)
    pizza = mg.classify_algorithm(mg.pizza_transformer(p, {3: 9.0}, {3: 1.0}))
    assert pizza.algorithm == "pizza"
    assert pizza.value("distance irrelevance") == pytest.approx(0, abs=0.03)
    assert 0.9999 < pizza.value("gradient symmetricity") < 1 - 1e-5
    assert pizza.value("circle fading") == pytest.approx(1, abs=0.02)
    (circle,) = pizza.circles
    assert circle.fve["pizza_product"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", ALL)
def test_losses_of_the_clock(name: str):
    p, amplitudes, phases = ALL[name]
    model = mg.clock_transformer(p, amplitudes, phases)
    full = mg.full_loss(model)
    for site in ("logits", "blocks.0.mlp.hook_post"):
        assert mg.restricted_loss(model, list(amplitudes), site=site) == pytest.approx(full, rel=1e-6)
        assert mg.excluded_loss(model, list(amplitudes), site=site) == pytest.approx(math.log(p), rel=1e-6)


@pytest.mark.parametrize("name", PLANTED)
def test_the_keys_of_the_pizza_keep_its_mean_over_distances(name: str):
    """The sum of |cos(pi k d / p)| over d is 1 / sin(pi / 2p) where k and p have no common factor."""
    p, amplitudes, phases = PLANTED[name]
    model = mg.pizza_transformer(p, amplitudes, phases)
    logits = torch.zeros(p, dtype=torch.float64)
    for k, amplitude in amplitudes.items():
        order = p // math.gcd(k, p)
        height = amplitude / (order * math.sin(math.pi / (2 * order)))
        logits += height * (2 * math.pi * k / p * torch.arange(p)).cos()
    expected = (logits.logsumexp(0) - logits[0]).item()
    ripples = 6 / p**2 * sum(amplitudes.values())
    assert mg.restricted_loss(model, list(amplitudes)) == pytest.approx(expected, abs=ripples)


def additive(x: Tensor, p: int) -> Tensor:
    square = x.view(p, p, *x.shape[1:])
    rows, columns = square.mean(1, keepdim=True), square.mean(0, keepdim=True)
    return (rows + columns - square.mean((0, 1))).view(x.shape)


@pytest.mark.parametrize("name", PLANTED)
def test_only_the_clock_needs_the_products_that_attention_makes(name: str):
    p, amplitudes, phases = PLANTED[name]
    for model in (mg.clock_transformer(p, amplitudes, phases), mg.pizza_transformer(p, amplitudes, phases)):
        tokens = model.task.tokens
        before = model(tokens)[:, -1]
        hook = ("blocks.0.hook_resid_mid", lambda x, hook: additive(x, p))
        after = model.run_with_hooks(tokens, fwd_hooks=[hook])[:, -1]
        if model.cfg.attention_rate == 0:
            torch.testing.assert_close(after, before, atol=1e-9, rtol=0)
        else:
            torch.testing.assert_close(
                after, torch.zeros_like(after), atol=1e-6 * sum(amplitudes.values()), rtol=0
            )


def test_a_clock_s_heads_look_at_a_and_at_the_equals_sign():
    model = mg.clock_transformer(13, {2: 5.0, 6: 3.0}, {2: 0.4})
    pattern = model.run_with_cache(model.task.tokens)[1]["blocks.0.attn.hook_pattern"][:, :, -1]
    torch.testing.assert_close(pattern[..., :2], torch.full_like(pattern[..., :2], 0.5), atol=1e-3, rtol=0)
    assert pattern[..., 2].max() < 1e-20
    gates = (pattern[:, 0, 1] - pattern[:, 1, 1]) * 2e3
    b = model.task.operands[:, 1].double()
    torch.testing.assert_close(gates, (2 * math.pi * 2 / 13 * b + 0.4).cos(), atol=1e-6, rtol=0)


def test_neurons_have_the_planted_frequencies_and_phases():
    amplitudes, phases = {2: 4.0, 5: 3.0}, {2: 0.5, 5: -1.0}
    pizza = mg.pizza_transformer(13, amplitudes, phases)
    found = mg.neuron_phases(pizza)
    assert {k: len(mine) for k, mine in found.groups.items()} == {2: 13, 5: 13}
    assert found.share.min() == pytest.approx(1)
    for k, mine in found.groups.items():
        turned = 13 * (found.phase_a[mine] - phases[k])  # the angles are multiples of 2 pi / 13 away
        torch.testing.assert_close(turned.cos(), torch.ones(13).double())
        assert found.alignment(k) == pytest.approx(1)
        assert found.doubling(k) == pytest.approx(1)
        assert found.spread(k) == pytest.approx(1)
    clock = mg.clock_transformer(13, amplitudes, phases)
    assert mg.neuron_frequencies(clock).clusters == {2: 8, 5: 8}
    assert mg.neuron_frequencies(clock).fve.min() == pytest.approx(1)
    made = mg.neuron_phases(clock)
    assert made.products.min() == pytest.approx(1), "nothing of a or b alone reaches its neurons"
    assert not made.waves.any()


@pytest.mark.parametrize("network", [mg.clock_transformer, mg.pizza_transformer])
def test_the_embedding_holds_the_planted_circles(network):
    model = network(31, {4: 5.0, 9: 5.0}, {4: 0.5})
    W_E = model.W_E[:31]
    radius = W_E[0, :2].norm()
    planted = torch.tensor([math.cos(0.5), math.sin(0.5)]).double()
    torch.testing.assert_close(W_E[0, :2] / radius, planted)
    norms = mg.frequency_norms(model, matrix="W_E")
    assert (norms > 1e-9).nonzero().flatten().tolist() == [3, 8]
    assert mg.isolate_circle(model, 9, by="fourier").accuracy == 1


def test_a_clock_in_float32_is_still_right():
    assert mg.accuracy(mg.clock_transformer(113, {1: 1.0}).float()) == 1


@pytest.mark.parametrize("network", [mg.clock_transformer, mg.pizza_transformer])
def test_what_cannot_be_built_is_refused(network):
    with pytest.raises(mg.ConfigError, match="needs a frequency from 1 to 6"):
        network(13, {})
    with pytest.raises(mg.ConfigError, match=r"7 is not a frequency of Z13; allowed: 1\.\.6"):
        network(13, {7: 1.0})
    with pytest.raises(
        mg.ConfigError, match=r"a frequency that has an amplitude, which are \[2\]; got a phase of 3"
    ):
        network(13, {2: 1.0}, {3: 1.0})
    with pytest.raises(mg.ConfigError, match="the amplitude of frequency 2 is a finite number; got nan"):
        network(13, {2: math.nan})
    with pytest.raises(mg.ConfigError, match="the phase of frequency 2 is a finite number; got inf"):
        network(13, {2: 1.0}, {2: math.inf})


def test_a_pizza_needs_an_odd_modulus():
    with pytest.raises(mg.ConfigError, match="an odd p, for which no two tokens are antipodal"):
        mg.pizza_transformer(12, {5: 1.0})


@pytest.mark.parametrize("network", [mg.cosine_network, mg.pizza_network])
def test_amplitudes_of_the_other_networks_are_finite_too(network):
    with pytest.raises(mg.ConfigError, match="the amplitude of frequency 2 is a finite number; got -inf"):
        network(13, {2: -math.inf})
