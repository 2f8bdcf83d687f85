"""The report on one network: its content, and that it is self-contained."""

from pathlib import Path
from typing import Any

import planted
import pytest
import torch
from pages import HISTORY, HOSTILE, Reader, planted_run, report

import mechgrok as mg
from mechgrok.report import write_report
from mechgrok.tasks import sn_task


@pytest.fixture(scope="module")
def network():
    return mg.cosine_network(13, {2: 20.0, 6: 20.0})


def test_a_report_tells_the_story(tmp_path: Path, network):
    page = report(tmp_path, network, history=HISTORY)
    assert mg.summarize(network).verdict in page.text
    assert page.places == [
        "spare-margins", "outcomes",
        "loss", "accuracy", "spectrum", "circle-0", "circle-1", "neuron-0", "neuron-1", "fourier",
        "evidence", "clusters", "ablation",
        "pattern-L0H0", "qk-L0H0", "ov-L0H0",
    ]  # fmt: skip
    assert page.tags.count("details") == page.tags.count("section") == 7, "definitions in every section"
    assert "clock" in page.text
    assert "How a network computes a+b" in page.text
    for row in ("remove, logits", "keep only, embedding", "share of logits"):
        assert row in page.text


def test_numbers_of_the_page_are_those_of_the_summary(tmp_path: Path, network):
    split = mg.cache_grid(network).task.split(0.4)
    page = report(tmp_path, network, split=split)
    values = mg.summarize(network, split).values
    assert f"{values['excluded_loss_train']:#.3g}" in page.text
    assert "Test accuracy" in page.text
    assert "train loss without (nats)" in page.text
    assert "loss" not in page.places, "no history, no curves"


def test_it_loads_nothing(tmp_path: Path, network):
    page = report(tmp_path, network)
    assert page.loads == []
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    assert all(
        "@import" not in text and "url(" not in text for name, text in page.scripts.items() if "style" in name
    )
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in source
    assert source.count("plotly.js v") == 1


def test_the_check_for_loads_can_fail():
    assert Reader('<script src="https://cdn.example/plotly.js"></script>').loads == [
        "https://cdn.example/plotly.js"
    ]


def test_hostile_titles_are_text(tmp_path: Path, network):
    page = report(tmp_path, network, title=HOSTILE)
    assert page.text.count(HOSTILE) == 2, "in the title and in the heading"
    assert page.tags.count("script") == 4
    assert "img" not in page.tags


def test_hostile_labels_are_text(tmp_path: Path):
    task = sn_task("S3")
    grid = mg.grid_from_tensors(task, planted.lookup_logits(task))
    summary = mg.summarize(grid)
    values = summary.values | {"key_frequencies": []}
    hostile = type(summary)(**{**vars(summary), "answer": HOSTILE, "task": HOSTILE, "values": values})
    page = Reader(write_report(tmp_path / "r.html", grid, hostile).read_text(encoding="utf-8"))
    assert HOSTILE in page.text
    assert page.tags.count("script") == 4


def test_an_untrained_network_is_reported_without_keys(tmp_path: Path):
    task = mg.modular_task("add", 23)
    grid = mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16)), task)
    page = report(tmp_path, grid, split=task.split(0.3), history=HISTORY[:1])
    heads = {f"{what}-L0H{head}" for what in ("pattern", "qk", "ov") for head in range(4)}
    assert page.shown == {"loss", "accuracy", "evidence", "spectrum", "clusters", "neuron", "fourier", *heads}
    assert "No key frequencies: no frequency stands out in the logits, so there is no circuit" in page.text
    assert "There are no keys to remove" in page.text
    assert "A network that learns a+b" in page.text


@pytest.mark.parametrize("p", [2, 3, 10])
def test_small_and_even_moduli(tmp_path: Path, p: int):
    page = report(tmp_path, mg.cosine_network(p, {p // 2: 9.0}))
    assert {"spectrum", "circle", "neuron", "fourier", "ablation"} <= page.shown


def test_products_and_groups(tmp_path: Path):
    task = mg.modular_task("mul", 11, sequence=("a", "b"))
    page = report(tmp_path, mg.cache_grid(planted.wave_network(task, planted.phase_grid([2, 5])), task))
    assert "Colour is k·(place of a in the group) mod 10" in page.text
    task = sn_task("S4")
    page = report(tmp_path, mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16)), task))
    assert "Key irreps" in page.text


def test_a_network_without_neurons_and_a_grid_without_network(tmp_path: Path):
    task = mg.modular_task("add", 7)
    attention_only = mg.build_model(task, mg.ModelConfig(d_model=16, attn_only=True))
    assert "clusters" not in report(tmp_path, mg.cache_grid(attention_only, task)).shown
    page = report(tmp_path, mg.grid_from_tensors(task, planted.lookup_logits(task)))
    assert page.shown == {"ablation", "evidence", "fourier"}
    assert "activations without their network" in page.text
    assert "logits without a network" in page.text
    assert "key frequencies" in page.text
    assert "NoneType" not in page.text
    assert page.text.count("There are no") == 0, "it has keys"


def test_of_many_keys_the_strongest_are_shown(tmp_path: Path):
    amplitudes = {k: 5.0 + k for k in range(1, 10)}
    page = report(tmp_path, mg.cosine_network(19, amplitudes))
    assert sum("circle" in place for place in page.places) == 6
    assert "The 6 strongest of 9 keys" in page.text
    assert "9 keys" in page.text


def test_large_groups_get_fewer_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = mg.cosine_network(19, dict.fromkeys([2, 4, 5, 9], 9.0))
    monkeypatch.setattr("mechgrok.report.portrait.MOST_CELLS", 4 * 19**2)
    page = report(tmp_path, network)
    assert sum("neuron" in place for place in page.places) == 3


def test_a_file_that_cannot_be_written(tmp_path: Path, network):
    (tmp_path / "file").write_text("")
    grid = mg.cache_grid(network)
    with pytest.raises(mg.CheckpointError, match="cannot write"):
        write_report(tmp_path / "file" / "report.html", grid, mg.summarize(grid))


def test_others_network(tmp_path: Path, peer_data: Path):
    model = mg.load_model(peer_data / "nanda" / "wd_10-1_mod_addition_loss_curve.safetensors")
    page = report(tmp_path, model, split=mg.cache_grid(model).task.split(0.3, 1))
    assert [place for place in page.places if "circle" in place] == [f"circle-{i}" for i in range(5)]
    assert "6, 23, 37, 39, 41" in page.text


def test_logits_without_variance_are_refused_or_reported(tmp_path: Path):
    task = mg.modular_task("add", 5)
    page = report(tmp_path, mg.grid_from_tensors(task, torch.zeros(25, 5)))
    assert "no frequency stands out" in page.text


@pytest.mark.usefixtures("unchecked")
def test_path_and_source_the_wrong_way_round(tmp_path: Path, network):
    swapped: Any = (network, tmp_path / "x.html")
    with pytest.raises(mg.ConfigError, match=r"write_report takes path, .*write_report\(path, source"):
        write_report(*swapped)


def test_a_memory_has_candidates_and_no_keys(tmp_path: Path):
    task = mg.modular_task("add", 13)
    memory = planted.lookup_logits(task) * task.split(0.3).train[:, None]
    page = report(tmp_path, mg.grid_from_tensors(task, memory))
    assert "the strongest 6 candidates explain" in page.text
    assert "There are no keys to remove or to keep" in page.text


def test_formulas_are_set(tmp_path: Path, network):
    report(tmp_path, network)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cos(<i>w</i><sub>k</sub>(a+b−c))" in source


def test_no_figure_has_an_axis_that_follows_itself(tmp_path: Path):
    """Plotly ignores that, and says so on the console for each."""
    page = report(tmp_path, planted_run(tmp_path / "run", 11, {2: 20.0}, 3))
    axes = [
        axis for figure in page.figures.values() for name, axis in figure["layout"].items() if "axis" in name
    ]
    assert len(axes) > 20
    assert [axis["matches"] for axis in axes if "matches" in axis] == []


def test_a_damaged_checkpoint_is_left_out_with_a_warning(tmp_path: Path):
    run = planted_run(tmp_path / "run", 11, {2: 20.0}, 4)
    whole = report(tmp_path, run)
    assert whole.checkpoints is not None
    assert whole.checkpoints["steps"] == [10, 20, 30, 40]
    assert "Left out: the checkpoint" not in whole.text
    for step in (20, 40):
        file = run.checkpoint(step)
        file.write_bytes(file.read_bytes()[:1000])
    page = report(tmp_path, run)
    assert page.checkpoints is not None
    assert page.checkpoints["steps"] == [10, 30]
    for step in (20, 40):
        assert f"Left out: the checkpoint at step {step}." in page.text
    assert "newest readable checkpoint is step 30 of at most" in page.text
    for step in (10, 30):
        run.checkpoint(step).write_bytes(b"")
    with pytest.raises(mg.CheckpointError, match="step_00000010"):
        report(tmp_path, run)
