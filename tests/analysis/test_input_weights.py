"""The inputs that a feed-forward network depends on."""

import pytest
import torch

import mechgrok as mg
from mechgrok.plots.input_weights import input_weights


def test_of_numbers_it_is_the_norm_of_the_row():
    model = mg.build_model(mg.parity_task(5), mg.DenseConfig(inputs="number", d_mlp=4), seed=0)
    model.blocks[0].mlp.W_in.data[2] = torch.tensor([3.0, 4.0, 0.0, 0.0])
    norms = mg.input_norms(model)
    assert norms[2].item() == 5
    torch.testing.assert_close(norms, model.blocks[0].mlp.W_in.detach().double().norm(dim=1))


def test_of_vectors_it_is_what_differs_between_tokens():
    model = mg.build_model(mg.parity_task(5), mg.DenseConfig(d_mlp=4), seed=0)
    W_in = model.blocks[0].mlp.W_in.data.view(5, 2, 4)
    W_in[1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    W_in[2, 0], W_in[2, 1] = 0.0, torch.tensor([2.0, 0.0, 0.0, 0.0])
    norms = mg.input_norms(model)
    assert norms[1].item() == 0, "both tokens do the same: the position tells nothing"
    assert norms[2].item() == pytest.approx(2**0.5)


def test_grids_and_runs_are_taken_too():
    task = mg.parity_task(4)
    run = mg.train(task, model=mg.DenseConfig(inputs="number", d_mlp=4), steps=2, progress=False)
    assert torch.equal(mg.input_norms(run), mg.input_norms(run.grid()))


def test_other_networks_have_no_weights_of_an_input():
    with pytest.raises(mg.UndefinedMetricError, match="got a HookedMLP"):
        mg.input_norms(mg.five_neuron_network(5))


def test_the_figure_has_a_line_for_every_input():
    task = mg.parity_task(5, (1, 3))
    run = mg.train(
        task, model=mg.DenseConfig(inputs="number", d_mlp=4), steps=20, checkpoint_every=10, progress=False
    )
    lines = [trace for trace in input_weights(run).data if trace.name in ("relevant", "others")]
    assert [line.name for line in lines] == ["relevant"] * 2 + ["others"] * 3
    first = torch.tensor([line.y[0] for line in lines])
    torch.testing.assert_close(first, mg.input_norms(run.model(0))[[1, 3, 0, 2, 4]], check_dtype=False)
    assert list(lines[0].x) == [0, 10, 20]
    chosen = [trace.name for trace in input_weights(run, [0]).data if trace.name in ("relevant", "others")]
    assert chosen == ["relevant"] + ["others"] * 4
    with pytest.raises(mg.ConfigError, match="the inputs 0 to 4; got"):
        input_weights(run, [5])
