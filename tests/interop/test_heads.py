"""Heads of TransformerLens's own networks have the same scores as heads of ours with the same weights."""

import pytest
import torch
from natives import KINDS, as_native, random_network

import mechgrok as mg

SIZES = {"d_vocab": 9, "d_vocab_out": 9, "n_ctx": 12, "n_layers": 2, "n_heads": 4}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", [{"attn_only": True}, {"normalization": "LN"}], ids=str)
def test_scores_and_patterns_are_those_of_our_network(kind, architecture):
    model = random_network(**SIZES, **architecture)
    native = as_native(model, kind)
    ours, theirs = mg.head_scores(model), mg.head_scores(native)
    assert theirs.defined == ours.defined == ("previous_token", "duplicate_token", "induction", "copying")
    for name in ours.defined:
        torch.testing.assert_close(theirs[name], ours[name], atol=1e-6, rtol=0)
    patterns = mg.mean_attention(native).patterns
    torch.testing.assert_close(patterns, mg.mean_attention(model).patterns, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_induction_circuit_is_found_there_too(kind):
    scores = mg.head_scores(as_native(mg.induction_network(9, 12, 3), kind))
    assert [row.name for row in scores.found("previous_token")] == ["L0H0"]
    assert [row.name for row in scores.found("induction")] == ["L1H2"]
