"""Transformers with torch.nn.MultiheadAttention, against torch's own forward pass."""

import json

import pytest
import torch
from torch import Tensor, nn

from mechgrok.config import ModelConfig
from mechgrok.errors import CheckpointError
from mechgrok.models.layouts import model_from_tensors

P, D, HEADS = 7, 12, 3
TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P), torch.tensor([P]))


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


HEADER = {"config": json.dumps({"num_heads": HEADS})}


@pytest.mark.parametrize("options", [{}, {"layers": 2}, {"bias": False}, {"norm": False}, {"layers": 11}])
def test_own_blocks(options: dict):
    network = Own(**options).eval()
    model = model_from_tensors(network.state_dict(), HEADER)
    assert "MultiheadAttention" in model.layout
    assert (model.cfg.act_fn, model.cfg.attention_dir, model.cfg.n_heads) == ("gelu", "bidirectional", HEADS)
    torch.testing.assert_close(model(TOKENS)[:, -1], network(TOKENS).detach(), rtol=1e-5, atol=1e-5)


def test_what_the_tensors_do_not_tell_can_be_said():
    network = Own(act=nn.ReLU, causal=True, layers=2).eval()
    said = ModelConfig(n_heads=HEADS, act_fn="relu", attention_dir="causal")
    model = model_from_tensors(network.state_dict(), config=said)
    torch.testing.assert_close(model(TOKENS)[:, -1], network(TOKENS).detach(), rtol=1e-5, atol=1e-5)
    with pytest.raises(
        CheckpointError, match=r"number of attention heads is not in the tensors: say config=ModelC"
    ):
        model_from_tensors(network.state_dict())
    with pytest.raises(CheckpointError, match="5 heads do not divide a width of 12"):
        model_from_tensors(network.state_dict(), config=ModelConfig(n_heads=5))


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
    model = model_from_tensors(network.state_dict(), HEADER)
    torch.testing.assert_close(model(TOKENS)[:, -1], network(TOKENS).detach(), rtol=1e-5, atol=1e-5)


class Encoder(nn.Module):
    def __init__(self, norm_first: bool, final: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.positions = nn.Embedding(P + 1, D), nn.Embedding(3, D)
        layer = nn.TransformerEncoderLayer(D, HEADS, 30, 0.0, "gelu", batch_first=True, norm_first=norm_first)
        norm = nn.LayerNorm(D) if final else None
        self.transformer = nn.TransformerEncoder(layer, 2, norm=norm, enable_nested_tensor=False)
        self.fc_out = nn.Linear(D, P)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.positions.weight
        return self.fc_out(self.transformer(x))[:, -1]


def test_a_pre_norm_encoder():
    network = Encoder(norm_first=True, final=True).eval()
    for model in (
        model_from_tensors(
            network.state_dict(), {"config": json.dumps({"nhead": HEADS, "norm_first": True})}
        ),
        model_from_tensors(network.state_dict(), config=ModelConfig(n_heads=HEADS, normalization="LN")),
    ):
        torch.testing.assert_close(model(TOKENS)[:, -1], network(TOKENS).detach(), rtol=1e-5, atol=1e-5)


def test_an_encoder_that_may_be_post_norm_is_refused():
    tensors = Encoder(norm_first=False, final=True).eval().state_dict()
    for header in (HEADER, {"config": json.dumps({"nhead": HEADS, "norm_first": False})}):
        with pytest.raises(CheckpointError, match=r"only pre-LN blocks.*norm_first=True"):
            model_from_tensors(tensors, header)
    with pytest.raises(CheckpointError, match="in the blocks or after them but not both"):
        model_from_tensors(Encoder(norm_first=True, final=False).state_dict(), HEADER)


@pytest.mark.parametrize(
    ("remove", "add", "text"),
    [
        ("head.weight", None, "no tensor looks like the read-out"),
        (None, "decoder.weight", "both look like the read-out"),
        (None, "other_norm.weight", "both look like the norm"),
    ],
)
def test_parts_that_cannot_be_told_apart(remove: str | None, add: str | None, text: str):
    tensors = dict(Own().state_dict())
    tensors = {name: t for name, t in tensors.items() if name != remove}
    if add:
        tensors[add] = torch.zeros(D) if "norm" in add else torch.zeros(P, D)
    with pytest.raises(CheckpointError, match=text):
        model_from_tensors(tensors, HEADER)


def test_an_activation_that_we_lack_is_refused():
    header = {"config": json.dumps({"n_heads": HEADS, "activation": "silu"})}
    with pytest.raises(CheckpointError, match="'silu'; only relu, gelu can be represented"):
        model_from_tensors(Own().state_dict(), header)
