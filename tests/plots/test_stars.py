"""Input and output weights as vectors."""

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.plots.stars import FEW


def tips(trace):
    return np.stack([trace.x[1::3], trace.y[1::3]])


@pytest.mark.parametrize("n", [5, 7, 8])
def test_vectors_point_at_phases_and_the_path_goes_once_and_twice_around(n):
    phases = mg.neuron_phases(mg.five_neuron_network(11, n))
    path_in, vectors_in, path_out, vectors_out = phases.figure().data
    order = phases.groups[1]
    for vectors, length, phase in (
        (vectors_in, phases.amplitude_a, phases.phase_a),
        (vectors_out, phases.output_amplitude, phases.output_phase),
    ):
        expected = torch.stack([length * phase.cos(), length * phase.sin()])[:, order]
        np.testing.assert_allclose(tips(vectors), expected, atol=1e-6)
        assert not vectors.x[::3].any(), "from the centre"
        assert np.isnan(vectors.x[2::3]).all()
    for path, turns in ((path_in, 1), (path_out, 2)):
        angles = np.unwrap(np.arctan2(path.y, path.x))
        assert round(abs(angles[-1] - angles[0]) / (2 * np.pi)) == turns


def test_operands_with_weights_of_their_own_have_rings():
    drawn = mg.neuron_phases(mg.cosine_network(11, {2: 1.0})).figure()
    rings = [trace for trace in drawn.data if trace.marker.symbol == "circle-open"]
    assert len(rings) == 1
    shared = mg.neuron_phases(mg.five_neuron_network(11)).figure()
    assert not any(trace.marker.symbol == "circle-open" for trace in shared.data)


def test_many_neurons_are_not_joined_and_a_frequency_has_a_column():
    drawn = mg.neuron_phases(mg.cosine_network(13, {2: 1.0, 5: 1.0}, n_phases=6)).figure(most=1)
    assert FEW < 36
    assert not any(trace.mode == "lines" for trace in drawn.data)
    assert [note.text for note in drawn.layout.annotations] == [
        "k = 2: input weights",
        "k = 2: output weights",
    ]
    both = mg.neuron_phases(mg.cosine_network(13, {2: 1.0, 5: 1.0})).figure()
    assert [note.text for note in both.layout.annotations][:2] == [
        "k = 2: input weights",
        "k = 5: input weights",
    ]
    assert len({trace.line.color for trace in both.data if trace.mode == "lines+markers"}) == 2
