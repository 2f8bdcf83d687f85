"""Small multiples of a progress table."""

import plotly.graph_objects as go
import pytest

import mechgrok as mg
from mechgrok.plots.progress import progress_figure
from mechgrok.progress.columns import About
from mechgrok.progress.table import ProgressTable

STEPS = tuple(range(0, 1000, 50))


def column(function):
    return tuple(function(step) for step in STEPS)


COLUMNS = {
    "loss_train": column(lambda s: 10.0 ** -(s / 100)),
    "loss_test": column(lambda s: 10.0 ** min(1, 6 - s / 100)),
    "accuracy_test": column(lambda s: min(1.0, s / 900)),
    "excluded_loss_per_key[14]": column(lambda s: s / 100 + 1),
    "excluded_loss_per_key[41]": column(lambda s: None if s < 500 else 2.0),
    "logit_fve_per_key[14]": column(lambda s: s / 2000),
    "logit_fve_per_key[41]": column(lambda s: s / 4000),
    "sum_squared_weights": column(lambda s: 5.0),
    "sum_squared_weights_per_tensor[embed.W_E]": column(lambda s: 1.0),
    "sum_squared_weights_per_tensor[blocks.0.mlp.W_in]": column(lambda s: 2.0),
    "sum_squared_weights_per_tensor[blocks.0.mlp.W_out]": column(lambda s: 2.0),
    "gini_W_E": column(lambda s: None),
    "my_<own>": column(lambda s: s * 2),
}
UNITS = {
    "loss_train": "nats",
    "loss_test": "nats",
    "accuracy_test": "fraction",
    "excluded_loss_per_key": "nats",
    "logit_fve_per_key": "fraction",
    "sum_squared_weights": "squared weight",
    "sum_squared_weights_per_tensor": "squared weight",
    "gini_W_E": "fraction",
    "my_<own>": "apples",
}
TABLE = ProgressTable("add53", STEPS, COLUMNS, {n: About(u, None) for n, u in UNITS.items()}, {}, (14, 41))


@pytest.fixture(scope="module")
def drawn() -> go.Figure:
    return progress_figure(TABLE)


def panels(drawn: go.Figure) -> dict[str, dict[str, go.Scatter]]:
    """Traces by panel and name."""
    titles = [note.text for note in drawn.layout.annotations if note.yref == "paper"]
    found: dict[str, dict[str, go.Scatter]] = {title: {} for title in titles}
    for trace in drawn.data:
        found[titles[int(trace.xaxis[1:] or 1) - 1]][trace.name] = trace
    return found


def test_panels_and_lines(drawn):
    found = panels(drawn)
    assert {title: list(lines) for title, lines in found.items()} == {
        "Loss": ["train", "test"],
        "Accuracy": ["test"],
        "Excluded loss, one key removed": ["k = 14", "k = 41"],
        "Logits explained by each key": ["k = 14", "k = 41"],
        "Sum of squared weights": ["all", "embed", "0.mlp"],
        "My &lt;own&gt;": ["My &lt;own&gt;"],
    }
    assert list(found["Loss"]["train"].y) == pytest.approx(list(COLUMNS["loss_train"]))
    assert list(found["Accuracy"]["test"].y)[-1] == pytest.approx(100)
    assert list(found["Excluded loss, one key removed"]["k = 41"].x) == [s for s in STEPS if s >= 500]
    assert set(found["Sum of squared weights"]["0.mlp"].y) == {4.0}, "tensors of a module are added up"


def test_a_key_has_one_colour_everywhere(drawn):
    found = panels(drawn)
    for key in ("k = 14", "k = 41"):
        colours = {lines[key].line.color for lines in found.values() if key in lines}
        assert len(colours) == 1


def test_axes_are_named_and_shared(drawn):
    assert [axis.title.text for axis in drawn.select_yaxes()][:4] == ["nats", "%", "nats", "%"]
    assert [axis.type for axis in drawn.select_yaxes()][:2] == ["log", None]
    assert {axis.matches for axis in drawn.select_xaxes()} == {"x"}
    assert [axis.title.text for axis in drawn.select_xaxes()] == ["", "", "", "", "step", "step"]
    assert "k = 14: %{y:.3g}%" in panels(drawn)["Logits explained by each key"]["k = 14"].hovertemplate


def test_names_from_files_are_no_markup(drawn):
    texts = [note.text for note in drawn.layout.annotations] + [trace.name for trace in drawn.data]
    assert not any("<own>" in text for text in texts)


def test_phases_are_shaded_in_every_panel(drawn):
    assert {shape.xref for shape in drawn.layout.shapes} == {f"x{i}" if i > 1 else "x" for i in range(1, 7)}
    assert not progress_figure(TABLE, measures=["loss_test"], phases=False).layout.shapes


def test_a_choice_of_measures():
    found = panels(progress_figure(TABLE, measures=["loss_test", "my_<own>"], columns=1))
    assert [list(lines) for lines in found.values()] == [["test"], ["My &lt;own&gt;"]]


def test_errors():
    with pytest.raises(mg.ConfigError, match="has no measure 'loss'"):
        progress_figure(TABLE, measures=["loss"])
    with pytest.raises(mg.UndefinedMetricError, match="no measure of the table has a value"):
        progress_figure(TABLE, measures=["gini_W_E"])
