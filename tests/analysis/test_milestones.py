"""Milestones and kinds of learning."""

import pytest

import mechgrok as mg
from mechgrok.analysis.milestones import kind_by_losses, kind_of_learning, milestones


def learned(train: int | None, test: int | None, last: int = 20_000):
    """Accuracies that jump to 1 at given steps."""
    return [
        {
            "step": s,
            "accuracy_train": float(train is not None and s >= train),
            "accuracy_test": float(test is not None and s >= test),
        }
        for s in range(0, last + 1, 100)
    ]


@pytest.mark.parametrize(
    ("train", "test", "kind"),
    [
        (200, 300, "comprehension"),
        (200, 1100, "comprehension"),
        (200, 1200, "grokking"),
        (300, 200, "comprehension"),
        (200, None, "memorisation"),
        (None, None, "confusion"),
    ],
)
def test_published_table(train, test, kind: str):
    found = kind_of_learning(learned(train, test))
    assert (found.kind, found.train, found.test, found.lag) == (kind, train, test, 1000)
    assert found.within == 20_000


def test_bounds_can_be_moved():
    rows = learned(200, 600)
    assert kind_of_learning(rows).kind == "comprehension"
    assert kind_of_learning(rows, lag=300).kind == "grokking"
    assert kind_of_learning(rows, within=500).kind == "memorisation"


def test_both_accuracies_are_needed():
    with pytest.raises(mg.UndefinedMetricError, match="no row has an accuracy_test"):
        kind_of_learning([{"step": 0, "accuracy_train": 1.0, "accuracy_test": None}])


def test_milestones():
    rows = [
        {"step": 0, "loss_train": 4.0, "loss_test": 4.0, "accuracy_test": 0.0},
        {"step": 10, "loss_train": 9e-3, "loss_test": 0.4, "accuracy_test": 0.92},
        {"step": 20, "loss_train": 1e-3, "loss_test": None, "accuracy_test": 0.99},
    ]
    assert milestones(rows) == {
        "loss_train < 0.01": 10,
        "loss_test < 0.5": 10,
        "loss_test < 0.01": None,
        "accuracy_test >= 0.9": 10,
        "accuracy_test >= 0.95": 20,
        "accuracy_test >= 0.99": 20,
    }
    assert milestones([]) == {}


def test_published_sweep(peer_data):
    """First epochs with a train loss below 0.01 and a test loss below 0.5 and 0.01, by fraction of train inputs."""
    import numpy as np

    stored = np.load(peer_data / "nanda/loss_curves.npz")
    expected = {
        "0.95": (244, 134, 279),
        "0.6": (202, 336, 556),
        "0.4": (268, 2797, 3324),
        "0.3": (274, 7688, 8258),
        "0.25": (265, 21_555, 22_177),
    }
    for fraction, epochs in expected.items():
        train, test = (stored[f"frac_train_sweep__{fraction}__{part}"].tolist() for part in ("train", "test"))
        rows = [
            {"step": i, "loss_train": a, "loss_test": b}
            for i, (a, b) in enumerate(zip(train, test, strict=True))
        ]
        assert tuple(milestones(rows).values()) == epochs, fraction


def losses(*pairs: tuple[float, float]):
    return [
        {"step": 100 * i, "loss_train": train, "loss_test": test} for i, (train, test) in enumerate(pairs)
    ]


START = (0.7, 0.7)


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ([START, (0.1, 0.8), (2e-5, 1e-6)], "confusion"),
        ([START, (1e-6, 0.8), (1e-9, 2e-5)], "memorisation"),
        ([START, (1e-6, 0.8), (1e-6, 1e-6)], "grokking"),
        ([START, (1e-4, 0.8), (1e-6, 1e-6)], "comprehension"),
        ([START, (1e-12, 5e-3), (1e-12, 1e-6)], "comprehension"),
        ([START, (1e-12, 7e-3), (1e-12, 1e-6)], "grokking"),
    ],
)
def test_kinds_by_losses(pairs, kind):
    """The last two: a train loss counts as 2^-23 at the least, so that 5e4 times that is 6e-3."""
    assert kind_by_losses(losses(*pairs)) == kind


def test_losses_that_were_measured_at_different_steps_are_not_compared():
    rows = [
        {"step": 0, "loss_train": 0.7, "loss_test": 0.7},
        {"step": 1, "loss_train": 1e-6},
        {"step": 2, "loss_test": 0.7},
        {"step": 3, "loss_train": 1e-6, "loss_test": 1e-6},
    ]
    assert kind_by_losses(rows) == "comprehension"
    with pytest.raises(mg.UndefinedMetricError, match="both a loss_train and a loss_test"):
        kind_by_losses([{"step": 0, "loss_train": 1.0}])
