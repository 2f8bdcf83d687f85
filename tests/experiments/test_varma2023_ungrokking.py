"""Ungrokking: the subsets, and the judgement of given continued trainings."""

from collections.abc import Callable

import pytest

import mechgrok as mg
from mechgrok.experiments import varma2023_ungrokking as module
from mechgrok.experiments.kept import kept_in
from mechgrok.experiments.trainings import train_kept
from mechgrok.experiments.varma2023_ungrokking import DECAYS, QUICK_SIZES, SETUP, Ungrokked

SMALL = SETUP.replace(model=SETUP.model.replace(d_model=8, n_heads=1), steps=4, eval_every=2)


@pytest.fixture(scope="module")
def run() -> mg.Run:
    return mg.train(mg.modular_task("add", 7), SMALL, fraction=0.6, progress=False)


def test_subsets_are_nested_and_take_nothing_new(run: mg.Run):
    small, large = module.subset(run, 5, seed=3), module.subset(run, 12, seed=3)
    assert (int(small.train.sum()), int(large.train.sum())) == (5, 12)
    assert not (small.train & ~large.train).any()
    assert not (large.train & ~run.split.train).any()
    assert (module.subset(run, 12, seed=4).train != large.train).any()


def test_a_training_goes_on_from_the_weights_and_on_the_subset(run: mg.Run):
    found = module._ungrokked(run, 10, SMALL, seed=1)
    assert found.history[-1]["step"] == 4
    assert found.history[0]["sum_squared_weights"] == run.history[-1]["sum_squared_weights"]
    # 29 inputs were trained on, of which 10 are left: 19 were taken away, and 20 never seen.
    assert found.test == pytest.approx((19 * found.removed + 20 * found.unseen) / 39)


def test_each_subset_is_kept_in_a_folder_of_its_own(run: mg.Run, tmp_path):
    with kept_in(tmp_path):
        for size in (5, 6, 5):
            split = module.subset(run, size, seed=0)
            again = train_kept(run.task, SMALL, split=split, start=run.model(), progress=False)
            assert int(again.split.train.sum()) == size
    assert len(list(tmp_path.iterdir())) == 2


def told(accuracy: Callable[[int, float], float], **kept: float) -> list[Ungrokked]:
    def one(size: int, decay: float) -> Ungrokked:
        test = accuracy(size, decay)
        history = [{"step": 100, "accuracy_train": kept.get("train", 1.0), "accuracy_test": test}]
        return Ungrokked(size, decay, 0, history, kept.get("removed", test), test)

    return [one(size, decay) for decay in DECAYS for size in QUICK_SIZES]


def failed(found: list[Ungrokked]) -> set[str]:
    return {row.quantity for row in module.ungrokking_rows(found) if row.bounded and not row.holds}


def fall(at: float) -> Callable[[int, float], float]:
    return lambda size, decay: 1 / (1 + (at / size) ** 6)


def test_a_sharp_fall_at_one_size_holds():
    found = told(fall(600))
    assert failed(found) == set()
    rows = {row.quantity: row.measured for row in module.ungrokking_rows(found)}
    assert rows["size at which half of the test inputs are right"] == pytest.approx(600, rel=0.05)


def test_a_size_that_follows_the_decay_does_not():
    found = told(lambda size, decay: fall(600 * decay**0.5)(size, decay))
    assert "largest over smallest of these sizes" in failed(found)


def test_nor_does_a_gradual_fall():
    found = told(lambda size, decay: size / max(QUICK_SIZES))
    assert failed(found) == {"factor between the sizes for 25% and 75%"}


def test_nor_a_network_that_never_ungroks():
    wrong = failed(told(lambda size, decay: 1.0))
    assert {"decay 1: test accuracy on 390 inputs", "largest over smallest of these sizes"} <= wrong


def test_to_remember_what_was_taken_away_is_no_generalisation():
    wrong = failed(told(fall(600), removed=1.0))
    assert wrong == {"accuracy on inputs taken away and on those never seen, largest difference"}
    assert failed(told(fall(600), train=0.9)) == {"lowest train accuracy"}


def test_a_critical_size_is_the_last_crossing():
    sizes = {100: 0.0, 200: 0.8, 400: 0.4, 800: 0.6, 1600: 1.0}
    assert module.critical_size(sizes) == pytest.approx(400 * 2**0.5, rel=1e-3)
    assert module.critical_size(sizes, 0.9) == pytest.approx(800 * 2**0.75, rel=1e-3)
    assert module.critical_size({100: 0.0, 200: 0.1}) is None
