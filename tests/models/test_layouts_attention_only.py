"""The attention-only networks of Nanda et al. 2023's notebook: blocks that add the residual stream twice."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import mechgrok as mg
from mechgrok.errors import CheckpointError
from mechgrok.models.layouts import model_from_tensors

D_MODEL, HEADS, D_HEAD, D_VOCAB, N_CTX = 12, 3, 5, 9, 7


def tensors(n_layers: int, d_vocab_out: int = D_VOCAB) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "embed.W_E": (D_MODEL, D_VOCAB),
        "pos_embed.W_pos": (N_CTX, D_MODEL),
        "unembed.W_U": (D_MODEL, d_vocab_out),
    }
    for i in range(n_layers):
        shapes |= {f"attn_blocks.{i}.attn.W_{m}": (HEADS, D_HEAD, D_MODEL) for m in "KQV"}
        shapes[f"attn_blocks.{i}.attn.W_O"] = (D_MODEL, HEADS * D_HEAD)
    drawn = {
        name: torch.randn(*shape, generator=torch.Generator().manual_seed(i)) / math.sqrt(shape[-1])
        for i, (name, shape) in enumerate(shapes.items())
    }
    return drawn | {f"attn_blocks.{i}.attn.mask": torch.ones(N_CTX, N_CTX).tril() for i in range(n_layers)}


def forward(w: dict[str, Tensor], tokens: Tensor, n_layers: int) -> Tensor:
    """Their formulas in their layout, at all positions."""
    x = w["embed.W_E"].T[tokens] + w["pos_embed.W_pos"][: tokens.shape[1]]
    future = torch.ones(tokens.shape[1], tokens.shape[1]).triu(1).bool()
    for i in range(n_layers):
        k, q, v = (torch.einsum("ihd,bpd->biph", w[f"attn_blocks.{i}.attn.W_{m}"], x) for m in "KQV")
        scores = torch.einsum("biph,biqh->biqp", k, q) / math.sqrt(k.shape[-1])
        z = torch.einsum("biph,biqp->biqh", v, scores.masked_fill(future, -1e10).softmax(-1))
        x = x + (x + z.permute(0, 2, 1, 3).flatten(2) @ w[f"attn_blocks.{i}.attn.W_O"].T)
    return x @ w["unembed.W_U"]


@pytest.mark.parametrize("n_layers", [1, 2, 4])
@pytest.mark.parametrize("d_vocab_out", [D_VOCAB, 4])
def test_doubling_blocks_are_represented_exactly(n_layers: int, d_vocab_out: int):
    stored = tensors(n_layers, d_vocab_out)
    model = model_from_tensors(stored)
    assert "double the residual stream" in model.layout
    assert (model.cfg.n_layers, model.cfg.attn_only, model.cfg.attention_dir) == (n_layers, True, "causal")
    tokens = torch.randint(D_VOCAB, (20, N_CTX), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(tokens), forward(stored, tokens, n_layers), rtol=1e-5, atol=1e-5)


def test_missing_and_unknown_tensors_are_named():
    stored = tensors(2)
    without = {name: t for name, t in stored.items() if name != "attn_blocks.1.attn.W_V"}
    with pytest.raises(CheckpointError, match=r"blocks\.1\.attn\.W_V is missing"):
        model_from_tensors(without)
    with pytest.raises(CheckpointError, match=r"blocks\.0\.mlp\.W_gate \(2, 2\) is not part of the network"):
        model_from_tensors({**stored, "attn_blocks.0.mlp.W_gate": torch.zeros(2, 2)})


def repeated_subsequences(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sequences of 85 tokens with 16 of them three times, and where the next token can be known."""
    g = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 128, (n, 85), generator=g)
    tokens[:, 0] = 0
    known = torch.zeros(n, 85, dtype=torch.bool)
    starts = [1 + 28 * i + torch.randint(0, 13, (n,), generator=g) for i in range(3)]
    for row in range(n):
        first = int(starts[0][row])
        for start in (int(s[row]) for s in starts[1:]):
            tokens[row, start : start + 16] = tokens[row, first : first + 16]
            known[row, start : start + 15] = True
    return tokens, known


def test_the_published_induction_heads_repeat_what_was_there(peer_data: Path):
    """As well as their loss curve ends, which has a factor of 85/84 too much; guessing costs ln 127 = 4.84."""
    model = mg.load_model(peer_data / "nanda/induction_head_infinite.safetensors")
    tokens, known = repeated_subsequences(512, seed=0)
    with torch.no_grad():
        losses = functional.cross_entropy(
            model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
        )
    recorded = np.load(peer_data / "nanda/loss_curves.npz")["induction_head_infinite__train"][-200:].mean()
    ours = losses[known[:, :-1].flatten()].mean().item()
    assert ours == pytest.approx(recorded * 84 / 85, abs=0.03)
