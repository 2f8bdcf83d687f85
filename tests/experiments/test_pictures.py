"""The figure of a reproduction is drawn from the curves recorded with its rows."""

import json

import pytest

import mechgrok as mg
from mechgrok.experiments import reproduction as module
from mechgrok.experiments.pictures import curves_figure, history_curve, recorded_curve, reproduction_figure
from mechgrok.experiments.reproduction import REPRODUCTIONS, Curve, Row, reproduction, run_reproduction


@pytest.fixture
def drawn_one(tmp_path, monkeypatch):
    """A reproduction with two rows and three curves."""
    monkeypatch.setattr(module, "RECORDS", tmp_path)

    @reproduction("invented", citation="Nobody 2000", claim="Two panels.", cost="nothing")
    def protocol(full):
        yield Row("five", 5, 5.0, 4, 6)
        yield Curve("A & B", "train", (0, 1, 2), (4.0, 2.0, 1.0))
        yield Curve("A & B", "published", (1,), (2.5,), dots=True)
        yield Row("six", 6, 6.0, 4, 7)
        yield Curve("C", "train", (0, 1), (1.0, 0.1), logarithmic=True)

    yield REPRODUCTIONS["invented"]
    del REPRODUCTIONS["invented"]


def test_rows_and_curves_are_kept_apart_and_drawn_again_from_the_record(drawn_one, tmp_path):
    outcome = run_reproduction(drawn_one)
    assert [row.quantity for row in outcome.rows] == ["five", "six"]
    assert [curve.panel for curve in outcome.curves] == ["A & B", "A & B", "C"]
    with pytest.raises(mg.UndefinedMetricError, match="no curves have been recorded"):
        reproduction_figure("invented")
    (tmp_path / "invented.json").write_text(json.dumps(outcome.to_json()))
    drawn = reproduction_figure("invented")
    assert [note.text for note in drawn.layout.annotations] == ["A &amp; B", "C"]
    assert [trace.mode for trace in drawn.data] == ["lines", "markers", "lines"]
    assert [trace.showlegend for trace in drawn.data] == [
        None,
        None,
        False,
    ]  # "train" stands in the legend once
    assert drawn.data[0].line.color == drawn.data[2].line.color
    assert drawn.layout.yaxis2.type == "log"
    with pytest.raises(mg.ConfigError, match="unknown reproduction 'inventedd'"):
        reproduction_figure("inventedd")


def test_one_panel_needs_no_grid():
    drawn = curves_figure([Curve("Loss", "test", (0, 1), (1.0, 0.5), y_title="loss (nats)")])
    assert drawn.layout.title.text == "Loss"
    assert drawn.layout.yaxis.title.text == "loss (nats)"


def test_what_is_recorded_is_short_and_keeps_every_spike():
    values = [1.0] * 10_000
    values[1234] = 7.123456
    kept = recorded_curve("Loss", "train", range(10_000), values)
    assert len(kept.x) <= 150
    assert max(kept.y) == 7.123
    assert kept.x[kept.y.index(7.123)] == 1234
    rows = [{"step": 0, "loss_test": 2.0}, {"step": 10, "loss_test": None}, {"step": 20, "loss_test": 1.0}]
    assert history_curve("Loss", "test", rows, "loss_test").x == (0.0, 20.0)


def test_a_seventh_name_has_a_colour_again_in_another_shape():
    curves = [Curve("A", f"name {i}", (0,), (i,), dots=True) for i in range(8)]
    looks = [(trace.marker.color, trace.marker.symbol) for trace in curves_figure(curves).data]
    assert len(set(looks)) == 8
    assert looks[6][0] == looks[0][0]


def test_both_axes_of_a_plane_have_one_scale():
    star = Curve("star", "k = 1", (1.0, -1.0), (0.5, 0.0), x_title="cosine", y_title="sine", plane=True)
    loss = Curve("loss", "test", (0, 1), (2.0, 1.0))
    drawn = curves_figure([star, loss])
    assert (drawn.layout.yaxis.scaleanchor, drawn.layout.yaxis2.scaleanchor) == ("x", None)
    assert drawn.layout.xaxis.tickformat is None
