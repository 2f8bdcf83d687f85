"""QK and OV circuits of attention heads, against the network itself and against planted circuits."""

import pytest
import torch

import mechgrok as mg

TASK = mg.modular_task("add", 7)


def network(**changes):
    return mg.build_model(TASK, mg.ModelConfig(d_model=16, n_heads=2, **changes), seed=0)


def test_scores_differ_between_tokens_as_the_network_s_do():
    """At one position all keys have the same position embedding, so differences of scores are those of the circuit."""
    model = network()
    circuits = mg.head_circuits(model)
    _, cache = model.run_with_cache(TASK.tokens)
    scores = cache["blocks.0.attn.hook_attn_scores"][:, :, -1, 0].double()  # from "=" to the first operand
    W_pos, W_Q = model.W_pos.detach().double(), model.W_Q.detach().double()
    W_K, W_E = model.W_K.detach().double(), model.W_E.detach().double()
    for head in (0, 1):
        by_token = torch.stack([scores[TASK.tokens[:, 0] == a, head].mean() for a in range(7)])
        from_position = (W_pos[-1] @ W_Q[0, head]) @ (W_E[:7] @ W_K[0, head]).T / 8**0.5
        expected = circuits.scores(0, head)[0] + from_position
        torch.testing.assert_close(by_token - by_token[0], expected - expected[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("into", ["neurons", "logits"])
def test_ov_is_what_a_head_writes(into):
    model = network()
    circuits = mg.head_circuits(model, into=into)
    end = model.W_in[0] if into == "neurons" else model.W_U
    for head in (0, 1):
        expected = model.W_E @ model.W_V[0, head] @ model.W_O[0, head] @ end
        torch.testing.assert_close(circuits.ov(0, head), expected.detach().double(), atol=1e-6, rtol=0)


def test_every_layer_has_circuits_of_its_own():
    model = network(n_layers=3)
    circuits = mg.head_circuits(model)
    expected = model.W_E @ model.W_V[2, 1] @ model.W_O[2, 1] @ model.W_in[2]
    torch.testing.assert_close(circuits.ov(-1, -1), expected.detach().double(), atol=1e-6, rtol=0)
    expected = model.W_E @ model.W_Q[1, 0] @ (model.W_E @ model.W_K[1, 0]).T / 8**0.5
    torch.testing.assert_close(circuits.qk(1, 0), expected.detach().double(), atol=1e-6, rtol=0)


def test_a_planted_induction_head_copies_what_it_attends_to():
    circuits = mg.head_circuits(mg.induction_network(12, 16))
    assert circuits.writes == "logits"
    assert circuits.query is None
    assert circuits.ov(1, 1).argmax(1).tolist() == list(range(12))


def test_even_attention_has_no_spread():
    model = network()
    with torch.no_grad():
        model.blocks[0].attn.W_Q.zero_()
    rows = mg.head_circuits(model).records()
    assert [row["qk_spread"] for row in rows] == [0, 0]
    assert all(row["ov_spread"] > 0 for row in rows)


def test_the_spread_is_a_root_mean_square():
    circuits = mg.head_circuits(network(), into="logits")
    row = circuits.records()[1]
    scores, written = circuits.scores(0, 1)[0], circuits.ov(0, 1)[:7]
    assert row["qk_spread"] == pytest.approx(scores.std(correction=0).item())
    assert row["ov_spread"] == pytest.approx(written.var(0, correction=0).mean().sqrt().item())


def test_tokens_stand_in_the_order_of_the_group():
    times = mg.modular_task("mul", 11)
    circuits = mg.head_circuits(mg.build_model(times, mg.ModelConfig(d_model=16), seed=0))
    assert circuits.tokens.tolist() == times.frame.tokens.tolist() != list(range(10))
    assert circuits.cyclic
    assert circuits.query == 11
    assert not mg.head_circuits(mg.build_model(mg.sn_task("S3"), mg.ModelConfig(d_model=16), seed=0)).cyclic


def test_what_has_no_circuits_is_refused():
    with pytest.raises(mg.ActivationError, match="no W_Q"):
        mg.head_circuits(mg.build_model(TASK, mg.MLPConfig(d_mlp=8), seed=0))
    alone = mg.build_model(TASK, mg.ModelConfig(d_model=16, attn_only=True), seed=0)
    assert mg.head_circuits(alone).writes == "logits"
    with pytest.raises(mg.ActivationError, match="no W_in"):
        mg.head_circuits(alone, into="neurons")
    with pytest.raises(mg.ConfigError, match="'neurons' or 'logits'"):
        mg.head_circuits(alone, into="embedding")
    with pytest.raises(mg.ActivationError, match="there is no head 9"):
        mg.head_circuits(alone).qk(0, 9)
