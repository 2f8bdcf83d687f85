"""The feed-forward network that reads all inputs at once."""

import pytest
import torch

import mechgrok as mg


def weights(d_in, d_mlp=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(d_in, d_mlp, generator=generator), torch.randn(d_mlp, 2, generator=generator)


@pytest.mark.parametrize(("inputs", "d_in"), [("number", 4), ("one_hot", 8)])
def test_bits_enter_as_numbers_or_as_vectors(inputs, d_in):
    model = mg.HookedDense(mg.DenseConfig(d_vocab=2, n_ctx=4, d_vocab_out=2, d_mlp=3, inputs=inputs))
    W_in, W_U = weights(d_in)
    model.load_state_dict(
        {
            "blocks.0.mlp.W_in": W_in,
            "blocks.0.mlp.b_in": torch.ones(3),
            "unembed.W_U": W_U,
            "unembed.b_U": torch.zeros(2),
        }
    )
    bits = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 1]])
    x = bits.float() if inputs == "number" else torch.stack([1 - bits, bits], -1).flatten(1).float()
    torch.testing.assert_close(model(bits)[:, 0], (x @ W_in + 1).relu() @ W_U)


@pytest.mark.parametrize("inputs", ["number", "one_hot"])
def test_files_bring_it_back(inputs, tmp_path):
    task = mg.parity_task(4)
    model = mg.build_model(task, mg.DenseConfig(d_mlp=3, inputs=inputs), seed=1)
    mg.save_model(model, tmp_path / "x.safetensors")
    again = mg.load_model(tmp_path / "x.safetensors", task=task)
    assert again.cfg == model.cfg
    assert torch.equal(again(task.inputs), model(task.inputs))


def test_features_are_no_tokens():
    model = mg.HookedDense(mg.DenseConfig(features=(2,), d_vocab_out=2, d_mlp=3, inputs="number"), seed=0)
    with pytest.raises(mg.ActivationError, match="the network reads features"):
        model(torch.tensor([[0, 1]]))
