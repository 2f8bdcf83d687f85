"""Runs and summaries as one figure."""

import pytest

import mechgrok as mg
from mechgrok.plots.learning import learning_figure
from mechgrok.plots.summaries import summary_figure


def test_a_run_shows_losses_and_accuracies(tmp_path):
    task, small = mg.modular_task("add", 5), mg.ModelConfig(d_model=16)
    run = mg.train(task, model=small, steps=20, out=tmp_path / "run", progress=False)
    drawn = learning_figure(run)
    assert [trace.name for trace in drawn.data if trace.showlegend is not False] == [
        "train",
        "test",
        "guessing",
    ]
    assert [axis.title.text for axis in drawn.select_yaxes()] == ["cross-entropy (nats)", "right answers (%)"]
    for file in (
        "history.jsonl",
        "state.safetensors",
        *(f"checkpoints/step_{step:08d}.safetensors" for step in run.steps),
    ):
        (run.path / file).unlink()
    with pytest.raises(mg.UndefinedMetricError, match="no evaluation yet"):
        learning_figure(run)


def test_a_summary_shows_what_there_is():
    drawn = summary_figure(mg.summarize(mg.cosine_network(11, {2: 9.0})))
    titles = [note.text for note in drawn.layout.annotations]
    assert titles[1:] == ["Neurons per frequency", "Loss before (hollow) and after (full)"]
    assert len(drawn.layout.shapes) == 2, "the threshold of a key, and guessing"
    assert "add11" in drawn.layout.title.text
    without = summary_figure(mg.summarize(mg.cosine_network(11, {2: 0.0})))
    assert "Loss before" not in str(without.layout.annotations)
