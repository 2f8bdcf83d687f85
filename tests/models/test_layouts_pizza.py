"""The released code of Zhong et al. 2023: every network that it can save, against its own forward pass."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

import mechgrok as mg
from mechgrok.config import MLPConfig, ModelConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.layouts import model_from_tensors
from mechgrok.models.mlp import HookedMLP

P, HEADS = 7, 4


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) / math.sqrt(shape[-1])


def settings(**changes: object) -> dict:
    return {
        "funcs": f"lambda x: (x[0]+x[1])%{P}", "C": P, "n_heads": HEADS, "d_model": 18, "n_layers": 1,
        "attention_dir": "casual", "act_fn": "ReLU", "attn_coeff": 0.3, "diff_vocab": 0, "eqn_sign": False,
        "func": None,
    } | changes  # fmt: skip


def transformer_tensors(config: dict) -> dict[str, Tensor]:
    d_model, n_ctx = config["d_model"], 2 + bool(config["eqn_sign"])
    d_head, d_mlp = config.get("d_head", d_model // HEADS), 4 * d_model
    d_vocab = P * (2 if config["diff_vocab"] else 1) + bool(config["eqn_sign"])
    shapes = {
        "embed.W_E": (d_model, d_vocab),
        "pos_embed.W_pos": (n_ctx, d_model),
        "unembed.W_U": (d_model, d_vocab),
    }
    for i in range(config["n_layers"]):
        shapes |= {f"blocks.{i}.attn.W_{m}": (HEADS, d_head, d_model) for m in "KQV"}
        shapes |= {
            f"blocks.{i}.attn.W_O": (d_model, HEADS * d_head), f"blocks.{i}.mlp.W_in": (d_mlp, d_model),
            f"blocks.{i}.mlp.b_in": (d_mlp,), f"blocks.{i}.mlp.W_out": (d_model, d_mlp),
            f"blocks.{i}.mlp.b_out": (d_model,),
        }  # fmt: skip
    tensors = {name: draw(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}
    masks = {f"blocks.{i}.attn.mask": torch.tril(torch.ones(n_ctx, n_ctx)) for i in range(config["n_layers"])}
    return tensors | masks


def transformer_forward(w: dict[str, Tensor], tokens: Tensor, config: dict) -> Tensor:
    """Their formulas: no mask, pattern * rate + (1 - rate), read at the last position."""
    x = w["embed.W_E"].T[tokens] + w["pos_embed.W_pos"]
    act = {"ReLU": functional.relu, "GeLU": functional.gelu}[config["act_fn"]]
    for i in range(config["n_layers"]):
        block = {name.removeprefix(f"blocks.{i}."): t for name, t in w.items()}
        k, q, v = (torch.einsum("ihd,bpd->biph", block[f"attn.W_{m}"], x) for m in "KQV")
        scores = torch.einsum("biph,biqh->biqp", k, q) / math.sqrt(k.shape[-1])
        pattern = scores.softmax(-1) * config["attn_coeff"] + (1 - config["attn_coeff"])
        z = torch.einsum("biph,biqp->biqh", v, pattern).permute(0, 2, 1, 3).flatten(2)
        x = x + z @ block["attn.W_O"].T
        x = x + act(x @ block["mlp.W_in"].T + block["mlp.b_in"]) @ block["mlp.W_out"].T + block["mlp.b_out"]
    return (x @ w["unembed.W_U"])[:, -1]


def their_tokens(config: dict) -> Tensor:
    a, b = torch.arange(P).repeat_interleave(P), torch.arange(P).repeat(P)
    columns = [a, b + (P if config["diff_vocab"] else 0)]
    if config["eqn_sign"]:
        columns.append(torch.full_like(a, P * (2 if config["diff_vocab"] else 1)))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize(
    "changes",
    [{}, {"attn_coeff": 0}, {"attn_coeff": 1, "attention_dir": "bidirectional"}, {"n_layers": 3}, {"act_fn": "GeLU"},
     {"diff_vocab": True}, {"eqn_sign": 1}, {"diff_vocab": 1, "eqn_sign": True, "n_layers": 2}, {"d_model": 16},
     {"d_head": 9}, {"attn_coeff": 0.2, "n_layers": 2, "act_fn": "GeLU", "d_model": 19},
     {"attn_coeff": 0.4, "n_layers": 4, "eqn_sign": 1}, {"attn_coeff": 0.6, "diff_vocab": True, "n_layers": 3},
     {"attn_coeff": 0.8, "n_layers": 2, "act_fn": "GeLU", "diff_vocab": 1, "eqn_sign": 1, "d_model": 21}],
)  # fmt: skip
def test_transformers_compute_what_the_released_code_computes(changes: dict):
    config = settings(**changes)
    tensors = transformer_tensors(config)
    model = model_from_tensors(tensors, {"config": json.dumps(config)})
    assert "Zhong" in model.layout
    assert (model.cfg.attention_rate, model.cfg.attention_dir) == (config["attn_coeff"], "bidirectional")
    tokens = their_tokens(config)
    torch.testing.assert_close(
        model(tokens)[:, -1], transformer_forward(tensors, tokens, config), rtol=1e-5, atol=1e-5
    )
    assert model.task is not None
    grid = mg.cache_grid(model)  # an untrained network: its task comes from the configuration
    assert (grid.task.name, torch.equal(grid.task.tokens, tokens)) == (f"add{P}", True)
    assert torch.equal(grid.task.labels, tokens[:, :2].remainder(P).sum(1) % P)


def test_the_operation_is_read_from_the_text_but_never_run():
    config = settings(funcs=f"lambda x: (x[0]*x[0]+x[1])%{P}")
    assert (
        model_from_tensors(transformer_tensors(config), {"config": json.dumps(config)}).task.name
        == f"a*a+b mod {P}"
    )
    hostile = settings(funcs="__import__('os').remove('x')")
    assert model_from_tensors(transformer_tensors(hostile), {"config": json.dumps(hostile)}).task is None


def test_configuration_beside_the_file(tmp_path: Path):
    config = settings(attn_coeff=0.0)
    torch.save(transformer_tensors(config), tmp_path / "model_abc.pt")
    with pytest.raises(CheckpointError, match=r"attention rate is not in the tensors.*config\.json"):
        mg.load_model(tmp_path / "model_abc.pt")
    (tmp_path / "config_abc.json").write_text(json.dumps(config))
    assert mg.load_model(tmp_path / "model_abc.pt").cfg.attention_rate == 0.0
    (tmp_path / "config_abc.json").write_text("{half a fi")
    with pytest.raises(CheckpointError, match=r"config_abc\.json is damaged or no JSON"):
        mg.load_model(tmp_path / "model_abc.pt")


def test_configuration_in_the_header(tmp_path: Path):
    config = settings(attn_coeff=0.25)
    save_file(transformer_tensors(config), tmp_path / "x.safetensors", {"config": json.dumps(config)})
    (tmp_path / "config_x.json").write_text(json.dumps(settings(attn_coeff=0.75)))
    assert mg.load_model(tmp_path / "x.safetensors").cfg.attention_rate == 0.25


def test_the_caller_may_know_the_rate():
    model = model_from_tensors(transformer_tensors(settings()), config=ModelConfig(attention_rate=0.5))
    assert (model.cfg.attention_rate, model.cfg.attention_dir, model.cfg.d_model) == (
        0.5,
        "bidirectional",
        18,
    )
    both = model_from_tensors(
        transformer_tensors(settings()),
        {"config": json.dumps(settings())},
        config=ModelConfig(attention_rate=0.5),
    )
    assert both.cfg.attention_rate == 0.5


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"act_fn": "Mish"}, "act_fn='Mish'; only the activation functions gelu, "),
        ({"attn_coeff": 1.5}, "attention_rate"),
        ({"attn_coeff": "much"}, "attention_rate"),
        ({"C": 11}, "speaks of 11 tokens, its embedding has 7"),
        ({"diff_vocab": True}, "speaks of 14 tokens, its embedding has 7"),
    ],
)
def test_transformers_that_cannot_be_are_refused(changes: dict, text: str):
    tensors = transformer_tensors(settings())
    with pytest.raises(CheckpointError, match=text):
        model_from_tensors(tensors, {"config": json.dumps(settings(**changes))})


HIDDEN = 12


def linear_tensors(letter: str) -> dict[str, Tensor]:
    width = HIDDEN // 2 if letter == "D" else HIDDEN
    embeddings = ["embed1.weight", "embed2.weight"] if letter == "X" else ["embed.weight"]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(embeddings, (P, width))
    shapes |= {"unembed.weight": (P, HIDDEN)}
    for layer in ("l1", "l2") if letter in "BC" else ("l1",):
        shapes |= {f"{layer}.weight": (HIDDEN, HIDDEN), f"{layer}.bias": (HIDDEN,)}
    return {name: draw(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}


def linear_forward(letter: str, w: dict[str, Tensor], tokens: Tensor) -> Tensor:
    a = w.get("embed1.weight", w.get("embed.weight"))[tokens[:, 0]]
    b = w.get("embed2.weight", w.get("embed.weight"))[tokens[:, 1]]

    def l1(x: Tensor) -> Tensor:
        return functional.linear(x, w["l1.weight"], w["l1.bias"])

    first = {"C": lambda: l1(a) + l1(b), "D": lambda: l1(torch.cat([a, b], 1))}.get(
        letter, lambda: l1(a + b)
    )()
    x = first.relu()
    if letter in "BC":
        x = functional.linear(x, w["l2.weight"], w["l2.bias"]).relu()
    return x @ w["unembed.weight"].T


@pytest.mark.parametrize("letter", list("ABCDX"))
def test_linear_models_compute_what_the_released_code_computes(letter: str):
    tensors = linear_tensors(letter)
    model = model_from_tensors(tensors, {"config": json.dumps({"model_type": letter, "C": P})})
    assert isinstance(model, HookedMLP)
    assert "linear model of Zhong" in model.layout
    tokens = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    expected = linear_forward(letter, tensors, tokens)
    torch.testing.assert_close(model(tokens)[:, -1], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mg.cache_grid(model).logits, expected, rtol=1e-5, atol=1e-5)
    # Not a weight more and not a weight less, so that the norm is the authors' as well.
    assert mg.sum_squared_weights(model) == pytest.approx(
        sum(t.double().square().sum().item() for t in tensors.values())
    )


@pytest.mark.parametrize("letter", list("ADX"))
def test_linear_models_that_shapes_settle_need_no_configuration(letter: str):
    assert model_from_tensors(linear_tensors(letter)).task is None


def test_beta_and_gamma_need_to_be_told_apart():
    tensors = linear_tensors("B")
    with pytest.raises(CheckpointError, match="B \\(beta\\) and C \\(gamma\\) are alike"):
        model_from_tensors(tensors)
    for twice in (False, True):
        model = model_from_tensors(tensors, config=MLPConfig(bias_per_operand=twice))
        assert model.cfg.bias_per_operand is twice
    with pytest.raises(ConfigError, match="described by a MLPConfig; config is a ModelConfig"):
        model_from_tensors(linear_tensors("A"), config=ModelConfig(n_heads=2))


@pytest.mark.parametrize(("width", "layers"), [(12, 1), (13, 2)])
def test_use_linear_networks(width: int, layers: int):
    """Embeddings side by side, an odd width filled up with zero, hidden layers of the whole width."""
    half = width // 2
    tensors = {"embed.W_E": draw(half, P, seed=0), "unembed.W_U": draw(width, P, seed=1)}
    for i in range(layers):
        tensors |= {
            f"blocks.{i}.W_in": draw(width, width, seed=2 + i),
            f"blocks.{i}.b_in": draw(width, seed=9 + i),
        }
    tokens = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    x = functional.pad(tensors["embed.W_E"].T[tokens].flatten(1), (0, width % 2))
    for i in range(layers):
        x = (x @ tensors[f"blocks.{i}.W_in"].T + tensors[f"blocks.{i}.b_in"]).relu()
    model = model_from_tensors(tensors)
    assert "use_linear" in model.layout
    torch.testing.assert_close(model(tokens)[:, -1], x @ tensors["unembed.W_U"], rtol=1e-5, atol=1e-5)
    told = model_from_tensors(tensors, {"config": json.dumps(settings(use_linear=True, d_model=width))})
    assert told.task.name == f"add{P}"
    with pytest.raises(CheckpointError, match="act_fn='Mish'"):
        model_from_tensors(tensors, {"config": json.dumps(settings(act_fn="Mish"))})
