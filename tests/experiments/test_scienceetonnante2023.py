"""The protocol of scienceetonnante 2023 on existing runs."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

import mechgrok as mg
from mechgrok.experiments import scienceetonnante2023 as module
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction
from mechgrok.training.recipes import SCIENCEETONNANTE

PUBLISHED = {240: (1.0, 0.0), 620: (1.0, 0.05), 780: (1.0, 0.5), 900: (1.0, 0.9), 1040: (1.0, 0.999)}
HISTORY = [
    {
        "step": 22 * epoch,
        "accuracy_train": train,
        "accuracy_test": test,
        "loss_test": 6.83 if epoch == 240 else 1.0,
    }
    for epoch, (train, test) in PUBLISHED.items()
]


@pytest.fixture
def rows(monkeypatch):
    """The rows of a training with a history of its own, and the checkpoints of one that comes with mechgrok."""

    def of(checkpoints: str, history):
        course, at = mg.embedding_course(checkpoints), [0, 1, 2, -1]
        moved = replace(
            course,
            steps=(0, 5500, 16_500, 44_000),
            scores=course.scores[at],
            variance=course.variance[at],
            purity=course.purity[at],
        )
        monkeypatch.setattr(module, "embedding_course", lambda run: moved)
        run = SimpleNamespace(history=history, config=SimpleNamespace(seed=0))
        monkeypatch.setattr(module, "train_kept", lambda *args, **options: run)
        outcome = run_reproduction(find_reproduction("scienceetonnante2023"))
        return {row.quantity: row for row in outcome.rows}, outcome.curves

    return of


def test_the_published_curve_and_circles_hold(rows):
    found, curves = rows("pizza59", HISTORY)
    measured = {name: row.measured for name, row in found.items()}
    assert measured["median epoch of 99% test accuracy"] == 1040
    assert measured["highest test loss, median (nats)"] == 6.83
    assert measured["clean circles among the pairs of components, seed 0"] >= 3
    assert [name for name, row in found.items() if not row.holds] == []
    assert [curve.panel for curve in curves if curve.name == "token"] == [
        "Tokens at epoch 250", "Tokens at epoch 750", "Tokens at epoch 2000"
    ]  # fmt: skip
    assert {len(curve.x) for curve in curves if curve.name == "token"} == {59}


def test_a_network_that_memorises_and_stays_there_does_not(rows):
    stays = [{**row, "accuracy_test": 0.01} for row in HISTORY]
    found, _ = rows("add113-fast", stays)
    failed = {name for name, row in found.items() if not row.holds}
    assert "median epoch of 99% test accuracy" in failed
    assert "accuracy on the test inputs at the end, seed 0" in failed
    assert "clean circles among the pairs of components, median" in failed


def test_an_epoch_has_as_many_batches_as_the_protocol_says():
    task = mg.modular_task("add", module.P)
    train = int(task.split(SCIENCEETONNANTE.fraction).train.sum())
    assert train == 1404
    assert -(-train // SCIENCEETONNANTE.batch_size) == module.STEPS_PER_EPOCH
    assert SCIENCEETONNANTE.steps == 20_000 * module.STEPS_PER_EPOCH
