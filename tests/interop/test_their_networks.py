"""Networks brought by users of TransformerLens: hand-built, hooked, in any mode, or saved to a file."""

import pytest
import torch
from natives import IS_4, KINDS, as_native, foreign_network, planted_network, random_network
from safetensors.torch import save_file

import mechgrok as mg
from mechgrok.models.files import read_model
from mechgrok.models.protocol import HookedModel

TASK = mg.modular_task("add", 7).with_sequence("a", "b", "=")  # given, since some networks know more tokens
BUILDS = {
    "vocabulary as output": {"d_vocab": 8},
    "as the grokking papers": {"d_vocab": 8, "d_vocab_out": 7, "normalization_type": None},
    "longer context": {"d_vocab": 10, "n_ctx": 9, "normalization_type": None},
    "two layers, LayerNorm, gelu": {
        "d_vocab": 8,
        "n_layers": 2,
        "act_fn": "gelu",
        "normalization_type": "LN",
    },
    "folded LayerNorm": {"d_vocab": 8, "normalization_type": "LNPre"},
}
HOOKS = ["hook_embed", "blocks.0.hook_resid_post", "blocks.0.attn.hook_pattern", "blocks.0.mlp.hook_post"]


@pytest.fixture(params=BUILDS.values(), ids=BUILDS.keys())
def foreign(request):
    return foreign_network(**{"act_fn": "relu", **request.param})


@pytest.fixture(params=KINDS)
def native(request):
    return as_native(planted_network(), request.param)


def test_a_grid_holds_what_the_network_itself_computes(foreign):
    grid = mg.cache_grid(foreign, TASK, HOOKS)
    with torch.no_grad():
        logits, cache = foreign.run_with_cache(TASK.tokens)
    torch.testing.assert_close(grid.logits, logits[:, -1, :7])
    torch.testing.assert_close(
        grid["blocks.0.attn.hook_pattern"], cache["blocks.0.attn.hook_pattern"][:, :, -1]
    )
    for name in ("hook_embed", "blocks.0.hook_resid_post", "blocks.0.mlp.hook_post"):
        torch.testing.assert_close(grid[name], cache[name][:, -1])


def test_chunks_make_no_difference(foreign, monkeypatch):
    whole = mg.cache_grid(foreign, TASK, HOOKS)
    monkeypatch.setattr("mechgrok.activations.forward.CHUNK_BYTES", 1)
    parts = mg.cache_grid(foreign, TASK, HOOKS)
    torch.testing.assert_close(parts.logits, whole.logits)
    for name in HOOKS:
        torch.testing.assert_close(parts[name], whole[name])


def test_it_counts_as_a_network(native):
    assert isinstance(native, HookedModel)
    assert not isinstance(torch.nn.Linear(2, 2), HookedModel)


def test_a_misspelt_hook_is_named_with_its_neighbours(native):
    expected = r"no hook 'blocks.0.mlp.hook_pst'; did you mean .*blocks.0.mlp.hook_post"
    for model in (native, planted_network()):
        with pytest.raises(mg.ActivationError, match=expected):
            mg.cache_grid(model, names=["blocks.0.mlp.hook_pst"])


SWITCHES = {
    "hook_mlp_in": "use_hook_mlp_in",
    "attn.hook_result": "use_attn_result",
    "hook_q_input": "use_split_qkv_input",
    "hook_attn_in": "use_attn_in",
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_hook_that_is_switched_off_says_so(native, name):
    with pytest.raises(mg.ActivationError, match=rf"switched off; model\.set_{SWITCHES[name]}\(True\)"):
        mg.cache_grid(native, names=[f"blocks.0.{name}"])


@pytest.mark.parametrize("name", list(SWITCHES)[:1] if IS_4 else SWITCHES)
def test_a_hook_that_is_switched_on_can_be_cached(native, name):
    getattr(native, f"set_{SWITCHES[name]}")(True)
    assert mg.cache_grid(native, names=[f"blocks.0.{name}"])[f"blocks.0.{name}"].isfinite().all()


def test_attention_scores_are_scores_or_refused():
    model, name = random_network(), "blocks.0.attn.hook_attn_scores"
    native = as_native(model)
    if IS_4:
        with pytest.raises(mg.ActivationError, match="passes the attention pattern to"):
            mg.cache_grid(native, TASK, [name])
    else:
        torch.testing.assert_close(
            mg.cache_grid(native, TASK, [name])[name], mg.cache_grid(model, TASK, [name])[name]
        )


@pytest.mark.skipif(not IS_4, reason="a hook of TransformerBridge")
def test_a_hook_that_never_runs_is_an_error(native):
    with pytest.raises(mg.ActivationError, match=r"never runs its hooks blocks\.0\.attn\.hook_hidden_states"):
        mg.cache_grid(native, names=["blocks.0.attn.hook_hidden_states"])


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_every_part_is_restored(native, training):
    native.train(training)
    native.blocks[0].mlp.train(not training)
    inner = getattr(native, "original_model", native)
    modes = [part.training for part in [*native.modules(), *inner.modules()]]
    mg.cache_grid(native)
    assert [part.training for part in [*native.modules(), *inner.modules()]] == modes
    assert True in modes
    assert False in modes


def _hooks(model):
    return [handle for point in model.hook_dict.values() for handle in point.fwd_hooks]


def test_no_hook_is_left_behind(native):
    mg.cache_grid(native, names=HOOKS)
    mg.restricted_loss(native, [2], site="blocks.0.mlp.hook_post")
    mg.ablate(native, [2])
    assert _hooks(native) == []


def test_no_hook_is_left_behind_by_a_run_that_fails(native, monkeypatch):
    monkeypatch.setattr("mechgrok.activations.forward._at_readout", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mg.cache_grid(native, names=HOOKS)
    assert _hooks(native) == []


def test_hooks_of_the_user_stay_and_count(native):
    native.add_hook("blocks.0.mlp.hook_post", lambda activation, hook: 0 * activation)
    grid = mg.cache_grid(native, mg.modular_task("add", 11, sequence=("a", "b")))
    assert grid.neurons.abs().max() == 0
    assert _hooks(native)


def test_the_gradient_mode_stays(native):
    mg.cache_grid(native)
    assert torch.is_grad_enabled()
    assert native.W_E.requires_grad


@pytest.mark.skipif(not IS_4, reason="only a TransformerBridge processes weights after loading")
@pytest.mark.parametrize("normalization", [None, "LN"])
def test_processed_weights_give_the_same_function(normalization):
    """Folding and centring shift all logits of an input alike, and are done in float32."""
    model = random_network(normalization=normalization)
    native = as_native(model)
    native.enable_compatibility_mode()
    expected, grid = mg.cache_grid(model, TASK), mg.cache_grid(native, TASK)
    assert (grid.logits - expected.logits).abs().max() > 1e-3
    centred = [g.logits - g.logits.mean(1, keepdim=True) for g in (grid, expected)]
    torch.testing.assert_close(*centred, rtol=1e-5, atol=1e-5)
    assert mg.full_loss(grid) == pytest.approx(mg.full_loss(expected), abs=1e-6)


ARCHITECTURES = [
    {"attn_bias": True, "unembed_bias": True},
    {"attn_bias": True, "unembed_bias": True, "n_layers": 2, "normalization": "LN"},
    {"attn_bias": True, "unembed_bias": True, "n_layers": 2, "attn_only": True, "mlp_bias": False},
]


def _state_dict_of_version_3(model):
    """The state dict that TransformerLens 3.9 saves for this network: its own, where it is installed."""
    if not IS_4:
        return as_native(model).state_dict()
    buffers = {}
    for layer in range(model.cfg.n_layers):
        buffers[f"blocks.{layer}.attn.mask"] = torch.empty(0, 0, dtype=torch.bool)
        buffers[f"blocks.{layer}.attn.IGNORE"] = torch.tensor(-torch.inf)
    return model.state_dict() | buffers


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_saved_state_dict_gives_identical_logits(tmp_path, architecture, suffix, dtype):
    model = random_network(**architecture).to(dtype)
    path = tmp_path / f"network{suffix}"
    state = _state_dict_of_version_3(model)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    loaded = read_model(path, config=_said(model.cfg))
    assert "TransformerLens" in loaded.layout
    assert loaded.cfg == model.cfg
    assert torch.equal(loaded(TASK.tokens), model(TASK.tokens))


def _said(cfg: mg.ModelConfig) -> mg.ModelConfig:
    """What no tensor tells."""
    names = (
        "act_fn",
        "attention_dir",
        "attention_rate",
        "normalization",
        *(("positions",) if cfg.positions == "none" else ()),
    )
    return mg.ModelConfig(**{name: getattr(cfg, name) for name in names})


def test_the_activation_function_is_not_in_the_file(tmp_path):
    """Shapes cannot tell it: it is asked for, and never guessed."""
    model = random_network(act_fn="gelu", attn_bias=True, unembed_bias=True)
    path = tmp_path / "gelu.pt"
    torch.save(_state_dict_of_version_3(model), path)
    with pytest.raises(mg.CheckpointError, match=r"activation function.*say config=ModelConfig\(act_fn="):
        read_model(path)
    assert torch.equal(read_model(path, config=_said(model.cfg))(TASK.tokens), model(TASK.tokens))
