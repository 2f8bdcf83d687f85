"""The effective loss and its eigenvalues against explicit equations."""

from itertools import combinations

import numpy as np
import pytest
import torch

import mechgrok as mg


def equations(n: int, train: set[tuple[int, int]], modulus: int | None = None) -> np.ndarray:
    """A row e_i + e_j - e_m - e_n for each parallelogram of the train pairs."""
    rows = []
    for (i, j), (k, m) in combinations(sorted(train), 2):
        if (i + j - k - m) % modulus == 0 if modulus else i + j == k + m:
            row = np.zeros(n)
            for symbol, sign in ((i, 1), (j, 1), (k, -1), (m, -1)):
                row[symbol] += sign
            rows.append(row)
    return np.array(rows).reshape(-1, n)


def mask_of(n: int, train: set[tuple[int, int]]) -> torch.Tensor:
    mask = torch.zeros(n, n, dtype=torch.bool)
    for pair in train:
        mask[pair] = True
    return mask


def drawn_pairs(n: int, size: int, seed: int) -> set[tuple[int, int]]:
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    return {pairs[i] for i in np.random.default_rng(seed).choice(len(pairs), size, replace=False)}


def test_four_symbols_by_hand():
    """The rows (1 -2 1 0), (1 -1 -1 1) and (0 1 -2 1) have the singular values sqrt(10), sqrt(6) and 0."""
    rows = np.array([[1, -2, 1, 0], [1, -1, -1, 1], [0, 1, -2, 1]])
    theory = mg.effective_theory(4)
    assert theory.n_parallelograms == 3
    assert theory.form.numpy() == pytest.approx(rows.T @ rows)
    assert theory.eigenvalues.tolist() == pytest.approx([0, 0, 2 * 6 / 4, 2 * 10 / 4], abs=1e-9)
    assert theory.rate == pytest.approx(3)
    assert theory.steps(0.01) == pytest.approx(100 / 3)


@pytest.mark.parametrize(("n", "size", "modulus"), [(10, 45, None), (10, 25, None), (7, 20, 7), (6, 12, 6)])
def test_the_same_by_equations(n, size, modulus):
    train = drawn_pairs(n, size, seed=n)
    rows = equations(n, train, modulus)
    theory = mg.effective_theory(n, mask_of(n, train), kind="modular" if modulus else "linear")
    values = 2 * np.linalg.eigvalsh(rows.T @ rows) / n
    assert theory.n_train == size
    assert theory.n_parallelograms == len(rows)
    assert theory.eigenvalues.numpy() == pytest.approx(values, abs=1e-9)
    assert theory.n_free == n - np.linalg.matrix_rank(rows)
    averaged = mg.effective_theory(n, mask_of(n, train), kind=theory.kind, mean=True)
    assert averaged.eigenvalues.numpy() == pytest.approx(values / len(rows), abs=1e-9)
    embedding = np.random.default_rng(1).normal(size=(n, 3))
    centred = embedding - embedding.mean(0)
    loss = ((rows @ embedding) ** 2).sum() / (centred**2).sum()
    for moved in (embedding, 3 * embedding, embedding + 5):
        assert theory.loss(torch.tensor(moved)) == pytest.approx(loss)
    assert averaged.loss(torch.tensor(embedding)) == pytest.approx(loss / len(rows))


def test_the_rate_is_that_of_gradient_descent():
    """With the norm held, what is left of a displacement from a line shrinks by 1 - lr rate in the last direction."""
    n, lr = 10, 1e-3
    train = drawn_pairs(n, 45, seed=3)
    rows = equations(n, train)
    theory = mg.effective_theory(n, mask_of(n, train))
    embedding = np.random.default_rng(0).normal(size=n)
    line = np.arange(n) - (n - 1) / 2
    free = np.stack([np.ones(n) / n**0.5, line / np.linalg.norm(line)])

    def descend(steps: int) -> np.ndarray:
        at = embedding.copy()
        for _ in range(steps):
            at -= lr * 2 * rows.T @ (rows @ at) / n
        return at - free.T @ (free @ at)

    early, late = (np.linalg.norm(descend(steps)) for steps in (8000, 9000))
    assert -np.log(late / early) / 1000 == pytest.approx(lr * theory.rate, rel=0.02)
    assert theory.steps(lr) == pytest.approx(1 / (lr * theory.rate))


def by_rank(n: int, train: set[tuple[int, int]]) -> tuple[float, float]:
    """Ideal RQI and accuracy: a parallelogram is implied if its equation adds nothing to the rank."""
    rows = equations(n, train)
    rank = np.linalg.matrix_rank(rows) if len(rows) else 0
    pairs = sorted((i, j) for i in range(n) for j in range(i, n))
    implied, possible, reached = 0, 0, set(train)
    for a, b in combinations(pairs, 2):
        if sum(a) == sum(b):
            possible += 1
            one = equations(n, {a, b})
            if np.linalg.matrix_rank(np.concatenate([rows, one])) == rank:
                implied += 1
                if a in train or b in train:
                    reached |= {a, b}
    return implied / possible, len(reached) / len(pairs)


@pytest.mark.parametrize("size", [4, 12, 20, 30])
def test_the_ideal_embedding_by_ranks(size):
    train = drawn_pairs(8, size, seed=size)
    theory = mg.effective_theory(8, mask_of(8, train))
    assert (theory.ideal.rqi, theory.ideal_accuracy) == pytest.approx(by_rank(8, train))
    assert theory.is_determined == (theory.n_free == 2)
    if not theory.is_determined:
        assert theory.rate == 0
        with pytest.raises(mg.UndefinedMetricError, match="free"):
            theory.steps(1e-3)


def test_six_pairs_of_six_symbols_can_determine_a_line():
    """The paper says that eight do. Three pairs of one result are two equations, and four are needed."""
    train = {(0, 4), (1, 3), (2, 2), (0, 5), (1, 4), (2, 3)}
    theory = mg.effective_theory(6, mask_of(6, train))
    assert theory.is_determined
    assert (theory.ideal.rqi, theory.ideal.n_possible) == (
        1,
        mg.representation_quality(torch.arange(6)).n_possible,
    )
    for pair in train:
        assert not mg.effective_theory(6, mask_of(6, train - {pair})).is_determined


def test_pairs_of_modular_addition_leave_the_constant_alone():
    theory = mg.effective_theory(6, kind="modular")
    assert (theory.n_free, theory.is_determined, theory.ideal.rqi) == (1, True, 1)
    assert theory.rate == pytest.approx(theory.eigenvalues[1].item())
    assert theory.loss(torch.arange(6.0)) > 0


def test_nothing_that_is_known():
    theory = mg.effective_theory(5, mask_of(5, {(0, 0)}))
    assert (theory.n_parallelograms, theory.n_free, theory.rate, theory.ideal.rqi) == (0, 5, 0, 0)
    assert theory.ideal_accuracy == pytest.approx(1 / 15)
    assert theory.loss(torch.arange(5.0)) == 0


@pytest.mark.usefixtures("unchecked")
def test_what_is_refused():
    for n in (2, 10**6, -1):
        with pytest.raises(mg.ConfigError, match="symbols"):
            mg.effective_theory(n)
    theory = mg.effective_theory(5)
    for wrong in (torch.ones(5), torch.arange(4.0), torch.zeros(5, 2, 2)):
        with pytest.raises(mg.UndefinedMetricError):
            theory.loss(wrong)
    with pytest.raises(mg.UndefinedMetricError, match="train mask"):
        mg.effective_theory(5, torch.ones(3, dtype=torch.bool))
