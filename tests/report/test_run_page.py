"""The report on a run: the slider, the films, the measures, and parts that do not apply."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pages import HOSTILE, MOST_BYTES, planted_run, report, unpacked
from plotly.offline import get_plotlyjs

import mechgrok as mg
from mechgrok.plots.progress import PANELS
from mechgrok.plots.spectra import norm_spectrum
from mechgrok.report.page import write_report
from mechgrok.report.portrait import MOST_CELLS, choose_portrait, most_frames
from mechgrok.tasks import sn_task

KEYS = {2: 20.0, 5: 20.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mg.Run:
    return planted_run(tmp_path_factory.mktemp("run"), 13, KEYS, 4)


@pytest.fixture(scope="module")
def page(run: mg.Run, tmp_path_factory: pytest.TempPathFactory):
    return report(tmp_path_factory.mktemp("page"), run)


def moving(page, place: str) -> dict[str, np.ndarray]:
    return {
        part["attribute"]: unpacked(part) for part in page.figures[place]["moving"] if part["kind"] != "text"
    }


def test_the_slider_goes_through_all_checkpoints(page):
    shown = page.checkpoints
    assert shown["steps"] == [10, 20, 30, 40]
    assert shown["facts"] == ["train loss", "test loss", "train accuracy", "test accuracy"]
    assert shown["values"][-1][2:] == ["100.00%", "100.00%"]
    assert page.tags.count("input") == 1
    assert "planted" in page.text, "the recipe"


def test_each_frame_is_the_network_at_that_step(run: mg.Run, page):
    radius = np.linalg.norm(list(moving(page, "circle-0").values()), axis=0).mean(axis=1)
    assert radius == pytest.approx(radius[-1] * np.array([0.25, 0.5, 0.75, 1.0]), rel=1e-4)
    drawn = norm_spectrum(run.grid(20), keys=KEYS).data[0].y
    assert moving(page, "spectrum")["y"][1] == pytest.approx(drawn, rel=1e-5, abs=1e-6)
    tuned = mg.neuron_frequencies(run.grid())
    number = choose_portrait(run.grid(), mg.summarize(run.grid())).neurons[0]
    activations = run.grid(30).neurons[:, number].reshape(13, 13).T.numpy()
    assert moving(page, "neuron-0")["z"][2] == pytest.approx(activations, abs=0.01 * activations.max() * 2)
    assert tuned.alive[number]


def test_axes_stand_still(page):
    figure = page.figures["circle-0"]
    reach = figure["layout"]["xaxis"]["range"][1]
    assert reach > abs(moving(page, "circle-0")["x"]).max()
    assert page.figures["neuron-0"]["data"][0]["zmax"] >= moving(page, "neuron-0")["z"].max() * 0.999
    assert "y" not in page.figures["spectrum"]["data"][0], "the frames bring the data"


def test_curves_and_measures_have_a_position_and_the_phases(run: mg.Run, page):
    phases = mg.progress_measures(run, ["loss_train", "loss_test"], keys=KEYS, progress=False).phases
    over_steps = [place for place in page.places if place in ("loss", "accuracy") or "measure" in place]
    assert len(over_steps) > 8
    for place in over_steps:
        shapes = page.figures[place]["layout"]["shapes"]
        assert [s["x0"] for s in shapes if s.get("name") == "position"] == [40]
    for phase in phases:
        assert phase.name in page.text
    assert sum(panel.title in page.text for panel in PANELS) > 8


def test_a_run_of_one_checkpoint_has_no_slider(tmp_path: Path):
    page = report(tmp_path, planted_run(tmp_path / "run", 7, {2: 9.0}, 1))
    assert page.checkpoints is None
    assert "input" not in page.tags
    assert {"loss", "spectrum", "circle"} <= page.shown
    assert "measure" not in page.shown


def test_groups_have_irreps_and_no_circles(tmp_path: Path):
    task = sn_task("S3")
    run = mg.train(task, model=mg.ModelConfig(d_model=16), steps=3, checkpoint_every=1, progress=False)
    page = report(tmp_path, run)
    assert "There are no circles: a circle needs a cyclic group" in page.text
    assert {"spectrum", "neuron", "fourier"} <= page.shown
    assert "circle" not in page.shown
    assert len(moving(page, "spectrum")["y"]) == len(run.steps)


@pytest.mark.parametrize(
    ("operation", "model"),
    [("mul", mg.ModelConfig(d_model=16)), ("add", mg.MLPConfig(d_embed=8, d_mlp=16))],
    ids=["multiplication", "MLP"],
)
def test_other_runs(tmp_path: Path, operation: str, model):
    task = mg.modular_task(operation, 7)
    run = mg.train(task, model=model, fraction=0.6, steps=2, checkpoint_every=1, progress=False)
    page = report(tmp_path, run)
    assert len(page.checkpoints["steps"]) == 3
    assert {"loss", "spectrum", "fourier", "measure"} <= page.shown


def test_an_embedding_that_is_constant_at_first_is_drawn_as_nothing(tmp_path: Path):
    run = planted_run(tmp_path / "run", 7, {2: 9.0}, 2)
    network = run.model(10)
    torch.nn.init.zeros_(network.embed.W_E)
    run.write_checkpoint(10, network)
    first = moving(report(tmp_path, run), "spectrum")["y"][0]
    assert np.isnan(first).all()


def test_names_from_files_are_text(tmp_path: Path):
    page = report(tmp_path, planted_run(tmp_path / "run", 7, {2: 9.0}, 2, name=HOSTILE))
    assert HOSTILE in page.text
    assert page.tags.count("script") == 4
    assert "img" not in page.tags


@pytest.mark.parametrize("order", [3, 59, 113, 120, 251, 401])
def test_the_maps_of_a_page_are_bounded(order: int):
    """Two thirds of the bound for the file, written as base64, are for maps; one is for the plotting library."""
    frames = most_frames(order)
    assert 2 <= frames <= 40
    neurons = max(1, min(6, MOST_CELLS // (frames * order**2) - 1))
    assert frames * (neurons + 1) * order**2 <= max(MOST_CELLS, 4 * order**2)
    assert 4 / 3 * MOST_CELLS + len(get_plotlyjs()) < 0.8 * MOST_BYTES


def test_a_run_has_its_own_history(tmp_path: Path, run: mg.Run):
    with pytest.raises(mg.ConfigError, match="a run has its own history"):
        write_report(tmp_path / "a.html", run, history=[])


@pytest.mark.slow
def test_forty_checkpoints_of_p_113_fit(tmp_path: Path):
    amplitudes = dict.fromkeys([4, 11, 14, 26, 35, 41], 5.0)
    page = report(tmp_path, planted_run(tmp_path / "run", 113, amplitudes, 45))
    assert len(page.checkpoints["steps"]) == 40
    assert sum("neuron" in place for place in page.places) == 6
    size = (tmp_path / "report.html").stat().st_size
    assert 8 * 10**6 < size < MOST_BYTES, "the maps are there, and no more than that"
