"""The comparison of algorithms: table and figure."""

import io
import math

import numpy as np
import pytest
from planted import lookup_logits
from rich.console import Console

import mechgrok as mg
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.models.constructed import cosine_network, pizza_network
from mechgrok.models.ideal_transformers import clock_transformer
from mechgrok.plots.algorithms import compare_algorithms
from mechgrok.tasks import sn_task


@pytest.fixture(scope="module")
def comparison():
    networks = {"A <b>": pizza_network(13, {3: 9.0, 5: 4.0}), "B": clock_transformer(13, {2: 9.0})}
    return compare_algorithms(networks, triples=100)


def test_table(comparison):
    first, second = comparison.table
    assert (first["network"], first["algorithm"], first["strongest_circle"]) == ("A <b>", "pizza", 3)
    assert (second["network"], second["algorithm"], second["strongest_circle"]) == ("B", "clock", 2)
    assert first["distance_irrelevance"] == pytest.approx(0, abs=1e-9)
    assert second["distance_irrelevance"] == 1.0
    assert first["gradient_symmetricity"] == pytest.approx(1)
    assert first["triples"] == 100
    assert first["circle_fading"] == pytest.approx(1, abs=2e-2)
    assert repr(comparison) == "AlgorithmComparison(A <b>: pizza, B: clock)"
    assert first["pizza_fve"] == pytest.approx(1, abs=1e-3)
    assert second["clock_fve"] == pytest.approx(1)
    assert {row["accuracy"] for row in comparison.table} == {1.0}


def test_printed(comparison):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(comparison)
    text = console.export_text()
    for part in ("A <b>", "pizza", "clock", "distance irrelevance", "gradient symmetricity", "speak for it"):
        assert part in text


def test_figure(comparison):
    drawn = comparison.figure()
    assert len(drawn.data) == 4
    titles = [note.text for note in drawn.layout.annotations]
    assert titles[0] == "A &lt;b&gt;: pizza (distance irrelevance 0.00)"
    assert titles[1] == "B: clock (distance irrelevance 1.00)"
    assert titles[2] == "its strongest circle alone, k = 3"
    # The pizza's circle: bands that follow the distance alone, as |cos|.
    wave = np.abs(np.cos(math.pi * np.arange(13) / 13))
    alone = drawn.data[2].z
    np.testing.assert_allclose(alone, alone[:, :1].repeat(13, axis=1), atol=1e-5)
    np.testing.assert_allclose(alone[:, 0] / alone[0, 0], wave, atol=1e-3)
    # The clock's logit is constant, and its rounding is not blown up to all colours.
    assert drawn.data[1].zmax - drawn.data[1].zmin > 1
    assert drawn.data[0].zmax - drawn.data[0].zmin < 20


def test_frequencies_without_a_step_are_drawn_in_steps_of_one():
    network = cosine_network(10, {1: 1.0, 2: 9.0})
    comparison = compare_algorithms({"even": network}, triples=50)
    assert comparison.table[0]["strongest_circle"] == 2
    assert [surface.k for surface in comparison.surfaces["even"]] == [None, None]
    assert np.isfinite([comparison.figure().data[0].zmin, comparison.figure().data[0].zmax]).all()


def test_networks_that_cannot_be_judged_are_listed_all_the_same():
    random = mg.build_model(mg.modular_task("add", 7), mg.ModelConfig(d_model=16), seed=0)
    random.task = None
    task = sn_task("S3")
    both = {"random": random, "S3": mg.grid_from_tensors(task, lookup_logits(task))}
    comparison = compare_algorithms(both)
    assert [row["algorithm"] for row in comparison.table] == ["undetermined", "undetermined"]
    assert comparison.table[0]["accuracy"] is None
    with pytest.raises(UndefinedMetricError, match="none of the networks"):
        comparison.figure()
    with pytest.raises(ConfigError, match="networks to compare are given by name"):
        compare_algorithms({})
