"""The rows that the protocols derive from given networks: the judgement without the training."""

from types import SimpleNamespace

import pytest

import mechgrok as mg
from mechgrok.experiments import chughtai2023, grokfast2024, nanda2023, nguyen2026, prieto2025
from mechgrok.experiments.reproduction import Row, find_reproduction, run_reproduction


def rows_of(name: str, *, full: bool = False) -> dict[str, Row]:
    return {row.quantity: row for row in run_reproduction(find_reproduction(name), full=full).rows}


@pytest.fixture
def trained(monkeypatch):
    """Has a protocol's module train nothing: `trained(module, make)` calls make(task, config, **options)."""

    def replace(module, make):
        asked = []
        monkeypatch.setattr(
            module, "train_kept", lambda *args, **options: asked.append(options) or make(*args, **options)
        )
        return asked

    return replace


def test_the_mainline_of_a_run_that_grokked(trained):
    asked = trained(nanda2023, lambda *args, seed, **options: mg.load_run("add113"))
    rows = rows_of("nanda2023-mainline")
    assert [options["seed"] for options in asked] == [0, 1, 2]
    assert rows["median step of train loss < 1e-2"].measured == 280
    assert rows["median step of test loss < 1e-2"].measured == 6570
    assert all(row.holds for row in rows.values())
    rows_of("nanda2023-mainline", full=True)
    assert [options["seed"] for options in asked[3:]] == [0, 1, 2, 3, 4]


def test_fractions_that_all_take_the_same_time_are_not_in_order(trained):
    asked = trained(nanda2023, lambda *args, **options: mg.load_run("add113"))
    rows = rows_of("nanda2023-fractions")
    assert [options["fraction"] for options in asked] == [0.3, 0.4, 0.5, 0.8]
    assert rows["step of test loss < 1e-2 at 30%"].holds
    assert not rows["step of test loss < 1e-2 at 80%"].holds
    assert rows["neighbouring fractions in the published order"].measured == 0


class Told(mg.Run):
    """A run that is nothing but the last row of its history."""

    def __init__(self, accuracy_test: float) -> None:
        vars(self)["last"] = {"step": 200, "accuracy_train": 1.0, "accuracy_test": accuracy_test}

    @property
    def history(self):
        return [{"step": 0, "accuracy_train": 0.0, "accuracy_test": 0.0}, vars(self)["last"]]


def test_an_acceleration_is_measured_against_the_baseline(trained):
    """The filters reach 95% at step 200, and plain Adam never does."""

    def make(task, config, **options):
        return Told(accuracy_test=0.0 if config.gradient == "plain" else 0.96)

    trained(grokfast2024, make)
    rows = rows_of("grokfast2024")
    assert rows["Grokfast-EMA: step of 95% test accuracy"].measured == 200
    assert rows["how many times earlier (at least)"].measured == 5000 / 200
    assert all(row.holds for row in rows.values())


def test_a_filter_that_changes_nothing_does_not_hold(trained):
    trained(grokfast2024, lambda *args, **options: Told(accuracy_test=0.96))
    rows = rows_of("grokfast2024")
    assert rows["how many times earlier (at least)"].measured == 1
    assert not rows["how many times earlier (at least)"].holds


def test_collapse_and_the_two_ways_out_of_it(trained):
    def make(task, config, **options):
        return Told(accuracy_test=0.01 if config.naive_loss else 0.995)

    trained(prieto2025, make)
    assert all(row.holds for row in rows_of("prieto2025").values())
    trained(prieto2025, lambda *args, **options: Told(accuracy_test=0.995))
    held = {name: row.holds for name, row in rows_of("prieto2025").items()}
    assert not held["float32: test accuracy, seed 0"]


def test_a_multiplying_network_in_both_bases(trained):
    trained(nguyen2026, lambda *args, **options: mg.load_run("mul113"))
    rows = rows_of("nguyen2026-discrete-log")
    assert all(row.holds for row in rows.values())
    assert rows["units: Gini of the embedding, multiplicative"].published == 0.58
    assert rows["all residues: Gini of the embedding, multiplicative"].published is None
    assert rows["all residues: neurons of which it explains 85%"].measured > 0.9


def test_an_adding_network_does_not_multiply(trained):
    trained(nguyen2026, lambda *args, **options: mg.load_run("add113-fast"))
    assert not rows_of("nguyen2026-discrete-log")["units: Gini of the embedding, additive"].holds


def test_a_network_that_composes_permutations_by_the_sign_and_another_irrep(trained):
    model = mg.character_network("S5", {"sign": 8.0, "standard": 8.0})
    task = model.task
    run = SimpleNamespace(
        grid=lambda: mg.cache_grid(model),
        split=task.split(0.6),
        history=[{"step": 0, "accuracy_test": 1.0}],
    )
    trained(chughtai2023, lambda *args, **options: run)
    rows = rows_of("chughtai2023-s5")
    assert rows["key irreps, seed 1"].measured == 2
    assert rows["the sign is a key, seed 2"].holds
    assert rows["share of the logits explained, seed 1"].measured == pytest.approx(1)
