"""The common style."""

import json

import plotly.graph_objects as go
import pytest
import torch

import mechgrok as mg
from mechgrok.plots.panels import in_panels
from mechgrok.plots.theme import SEQUENTIAL_ROOT, TEMPLATE, figure, name_of, numbers, plain


def test_numbers_are_packed_in_the_file_of_a_figure():
    drawn = figure([go.Heatmap(z=numbers(torch.zeros(3, 4, dtype=torch.float64)))])
    stored = json.loads(drawn.to_json() or "")["data"][0]["z"]
    assert (stored["dtype"], stored["shape"]) == ("f4", "3, 4")
    assert drawn.layout.template.layout.paper_bgcolor == TEMPLATE.layout.paper_bgcolor


def test_names_are_no_markup():
    assert plain('<a href="x">') == "&lt;a href=&quot;x&quot;&gt;"
    assert name_of("irrep", "<b>") == "&lt;b&gt;"
    assert name_of("frequency", 5) == "k = 5"


def test_the_root_scale_spans_all():
    assert (SEQUENTIAL_ROOT[0][0], SEQUENTIAL_ROOT[-1][0]) == (0, 1)


def test_panels_carry_titles_and_axes():
    panels = [figure([go.Scatter(y=[i])], title=f"no. {i}") for i in range(5)]
    for i, panel in enumerate(panels):
        panel.update_xaxes(title_text=f"x {i}")
    drawn = in_panels(panels, columns=2)
    assert [note.text for note in drawn.layout.annotations] == [f"no. {i}" for i in range(5)]
    assert drawn.layout.xaxis5.title.text == "x 4"
    with pytest.raises(mg.UndefinedMetricError, match="nothing to draw"):
        in_panels([])
