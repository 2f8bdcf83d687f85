"""The table: columns, selection, printing, files."""

import builtins

import pytest
from pages import planted_run

import mechgrok as mg
from mechgrok.progress.columns import About

ABOUT = {
    "loss_test": About("nats", "down"),
    "clusters": About("neurons", None),
    "fve": About("fraction", "up"),
    "gone": About("nats", None),
}
ROWS = {
    200: {"loss_test": 1e-20, "clusters[14]": 3, "clusters[35]": 5, "fve": 0.1 + 0.2, "gone": "no, never"},
    0: {"loss_test": 4.7, "clusters": "no keys", "fve": 1, "gone": "no, never"},
    100: {"loss_test": 2.5, "clusters[14]": 1, "clusters[35]": 0, "fve": 0.5, "gone": 'not "now"'},
}


@pytest.fixture
def table():
    return mg.ProgressTable.of_rows(ROWS, ABOUT, task="add113", keys=[14, 35])


def same(one, other):
    return all(getattr(one, f) == getattr(other, f) for f in one.__dataclass_fields__)


def test_rows_become_columns(table):
    assert table.steps == (0, 100, 200)
    assert table["loss_test"] == (4.7, 2.5, 1e-20)
    assert table["clusters[35]"] == (None, 0, 5)
    assert table["fve"] == (1.0, 0.5, 0.1 + 0.2)
    assert all(isinstance(value, float) for value in table["fve"]), "one type per column"
    assert table["gone"] == (None, None, None)
    assert table.undefined == {
        "clusters": {0: "no keys"},
        "gone": {0: "no, never", 100: 'not "now"', 200: "no, never"},
    }
    assert table.measures == tuple(ABOUT)
    assert table.parts("clusters") == {14: (None, 1, 3), 35: (None, 0, 5)}
    assert table.parts("fve") == {}
    assert len(table) == 3
    assert next(iter(table)) == {
        "step": 0, "loss_test": 4.7, "clusters[14]": None, "clusters[35]": None, "fve": 1.0, "gone": None,
    }  # fmt: skip


def test_a_table_from_its_own_rows_is_the_same(table):
    assert same(mg.ProgressTable.of_rows(table.by_step(), ABOUT, task="add113", keys=[14, 35]), table)


def test_unknown_columns_name_the_near_ones(table):
    with pytest.raises(mg.ConfigError, match="no column 'los_test'; it has loss_test"):
        table["los_test"]
    with pytest.raises(mg.ConfigError, match="no column 'nothing'; it has loss_test, clusters"):
        table.select("nothing")
    with pytest.raises(mg.ConfigError, match="no measure 'cluster'; it has loss_test, clusters, fve"):
        table.parts("cluster")


def test_select(table):
    assert list(table.select("clusters").columns) == ["clusters[14]", "clusters[35]"]
    assert list(table.select("clusters[35]", "f*").columns) == ["clusters[35]", "fve"]
    assert table.select("fve").undefined == {}
    assert table.select(first=50).steps == (100, 200)
    assert table.select(last=100).undefined["clusters"] == {0: "no keys"}
    few = table.select("loss_test", where=lambda row: row["loss_test"] < 3)
    assert (few.steps, few["loss_test"]) == ((100, 200), (2.5, 1e-20))
    assert len(table.select(first=1000)) == 0


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_saved_table_loads_the_same(table, suffix, tmp_path):
    path = tmp_path / "new" / f"table.{suffix}"
    assert table.save(path) == path
    assert same(mg.ProgressTable.load(path), table)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    empty = table.select(first=1000)
    assert same(mg.ProgressTable.load(empty.save(path)), empty)


def test_other_programs_read_the_files(table, tmp_path):
    import pandas as pd

    for frame in (
        pd.read_csv(table.save(tmp_path / "t.csv"), comment="#", index_col="step"),
        pd.read_parquet(table.save(tmp_path / "t.parquet")).set_index("step"),
    ):
        assert frame["loss_test"].tolist() == [4.7, 2.5, 1e-20]
        assert frame["clusters[35]"].isna().tolist() == [True, False, False]


def test_frame(table):
    frame = table.frame()
    assert frame.index.tolist() == [0, 100, 200]
    assert frame["clusters[35]"].dtype == "Int64"
    assert frame["clusters[35]"].isna().tolist() == [True, False, False]
    assert frame["loss_test"].tolist() == [4.7, 2.5, 1e-20]


def test_bad_files(table, tmp_path):
    with pytest.raises(mg.ConfigError, match=r"saved as .csv or .parquet; got 't.xlsx'"):
        table.save(tmp_path / "t.xlsx")
    with pytest.raises(mg.CheckpointError, match="there is no file"):
        mg.ProgressTable.load(tmp_path / "t.csv")
    for name, content in {
        "a.csv": "step,loss\n0,1\n",
        "b.csv": "# mechgrok progress table {",
        "c.parquet": "x",
    }.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(mg.CheckpointError, match=f"{name} is damaged, or no table of mechgrok"):
            mg.ProgressTable.load(tmp_path / name)
    path = table.save(tmp_path / "cut.csv")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(mg.CheckpointError, match=r"cut\.csv is damaged"):
        mg.ProgressTable.load(path)


def test_parquet_without_pyarrow_says_the_way_out(table, tmp_path, monkeypatch):
    imported = builtins.__import__

    def without_pyarrow(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(mg.ConfigError, match=r"pip install pyarrow, or save as \.csv"):
        table.save(tmp_path / "t.parquet")


def test_it_prints(table):
    assert repr(table).splitlines() == [
        "ProgressTable(add113: 3 steps 0..200, 4 measures, keys 14, 35)",
        "                         0  100    200",
        "loss_test ↓  nats      4.7  2.5  1e-20",
        "clusters     neurons",
        "  14                     -    1      3",
        "  35                     -    0      5",
        "fve ↑        fraction    1  0.5    0.3",
        "gone         nats        -    -      -",
        "- clusters (step 0): no keys",
        "- gone (2 steps 0..200): no, never",
        '- gone (step 100): not "now"',
    ]
    assert "add113: 0 steps, 4 measures" in repr(table.select(first=1000))


def test_many_steps_are_thinned_when_printed():
    rows = {step: {"loss_test": float(step)} for step in range(0, 1010, 10)}
    table = mg.ProgressTable.of_rows(rows, {"loss_test": ABOUT["loss_test"]}, task="t", keys=None)
    head, steps, _ = repr(table).splitlines()
    assert head == "ProgressTable(t: 101 steps 0..1000, 1 measure, keys not known)"
    assert steps.split()[0] == "0"
    assert steps.split()[-1] == "1000"
    assert len(steps.split()) == 7


def test_phases_are_those_of_its_columns():
    steps = range(0, 10_001, 100)
    rows = {
        s: {
            "loss_train": 10 ** max(-6.0, 0.7 - s / 150),
            "loss_test": 25.0 if s < 6000 else max(1e-6, 25 * 10 ** ((6000 - s) / 300)),
        }
        for s in steps
    }
    about = {name: About("nats", "down") for name in ("loss_train", "loss_test")}
    table = mg.ProgressTable.of_rows(rows, about, task="t", keys=None)
    assert table.phases.cleanup.start.step == 6000
    assert table.phases.memorisation.end.step == 1000
    assert table.phases is table.phases


def test_phases_take_missing_losses_from_the_run(tmp_path):
    run = planted_run(tmp_path / "run", 11, {2: 20.0}, 12)
    whole, partly = (
        mg.progress_measures(run, measures, progress=False)
        for measures in (["loss_train", "loss_test"], ["loss_test", "restricted_loss"])
    )
    assert whole.history == ()
    assert "ask for" not in str(partly.phases)
    assert [row["loss_train"] for row in partly._rows_with_losses()] == [
        row["loss_train"] for row in run.history
    ]
    loaded = mg.ProgressTable.load(partly.save(tmp_path / "table.csv"))
    assert loaded.phases.memorisation.reason == "there is no train loss; ask for loss_train too"
    assert loaded.phases.cleanup.reason == loaded.phases.memorisation.reason
    other = mg.progress_measures(run, ["loss_test"], split=run.task.split(0.3), progress=False)
    assert other.phases.memorisation.reason == loaded.phases.memorisation.reason, (
        "the losses of another split"
    )


def test_a_notebook_shows_some_steps(table):
    assert table.shown()[0] == {
        "measure": "loss_test",
        "unit": "nats",
        "step 0": 4.7,
        "step 100": 2.5,
        "step 200": 1e-20,
    }
