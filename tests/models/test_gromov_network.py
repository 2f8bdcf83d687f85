"""Gromov's solution: the formula, its accuracy by width, and the analyses' results for it."""

import math

import pytest
import torch

import mechgrok as mg


def by_hand(model: mg.HookedMLP, p: int, a: int, b: int, c: int) -> float:
    """The sum over neurons, from frequencies and phases alone, which are read off at the token 0 and 1."""
    total = 0.0
    first, second, out = model.embed.W_E, model.embed_b.W_E, model.unembed.W_U.T
    for j in range(first.shape[1]):
        total += out[c, j].item() * (first[a, j] + second[b, j]).item() ** 2
    return total


@pytest.mark.parametrize(("p", "n"), [(2, 3), (3, 4), (7, 20), (10, 13)])
def test_weights_are_waves_of_the_frequencies_in_turn(p: int, n: int):
    model = mg.gromov_network(p, n, seed=4)
    x = torch.arange(p).double()[:, None]
    k = torch.tensor([1 + j % (p // 2) for j in range(n)]).double()
    first, second = (
        torch.rand(2, n, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 2 * math.pi
    )
    waves = 2 * math.pi / p * k * x
    torch.testing.assert_close(model.embed.W_E, (waves + first).cos())
    torch.testing.assert_close(model.embed_b.W_E, (waves + second).cos())
    torch.testing.assert_close(model.unembed.W_U, (waves + first + second).cos().T)
    logits = mg.cache_grid(model).logits
    a, b, c = p - 1, 1, p // 2
    assert logits[a * p + b, c].item() == pytest.approx(by_hand(model, p, a, b, c))


@pytest.mark.parametrize(("p", "n"), [(2, 60), (3, 90), (6, 120), (15, 150), (23, 200), (64, 260), (97, 300)])
def test_enough_neurons_are_right_everywhere(p: int, n: int):
    for seed in range(3):
        assert mg.accuracy(mg.gromov_network(p, n, seed)) == 1


def test_accuracy_grows_with_the_width():
    means = [
        sum(mg.accuracy(mg.gromov_network(59, n, seed)) for seed in range(5)) / 5 for n in (8, 30, 60, 180)
    ]
    assert means == sorted(means)
    assert means[0] < 0.25
    assert 0.6 < means[1] < 0.8
    assert 0.9 < means[2] < 1
    assert means[3] == 1


def test_scaled_it_gives_the_one_hot_answers_on_average():
    p, n = 13, 40_000
    outputs = mg.cache_grid(mg.gromov_network(p, n)).logits * 2 * (p - 1) / (n * p)
    one_hot = torch.nn.functional.one_hot(mg.modular_task("add", p).labels, p).double()
    torch.testing.assert_close(outputs, one_hot - 1 / p, atol=0.05, rtol=0)


@pytest.mark.parametrize(("p", "n"), [(23, 66), (22, 55)])
def test_frequencies_and_phases_are_found(p: int, n: int):
    model = mg.gromov_network(p, n, seed=1)
    found = mg.neuron_phases(model)
    assert torch.equal(found.frequency - 1, torch.arange(n) % (p // 2))
    torch.testing.assert_close(found.share, torch.ones(n).double())
    proper = found.frequency != p / 2  # the alternating wave has no phase of its own
    torch.testing.assert_close(found.turn[proper], torch.zeros(int(proper.sum())).double())
    first, second = (
        torch.rand(2, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 * math.pi
    )
    torch.testing.assert_close(found.phase_a[proper].cos(), first[proper].cos())
    torch.testing.assert_close(found.phase_b[proper].sin(), second[proper].sin())
    assert found.alignment() < 0.9, "the two phases of a neuron have nothing to do with each other"


def test_a_neuron_s_own_frequency_explains_four_fifths_of_it():
    tuned = mg.neuron_frequencies(mg.gromov_network(23, 22), threshold=0.75)
    assert tuned.clusters == dict.fromkeys(range(1, 12), 2)
    torch.testing.assert_close(tuned.fve, torch.full((22,), 0.8).double())


def test_wrong_output_phases_destroy_it():
    model = mg.gromov_network(59, 236)
    W_U = model.unembed.W_U
    shuffled = W_U[torch.randperm(236, generator=torch.Generator().manual_seed(0))]
    model.load_state_dict({**model.state_dict(), "unembed.W_U": shuffled})
    assert mg.accuracy(model) < 0.1


def test_a_seed_gives_the_same_network_and_another_one_another():
    one, same, other = (mg.gromov_network(7, 5, seed).embed.W_E for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(mg.TaskError, match="an order of at least 2, got 1"):
        mg.gromov_network(1, 5)
    for n in (0, -3):
        with pytest.raises(mg.ConfigError, match=f"needs a neuron; got n={n}"):
            mg.gromov_network(7, n)
    with pytest.raises(mg.ConfigError, match="a seed is a whole number"):
        mg.gromov_network(7, 5, seed=-1)
    with pytest.raises(mg.ConfigError, match="takes about"):
        mg.gromov_network(97, 10**9)
