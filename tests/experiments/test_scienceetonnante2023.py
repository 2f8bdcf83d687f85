"""The protocol of scienceetonnante 2023 on trainings that are there."""

from types import SimpleNamespace

import pytest

import mechgrok as mg
from mechgrok.experiments import scienceetonnante2023 as module
from mechgrok.experiments.reproduction import find_reproduction
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
    """The rows of a training with a history of its own and the checkpoints of one that comes with mechgrok."""

    def of(checkpoints: str, history, steps):
        course = mg.embedding_course(checkpoints)
        moved = SimpleNamespace(
            steps=steps,
            final=course.final,
            purity=course.purity[[0, -1]] if len(steps) == 2 else course.purity,
        )
        monkeypatch.setattr(module, "embedding_course", lambda run: moved)
        run = SimpleNamespace(history=history, config=SimpleNamespace(seed=0))
        monkeypatch.setattr(module, "train_kept", lambda *args, **options: run)
        return {row.quantity: row for row in find_reproduction("scienceetonnante2023").protocol(False)}

    return of


def test_the_published_curve_and_circles_hold(rows):
    found = rows("pizza59", HISTORY, (0, 44_000))
    measured = {name: row.measured for name, row in found.items()}
    assert measured["median epoch of 99% test accuracy"] == 1040
    assert measured["highest test loss, median (nats)"] == 6.83
    assert measured["clean circles among the pairs of components, seed 0"] >= 3
    failed = [name for name, row in found.items() if not row.holds]
    assert failed == [
        "share of the two strongest circles' directions in their frequency when it has memorised, seed 0"
    ], "the embedding of 59 tokens that this is begins with shares of 0.6 along its final circles"


def test_a_network_that_memorises_and_stays_there_does_not(rows):
    stays = [{**row, "accuracy_test": 0.01} for row in HISTORY]
    found = rows("add113-fast", stays, (0, 44_000))
    failed = {name for name, row in found.items() if not row.holds}
    assert "median epoch of 99% test accuracy" in failed
    assert "accuracy on the test inputs at the end, seed 0" in failed
    assert "clean circles among the pairs of components, seed 0" in failed


def test_an_epoch_has_as_many_batches_as_the_protocol_says():
    task = mg.modular_task("add", module.P)
    train = int(task.split(SCIENCEETONNANTE.fraction).train.sum())
    assert train == 1404
    assert -(-train // SCIENCEETONNANTE.batch_size) == module.STEPS_PER_EPOCH
    assert SCIENCEETONNANTE.steps == 20_000 * module.STEPS_PER_EPOCH
