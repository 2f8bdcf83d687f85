"""Figures of QK and OV circuits: the drawn values are the computed ones."""

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.plots import head_circuits as drawing

TASK = mg.modular_task("add", 7)


def test_a_network_that_answers_at_one_token_has_a_curve_and_a_map_for_each_head():
    circuits = mg.head_circuits(mg.build_model(TASK, mg.ModelConfig(d_model=16, n_heads=2), seed=0))
    assert [trace.type for trace in circuits.figure().data] == ["scatter", "scatter", "bar", "bar"]
    drawn = circuits.figure(spectra=False)
    assert [trace.type for trace in drawn.data] == ["scatter", "scatter", "heatmap", "heatmap"]
    np.testing.assert_allclose(drawn.data[1].y, circuits.scores(0, 1)[0], atol=1e-6)
    written = circuits.ov(0, 0)[:7]
    np.testing.assert_allclose(
        np.sort(drawn.data[2].z, axis=None), np.sort(written - written.mean(0), axis=None), atol=1e-6
    )


def test_neurons_of_one_frequency_stand_side_by_side():
    circuits = mg.head_circuits(mg.load_model("add113"))
    spectrum = np.abs(np.fft.rfft(drawing.ov_circuit(circuits, 0, 0).data[0].z, axis=0)).argmax(0)
    assert (np.diff(spectrum) >= 0).all()
    assert len(set(spectrum)) > 1


def test_the_spectrum_has_all_that_is_written_but_the_mean():
    circuits = mg.head_circuits(mg.build_model(TASK, mg.ModelConfig(d_model=16, n_heads=2), seed=0))
    bars = drawing.ov_spectrum(circuits, 0, 1).data[0]
    written = circuits.ov(0, 1)[:7]
    assert list(bars.x) == [1, 2, 3]
    assert 2 * np.square(bars.y).sum() == pytest.approx((written - written.mean(0)).square().sum().item())
    with pytest.raises(mg.UndefinedMetricError, match="cyclic"):
        drawing.ov_spectrum(mg.head_circuits(mg.induction_network(12, 16)), 0, 0)


def test_a_network_that_answers_at_many_positions_has_two_maps_for_each_head():
    circuits = mg.head_circuits(mg.induction_network(12, 16))
    drawn = circuits.figure(layer=0)
    assert [trace.type for trace in drawn.data] == ["heatmap"] * 4
    np.testing.assert_allclose(drawn.data[0].z, circuits.qk(0, 0), atol=1e-6)
    with pytest.raises(mg.ActivationError, match="there is no layer 2"):
        circuits.figure(layer=2)


def test_more_tokens_than_a_map_shows_are_refused(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_TOKENS", 11)
    with pytest.raises(mg.UndefinedMetricError, match="a map of 12 tokens"):
        mg.head_circuits(mg.induction_network(12, 16)).figure()
