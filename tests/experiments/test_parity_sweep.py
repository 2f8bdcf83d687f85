"""The sweep over "1s and 0s"."""

import pytest

import mechgrok as mg
from mechgrok.experiments.parity_sweep import ParitySweep
from mechgrok.plots.parity_sweep import MARKS, parity_sweep_figure

TASK = mg.parity_task(5, (0, 1))


def row(decay, kind, width=32, n_train=1500, seed=0):
    return {"weight_decay": decay, "d_mlp": width, "n_train": n_train, "seed": seed, "kind": kind}


def test_shares_of_each_kind():
    rows = (
        row(0.1, "grokking"),
        row(0.1, "grokking"),
        row(0.1, "confusion"),
        row(1.0, "confusion", width=16),
    )
    sweep = ParitySweep(rows, {"x": "failed"})
    assert sweep.shares() == {0.1: {"grokking": 2 / 3, "confusion": 1 / 3}, 1.0: {"confusion": 1.0}}
    assert sweep.shares("d_mlp")[16] == {"confusion": 1.0}
    assert repr(sweep) == "ParitySweep(4 networks; grokking: 2, confusion: 2; 1 failed)"
    with pytest.raises(mg.ConfigError, match="by is a column of the table"):
        sweep.shares("lr")


def test_the_figure_has_a_panel_for_each_weight_decay_and_a_mark_for_each_network():
    rows = [
        row(decay, kind, width, n, seed)
        for decay, kind in zip((0.01, 0.1, 0.3, 1.0), MARKS, strict=True)
        for width in (16, 32)
        for n in (750, 1500)
        for seed in range(4)
    ]
    drawn = ParitySweep(tuple(rows), {}).figure()
    assert [note.text for note in drawn.layout.annotations] == [
        f"weight decay {d}" for d in ("0.01", "0.1", "0.3", "1")
    ]
    assert [trace.name for trace in drawn.data if trace.showlegend] == list(MARKS)
    places = {(x, y) for x, y in zip(drawn.data[0].x, drawn.data[0].y, strict=True)}
    assert len(places) == 2 * 2 * 4, "no two marks at one place"
    assert {round(x) for x, _ in places} == {round(y) for _, y in places} == {0, 1}
    with pytest.raises(mg.UndefinedMetricError, match="no networks to draw"):
        parity_sweep_figure([])


def test_a_sweep_trains_every_setting(tmp_path):
    options = {"task": TASK, "steps": 2, "progress": False, "workers": 1, "out": tmp_path}
    sweep = mg.parity_sweep([0.0, 0.1], [4, 8], [10], [0, 1], **options)
    assert [(r["weight_decay"], r["d_mlp"], r["seed"]) for r in sweep.table] == [
        (decay, width, seed) for decay in (0.0, 0.1) for width in (4, 8) for seed in (0, 1)
    ]
    run = mg.load_sweep(tmp_path).run(weight_decay=0.1, d_mlp=8, seed=1)
    assert int(run.split.train.sum()) == 10
    assert run.config.train.model.d_mlp == 8


@pytest.mark.parametrize("n_train", [1, 3, 7, 13, 31])
def test_exactly_so_many_inputs_are_trained_on(n_train, tmp_path):
    mg.parity_sweep([0.0], [2], [n_train], [0], task=TASK, steps=1, progress=False, workers=1, out=tmp_path)
    (member,) = mg.load_sweep(tmp_path).members
    assert int(member.run.split.train.sum()) == n_train


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weight_decays": []}, "weight_decays are different numbers, at least one"),
        ({"widths": [4, 4]}, "widths are different numbers"),
        ({"train_sizes": [32]}, "train_sizes are from 1 to 31"),
        ({"train_sizes": [0]}, "train_sizes are from 1 to 31"),
        ({"recipe": "fast"}, "does not train a DenseConfig"),
        ({"weight_decays": [-1.0]}, "weight_decay"),
    ],
)
def test_what_cannot_be_swept_is_refused(options, text):
    given = {
        "weight_decays": [0.1],
        "widths": [4],
        "train_sizes": [10],
        "seeds": [0],
        "task": TASK,
        **options,
    }
    with pytest.raises(mg.ConfigError, match=text):
        mg.parity_sweep(**given, steps=1, progress=False)
