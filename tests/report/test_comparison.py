"""The page that compares networks."""

from pathlib import Path

import pytest
from pages import HOSTILE, planted_run, read_page

import mechgrok as mg
from mechgrok.report import write_comparison
from mechgrok.tasks import sn_task


def test_two_networks_side_by_side(tmp_path: Path):
    networks = {"first": mg.pizza_network(11, {2: 9.0}), "second": mg.clock_transformer(11, {2: 9.0})}
    page = read_page(write_comparison(tmp_path / "pair.html", networks))
    assert page.places == ["surface-0", "surface-1", "circle-0", "circle-1", "spectrum-0", "spectrum-1"]
    for text in ("first: pizza", "second: clock", "distance irrelevance", "first and second compared"):
        assert text in page.text
    assert page.tags.count("details") == page.tags.count("section") == 3, "definitions in every section"
    assert page.checkpoints is None


def test_runs_have_their_curves(tmp_path: Path):
    run = planted_run(tmp_path / "run", 11, {2: 20.0, 4: 20.0}, 2)
    page = read_page(write_comparison(tmp_path / "pair.html", {"run": run, "net": run.model()}))
    assert [place for place in page.places if "loss" in place] == ["loss-0"]
    assert page.tags.count("details") == page.tags.count("section") == 4


def test_networks_without_a_surface_say_so(tmp_path: Path):
    task = sn_task("S3")
    network = mg.build_model(task, mg.ModelConfig(d_model=16))
    grid = mg.cache_grid(network, task)
    page = read_page(
        write_comparison(tmp_path / "pair.html", {"a": grid, "b": mg.cosine_network(7, {2: 9.0})})
    )
    assert "a has no such picture" in page.text
    assert "surface-1" not in page.places
    alone = read_page(write_comparison(tmp_path / "one.html", {"a": grid}))
    assert "None of the networks has a sum or difference" in alone.text


def test_names_are_text(tmp_path: Path):
    network = mg.cosine_network(7, {2: 9.0})
    page = read_page(write_comparison(tmp_path / "pair.html", {HOSTILE: network, "b": network}))
    assert page.text.count(HOSTILE) >= 4
    assert page.tags.count("script") == 4
    assert "img" not in page.tags


def test_nothing_to_compare(tmp_path: Path):
    with pytest.raises(mg.ConfigError, match="networks to compare are given by name"):
        write_comparison(tmp_path / "pair.html", {})
