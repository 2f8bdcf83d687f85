"""Parallelograms of embeddings that were planted, against loops over all quadruples, and refused input."""

from itertools import combinations

import pytest
import torch

import mechgrok as mg


def circle(p: int) -> torch.Tensor:
    angles = 2 * torch.pi * torch.arange(p, dtype=torch.float64) / p
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(embedding: torch.Tensor, modulus: int | None, tolerance: float) -> tuple[set, set]:
    """P_0 and P(R), as sets of two pairs."""
    n = len(embedding)
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    possible, realised = set(), set()
    for (i, j), (k, m) in combinations(pairs, 2):
        if (i + j - k - m) % modulus == 0 if modulus else i + j == k + m:
            possible.add(((i, j), (k, m)))
            if (embedding[i] + embedding[j] - embedding[k] - embedding[m]).norm() <= tolerance:
                realised.add(((i, j), (k, m)))
    return possible, realised


@pytest.mark.parametrize(
    ("n", "kind", "possible"), [(3, "linear", 1), (4, "linear", 3), (3, "modular", 3), (4, "modular", 8)]
)
def test_possible_parallelograms_by_hand(n, kind, possible):
    """For 4 symbols without a modulus: 02 and 11, 03 and 12, 13 and 22."""
    assert mg.representation_quality(drawn(n), kind=kind).n_possible == possible


@pytest.mark.parametrize("n", [3, 4, 10, 12, 29])
def test_a_line_has_all_of_them(n):
    line = -3 + 0.7 * torch.arange(n)
    quality = mg.representation_quality(line)
    assert quality.rqi == 1
    assert quality.n_realised == quality.n_possible
    assert quality.defect == pytest.approx(0, abs=1e-10)
    assert quality.effective_dimension == pytest.approx(1)
    tilted = line[:, None] * drawn(5)
    assert mg.representation_quality(tilted).rqi == 1


@pytest.mark.parametrize("kind", ["linear", "modular"])
@pytest.mark.parametrize("n", [9, 10])
def test_a_random_embedding_has_hardly_any(n, kind):
    quality = mg.representation_quality(drawn(n, 6), kind=kind)
    assert quality.rqi == 0
    assert quality.defect == pytest.approx(1, abs=0.5)
    assert 4 < quality.effective_dimension < 6


@pytest.mark.parametrize("n", [5, 6, 9, 12, 29])
def test_a_circle_has_none_of_those_of_modular_addition(n):
    """The sums of pairs with one answer have one direction and different lengths, but for the constant embedding."""
    for kind in ("linear", "modular"):
        quality = mg.representation_quality(circle(n), kind=kind)
        assert quality.rqi == 0
        assert quality.effective_dimension == pytest.approx(2)
    # A line has those of them that have no carry.
    line = mg.representation_quality(torch.arange(n), kind="modular")
    assert 0 < line.rqi < 1
    assert line.n_realised == mg.representation_quality(torch.arange(n)).n_possible


def test_the_same_by_loops():
    """A line of which two symbols are displaced, by less and by more than the tolerance."""
    for n, kind, modulus in ((7, "linear", None), (6, "modular", 6), (7, "modular", 7)):
        embedding = torch.arange(n, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2.0])
        embedding[2] += 0.05
        embedding[4] -= 1.0
        quality = mg.representation_quality(embedding, kind=kind, delta=0.3, unit="absolute")
        possible, realised = by_loops(embedding, modulus, 0.3)
        assert (quality.n_possible, quality.n_realised) == (len(possible), len(realised))
        assert 0 < len(realised) < len(possible)
        train = torch.zeros(n, n, dtype=torch.bool)
        train[1, 3] = train[0, 2] = train[5, 1] = True
        known = {(1, 3), (0, 2), (1, 5)}
        reached = known | {b for pair in realised for a, b in (pair, pair[::-1]) if a in known}
        share = len(reached) / (n * (n + 1) / 2)
        assert quality.predicted_accuracy(train) == pytest.approx(share)
        assert quality.predicted_accuracy(train.T) == pytest.approx(share)
        pairs = torch.tensor([bool(train[i, j] or train[j, i]) for i in range(n) for j in range(i, n)])
        assert quality.predicted_accuracy(pairs) == pytest.approx(share)


def test_units_of_the_tolerance():
    """One symbol of a line is displaced by 0.1 of the deviation, as the parallelograms with it are, or by 0.2."""
    line = torch.arange(10, dtype=torch.float64)
    line = (line - line.mean()) / line.std(correction=0)
    moved = line.clone()
    moved[4] += 0.1
    deviation = (moved - moved.mean()).square().mean().sqrt().item()
    for scale in (0.1, 1.0, 50.0):
        found = [mg.representation_quality(scale * moved, delta=d).rqi for d in (0.09, 0.11, 0.21)]
        assert found[0] < found[1] < found[2] == 1
        quality = mg.representation_quality(scale * moved)
        assert quality.tolerance == pytest.approx(0.01 * scale * deviation)
        printed = mg.representation_quality(scale * moved, unit="variance")
        assert printed.tolerance == pytest.approx(0.01 * (scale * deviation) ** 2)
        assert printed.rqi == (1 if scale == 50 else found[0])
        assert mg.representation_quality(scale * moved, unit="absolute").tolerance == 0.01


def test_predicted_accuracy_ends():
    """A line predicts every sum that has been seen; an embedding without parallelograms, the train pairs alone."""
    n = 10
    train = torch.zeros(n, n, dtype=torch.bool)
    train[0] = True
    train[9, 5:] = True  # the sums 0..9 and 14..18
    assert mg.representation_quality(torch.arange(n)).predicted_accuracy(train) == pytest.approx(
        (30 + 9) / 55
    )
    assert mg.representation_quality(drawn(n, 4)).predicted_accuracy(train) == pytest.approx(15 / 55)


def test_effective_dimension():
    equal = torch.cat([torch.eye(6), -torch.eye(6)])
    assert mg.representation_quality(equal).effective_dimension == pytest.approx(6)
    shares = torch.tensor([0.7, 0.3], dtype=torch.float64)
    unequal = torch.cat([torch.diag(shares.sqrt()), -torch.diag(shares.sqrt())])
    entropy = -(shares * shares.log()).sum()
    assert mg.representation_quality(unequal).effective_dimension == pytest.approx(entropy.exp().item())


def test_networks_and_grids():
    net = mg.cosine_network(12, {2: 5.0})
    quality = mg.representation_quality(net)
    by_hand = mg.representation_quality(net.W_E[:12].detach(), kind="modular")
    assert (quality.n_possible, quality.n_realised) == (by_hand.n_possible, by_hand.n_realised)
    assert mg.representation_quality(mg.cache_grid(net)).n_realised == quality.n_realised
    split = net.task.split(0.4)
    square = split.train.reshape(12, 12)
    assert quality.predicted_accuracy(split.train) == quality.predicted_accuracy(square)


def test_the_order_of_the_group():
    """Multiplication adds discrete logarithms: a line over them has the parallelograms that have no carry."""
    task = mg.modular_task("mul", 11)
    embedding = torch.zeros(11, dtype=torch.float64)
    embedding[task.frame.tokens] = torch.arange(10, dtype=torch.float64)
    quality = mg.representation_quality(embedding, task)
    assert quality.n_possible == mg.representation_quality(drawn(10), kind="modular").n_possible
    assert quality.n_realised == mg.representation_quality(torch.arange(10)).n_possible
    assert mg.representation_quality(embedding).rqi < 0.2


def test_operands_that_may_not_be_exchanged():
    """In a group that is not commutative, all ordered pairs count."""
    task = mg.group_task("S3")
    quality = mg.representation_quality(drawn(6, 4), task)
    assert len(quality.pairs) == 36
    assert quality.n_possible == 6 * 15  # each of 6 results has 6 pairs


@pytest.mark.usefixtures("unchecked")
def test_what_is_refused():
    for wrong in (drawn(2), torch.zeros(0, 3), drawn(2, 3, 4), torch.full((5,), torch.nan), torch.ones(5, 3)):
        with pytest.raises(mg.UndefinedMetricError):
            mg.representation_quality(wrong)
    with pytest.raises(mg.UndefinedMetricError, match="tokens up to"):
        mg.representation_quality(drawn(5), mg.modular_task("add", 7))
    quality = mg.representation_quality(drawn(5))
    for mask in (
        torch.ones(5, 5),
        torch.ones(4, dtype=torch.bool),
        torch.zeros(5, 5, dtype=torch.bool),
    ):
        with pytest.raises(mg.UndefinedMetricError, match="train mask"):
            quality.predicted_accuracy(mask)
    with pytest.raises(mg.ConfigError, match="train_mask, a tensor"):
        quality.predicted_accuracy(None)
    with pytest.raises(mg.UndefinedMetricError):
        mg.representation_quality(drawn(8), mg.parity_task(3))
    with pytest.raises(mg.ConfigError, match="delta"):
        mg.representation_quality(drawn(5), delta=-1.0)
