"""Figures of heads: the drawn values are the computed ones."""

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.plots.heads import attention_over_positions, head_maps

CIRCUIT = mg.induction_network(12, 16, 3)


def test_each_score_has_a_map_of_layers_and_heads():
    scores = mg.head_scores(CIRCUIT)
    drawn = head_maps(scores)
    assert [note.text for note in drawn.layout.annotations] == [
        "Previous token", "Duplicate token", "Induction", "Copying",
    ]  # fmt: skip
    for trace, name in zip(drawn.data, scores.defined, strict=True):
        np.testing.assert_allclose(trace.z, scores[name], atol=1e-6)
        assert (trace.zmin, trace.zmax) == (-1 if name == "copying" else 0, 1)
        assert trace.texttemplate


def test_a_score_that_is_undefined_is_left_out():
    task = mg.digit_addition_task(1)
    drawn = head_maps(mg.head_scores(mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)))
    assert len(drawn.data) == 3


def test_many_heads_are_not_written_into_their_cells():
    cfg = mg.ModelConfig(d_vocab=9, d_vocab_out=9, n_ctx=8, d_model=65, n_heads=65, attn_only=True)
    assert head_maps(mg.head_scores(mg.HookedTransformer(cfg, seed=0))).data[0].texttemplate is None


def test_each_head_has_its_mean_pattern():
    mean = mg.mean_attention(CIRCUIT)
    drawn = attention_over_positions(mean)
    assert [note.text for note in drawn.layout.annotations] == [f"L{i}H{j}" for i in (0, 1) for j in range(3)]
    np.testing.assert_allclose(drawn.data[5].z, mean.patterns[1, 2], atol=1e-6)
    one = mean.figure(layer=-1)
    assert [note.text for note in one.layout.annotations] == ["L1H0", "L1H1", "L1H2"]
    with pytest.raises(mg.ActivationError, match="attention in 2 layers, there is no layer 2"):
        mean.figure(layer=2)
