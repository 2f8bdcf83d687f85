"""Scores of heads: on hand-built circuits, on uniform attention, and against TransformerLens's own detector."""

from types import SimpleNamespace

import pytest
import torch
from transformer_lens.head_detector import detect_head

import mechgrok as mg
from mechgrok.activations.attention import patterns
from mechgrok.analysis.heads import NAMES, attended_positions
from mechgrok.analysis.probe_sequences import repeated_tokens

SIZES = [(20, 24, 2), (3, 6, 1), (40, 31, 4), (120, 9, 3)]
"""Tokens, positions and heads in each layer."""


def attention_only(n_heads=3, d_vocab=30, **changes):
    cfg = mg.ModelConfig(
        attn_only=True,
        n_layers=2,
        n_heads=n_heads,
        d_model=24,
        d_vocab=d_vocab,
        d_vocab_out=d_vocab,
        n_ctx=32,
    )
    return mg.HookedTransformer(cfg.replace(**changes), seed=0).double()


@pytest.mark.parametrize("size", SIZES)
def test_the_heads_of_the_induction_circuit_are_found_in_their_places(size):
    scores = mg.head_scores(mg.induction_network(*size))
    last = f"L1H{size[2] - 1}"
    assert [row.name for row in scores.found("previous_token")] == ["L0H0"]
    assert [row.name for row in scores.found("induction")] == [last]
    assert scores.found("duplicate_token") == ()
    assert [row.name for row in scores.found("copying")] == [last]
    assert scores.strongest("previous_token").previous_token == pytest.approx(1, abs=1e-9)
    assert scores.strongest("induction").induction == pytest.approx(1, abs=1e-9)
    assert scores.strongest("copying").copying == pytest.approx(1, abs=1e-9)
    others = [row for row in scores if row.name not in ("L0H0", last)]
    for row in others:  # heads without weights attend evenly, and write nothing
        for name in ("previous_token", "duplicate_token", "induction"):
            assert getattr(row, name) == pytest.approx(scores.chance[name], abs=1e-9)
        assert row.copying == 0


def test_a_head_that_looks_at_the_same_token_is_a_duplicate_token_head():
    model = mg.induction_network(20, 24)
    second = model.blocks[1].attn
    with torch.no_grad():
        # Its keys hold the present token in place of the previous one, and less where it is the query itself.
        second.W_K[-1, 20:40, :20], second.W_K[-1, :20, :20] = 0, torch.eye(20)
        second.W_K[-1, 60:, 20] = -torch.arange(24.0) / 24
    scores = mg.head_scores(model)
    assert [row.name for row in scores.found("duplicate_token")] == ["L1H1"]
    assert scores.found("induction") == ()


def test_a_random_network_attends_evenly():
    scores = mg.head_scores(attention_only())
    for name in ("previous_token", "duplicate_token", "induction"):
        assert scores[name].shape == (2, 3)
        torch.testing.assert_close(
            scores[name], torch.full((2, 3), scores.chance[name]).double(), rtol=0.1, atol=0
        )
        assert scores.found(name) == ()


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_chance_is_even_attention(direction):
    model = attention_only(attention_dir=direction)
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_Q.zero_()
    scores = mg.head_scores(model)
    for name, chance in scores.chance.items():
        torch.testing.assert_close(scores[name], torch.full((2, 3), chance).double())


def test_shares_of_attention_do_not_depend_on_how_much_there_is():
    """Without a softmax every position has attention 1 from every other, 32 in all."""
    scores = mg.head_scores(attention_only(attention_rate=0.0, attention_dir="bidirectional"))
    torch.testing.assert_close(scores["previous_token"], torch.full((2, 3), 1 / 32).double())


@pytest.mark.parametrize("sign", [1, -1])
def test_copying_is_the_eigenvalues_of_the_whole_matrix(sign):
    model = attention_only(d_vocab=12)
    with torch.no_grad():
        model.blocks[1].attn.W_O[2] = sign * (model.W_E @ model.W_V[1, 2]).T @ model.W_U.T
    scores = mg.head_scores(model)["copying"]
    assert scores[1, 2] == pytest.approx(sign)
    for layer, head in [(0, 0), (1, 1), (1, 2)]:
        whole = model.W_E @ model.W_V[layer, head] @ model.W_O[layer, head] @ model.W_U
        eigenvalues = torch.linalg.eigvals(whole.detach())
        expected = eigenvalues.sum().real / eigenvalues.abs().sum()
        assert scores[layer, head] == pytest.approx(expected.item(), abs=1e-6)


def test_transformer_lens_finds_the_same_positions():
    """Its detector divides by all attention; ours by the queries that have a position to attend to."""
    model, n = mg.induction_network(30, 40, 3), 40
    tokens = repeated_tokens(30, n, seed=0)
    scores = mg.head_scores(model)
    rows = {name: mask.any(2).sum(1) for name, mask in attended_positions(tokens).items()}
    found = {name: [] for name in rows}
    cfg = SimpleNamespace(n_ctx=n + 1, n_layers=2, n_heads=3, device="cpu", dtype=torch.float64)
    for i, sequence in enumerate(tokens[:5]):
        one = sequence[None]
        native = SimpleNamespace(cfg=cfg, to_tokens=lambda text, one=one: one)
        layers = torch.cat([pattern for _, pattern in patterns(model, one)], 1)[:, 0]
        cache = {("pattern", layer, "attn"): layers[layer] for layer in range(2)}
        for name in found:
            theirs = detect_head(native, "any text", f"{name}_head", cache=cache)
            found[name].append(theirs * n / rows[name][i])
    for name, theirs in found.items():
        # Every sequence has as many queries; of random tokens, those of a planted head are all alike.
        strongest = scores.strongest(name)
        mean = torch.stack(theirs).mean(0)
        assert mean[strongest.layer, strongest.head] == pytest.approx(getattr(strongest, name), abs=0.02)
        torch.testing.assert_close(mean, scores[name], atol=0.02, rtol=0)


def test_with_a_task_its_own_inputs_are_looked_at():
    task = mg.repeated_sequence_task(20, 24, subsequence=8, repeats=2)
    scores = mg.head_scores(mg.induction_network(20, 24), task)
    assert "500 inputs of subsequences" in scores.sequences
    assert [row.name for row in scores.found("induction")] == ["L1H1"]
    assert mg.head_scores(mg.induction_network(20, 24), task).records() == scores.records()
    many = mg.running_sum_task(8, 10)
    model = mg.build_model(many, mg.ModelConfig(d_model=16), seed=0)
    assert mg.head_scores(model, seed=1).records() != mg.head_scores(model, seed=2).records()
    assert mg.head_scores(model).sequences == "1,000 inputs of running sum of 8 mod 10"


def test_a_grid_is_looked_at_with_its_task():
    task = mg.digit_addition_task(2)
    grid = mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16), seed=0), task, [])
    scores = mg.head_scores(grid)
    assert "2-digit addition" in scores.sequences
    assert "12 tokens and has 10 logits" in scores.undefined["copying"]
    assert all(row.copying is None for row in scores)
    with pytest.raises(mg.UndefinedMetricError, match="12 tokens"):
        scores["copying"]


def test_without_anything_that_comes_again_two_scores_are_undefined():
    task = mg.task_from_function(lambda a, b: a, n=5, name="first")
    task = task.with_sequence("a", "b'")
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    scores = mg.head_scores(model, task)
    assert set(scores.undefined) == {"duplicate_token", "induction", "copying"}
    assert scores.strongest("previous_token").previous_token == pytest.approx(0.5, abs=0.1)
    assert scores.found("induction") == ()


def test_what_has_no_heads_is_refused():
    with pytest.raises(mg.ActivationError, match="no attention"):
        mg.head_scores(mg.build_model(mg.modular_task("add", 7), mg.MLPConfig(d_mlp=8), seed=0))
    with pytest.raises(mg.UndefinedMetricError, match="3 tokens or more come again"):
        mg.head_scores(mg.induction_network(5, 4))
    with pytest.raises(mg.ConfigError, match="previous_token, duplicate_token"):
        mg.head_scores(mg.induction_network(5, 8))["prefix"]
    with pytest.raises(mg.ConfigError, match="seed"):
        mg.head_scores(mg.induction_network(5, 8), seed=-1)


def test_the_network_is_left_as_it_was():
    model = attention_only().train()
    seen = []
    model.blocks[0].attn.hook_pattern.add_hook(lambda pattern, hook: seen.append(len(pattern)))
    mg.head_scores(model)
    assert model.training
    assert sum(seen) == 64
    assert all(weight.grad is None for weight in model.parameters())


def test_rows_are_a_table():
    scores = mg.head_scores(mg.induction_network(8, 10))
    assert list(scores.frame().columns) == ["layer", "head", *NAMES]
    assert len(scores) == len(list(scores)) == 4
    assert "L1H1 1.00" in repr(scores)
