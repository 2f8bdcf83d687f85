"""Clock or pizza: our network and TransformerLens's give the same verdict and numbers."""

import pytest
from natives import KEYS, KINDS, as_native, planted_network, random_network

import mechgrok as mg
from mechgrok.analysis.algorithms import classify_algorithm
from mechgrok.analysis.circles import isolate_circle
from mechgrok.analysis.embeddings import circularity
from mechgrok.analysis.logit_surface import distance_irrelevance
from mechgrok.analysis.symmetricity import gradient_symmetricity


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_planted(kind: str, rate: float):
    ours = planted_network(rate)
    theirs = as_native(ours, kind)
    for measure in (gradient_symmetricity, distance_irrelevance, circularity):
        assert float(measure(theirs)) == pytest.approx(float(measure(ours)), abs=1e-6)
    assert float(gradient_symmetricity(theirs, 50)) == pytest.approx(
        float(gradient_symmetricity(ours, 50)), abs=1e-6
    )
    for k in KEYS:
        alone = isolate_circle(theirs, k, by="fourier")
        assert alone.fve == pytest.approx(isolate_circle(ours, k, by="fourier").fve, abs=1e-6)
    assert classify_algorithm(theirs).algorithm == classify_algorithm(ours).algorithm


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", [{}, {"n_layers": 2, "act_fn": "gelu"}, {"normalization": "LN"}])
def test_random(kind: str, architecture: dict):
    ours = random_network(**architecture)
    theirs = as_native(ours, kind)
    task = mg.modular_task("add", 7)
    found = [float(gradient_symmetricity(mg.cache_grid(model, task))) for model in (ours, theirs)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)
