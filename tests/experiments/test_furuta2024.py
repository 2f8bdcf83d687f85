"""The study of sparsity over training, and the runs behind the protocols at a tiny size."""

import pytest

import mechgrok as mg
from mechgrok.experiments import furuta2024
from mechgrok.experiments.furuta2024 import sparsity_over_training
from mechgrok.experiments.reproduction import Row

TINY = {"steps": 4, "checkpoint_every": 2, "eval_every": 2, "model": mg.ModelConfig(d_model=8, n_heads=2)}


@pytest.fixture
def tiny(monkeypatch):
    """The quick sizes made tiny."""
    monkeypatch.setattr(furuta2024, "P", 7)
    for name in ("QUICK", "GENTLE", "QUICK_SOURCE"):
        monkeypatch.setattr(furuta2024, name, getattr(furuta2024, name).replace(**TINY))
    for name in ("QUICK_WITH", "QUICK_ALONE"):
        configs = {of: config.replace(**TINY) for of, config in getattr(furuta2024, name).items()}
        monkeypatch.setattr(furuta2024, name, configs)
    monkeypatch.setattr(furuta2024, "SLOW", {"a-b": 6})


def test_sparsity_over_training_in_both_bases():
    run = mg.train(
        mg.modular_task("mul", 13), steps=300, fraction=0.8, checkpoint_every=100, progress=False,
        model=mg.ModelConfig(d_model=16, n_heads=2), stop_when_settled=False,
    )  # fmt: skip
    own = sparsity_over_training(run)
    assert [row["step"] for row in own] == [0, 100, 200, 300]
    for row in own:
        model = run.model(int(row["step"]))
        assert row["ffd"] == mg.fourier_frequency_density(model)
        assert row["fcr"] == mg.fourier_coefficient_ratio(model)
    additive = sparsity_over_training(run, run.task.in_basis(mg.fourier_basis(13)))
    assert additive[-1]["ffd"] == mg.fourier_frequency_density(run.model().W_E[:13].detach())
    assert additive[-1]["ffd"] > own[-1]["ffd"], "a product is sparse in its own basis alone"
    of_readout = sparsity_over_training(run, matrix="W_L")
    assert of_readout[-1]["ffd"] == mg.fourier_frequency_density(run.model(), matrix="W_L")


def test_parts_of_a_mixture_average_to_the_whole():
    mixture = mg.mixed_task([mg.modular_task(name, 7) for name in ("add", "mul")])
    run = mg.train(mixture, "furuta", fraction=0.5, progress=False, lr=1e-2, **TINY)
    histories = furuta2024._part_histories(run)
    assert list(histories) == ["add7", "mul7"]
    for row, added, multiplied in zip(run.history, *histories.values(), strict=True):
        assert row["step"] == added["step"] == multiplied["step"]
        # The pairs are split alike for both, so that the tests are of one size.
        assert row["accuracy_test"] == pytest.approx(
            (added["accuracy_test"] + multiplied["accuracy_test"]) / 2
        )


def test_every_operation_is_judged_for_its_seed(tiny):
    rows = furuta2024._operations(3, full=False)
    judged = {row.quantity: row for row in rows if "accuracy" in row.quantity}
    assert len(judged) == len(furuta2024.AT_30_PERCENT)
    assert judged["a-b, seed 3: best test accuracy"].low == furuta2024.GROKKED
    assert judged["a^3+ab, seed 3: best test accuracy"].high == furuta2024.FAILED
    assert judged["a^3+ab, seed 3: best test accuracy"].published == 0.049


def test_cells_are_judged_beside_the_same_from_scratch(tiny, monkeypatch):
    begun = []

    def train(task, config, *, start=None, parts=None, **options):
        begun.append((task.name, start and start.task.name, parts, options.get("frozen")))
        return mg.train(task, config, start=start, parts=parts, **options)

    monkeypatch.setattr(furuta2024, "train_kept", train)
    rows = furuta2024._transfer(1, full=False)
    cells, scratch = rows[: len(furuta2024.CELLS)], rows[len(furuta2024.CELLS) :]
    for cell, row, (_, source, parts, frozen) in zip(furuta2024.CELLS, cells, begun[2:], strict=False):
        assert source == mg.modular_task(cell.source, 7).name
        assert parts == frozen == {"PG-E": ("embed",), "PG-T": ("blocks",)}[cell.part]
        alone = next(other for other in scratch if other.quantity.startswith(f"{cell.text} from scratch"))
        assert _must_grok(row) is cell.groks
        assert _must_grok(alone) is not cell.groks, "a cell shows something where it differs from scratch"


def _must_grok(row: Row) -> bool:
    assert (row.low is None) != (row.high is None)
    return row.low is not None


def test_seeds_are_measured_in_their_order():
    rows = list(furuta2024._each_seed(_seed_as_row, full=False))
    assert [row.measured for row in rows] == list(furuta2024.SEEDS)


def _seed_as_row(seed: int, full: bool) -> list[Row]:
    return [Row("seed", None, seed)]
