"""Figures of the tutorial, drawn from a run that is trained for the purpose.

    python docs/figures.py

trains the tutorial's network (half a minute), and replaces docs/_static/tutorial/*.png. Needs the extra `png` and a
Chromium or Chrome.
"""

import tempfile
from pathlib import Path

import plotly.graph_objects as go

import mechgrok as mg
from mechgrok.plots.circles import embedding_circles
from mechgrok.plots.curves import loss_curves
from mechgrok.plots.logits import fourier_map, key_evidence
from mechgrok.plots.neurons import neuron_maps
from mechgrok.plots.spectra import norm_spectrum
from mechgrok.plots.theme import BLUE, GREY, LOGARITHMIC, VERMILION, figure

FOLDER = Path(__file__).parent / "_static/tutorial"
WIDTH = 720
MOST_BYTES = 100_000


def tutorial_run(folder: str) -> mg.Run:
    """The run of tutorial.md, with more checkpoints."""
    task = mg.modular_task("add", p=53)
    return mg.train(task, "fast", fraction=0.4, seed=0, out=folder, checkpoint_every=10)


def figures(run: mg.Run) -> dict[str, go.Figure]:
    """All figures by file name."""
    grid = run.grid()
    keys = mg.find_key_frequencies(grid)
    return {
        "losses": loss_curves(run.history, n_classes=run.task.n_classes),
        "keys": key_evidence(keys, "frequency"),
        "spectrum": norm_spectrum(grid, keys=keys),
        "circles": embedding_circles(grid, keys, columns=2),
        "neurons": neuron_maps(grid, keys, columns=2),
        "logits": fourier_map(grid, keys),
        "measures": key_losses(run, keys),
    }


def key_losses(run: mg.Run, keys: mg.KeyFrequencies) -> go.Figure:
    """Restricted and excluded loss at every checkpoint, beside the test loss."""
    curves: dict[str, list[float]] = {"test loss": [], "restricted loss": [], "excluded loss": []}
    for step in run.steps:
        grid = run.grid(step)
        curves["test loss"].append(mg.full_loss(grid, run.split.test))
        curves["restricted loss"].append(mg.restricted_loss(grid, keys))
        curves["excluded loss"].append(mg.excluded_loss(grid, keys, run.split.train))
    lines = [
        go.Scatter(x=run.steps, y=values, name=name, mode="lines", line={"color": colour, "width": 1.8})
        for (name, values), colour in zip(curves.items(), (GREY, BLUE, VERMILION), strict=True)
    ]
    drawn = figure(lines, title="Losses with and without the key frequencies")
    drawn.update_xaxes(title_text="step")
    drawn.update_yaxes(LOGARITHMIC, title_text="cross-entropy (nats)")
    return drawn


def main() -> None:
    """Train, draw, write; refuse to write a large file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        drawn = figures(tutorial_run(folder))
    for name, one in drawn.items():
        image = one.to_image("png", width=WIDTH, scale=1)
        if len(image) > MOST_BYTES:
            raise SystemExit(f"{name}.png would have {len(image)} bytes; {MOST_BYTES} are allowed")
        (FOLDER / f"{name}.png").write_bytes(image)


if __name__ == "__main__":
    main()
