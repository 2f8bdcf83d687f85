"""Figures of phase changes: the windows are shaded at the right places."""

import numpy as np
import plotly.graph_objects as go

import mechgrok as mg
from mechgrok.plots.phase_changes import shade_changes

STEPS = np.arange(0, 2001, 10)


def found(*middles):
    values = sum(1 / (1 + np.exp((STEPS - middle) / 30)) for middle in middles)
    return mg.find_phase_changes(
        [{"step": int(t), "loss_test": y} for t, y in zip(STEPS, values, strict=True)]
    )


def test_every_window_is_shaded_from_its_start_to_its_end():
    changes = found(500, 1400)
    shapes = shade_changes(go.Figure(go.Scatter(y=[0, 1])), changes).layout.shapes
    assert [(shape.x0, shape.x1) for shape in shapes] == [(change.start, change.end) for change in changes]
    assert len(shapes) == 2


def test_a_change_that_goes_on_is_shaded_to_the_last_step():
    (shape,) = shade_changes(go.Figure(), found(2000)).layout.shapes
    assert shape.x1 == 2000


def test_the_curve_is_drawn_with_the_steepest_places():
    drawn = found(500).figure()
    np.testing.assert_array_equal(drawn.data[0].x, STEPS)
    assert abs(drawn.data[1].x[0] - 500) < 10
    assert drawn.layout.title.text == "Test loss: a phase change"
    assert found(500, 1400).figure().layout.title.text == "Test loss: phase changes"
    assert mg.find_phase_changes(
        [{"step": t, "loss_test": t} for t in range(9)]
    ).figure().layout.title.text == ("Test loss: no phase change")
