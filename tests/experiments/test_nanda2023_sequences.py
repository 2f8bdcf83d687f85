"""The rows that the protocols on sequences and on data regimes derive from given curves."""

from math import log
from types import SimpleNamespace

import pytest

from mechgrok.experiments import data_regimes, nanda2023_sequences as sequences
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction

PLATEAU, END = log(10), 0.01
DROPS = {"10^5": 40, "10^4": 220, "10^3": 700, "10^2": 700, "10^1": 460, "10^0": 720}


def falling(at, width, steps=range(0, 1201, 20), high=PLATEAU, low=END):
    """A loss that falls from a plateau in a straight line around a step."""
    share = [min(max((step - at) / width + 0.5, 0), 1) for step in steps]
    return [high + (low - high) * one for one in share]


def run_with(test, train=None, steps=range(0, 1201, 20)):
    train = [None] * len(test) if train is None else train
    return SimpleNamespace(
        history=[
            {"step": step, "loss_train": a, "loss_test": b, "accuracy_test": 0.05}
            for step, a, b in zip(steps, train, test, strict=True)
        ]
    )


GROKKED = run_with([*falling(50, 100, range(0, 600, 20), 2.3, 8.0), *falling(800, 100, range(600, 1201, 20), 8.0)],
                   falling(100, 100, low=1e-4))  # fmt: skip
AT_ONCE = run_with(falling(110, 100), falling(100, 100, low=1e-4))


def rows_of(name, *, full=False):
    outcome = run_reproduction(find_reproduction(name), full=full)
    assert outcome.curves
    return {row.quantity: row for row in outcome.rows}


@pytest.fixture
def digits(monkeypatch):
    """The protocol of the digits, given the width of each drop and the training on limited data."""

    def rows(width, limited, drops=DROPS):
        losses = {digit: falling(at, width) for digit, at in drops.items()}
        mean = [sum(values) / len(losses) for values in zip(*losses.values(), strict=True)]
        table = SimpleNamespace(steps=tuple(range(0, 1201, 20)), parts=lambda name: losses)
        monkeypatch.setattr(sequences, "progress_measures", lambda *args, **options: table)
        monkeypatch.setattr(
            sequences, "train_kept", lambda task, *args, **options: limited if task.finite else run_with(mean)
        )
        return rows_of("nanda2023-five-digit")

    return rows


def failing(rows):
    return [name for name, row in rows.items() if row.bounded and not row.holds]


def test_a_staircase_of_digits_holds(digits):
    assert failing(digits(60, GROKKED)) == []


def test_digits_that_are_learned_gradually_do_not(digits):
    assert any("longest of the last five" in name for name in failing(digits(1200, GROKKED)))


def test_digits_in_another_order_do_not(digits):
    other = DROPS | {"10^0": 220, "10^4": 720}
    assert any("in their order" in name for name in failing(digits(60, GROKKED, other)))


def test_limited_data_without_a_delay_do_not(digits):
    missed = failing(digits(60, AT_ONCE))
    assert any("how many times later" in name for name in missed)
    assert any("test loss at that step" in name for name in missed)


def test_a_skip_trigram_that_is_learned_gradually_does_not_hold(monkeypatch):
    for width, missed in ((60, []), (400, ["steps from a loss of 2 to one of 0.5 nats"])):
        fresh = run_with(falling(230, width, low=1e-5))
        monkeypatch.setattr(
            sequences, "train_kept", lambda task, *a, fresh=fresh, **o: GROKKED if task.finite else fresh
        )
        assert [
            name for name in failing(rows_of("nanda2023-skip-trigram")) if "from a loss" in name
        ] == missed


def test_regimes_that_are_exchanged_do_not_hold(monkeypatch):
    monkeypatch.setattr(sequences, "train_kept", lambda task, *a, **o: GROKKED if task.finite else AT_ONCE)
    by_heart = falling(100, 100, low=1e-4)
    peak = [
        *falling(50, 100, range(0, 600, 20), 4.7, 14.0),
        *falling(800, 100, range(600, 1201, 20), 14.0, 1e-4),
    ]
    late = run_with(peak, by_heart)
    never = run_with(falling(50, 100, high=4.7, low=14.0), by_heart)
    early = run_with(falling(110, 100, high=4.7, low=1e-4), by_heart)
    right = {0.95: early, 0.3: late, 0.1: never}
    for by_fraction, holds in ((right, True), (right | {0.3: early}, False), (right | {0.95: late}, False)):
        monkeypatch.setattr(
            data_regimes, "train_kept",
            lambda *args, fraction, weight_decay=1.0, runs=by_fraction, **options: (
                runs[fraction] if weight_decay else never
            ),
        )  # fmt: skip
        assert (failing(rows_of("data-regimes")) == []) == holds
