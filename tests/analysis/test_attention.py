"""Mean attention patterns over positions."""

import pytest
import torch

import mechgrok as mg

TASK = mg.digit_addition_task(2)


def network(**changes):
    return mg.build_model(TASK, mg.ModelConfig(d_model=16, n_heads=2, n_layers=2, **changes), seed=0)


def test_the_mean_is_that_of_all_patterns(monkeypatch):
    model = network()
    _, cache = model.run_with_cache(TASK.tokens)
    expected = torch.stack([cache[f"blocks.{i}.attn.hook_pattern"].double().mean(0) for i in (0, 1)])
    found = mg.mean_attention(model)
    assert found.sequences == "500 inputs of 2-digit addition"
    torch.testing.assert_close(found.patterns, expected, atol=1e-6, rtol=0)
    monkeypatch.setattr("mechgrok.activations.attention.CHUNK_BYTES", 1)
    torch.testing.assert_close(mg.mean_attention(model).patterns, found.patterns, atol=1e-6, rtol=0)


def test_rows_of_a_softmax_sum_to_one():
    patterns = mg.mean_attention(network()).patterns
    torch.testing.assert_close(patterns.sum(3), torch.ones(2, 2, 9).double(), atol=1e-6, rtol=0)
    assert patterns.triu(1).abs().max() == 0


def test_the_rate_is_that_of_the_network():
    patterns = mg.mean_attention(network(attention_rate=0.0)).patterns
    assert patterns.eq(1).all()


def test_records_say_where_each_query_looks_most():
    found = mg.mean_attention(mg.induction_network(12, 16))
    rows = [row for row in found.records() if (row["layer"], row["head"]) == (0, 0)]
    assert [row["key"] for row in rows[1:]] == list(range(15))
    assert len(found.records()) == 2 * 2 * 16


def test_what_has_no_attention_is_refused():
    with pytest.raises(mg.ActivationError, match="no attention"):
        mg.mean_attention(mg.build_model(mg.modular_task("add", 7), mg.MLPConfig(d_mlp=8), seed=0))
