"""Transformers of torch modules, against torch's own forward pass, and the facts that must be specified for them."""

import json

import pytest
import torch
from torch import Tensor, nn

from mechgrok.config import ModelConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.layouts import model_from_tensors

P, D, HEADS = 7, 12, 3
TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P), torch.tensor([P]))
HEADER = {"config": json.dumps({"num_heads": HEADS, "activation": "gelu", "causal": False, "pre_norm": True})}


class OwnBlock(nn.Module):
    """A pre-LN block as people write it."""

    def __init__(self, bias: bool, norm: bool, act: type[nn.Module]) -> None:
        super().__init__()
        self.ln1, self.ln2 = (nn.LayerNorm(D) if norm else nn.Identity() for _ in range(2))
        self.attn = nn.MultiheadAttention(D, HEADS, bias=bias, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(D, 4 * D, bias=bias), act(), nn.Linear(4 * D, D, bias=bias))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        h = self.ln1(x)
        x = x + self.attn(h, h, h, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln2(x))


class Own(nn.Module):
    def __init__(
        self, layers: int = 1, *, bias: bool = True, norm: bool = True, act: type[nn.Module] = nn.GELU,
        causal: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        torch.manual_seed(0)
        self.tok_emb = nn.Embedding(P + 1, D)
        self.pos_emb = nn.Parameter(torch.randn(1, 3, D))
        self.blocks = nn.ModuleList(OwnBlock(bias, norm, act) for _ in range(layers))
        self.ln_f = nn.LayerNorm(D) if norm else nn.Identity()
        self.head = nn.Linear(D, P, bias=bias)
        for parameter in self.parameters():  # LayerNorms and biases too, which torch starts at 1 and 0
            nn.init.normal_(parameter, std=0.3)
        self.mask = nn.Transformer.generate_square_subsequent_mask(3) if causal else None

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tok_emb(tokens) + self.pos_emb
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.ln_f(x))[:, -1]


@pytest.fixture(autouse=True)
def _keep_the_generator():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def assert_same(model: nn.Module, network: nn.Module) -> None:
    torch.testing.assert_close(model(TOKENS)[:, -1], network(TOKENS).detach(), rtol=1e-5, atol=1e-5)


def silent_about_norms(header: dict[str, str]) -> dict[str, str]:
    settings = json.loads(header["config"])
    return {"config": json.dumps({key: value for key, value in settings.items() if key != "pre_norm"})}


@pytest.mark.parametrize("options", [{}, {"layers": 2}, {"bias": False}, {"norm": False}, {"layers": 11}])
def test_own_blocks(options: dict):
    network = Own(**options).eval()
    header = HEADER if options.get("norm", True) else silent_about_norms(HEADER)
    model = model_from_tensors(network.state_dict(), header)
    assert "torch modules" in model.layout
    assert (model.cfg.act_fn, model.cfg.attention_dir, model.cfg.n_heads) == ("gelu", "bidirectional", HEADS)
    assert_same(model, network)


def test_everything_that_was_taken_from_somewhere_is_listed():
    network = Own().eval()
    said = ModelConfig(n_heads=HEADS, attention_dir="bidirectional")
    header = {"config": json.dumps({"model": {"hidden_act": "gelu", "norm_first": True}})}
    note = model_from_tensors(network.state_dict(), header, config=said).layout
    assert note.heading == "a transformer of torch modules"
    for line in (
        "n_heads=3 (config=)",
        "act_fn='gelu' (the author's hidden_act)",
        "norm_position='pre' (the author's norm_first)",
        "norm_eps=1e-05 (taken for granted: the usual one)",
        "a single answer is read at the last position",
    ):
        assert line in note.notes, note
        assert line in str(note)


def test_everything_that_is_missing_is_asked_for_at_once():
    network = Own(act=nn.ReLU, causal=True, layers=2).eval()
    with pytest.raises(CheckpointError) as caught:
        model_from_tensors(network.state_dict())
    text = str(caught.value)
    for part in ("number of attention heads", "activation function", "causal", "before or after"):
        assert part in text
    assert "say config=ModelConfig(n_heads=4, act_fn='relu', attention_dir=" in text
    assert len(text) < 1000
    said = ModelConfig(n_heads=HEADS, act_fn="relu", attention_dir="causal", norm_position="pre")
    assert_same(model_from_tensors(network.state_dict(), config=said), network)
    with pytest.raises(CheckpointError, match="5 heads do not divide a width of 12"):
        model_from_tensors(network.state_dict(), config=ModelConfig(n_heads=5))


@pytest.mark.parametrize("form", ["tril", "blocked", "additive", "four axes"])
def test_a_mask_tells_the_direction(form: str):
    network = Own(causal=True).eval()
    past = torch.ones(8, 8).tril()
    mask = {
        "tril": past, "blocked": past == 0, "four axes": past.bool()[None, None],
        "additive": torch.zeros(8, 8).masked_fill(past == 0, -torch.inf),
    }[form]  # fmt: skip
    tensors = {**network.state_dict(), "blocks.0.attn.causal_mask": mask}
    said = ModelConfig(n_heads=HEADS, act_fn="gelu", norm_position="pre")
    model = model_from_tensors(tensors, config=said)
    assert "attention_dir='causal' (the mask blocks.0.attn.causal_mask)" in model.layout
    assert_same(model, network)
    with pytest.raises(
        CheckpointError, match=r"'bidirectional', but the mask blocks.0.attn.causal_mask says 'causal'"
    ):
        model_from_tensors(tensors, {"config": '{"causal": false}'}, config=said)


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (torch.ones(4, 4).tril() * torch.ones(4, 4).triu(-1), "neither a causal mask nor"),
        (torch.ones(4, 4).triu(), "neither a causal mask nor"),
        (torch.zeros(4, 4) - 0.5, "other values than 0 and minus infinity"),
        (torch.ones(3, 4), "not one square mask"),
    ],
)
def test_a_mask_that_cannot_be_is_refused(mask: Tensor, text: str):
    with pytest.raises(CheckpointError, match=f"{text}.*attention_dir="):
        model_from_tensors({**Own().state_dict(), "mask": mask}, HEADER)


class OneBlock(nn.Module):
    """A single block without a number in its names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.pos = nn.Embedding(P + 1, D), nn.Embedding(3, D)
        self.ln1, self.ln2, self.ln_final = nn.LayerNorm(D), nn.LayerNorm(D), nn.LayerNorm(D)
        self.attn = nn.MultiheadAttention(D, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(D, 20), nn.GELU(), nn.Linear(20, D))
        self.unembed = nn.Linear(D, P)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.pos.weight
        h = self.ln1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        x = x + self.mlp(self.ln2(x))
        return self.unembed(self.ln_final(x))[:, -1]


def test_a_single_block_without_a_number():
    network = OneBlock().eval()
    assert_same(model_from_tensors(network.state_dict(), HEADER), network)


class Encoder(nn.Module):
    def __init__(self, norm_first: bool, final: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.positions = nn.Embedding(P + 1, D), nn.Embedding(3, D)
        layer = nn.TransformerEncoderLayer(D, HEADS, 30, 0.0, "gelu", batch_first=True, norm_first=norm_first)
        norm = nn.LayerNorm(D) if final else None
        self.transformer = nn.TransformerEncoder(layer, 2, norm=norm, enable_nested_tensor=False)
        self.fc_out = nn.Linear(D, P)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.positions.weight
        return self.fc_out(self.transformer(x))[:, -1]


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_torchs_own_encoder(norm_first: bool, final: bool):
    network = Encoder(norm_first=norm_first, final=final).eval()
    told = {"nhead": HEADS, "activation": "gelu", "causal": False}
    model = model_from_tensors(
        network.state_dict(), {"config": json.dumps({**told, "norm_first": norm_first})}
    )
    assert (model.cfg.norm_position, model.cfg.final_norm) == ("pre" if norm_first else "post", final)
    assert_same(model, network)
    with pytest.raises(
        CheckpointError, match=r"before or after the sublayers.*norm_position='pre' or 'post'"
    ):
        model_from_tensors(network.state_dict(), {"config": json.dumps(told)})


@pytest.mark.parametrize(
    ("remove", "add", "text"),
    [
        ("head.weight", None, "not part of the network"),
        ("head", None, "no tensor looks like the read-out"),
        (None, "decoder.weight", "both look like the read-out"),
        (None, "other_norm.weight", "both look like the norm"),
        (None, "attn_blocks.weight", "one output projection"),
        (None, "blocks.0.extra.weight", "norms? with weights"),
        (None, "blocks.0.attn.bias_k", "learned keys and values"),
    ],
)
def test_parts_that_cannot_be_told_apart_or_are_too_many(remove: str | None, add: str | None, text: str):
    tensors = dict(Own().state_dict())
    tensors = {name: t for name, t in tensors.items() if not (remove and name.startswith(remove))}
    if add:
        tensors[add] = (
            torch.zeros(D) if "norm" in add or "extra" in add or "bias" in add else torch.zeros(P, D)
        )
    if text == "one output projection":
        tensors["blocks.0.attn.more.weight"] = tensors.pop("attn_blocks.weight")
    with pytest.raises(CheckpointError, match=text):
        model_from_tensors(tensors, HEADER)


def test_an_activation_that_we_lack_is_refused():
    header = {"config": json.dumps({"n_heads": HEADS, "activation": "mish"})}
    with pytest.raises(
        CheckpointError, match=r"activation='mish'; only the activation functions gelu, .*config="
    ):
        model_from_tensors(Own().state_dict(), header)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"activation": "relu", "act_fn": "gelu"}, "contradicts itself about act_fn"),
        ({"n_layers": 5}, "n_layers=5, but the tensors say 1"),
        ({"pooling": "mean"}, "pooling='mean', which cannot be represented"),
        ({"use_rope": True}, "such positions cannot be represented"),
        ({"num_kv_heads": 1}, "differ in the number of heads"),
        ({"normalization": "BatchNorm"}, "not known or cannot be represented"),
        ({"normalization": "RMS"}, "normalization='RMS', but its tensors says 'LN'"),
        ({"gated_mlp": True}, "gated_mlp=True, but its tensors says False"),
    ],
)
def test_settings_that_cannot_be_represented_or_contradict_are_refused(settings: dict, text: str):
    whole = json.loads(HEADER["config"])
    whole = (
        {key: value for key, value in whole.items() if key != "activation"}
        | {"activation": "gelu"}
        | settings
    )
    with pytest.raises(CheckpointError, match=text):
        model_from_tensors(Own().state_dict(), {"config": json.dumps(whole)})


def without_names(network: nn.Module) -> dict[str, Tensor]:
    """Its tensors in alphabetical order, with names that say nothing about the MLP."""
    names = {"mlp.0": "mlp.zig", "mlp.2": "mlp.alf"}
    tensors = {}
    for name, tensor in network.state_dict().items():
        for old, new in names.items():
            name = name.replace(old, new)
        tensors[name] = tensor
    return tensors


class Square(Own):
    """An MLP as wide as the residual stream, whose shapes tell nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks[0].mlp = nn.Sequential(nn.Linear(D, D), nn.GELU(), nn.Linear(D, D))


def test_the_order_of_a_file_tells_unless_it_is_alphabetical():
    network = Square().eval()
    tensors = without_names(network)
    assert_same(model_from_tensors(tensors, HEADER), network)
    ordered = dict(sorted(tensors.items()))
    with pytest.raises(CheckpointError, match=r"mlp\.alf\.weight before .*mlp\.zig\.weight, or .*rename="):
        model_from_tensors(ordered, HEADER)
    rename = {
        "blocks.0.mlp.zig.weight": "blocks.0.mlp.up.weight",
        "blocks.0.mlp.zig.bias": "blocks.0.mlp.up.bias",
    }
    assert_same(model_from_tensors(ordered, HEADER, rename=rename), network)


def test_rename_with_names_of_transformer_lens_tells_the_axes():
    network = OneBlock().eval()
    tensors = dict(network.state_dict())
    tensors["odd"] = tensors.pop("mlp.0.weight").T.contiguous()
    tensors["blocks.0.mlp.b_in"] = tensors.pop("mlp.0.bias")
    model = model_from_tensors(tensors, HEADER, rename={"odd": "blocks.0.mlp.W_in"})
    assert_same(model, network)
    with pytest.raises(ConfigError, match=r"unknown tensor 'od' .did you mean odd"):
        model_from_tensors(tensors, HEADER, rename={"od": "blocks.0.mlp.W_in"})
    with pytest.raises(ConfigError, match="more than one tensor would be called pos"):
        model_from_tensors(tensors, HEADER, rename={"odd": "pos.weight"})


def test_gpt2_as_hugging_face_writes_it():
    """Matrices are [inputs, outputs], and the mask is called a bias."""
    network = pytest.importorskip("transformers").GPT2LMHeadModel(
        pytest.importorskip("transformers").GPT2Config(
            vocab_size=P + 1, n_positions=3, n_embd=D, n_layer=2, n_head=HEADS, bos_token_id=P, eos_token_id=P
        )
    )
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    past = torch.ones(1, 1, 3, 3).tril().bool()
    tensors = {**network.state_dict(), "transformer.h.0.attn.bias": past, "transformer.h.1.attn.bias": past}
    settings = {"config": json.dumps(network.config.to_dict(), default=str)}
    model = model_from_tensors(tensors, settings)
    assert (model.cfg.act_fn, model.cfg.n_heads) == ("gelu_new", HEADS)
    with torch.no_grad():
        expected = network.eval()(TOKENS).logits[:, -1]
    torch.testing.assert_close(model(TOKENS)[:, -1], expected, rtol=1e-5, atol=1e-5)
    other = json.loads(settings["config"]) | {"model_type": "opt"}
    with pytest.raises(CheckpointError, match="Hugging Face's 'opt', but no tensor is called as there"):
        model_from_tensors(tensors, {"config": json.dumps(other)})


def test_whole_numbers_are_no_weights():
    tensors = dict(Own().state_dict())
    tensors["head.weight"] = (100 * tensors["head.weight"]).to(torch.int8)
    with pytest.raises(CheckpointError, match=r"torch\.int8 and no floating-point"):
        model_from_tensors(tensors, HEADER)
