"""Shaded phases, and the phases themselves."""

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

import mechgrok as mg
from mechgrok.plots.curves import accuracy_curves, loss_curves
from mechgrok.plots.panels import in_panels
from mechgrok.plots.phases import FOOT, SHADES, phase_timeline, shade, spike_timeline

STEPS = np.arange(0, 10_001, 100)
TRAIN = 10 ** np.interp(STEPS, [0, 500, 10_000], [0.7, -6, -6.5])
TEST = 10 ** np.interp(STEPS, [0, 500, 6000, 8000], [0.7, 1.4, 1.4, -6])
ROWS = [
    {"step": int(s), "loss_train": a, "loss_test": b, "accuracy_train": 1.0, "accuracy_test": 0.5}
    for s, a, b in zip(STEPS, TRAIN.tolist(), TEST.tolist(), strict=True)
]
PHASES = mg.find_phases(ROWS)


def shades(drawn: go.Figure) -> dict[str, tuple[int, int]]:
    """Where each phase is shaded, by name."""
    names = {colour: name for name, colour in SHADES.items()}
    return {names[s.fillcolor]: (s.x0, s.x1) for s in drawn.layout.shapes if s.fillcolor in names}


def test_shades_lie_where_the_phases_are():
    drawn = shade(go.Figure(), PHASES)
    assert shades(drawn) == {
        "memorisation": (0, 500),
        "circuit formation": (500, 6000),
        "cleanup": (6000, 8000),
    }
    assert [note.text for note in drawn.layout.annotations] == list(SHADES)
    assert [note.textangle for note in drawn.layout.annotations] == [-90, 0, 0], "narrow ones are upright"


def test_bars_at_the_foot_are_the_intervals():
    feet = {(s.x0, s.x1) for s in shade(go.Figure(), PHASES).layout.shapes if s.y1 == FOOT}
    boundaries = {b for phase in PHASES for b in (phase.start, phase.end) if b is not None}
    assert feet == {(b.earliest, b.latest) for b in boundaries}


@pytest.mark.parametrize("draw", [loss_curves, accuracy_curves])
def test_curves_can_be_shaded(draw):
    assert shades(draw(ROWS, phases=PHASES)) == shades(shade(go.Figure(), PHASES))
    assert not draw(ROWS).layout.shapes


def test_one_panel_of_several():
    drawn = make_subplots(rows=1, cols=2)
    shade(drawn, PHASES, labels=False, row=1, col=2)
    assert {(s.xref, s.yref) for s in drawn.layout.shapes} == {("x2", "y2 domain")}
    assert not drawn.layout.annotations


def test_shades_move_with_their_panel():
    drawn = in_panels([loss_curves(ROWS), accuracy_curves(ROWS, phases=PHASES)], columns=1)
    assert {(s.xref, s.yref) for s in drawn.layout.shapes} == {("x2", "y2 domain")}
    assert {note.xref for note in drawn.layout.annotations if note.text in SHADES} == {"x2"}


def test_a_phase_that_goes_on_is_shaded_to_the_last_step():
    cut = [row for row in ROWS if row["step"] <= 7000]
    assert shades(shade(go.Figure(), mg.find_phases(cut)))["cleanup"][1] == 7000


def test_timeline_tells_why_a_phase_is_missing():
    rows = [row | {"loss_test": 5.0} for row in ROWS]
    drawn = phase_timeline(mg.find_phases(rows))
    assert [bar.name for bar in drawn.data if bar.type == "bar"] == ["memorisation"]
    assert drawn.layout.annotations[1].y == "cleanup"
    assert "stays above 0.5 nats" in drawn.layout.annotations[1].text


def test_timeline_bars_and_intervals():
    drawn = phase_timeline(PHASES)
    bars = {bar.name: (bar.base[0], bar.base[0] + bar.x[0]) for bar in drawn.data if bar.type == "bar"}
    assert bars == shades(shade(go.Figure(), PHASES))
    assert drawn.layout.xaxis.title.text == "step"
    assert "cleanup: 6000 [" in drawn.data[2].hovertemplate


def test_slingshots_stand_out():
    losses = np.full(100, 1e-6)
    losses[[21, 61]] = 1.0
    norms = 100 + 50 * (np.arange(100) > 22)
    rows = [
        {"step": i, "loss_train": a, "n": float(b)}
        for i, (a, b) in enumerate(zip(losses.tolist(), norms, strict=True))
    ]
    thrown, plain = spike_timeline(mg.find_slingshots(rows, last_layer="n")).data
    assert (thrown.name, thrown.x) == ("slingshot", (20,))
    assert (plain.name, plain.x) == ("spike", (60,))
