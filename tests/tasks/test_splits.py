"""Train and test masks: the papers' rules, sizes, reproducibility."""

import inspect
import random

import pytest
import torch

from mechgrok.errors import ConfigError, TaskError
from mechgrok.tasks import make_split, modular_task

RULES = ("shuffle", "randperm", "unordered")


def grid(p: int) -> torch.Tensor:
    return torch.cartesian_prod(torch.arange(p), torch.arange(p))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("p", "fraction"), [(5, 0.3), (7, 0.5), (10, 0.95), (23, 0.01), (12, 1.0)])
def test_size_and_complement(rule, p, fraction):
    split = make_split(grid(p), fraction, 0, rule)
    assert split.train.dtype == torch.bool
    assert split.train.shape == (p * p,)
    assert torch.equal(split.test, ~split.train)
    if rule == "unordered":
        pairs = {frozenset(pair) for pair in grid(p)[split.train].tolist()}
        assert len(pairs) == int(fraction * (p * (p + 1) // 2))
    else:
        assert split.train.sum() == int(fraction * p * p)
    assert (split.fraction, split.seed, split.rule) == (fraction, 0, rule)


@pytest.mark.parametrize("rule", RULES)
def test_same_seed_same_split_other_seed_another_one(rule):
    first = make_split(grid(11), 0.4, 3, rule)
    random.seed(99)
    torch.manual_seed(99)
    assert torch.equal(first.train, make_split(grid(11), 0.4, 3, rule).train)
    assert not torch.equal(first.train, make_split(grid(11), 0.4, 4, rule).train)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_a_seed_is_refused_by_its_range(rule, seed):
    with pytest.raises(ConfigError, match=f"a seed is a whole number from 0 to 4294967295, got {seed}"):
        inspect.unwrap(make_split)(grid(3), 0.5, seed, rule)


@pytest.mark.parametrize("rule", RULES)
def test_global_generators_are_left_alone(rule):
    python, tensors = random.getstate(), torch.get_rng_state()
    make_split(grid(11), 0.4, 3, rule)
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), tensors)


def test_shuffle_is_the_released_code_of_nanda():
    random.seed(5)
    pairs = [(a, b) for a in range(11) for b in range(11)]
    random.shuffle(pairs)
    split = make_split(grid(11), 0.3, 5, "shuffle")
    assert {tuple(pair) for pair in grid(11)[split.train].tolist()} == set(pairs[: int(0.3 * 121)])


def test_randperm_is_torchs_permutation():
    torch.manual_seed(5)
    order = torch.randperm(121)[: int(0.3 * 121)]
    split = make_split(grid(11), 0.3, 5, "randperm")
    assert split.train.nonzero().flatten().tolist() == sorted(order.tolist())


@pytest.mark.parametrize("p", [7, 10])
def test_unordered_keeps_both_orders_on_one_side(p):
    train = make_split(grid(p), 0.3, 0, "unordered").train.view(p, p)
    assert torch.equal(train, train.T)
    ordered = make_split(grid(p), 0.3, 0, "shuffle").train.view(p, p)
    assert not torch.equal(ordered, ordered.T)


def test_unordered_serves_a_grid_with_gaps():
    task = modular_task("div", 7)
    train = task.split(0.5, rule="unordered").train
    side = {tuple(pair): t for pair, t in zip(task.operands.tolist(), train.tolist(), strict=True)}
    assert all(side[b, a] == t for (a, b), t in side.items() if (b, a) in side)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_fraction_outside_of_its_range(fraction):
    with pytest.raises(TaskError, match=rf"must lie in \(0, 1\], got {fraction}"):
        make_split(grid(5), fraction, 0, "shuffle")


@pytest.mark.parametrize("rule", RULES)
def test_fraction_that_leaves_nothing(rule):
    with pytest.raises(TaskError, match=r"0\.01 of 25 inputs leaves nothing to train on"):
        make_split(grid(5), 0.01, 0, rule)


def test_unknown_rule_lists_the_rules():
    untyped = inspect.unwrap(make_split)  # the type checker of the tests would catch it first
    with pytest.raises(
        ConfigError, match=r"unknown split rule 'random' .*; allowed: shuffle, randperm, unordered"
    ):
        untyped(grid(5), 0.3, 0, "random")


def test_repr_tells_sizes_and_rule():
    assert repr(make_split(grid(10), 0.3, 7, "shuffle")) == (
        "Split(30 train, 70 test, rule='shuffle', fraction=0.3, seed=7)"
    )
