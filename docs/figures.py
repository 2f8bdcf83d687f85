"""Figures of the tutorial, drawn from the runs that it speaks of.

    python docs/figures.py

trains the tutorial's network (half a minute), measures the one that comes with mechgrok, and replaces
docs/_static/tutorial/*.png. Needs the extra `png` and a Chromium or Chrome.
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

FOLDER = Path(__file__).parent / "_static/tutorial"
WIDTH = 720
MOST_BYTES = 100_000
LOSSES = ["loss_train", "loss_test", "restricted_loss", "excluded_loss"]
SHAPE = [
    *LOSSES,
    "gini_W_E",
    "gini_W_L",
    "sum_squared_weights",
    "neurons_decided",
    "frequency_synchronisation",
]


def tutorial_run(folder: str) -> mg.Run:
    """The run of tutorial.md, with more checkpoints."""
    task = mg.modular_task("add", p=53)
    return mg.train(task, "fast", fraction=0.4, seed=6, out=folder, checkpoint_every=10)


def figures(run: mg.Run) -> dict[str, go.Figure]:
    """All figures by file name."""
    grid = run.grid()
    keys = mg.find_key_frequencies(grid)
    young = run.grid(300)
    return {
        "losses": loss_curves(run.history, n_classes=run.task.n_classes),
        "keys": key_evidence(keys, "frequency"),
        "spectrum": norm_spectrum(young, keys=mg.find_key_frequencies(young)),
        "circles": embedding_circles(grid, keys, columns=2),
        "neurons": neuron_maps(grid, keys, columns=2),
        "logits": fourier_map(grid, keys),
    }


def progress() -> dict[str, go.Figure]:
    """What the measures say of the run that comes with mechgrok."""
    run = mg.load_run("add113")
    return {
        "measures": mg.progress_measures(run, LOSSES).figure(),
        "progress": mg.progress_measures(run, SHAPE).figure(),
    }


def main() -> None:
    """Train, draw, write; refuse to write a large file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        drawn = figures(tutorial_run(folder)) | progress()
    for name, one in drawn.items():
        image = one.to_image("png", width=WIDTH, scale=1)
        if len(image) > MOST_BYTES:
            raise SystemExit(f"{name}.png would have {len(image)} bytes; {MOST_BYTES} are allowed")
        (FOLDER / f"{name}.png").write_bytes(image)


if __name__ == "__main__":
    main()
