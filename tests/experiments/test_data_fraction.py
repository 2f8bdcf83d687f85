"""The sweep over fractions of the data."""

import pytest

import mechgrok as mg
from mechgrok.experiments.data_fraction import DataFractionSweep, data_fraction_sweep
from mechgrok.plots.data_fraction import data_fraction_figure

SMALL = mg.ModelConfig(d_model=16, n_heads=2)


def sweep_of(steps):
    """A sweep with the given steps to generalisation, by fraction."""
    rows = [
        {"fraction": f, "seed": seed, "step": step, "steps": 900, "accuracy_test": 1.0 if step else 0.1}
        for f, found in steps.items()
        for seed, step in enumerate(found)
    ]
    return DataFractionSweep(tuple(rows), {})


def test_medians_count_never_as_latest():
    sweep = sweep_of({0.2: [None, None, 500.0], 0.3: [None, 400.0, 200.0], 0.5: [100.0, 90.0, 300.0]})
    assert sweep.medians == {0.2: None, 0.3: 400.0, 0.5: 100.0}
    assert repr(sweep) == "DataFractionSweep(9 networks; median step 20%: never, 30%: 400, 50%: 100)"


def test_growth_is_a_factor_for_each_hundredth():
    sweep = sweep_of({0.25: [None], 0.3: [1600.0], 0.34: [100.0]})
    assert sweep.growth(0.3, 0.34) == pytest.approx(2.0)
    assert sweep.growth(0.25, 0.3) is None


@pytest.mark.parametrize(("less", "more"), [(0.25, 0.4), (0.2, 0.34), (0.3, 0.3)])
def test_growth_is_between_two_fractions_of_the_sweep(less, more):
    sweep = sweep_of({0.25: [None], 0.3: [1600.0], 0.34: [100.0]})
    expected = f"different fractions of the sweep, 0.25, 0.3, 0.34; got {less} and {more}"
    with pytest.raises(mg.ConfigError, match=expected):
        sweep.growth(less, more)


def test_the_figure_has_a_mark_for_every_network():
    sweep = sweep_of({0.2: [None, 700.0], 0.3: [400.0, 200.0], 0.5: [100.0, 90.0]})
    line, marks, late = sweep.figure().data
    assert list(line.x) == [0.3, 0.5], "no median where half of the networks never generalised"
    assert list(line.y) == [300, 95]
    assert list(marks.y) == [700, 400, 200, 100, 90]
    assert (list(late.x), list(late.y), list(late.text)) == ([0.2], [900], ["seed 0"])
    with pytest.raises(mg.UndefinedMetricError, match="no networks to draw"):
        data_fraction_figure([])


@pytest.mark.slow
def test_a_sweep_trains_every_fraction_and_can_be_repeated(tmp_path):
    options = {
        "task": mg.modular_task("add", 11),
        "model": SMALL,
        "steps": 300,
        "progress": False,
        "workers": 1,
    }
    sweep = data_fraction_sweep([0.1, 0.9], range(2), out=tmp_path, **options)
    assert [(row["fraction"], row["seed"]) for row in sweep.table] == [(0.1, 0), (0.1, 1), (0.9, 0), (0.9, 1)]
    assert sweep.medians[0.1] is None, "eleven sums do not tell the other hundred and ten"
    best = {row["fraction"]: row["accuracy_test"] for row in sweep.table}
    assert best[0.9] > 2 * best[0.1]
    for row in sweep.table:
        run = mg.load_sweep(tmp_path).run(fraction=row["fraction"], seed=row["seed"])
        assert run.split.train.double().mean().item() == pytest.approx(row["fraction"], abs=0.01)
        assert row["steps"] == run.history[-1]["step"]
    assert data_fraction_sweep([0.1, 0.9], range(2), out=tmp_path, **options).table == sweep.table


@pytest.mark.parametrize(
    ("fractions", "text"),
    [
        ([], "one or several values of fraction"),
        ([0.3, 0.3], "each value of fraction is tried once"),
        ([0.0], "fraction: .* greater than 0"),
        ([0.5, 1.0], "leaves nothing to test on"),
    ],
)
def test_wrong_fractions(fractions, text):
    with pytest.raises(mg.ConfigError, match=text):
        data_fraction_sweep(fractions)
