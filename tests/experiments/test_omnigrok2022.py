"""The protocols of Omnigrok: their judgement of given losses and delays, and short trainings."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.experiments import (
    omnigrok2022 as losses,
    omnigrok2022_constrained as constrained,
    omnigrok2022_digits as digits,
)
from mechgrok.experiments.held_norm import as_linear
from mechgrok.experiments.omnigrok2022 import AtNorm, addition_rows, student_rows
from mechgrok.training.networks import build_model


def failed(rows) -> str:
    return "\n".join(row.quantity for row in rows if row.bounded and not row.holds)


def student(train, test) -> list[AtNorm]:
    return [AtNorm(alpha, train(alpha), test(alpha)) for alpha in losses.STUDENT_ALPHAS]


def falling(alpha: float) -> float:
    return max(0.0142 * (0.1 / alpha) ** 5, 1e-7)


def valley(alpha: float) -> float:
    return 7e-5 * alpha**-2.36 if alpha < 1 else 7e-5 * alpha**5.1


def test_an_l_and_a_u_hold():
    points = student(falling, lambda alpha: max(valley(alpha), falling(alpha)))
    assert failed(student_rows(points, 0)) == ""


def test_a_train_loss_that_rises_is_no_l():
    wrong = failed(student_rows(student(lambda alpha: falling(alpha) + 1e-4 * alpha, valley), 0))
    assert "largest train loss from alpha 1 on" in wrong
    wrong = failed(student_rows(student(lambda alpha: 0.0142 if alpha < 0.3 else 1e-6 * alpha, valley), 0))
    assert "up to 1 between which the train loss rises" in wrong


def test_a_test_loss_that_follows_the_train_loss_is_no_u():
    wrong = failed(student_rows(student(falling, lambda alpha: 1e-4 / alpha), 0))
    assert "alpha of the smallest test loss" in wrong
    assert "test loss at alpha 10 over the smallest" in wrong


def test_addition_needs_both_sides_of_its_u():
    alphas, train = losses.ADDITION_ALPHAS, (2.1, 0.3, 5e-4, 1e-8, 1e-8, 1e-8, 1e-7, 1e-6)
    u, falls = (2.3, 0.5, 3e-3, 1.5, 14.0, 22.0, 20.0, 33.0), (2.3, 0.5, 3e-3, 2e-5, 2e-5, 1e-5, 1e-5, 1e-5)

    def points(test):
        return [AtNorm(*each) for each in zip(alphas, train, test, strict=True)]

    assert failed(addition_rows(points(u), 0)) == ""
    wrong = failed(addition_rows(points(falls), 0))
    assert "alpha of the smallest test loss" in wrong
    assert "test loss at alpha 3 over the smallest" in wrong


def test_a_student_of_the_teachers_norm_learns_more_than_one_of_a_tenth():
    task = losses.teacher_task(0)
    assert task.signature.inputs.shape == task.signature.outputs.shape == (5,)
    short = losses.STUDENT.replace(steps=150, eval_every=50, model=losses.SHAPE.replace(d_mlp=30))
    network = as_linear(build_model(task, losses.SHAPE.replace(d_mlp=30)), 0)
    small, equal = losses.reduced_landscape(task, short.replace(lr=3e-3), network, (0.1, 1.0))
    assert equal.train < 0.2 * small.train
    assert equal.test < 0.5 * small.test


def test_losses_are_those_where_the_train_loss_is_smallest():
    history = [{"step": step, "loss_train": loss, "loss_test": 10 * loss + step} for step, loss in
               ((0, 3.0), (5, 1.0), (10, 2.0))]  # fmt: skip
    assert losses._smallest(0.5, history) == AtNorm(0.5, 1.0, 15.0)


def learned(train: int | None, test: int | None, end: int = 6000, chance: float = 0.1):
    """A history with steps of 50 in which inputs become known at given steps."""

    def accuracy(step: int, known: int | None) -> float:
        return 1.0 if known is not None and step >= known else chance

    return [
        {"step": step, "accuracy_train": accuracy(step, train), "accuracy_test": accuracy(step, test)}
        for step in range(0, end + 1, 50)
    ]


def constrained_case(held_test: int):
    free, held = learned(50, 400), learned(100, held_test)
    large = learned(50, None)
    named = {constrained.FREE: free, constrained.HELD: held, constrained.LARGE: large}
    return {**named, constrained.TANGENT: learned(100, None)}


def test_a_constrained_norm_without_delay_holds_and_one_with_it_does_not():
    assert failed(constrained.constrained_rows(constrained_case(150), 0)) == ""
    wrong = failed(constrained.constrained_rows(constrained_case(400), 0))
    assert "norm held at 0.8: step of the test over that of the train inputs" in wrong
    assert "share of the delay that is left" in wrong
    never = {**constrained_case(150), constrained.HELD: learned(100, None)}
    assert "share of the delay that is left" in failed(constrained.constrained_rows(never, 0))


def test_a_control_that_generalises_refutes_the_norm():
    found = {**constrained_case(150), constrained.LARGE: learned(50, 60)}
    assert "norm held at 1.5: test accuracy at the end, seed 0" in failed(
        constrained.constrained_rows(found, 0)
    )


SQUARES = digits.DESIGNS[0]


def digits_case(delays, times) -> digits.Histories:
    found = {
        (alpha, 0.2): learned(500, 500 + steps) for alpha, steps in zip(SQUARES.alphas, delays, strict=True)
    }
    found |= {(9.0, decay): learned(500, time) for decay, time in zip(SQUARES.decays, times, strict=True)}
    return {**found, (9.0, 0.0): learned(500, None)}


def test_delays_that_grow_and_times_of_one_over_the_decay_hold():
    assert failed(digits.digits_rows(SQUARES, digits_case((0, 100, 2000, 4000), (5000, 2500, 1250)), 0)) == ""


def test_other_delays_and_other_powers_do_not():
    wrong = failed(digits.digits_rows(SQUARES, digits_case((0, 2000, 100, 4000), (5000, 3500, 2500)), 0))
    assert "larger alphas with a shorter delay" in wrong
    assert "power of the decay" in wrong
    never = failed(digits.digits_rows(SQUARES, digits_case((0, 100, 2000, 4000), (None, 2500, 1250)), 0))
    assert "power of the decay" in never
    groks = {**digits_case((0, 100, 2000, 4000), (5000, 2500, 1250)), (9.0, 0.0): learned(500, 3000)}
    assert "test accuracy without decay" in failed(digits.digits_rows(SQUARES, groks, 0))


def test_cross_entropy_has_the_shorter_delay_at_one_factor():
    assert failed(digits._compared({"mse": 4000, "cross_entropy": 600}, 0)) == ""
    assert failed(digits._compared({"mse": 4000, "cross_entropy": 3000}, 0)) != ""
    assert failed(digits._compared({"mse": None, "cross_entropy": 600}, 0)) != ""


def test_without_scikit_learn_the_message_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(mg.ConfigError, match=r"scikit-learn's, .* pip install 'mechgrok\[digits\]'"):
        digits.digits_task()


def test_every_cell_is_trained_at_its_factor_and_decay(monkeypatch):
    """On four clouds of points in place of scikit-learn's images, which the extra brings."""
    dice = np.random.default_rng(0)
    classes = dice.integers(0, 4, 300)
    images = np.eye(4)[classes].repeat(3, axis=1) * 16 + dice.normal(size=(300, 12))
    stand_in = SimpleNamespace(load_digits=lambda: SimpleNamespace(data=images, target=classes))
    monkeypatch.setitem(sys.modules, "sklearn", SimpleNamespace(datasets=stand_in))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", stand_in)
    task = digits.digits_task()
    assert torch.allclose(task.examples.inputs.double(), torch.from_numpy(images / 16), atol=1e-6)
    small = digits.SHAPE.replace(d_mlp=16)
    monkeypatch.setattr(digits, "SHAPE", small)
    monkeypatch.setattr(digits, "DIGITS", digits.DIGITS.replace(model=small, fraction=0.5))
    found = digits._histories(task, SQUARES, 50, seed=0)
    assert list(found) == [(1, 0.2), (3, 0.2), (6, 0.2), (9, 0.2), (9, 0.4), (9, 0.8), (9, 0.0)]
    first = {cell: history[0]["sum_squared_weights"] for cell, history in found.items()}
    assert first[6, 0.2] == pytest.approx(36 * first[1, 0.2], rel=1e-4)
    last = [found[9, decay][-1]["sum_squared_weights"] for decay in (0.0, 0.2, 0.4, 0.8)]
    assert last == sorted(last, reverse=True)
