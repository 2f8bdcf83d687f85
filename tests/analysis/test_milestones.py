"""Milestones and kinds of learning."""

import pytest

import mechgrok as mg
from mechgrok.analysis.milestones import kind_of_learning, milestones


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
