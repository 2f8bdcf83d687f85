"""Our networks as TransformerLens's own: the same function, the same hooks, the same weights."""

import copy

import pytest
import torch
from natives import IS_4, KINDS, as_native, planted_network, random_network

import mechgrok as mg
from mechgrok.models.readout import run_at_readout
from mechgrok.models.transformer_lens import to_transformer_lens

pytestmark = pytest.mark.bits

ARCHITECTURES = {
    "nanda": {},
    "no positions, no biases": {"positions": "none", "mlp_bias": False},
    "all biases": {"attn_bias": True, "unembed_bias": True},
    "two layers with LayerNorm": {"n_layers": 2, "normalization": "LN", "attn_bias": True},
    "attention only": {"n_layers": 2, "attn_only": True},
    "bidirectional, odd sizes, gelu": {
        "attention_dir": "bidirectional", "n_heads": 3, "d_head": 5, "d_mlp": 24, "act_fn": "gelu"
    },
    "every token is an answer": {"output": "vocabulary", "d_vocab_out": 8},
    "attention rate": {"attention_rate": 0.25, "n_layers": 2},
    "pizza": {"attention_rate": 0.0, "attention_dir": "bidirectional"},
}  # fmt: skip
TOKENS = torch.cartesian_prod(torch.arange(7), torch.arange(7), torch.tensor([7]))


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def model(request):
    return random_network(**request.param)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_same_logits_at_all_positions(model, kind, dtype):
    model = model.to(dtype)
    native = as_native(model, kind)
    logits = native(TOKENS)
    assert logits.dtype == dtype
    assert logits.std() > 0.1
    # Logits of size 1 to 10 are sums of some hundred terms, which the two add up in orders of their own.
    tolerance = 200 * torch.finfo(dtype).eps
    torch.testing.assert_close(logits, model(TOKENS), rtol=tolerance, atol=tolerance)


def test_same_activations_at_every_hook_of_ours(model, kind):
    native = as_native(model, kind)
    ours = [name for name in model.hook_dict if not (IS_4 and name.endswith("hook_attn_scores"))]
    task = mg.modular_task("add", 7)
    expected, grid = mg.cache_grid(model, task, ours), mg.cache_grid(native, task, ours)
    for name in ours:
        torch.testing.assert_close(grid[name], expected[name], rtol=1e-12, atol=1e-12)


def test_same_weights_under_the_same_properties(model, kind):
    native = as_native(model, kind)
    for name in (
        "W_E",
        "W_U",
        "W_Q",
        "W_K",
        "W_V",
        "W_O",
        *(() if model.cfg.attn_only else ("W_in", "W_out")),
    ):
        assert torch.equal(getattr(native, name), getattr(model, name)), name


def test_the_sizes_are_in_the_configuration(model, kind):
    cfg = as_native(model, kind).cfg
    for name in ("d_vocab", "d_vocab_out", "n_ctx", "n_layers", "d_model", "n_heads", "d_head"):
        assert getattr(cfg, name) == getattr(model.cfg, name)
    assert model.cfg.attn_only or cfg.d_mlp == model.cfg.d_mlp


@pytest.mark.parametrize("rate", [1.0, 0.5, 0.0])
def test_the_attention_rate_is_a_permanent_hook(rate, kind):
    model = planted_network(rate)
    native = as_native(model, kind)
    native.reset_hooks()
    torch.testing.assert_close(native(TOKENS[:, :2]), planted_network(1.0)(TOKENS[:, :2]))
    pattern = mg.cache_grid(native, names=["blocks.0.attn.hook_pattern"])["blocks.0.attn.hook_pattern"]
    assert pattern.unique().tolist() == pytest.approx([rate / 2 + 1 - rate])


def test_the_copy_shares_nothing_with_the_original():
    model = random_network()
    before = copy.deepcopy(model.state_dict())
    native = to_transformer_lens(model)
    with torch.no_grad():
        for parameter in native.parameters():
            parameter.add_(1)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_mode_task_and_random_numbers_stay_as_they_are():
    model = random_network().eval()
    model.task = mg.modular_task("sub", 7)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    native = to_transformer_lens(model)
    assert torch.equal(torch.rand(4), expected)
    assert not native.training
    assert to_transformer_lens(model.train()).training
    assert mg.cache_grid(native).task is model.task


def test_the_device_stays_and_inputs_follow():
    """On the device "meta", which every machine has."""
    native = to_transformer_lens(random_network(attention_rate=0.5).to("meta"))
    assert {parameter.device.type for parameter in native.parameters()} == {"meta"}
    assert run_at_readout(native, TOKENS).device.type == "meta"


def test_an_activation_function_that_they_lack_is_refused():
    with pytest.raises(
        mg.ConfigError, match=r"activation function 'square'; of ours it knows relu, gelu, gelu_new, silu\."
    ):
        to_transformer_lens(random_network(act_fn="square"))


def test_our_state_dict_loads_there(model):
    native = to_transformer_lens(random_network(seed=1, **model.cfg.model_dump()))
    assert not torch.allclose(native(TOKENS), model(TOKENS))
    outcome = native.load_state_dict(_their_names(model.state_dict(), native.cfg), strict=False)
    assert outcome.unexpected_keys == []
    torch.testing.assert_close(native(TOKENS), model(TOKENS))


def _their_names(state, cfg):
    if not IS_4:
        return state
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    return convert_tl_checkpoint(state, cfg)


def test_a_saved_state_dict_opens_as_the_same_network(model, tmp_path):
    if model.cfg.attention_rate != 1:
        pytest.skip(
            "TransformerLens has no attention rate: it is a hook on the network, and not in its weights"
        )
    native, cfg = to_transformer_lens(model), model.cfg
    file = tmp_path / "theirs.pt"
    torch.save(native.state_dict(), file)
    # What no tensor says.
    said = mg.ModelConfig(
        n_heads=cfg.n_heads, act_fn=cfg.act_fn, attention_dir=cfg.attention_dir, output=cfg.output,
        normalization=cfg.normalization,
    )  # fmt: skip
    found = mg.load_model(file, config=said)
    assert ("TransformerBridge" if IS_4 else "HookedTransformer") in found.layout
    torch.testing.assert_close(found(TOKENS), native(TOKENS), rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(not IS_4, reason="TransformerLens 3 keeps the heads apart in its tensors")
def test_heads_that_lie_side_by_side_must_be_counted_by_the_caller(tmp_path):
    native = to_transformer_lens(random_network())
    file = tmp_path / "theirs.pt"
    torch.save(native.state_dict(), file)
    with pytest.raises(mg.CheckpointError, match=r"say config=ModelConfig\(n_heads=4"):
        mg.load_model(file)
    with pytest.raises(mg.CheckpointError, match="TransformerBridge"):
        mg.load_model(file, config=mg.ModelConfig(n_heads=7))


NORMS = ("LN", "LNPre", "RMS", "RMSPre")


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_and_gate_is_the_same_in_both_and_opens_again(norm, gated, tmp_path):
    biased = not gated  # in version 4 gated MLPs have no biases
    model = random_network(normalization=norm, gated_mlp=gated, act_fn="silu", mlp_bias=biased, norm_eps=1e-4)
    native = to_transformer_lens(model)
    tight = 1e-5 if norm == "RMS" else 1e-9  # their RMSNorm computes in float32
    torch.testing.assert_close(native(TOKENS), model(TOKENS), rtol=tight, atol=tight)
    file = tmp_path / "theirs.pt"
    torch.save(native.state_dict(), file)
    said = {"n_heads": 4, "act_fn": "silu", "attention_dir": "causal", "norm_eps": 1e-4}
    found = mg.load_model(file, config=mg.ModelConfig(**said, normalization=norm))
    assert (found.cfg.normalization, found.cfg.gated_mlp) == (norm, gated)
    torch.testing.assert_close(found(TOKENS), model(TOKENS), rtol=1e-9, atol=1e-9)
    if norm.endswith("Pre"):  # leaves no trace in the tensors
        with pytest.raises(mg.CheckpointError, match=r"which norms, if any, it has"):
            mg.load_model(file, config=mg.ModelConfig(**said))
    else:
        assert mg.load_model(file, config=mg.ModelConfig(**said)).cfg.normalization == norm


@pytest.mark.parametrize("change", [{"norm_position": "post"}, {"final_norm": False}])
def test_norms_in_places_that_transformer_lens_does_not_have_are_refused(change):
    with pytest.raises(mg.ConfigError, match=r"norms before the parts of a block.*norm_position="):
        to_transformer_lens(random_network(normalization="LN", **change))
