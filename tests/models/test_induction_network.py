"""The hand-built induction circuit continues sequences that it has seen before."""

import pytest
import torch

import mechgrok as mg


@pytest.mark.parametrize(("d_vocab", "n_ctx", "n_heads"), [(5, 8, 2), (30, 60, 1), (2, 4, 5), (200, 6, 2)])
def test_it_repeats_what_followed_the_last_time(d_vocab, n_ctx, n_heads):
    model = mg.induction_network(d_vocab, n_ctx, n_heads, height=7.0)
    half = min(n_ctx // 2, d_vocab)
    tokens = torch.randperm(d_vocab, generator=torch.Generator().manual_seed(0))[:half].repeat(2)[None]
    logits = model(tokens)[0]
    for position in range(half, 2 * half - 1):
        if position - half + 1 < half:
            expected = 7.0 * torch.nn.functional.one_hot(tokens[0, position + 1], d_vocab)
            torch.testing.assert_close(logits[position], expected.double(), atol=1e-9, rtol=0)


def test_it_can_be_saved_and_opened(tmp_path):
    model = mg.induction_network(6, 9)
    mg.save_model(model, tmp_path / "circuit.safetensors")
    again = mg.load_model(tmp_path / "circuit.safetensors")
    tokens = torch.tensor([[1, 2, 3, 1]])
    assert torch.equal(again(tokens), model(tokens))


@pytest.mark.parametrize("sizes", [(1, 8, 2), (8, 1, 2), (8, 8, 0), (10**9, 8, 2), (8, 10**9, 2)])
def test_sizes_out_of_range_are_refused(sizes):
    with pytest.raises(mg.ConfigError, match="whole number from"):
        mg.induction_network(*sizes)
