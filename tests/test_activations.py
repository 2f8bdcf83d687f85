"""ActivationGrid: cached values equal the network's; unsuitable networks are refused with an explanation."""

import inspect

import pytest
import torch
from planted import NEURONS, cosine_logits, phase_grid, wave_network, wave_neurons

import mechgrok as mg
from mechgrok.activations import (
    as_grid,
    cache_grid,
    fit_task,
    forward as activations,
    grid_from_tensors,
    infer_task,
    run_from_site,
)
from mechgrok.errors import ActivationError, CheckpointError, ConfigError, TaskError, UndefinedMetricError
from mechgrok.models.transformer import HookedTransformer

P = 7
TASK = mg.modular_task("add", P)
SMALL = {"d_model": 8, "n_heads": 2, "d_mlp": 12}
ARCHITECTURES = {
    "default": {},
    "two layers, LayerNorm": {"n_layers": 2, "normalization": "LN"},
    "bidirectional, rate 0.3": {"attention_dir": "bidirectional", "attention_rate": 0.3},
}


def network(task: mg.Task = TASK, **options) -> HookedTransformer:
    return mg.build_model(task, mg.ModelConfig(**{**SMALL, **options}), seed=0)


every_architecture = pytest.mark.parametrize("options", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())


@every_architecture
def test_kept_activations_are_those_of_run_with_cache_at_the_readout(options):
    model = network(**options)
    names = list(model.hook_dict)
    grid = cache_grid(model, TASK, names)
    logits, cache = model.run_with_cache(TASK.tokens)
    torch.testing.assert_close(grid.logits, logits[:, -1].detach())
    for name in names:
        full = cache[name].detach()
        attention = name.endswith(("hook_pattern", "hook_attn_scores"))
        expected = full[:, :, -1] if attention else full[:, -1]
        assert grid[name].shape[0] == TASK.n_inputs
        torch.testing.assert_close(grid[name], expected.expand_as(grid[name]))


@every_architecture
def test_full_and_shortened_passes_keep_the_same(options):
    model = network(**options)
    names = list(model.hook_dict)
    short = cache_grid(model, TASK, names)
    model.can_read_out_only = False
    full = cache_grid(model, TASK, names)
    torch.testing.assert_close(full.logits, short.logits)
    for name in names:
        torch.testing.assert_close(full[name], short[name])


@pytest.mark.parametrize("rows", [1, 10, 48, 49, 1000])
def test_chunks_change_nothing(monkeypatch, rows):
    model = network()
    names = ["hook_embed", "blocks.0.attn.hook_pattern", NEURONS]
    whole = cache_grid(model, TASK, names)
    batches = []
    model.hook_embed.add_perma_hook(lambda x, hook: batches.append(len(x)))
    width = 4 * SMALL["d_model"]
    monkeypatch.setattr(activations, "CHUNK_BYTES", 4 * width * TASK.n_ctx * rows)
    grid = cache_grid(model, TASK, names)
    assert max(batches) == min(rows, TASK.n_inputs)
    assert sum(batches) == TASK.n_inputs
    torch.testing.assert_close(grid.logits, whole.logits)
    for name in names:
        torch.testing.assert_close(grid[name], whole[name])
    replaced = run_from_site(grid, NEURONS, 2 * grid[NEURONS])
    monkeypatch.setattr(activations, "CHUNK_BYTES", 2**30)
    torch.testing.assert_close(replaced, run_from_site(grid, NEURONS, 2 * grid[NEURONS]))


def test_chunk_is_never_empty(monkeypatch):
    monkeypatch.setattr(activations, "CHUNK_BYTES", 1)
    assert cache_grid(network(), TASK).logits.shape == (49, P)


@every_architecture
@pytest.mark.parametrize("shortened", [True, False])
def test_replacing_any_activation_by_itself_changes_nothing(options, shortened):
    model = network(**options)
    model.can_read_out_only = shortened
    grid = cache_grid(model, TASK, list(model.hook_dict))
    for name in model.hook_dict:
        torch.testing.assert_close(run_from_site(grid, name, grid[name]), grid.logits)


def test_replaced_pattern_is_read_at_the_right_place():
    model = network()
    grid = cache_grid(model, TASK, ["blocks.0.attn.hook_pattern"])
    uniform = torch.full_like(grid["blocks.0.attn.hook_pattern"], 1 / 3)

    def even(pattern, hook):
        return torch.full_like(pattern, 1 / 3)

    expected = model.run_with_hooks(TASK.tokens, fwd_hooks=[("blocks.0.attn.hook_pattern", even)])[:, -1]
    torch.testing.assert_close(run_from_site(grid, "blocks.0.attn.hook_pattern", uniform), expected.detach())


def test_default_keeps_the_neurons_of_the_last_layer():
    grid = cache_grid(network(n_layers=2), TASK)
    assert list(grid.activations) == ["blocks.1.mlp.hook_post"]
    assert grid.neurons is grid["blocks.1.mlp.hook_post"]
    assert list(cache_grid(network(), TASK, []).activations) == []


def test_network_without_neurons():
    grid = cache_grid(network(attn_only=True), TASK)
    assert not grid.activations
    with pytest.raises(ActivationError, match=r"no neurons: there is no hook 'blocks\.0\.mlp\.hook_post'"):
        _ = grid.neurons


def test_logits_beyond_the_answers_are_dropped():
    model = network(output="vocabulary")
    assert model.cfg.d_vocab_out == P + 1
    assert cache_grid(model, TASK).logits.shape == (49, P)


def test_names_given_twice_are_kept_once():
    assert cache_grid(network(), TASK, [NEURONS, NEURONS])[NEURONS].shape[0] == TASK.n_inputs


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("blocks.0.mlp.hook_pots", NEURONS),
        ("blocks.0.hook_post", NEURONS),
        ("blocks.1.mlp.hook_post", NEURONS),
        ("hook_embedd", "hook_embed"),
        ("zzzz", "hook_embed"),
    ],
)
def test_misspelt_hook_is_refused_with_the_closest_names(name, near):
    for use in (
        lambda: cache_grid(network(), TASK, [NEURONS, name]),
        lambda: cache_grid(network(), TASK)[name],
    ):
        with pytest.raises(
            ActivationError, match=f"the network has no hook '{name}'; (did you mean|it has) .*{near}"
        ):
            use()


def test_one_name_instead_of_a_list():
    with pytest.raises(ConfigError, match=rf"cache_grid takes names, several in a list.*got '{NEURONS}'"):
        cache_grid(network(), TASK, NEURONS)


def test_hook_that_was_not_asked_for():
    with pytest.raises(ActivationError, match=r"'hook_embed' was not cached.*names=\['hook_embed'\]"):
        _ = cache_grid(network(), TASK)["hook_embed"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("broken", ["blocks.0.mlp.W_out", "embed.W_E", "blocks.0.mlp.b_out"])
def test_weights_that_are_not_finite_are_named(broken, value):
    model = network()
    with torch.no_grad():
        dict(model.named_parameters())[broken].fill_(value)
    with pytest.raises(ActivationError, match="NaN or infinite for 49 of 49 inputs of add7") as caught:
        cache_grid(model, TASK)
    assert f"not finite are the weights {broken}. The network" in str(caught.value)


def test_overflow_with_finite_weights_names_no_weight():
    model = network()
    with torch.no_grad():
        model.unembed.W_U.mul_(1e38)
        model.blocks[0].mlp.W_out.mul_(1e20)
    with pytest.raises(ActivationError, match="NaN or infinite") as caught:
        cache_grid(model, TASK)
    assert "weights" not in str(caught.value)


@pytest.mark.parametrize(
    ("model_task", "task", "texts"),
    [
        (TASK, mg.modular_task("add", 11),
         ["add11", "needs 12 tokens, the network knows 8", "has 11 answers, the network 7 logits"]),
        (mg.modular_task("add", P, sequence=("a", "b")), mg.modular_task("add", P, sequence=("a", "b", "=")),
         ["needs 8 tokens, the network knows 7", "sequences of 3 tokens, the network reads 2"]),
        (TASK, mg.modular_task("add", P, sequence=("a", "+", "b", "=")), ["needs 9 tokens", "of 4 tokens"]),
    ],
)  # fmt: skip
def test_task_that_does_not_fit(model_task, task, texts):
    model = network(model_task)
    for use in (lambda: cache_grid(model, task), lambda: fit_task(model, task)):
        with pytest.raises(TaskError, match="does not fit the network") as caught:
            use()
        assert all(text in str(caught.value) for text in texts), str(caught.value)
        assert "task=" in str(caught.value)


def test_open_sequence_follows_the_network():
    two = network(mg.modular_task("add", P, sequence=("a", "b")))
    assert cache_grid(two, TASK).task.slots == ("a", "b")
    assert cache_grid(network(), TASK).task.slots == ("a", "b", "=")


WAVES = {"add": phase_grid([1, 5, 9]), "sub": phase_grid([1, 5, 9])}
WAVES |= {"mul": phase_grid([1, 5, 13]), "div": phase_grid([1, 5, 13])}


@pytest.mark.parametrize("operation", WAVES)
def test_operation_is_inferred_from_the_answers(operation):
    task = mg.modular_task(operation, 29)
    model = wave_network(task, WAVES[operation])
    inferred = infer_task(model)
    assert inferred.spec == {"kind": "modular", "operation": operation, "p": 29, "sequence": ["a", "b"]}
    grid = cache_grid(model)
    assert grid.task.name == f"{operation}29"
    inside = grid.task.frame.covers(grid.task.n_inputs)
    assert mg.accuracy(grid, inside) == 1


def test_operation_is_inferred_with_an_equals_sign_too():
    task = mg.modular_task("add", 5)
    model = network(task, output="vocabulary", d_model=32, d_mlp=0)
    # Solve for the answers: with five symbols a linear read-out of enough random features is exact.
    features = cache_grid(model, task, ["blocks.0.hook_resid_post"])["blocks.0.hook_resid_post"]
    targets = torch.nn.functional.one_hot(task.labels, 6).float()
    with torch.no_grad():
        model.unembed.W_U.copy_(torch.linalg.lstsq(features, targets).solution)
    model.task = None
    assert infer_task(model).slots == ("a", "b", "=")
    assert cache_grid(model).task.name == "add5"


def test_nothing_is_inferred_from_an_untrained_network():
    model = network()
    model.task = None
    with pytest.raises(
        TaskError, match=r"cannot infer .*closest is \w+ mod 7 with [\d.]+% right answers.*task="
    ):
        cache_grid(model)


def test_nothing_is_inferred_where_the_sizes_make_no_sense():
    cfg = mg.ModelConfig(d_vocab=12, d_vocab_out=3, n_ctx=9, **SMALL)
    with pytest.raises(TaskError, match=r"cannot infer what the network computes\. Say so with task="):
        infer_task(mg.HookedTransformer(cfg, seed=0))


def test_the_task_of_training_comes_before_inference():
    task = mg.modular_task("x^2+y", P)
    assert cache_grid(network(task)).task is task


def test_grid_leaves_the_network_as_it_was():
    model = network()
    model.train()
    model.blocks[0].mlp.eval()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    with torch.enable_grad():
        grid = cache_grid(model, TASK)
        run_from_site(grid, NEURONS, grid.neurons)
        assert torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == modes
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not any(hook.fwd_hooks for hook in model.hook_dict.values())
    assert not grid.logits.requires_grad
    assert not grid.neurons.requires_grad


def test_failure_restores_the_network_too():
    model = network()
    model.train()

    def fail(x, hook):
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        activations._answers(model, TASK, slice(None), [(NEURONS, fail)])
    assert model.training
    assert not any(hook.fwd_hooks for hook in model.hook_dict.values())


def test_dropout_is_off_while_the_grid_is_made():
    model = network()
    dropout = torch.nn.Dropout(0.5)
    model.blocks[0].mlp.add_module("dropout", dropout)
    act = model.blocks[0].mlp.act
    model.blocks[0].mlp.act = lambda x: dropout(act(x))
    model.train()
    assert torch.equal(cache_grid(model, TASK).logits, cache_grid(model, TASK).logits)
    assert dropout.training


def test_inference_mode_and_no_grad_callers_are_served():
    model = network()
    expected = cache_grid(model, TASK).logits
    with torch.no_grad():
        torch.testing.assert_close(cache_grid(model, TASK).logits, expected)
    with torch.inference_mode():
        torch.testing.assert_close(cache_grid(model, TASK).logits, expected)


def planted_grid() -> mg.ActivationGrid:
    return grid_from_tensors(TASK, cosine_logits(TASK, {2: 1.0}))


def test_selection_without_a_mask_is_everything():
    assert planted_grid().selection(None).all()
    mask = TASK.labels == 3
    assert planted_grid().selection(mask) is mask


def test_empty_mask_is_refused():
    with pytest.raises(UndefinedMetricError, match="selects no input, so there is nothing to average over"):
        planted_grid().selection(torch.zeros(49, dtype=torch.bool))


@pytest.mark.parametrize("mask", [torch.ones(48, dtype=torch.bool), torch.ones(49), torch.arange(49)])
def test_mask_of_another_shape_or_type(mask):
    grid = planted_grid()
    selection = inspect.unwrap(type(grid).selection)
    with pytest.raises(
        UndefinedMetricError,
        match=r"one boolean for each of the 49 inputs of add7, as split.train does; got a Tensor of torch",
    ):
        selection(grid, mask)


def test_tensors_make_a_grid():
    extra = torch.cat([cosine_logits(TASK, {2: 1.0}), torch.full((49, 3), 99.0)], dim=1)
    neurons = wave_neurons(TASK, [(1, 0.0, 0.0), (2, 1.0, 2.0)])
    grid = grid_from_tensors(TASK, extra, {NEURONS: neurons})
    assert grid.logits.shape == (49, P)
    assert torch.equal(grid.neurons, neurons)
    assert torch.equal(grid.labels, TASK.labels)
    assert "add7" in repr(grid)
    assert NEURONS in repr(grid)


def test_tensors_have_no_network_behind_them():
    grid = planted_grid()
    for use in (lambda: grid.model, lambda: grid.neurons):
        with pytest.raises(ActivationError, match=r"made of tensors alone; use cache_grid\(model, task\)"):
            use()
    with pytest.raises(ActivationError, match="made of tensors, has no hook 'hook_embed'; it has none"):
        _ = grid["hook_embed"]
    with pytest.raises(ActivationError, match=r"weights=\{'W_E': ...\}"):
        _ = grid.token_embedding


@pytest.mark.parametrize(
    ("logits", "extra", "text"),
    [
        (torch.zeros(48, P), {}, "logits has 48 rows, add7 has 49 inputs"),
        (torch.zeros(49, P - 1), {}, r"the shape \(49, 7\).*shape \(49, 6\)"),
        (torch.full((49, P), float("nan")), {}, "logits of add7 has values that are NaN or infinite"),
        (
            torch.zeros(49, P),
            {NEURONS: torch.full((49, 2), float("inf"))},
            "hook_post of add7 .*NaN or infinite",
        ),
    ],
)
def test_tensors_that_do_not_fit(logits, extra, text):
    with pytest.raises(ActivationError, match=text):
        grid_from_tensors(TASK, logits, extra)


def test_activations_with_other_rows_than_inputs():
    untyped = inspect.unwrap(grid_from_tensors)
    with pytest.raises(ActivationError, match="hook_post has 50 rows, add7 has 49 inputs"):
        untyped(TASK, torch.zeros(49, P), {NEURONS: torch.zeros(50, 2)})


def test_as_grid_takes_either_and_nothing_else():
    grid, model = planted_grid(), network()
    assert as_grid(grid) is grid
    assert as_grid(model).source is model
    for wrong, way_out in (
        (torch.nn.Linear(2, 2), "the network Linear.*mg.wrap"),
        (TASK, "That is a task"),
        (torch.zeros(49, 7), "grid_from_tensors"),
        (None, "load_model"),
    ):
        with pytest.raises(ActivationError, match=rf"or the name or file of one; got .*{way_out}"):
            as_grid(wrong)
    with pytest.raises(CheckpointError, match=r"no file model\.pt"):
        as_grid("model.pt")
