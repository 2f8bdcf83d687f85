"""Files in the layout of Zhong et al. 2023's code, from planted to untrained networks, each with its verdict."""

import json
from itertools import product
from math import cos, pi, sin
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mechgrok as mg
from mechgrok.models.transformer import HookedTransformer

P, K = 13, 3
PHASES = 9


def save(folder: Path, tensors: dict[str, Tensor], **settings: object) -> Path:
    """As their script leaves a network behind: model_<id>.pt and config_<id>.json."""
    config = {
        "funcs": f"lambda x: (x[0]+x[1])%{P}", "C": P, "attention_dir": "casual", "act_fn": "ReLU",
        "diff_vocab": 0, "eqn_sign": 0, "func": None, "frac": 0.8,
    } | settings  # fmt: skip
    torch.save(tensors, folder / "model_abc.pt")
    (folder / "config_abc.json").write_text(json.dumps(config))
    return folder / "model_abc.pt"


def planted(neurons: list[tuple[list[float], list[float], float, float]], n_layers: int) -> dict[str, Tensor]:
    """A network of one circle: each neuron weighs the circle's point of a and that of b, and has its phase and gain.

    The residual stream is [point of the token | sum of both points | logits]; attention at rate 0 adds up the
    points, and further layers do nothing.
    """
    width, angles = 4 + P, 2 * pi * K / P * torch.arange(P)
    tensors = {
        "embed.W_E": torch.zeros(width, P),
        "pos_embed.W_pos": torch.zeros(2, width),
        "unembed.W_U": torch.cat([torch.zeros(4, P), torch.eye(P)]),
    }
    tensors["embed.W_E"][:2] = torch.stack([angles.cos(), angles.sin()])
    for i in range(n_layers):
        shapes = {"W_K": (1, 2, width), "W_Q": (1, 2, width), "W_V": (1, 2, width), "W_O": (width, 2)}
        tensors |= {f"blocks.{i}.attn.{name}": torch.zeros(shape) for name, shape in shapes.items()}
        shapes = {"W_in": (len(neurons), width), "W_out": (width, len(neurons))}
        tensors |= {f"blocks.{i}.mlp.{name}": torch.zeros(shape) for name, shape in shapes.items()}
        tensors |= {
            f"blocks.{i}.mlp.b_in": torch.zeros(len(neurons)),
            f"blocks.{i}.mlp.b_out": torch.zeros(width),
        }
    tensors["blocks.0.attn.W_V"][0, :, :2] = torch.eye(2)
    tensors["blocks.0.attn.W_O"][2:4] = torch.eye(2)
    for j, (of_a, of_b, phase, gain) in enumerate(neurons):
        # Both points, and the token's own at the read-out, which is that of b.
        tensors["blocks.0.mlp.W_in"][j, 2:4] = torch.tensor(of_a)
        tensors["blocks.0.mlp.W_in"][j, :2] = torch.tensor(of_b) - torch.tensor(of_a)
        tensors["blocks.0.mlp.W_out"][4:, j] = gain * (angles + phase).cos()
    return tensors


def direction(phase: float) -> list[float]:
    """Weights under which a point of the circle gives cos(w x + phase)."""
    return [cos(phase), -sin(phase)]


def planted_clock(n_layers: int) -> dict[str, Tensor]:
    """relu(cos(wa + f) + cos(wb + g)) for a grid of phases: what is left against cos(wc + f + g) is the product."""
    phases = [2 * pi * i / PHASES for i in range(PHASES)]
    return planted(
        [(direction(f), direction(g), f + g, 40 / PHASES**2) for f, g in product(phases, repeat=2)], n_layers
    )


def planted_pizza(n_layers: int) -> dict[str, Tensor]:
    """relu of the sum of both points from many angles, against twice the angle."""
    phases = [2 * pi * i / PHASES for i in range(PHASES)]
    return planted([(direction(f), direction(f), 2 * f, 40 / PHASES) for f in phases], n_layers)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize(("make", "algorithm"), [(planted_clock, "clock"), (planted_pizza, "pizza")])
def test_planted_networks_of_several_layers(make, algorithm: str, n_layers: int, tmp_path: Path):
    tensors = make(n_layers)
    path = save(tmp_path, tensors, n_heads=1, d_model=4 + P, n_layers=n_layers, attn_coeff=0.0)
    model = mg.load_model(path)
    assert (model.cfg.n_layers, model.cfg.attention_rate, model.cfg.n_heads) == (n_layers, 0.0, 1)
    verdict = mg.classify_algorithm(model)
    assert (verdict.by_scores, verdict.accuracy) == (algorithm, 1.0), verdict
    # Neither multiplies before the neurons of the first layer, so that the first of them is no clock in truth.
    assert verdict.algorithm == ("pizza" if algorithm == "pizza" else "undetermined")
    assert [circle.k for circle in verdict.circles] == [K]


def theirs(model: HookedTransformer) -> dict[str, Tensor]:
    """Our weights in their layout."""
    stored: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        match name.rsplit(".", 1)[-1]:
            case "W_E" | "W_in" | "W_out":
                stored[name] = weight.T.contiguous()
            case "W_Q" | "W_K" | "W_V":
                stored[name] = weight.transpose(1, 2).contiguous()
            case "W_O":
                stored[name] = weight.flatten(0, 1).T.contiguous()
            case _:
                stored[name] = weight
    n_ctx = model.cfg.n_ctx
    return stored | {
        f"blocks.{i}.attn.mask": torch.ones(n_ctx, n_ctx).tril() for i in range(model.cfg.n_layers)
    }


VARIANTS = {
    "one layer": {"attn_coeff": 0.4},
    "two layers with =": {"n_layers": 2, "attn_coeff": 0.8, "eqn_sign": 1},
    "three layers, GELU": {"n_layers": 3, "attn_coeff": 0.2, "act_fn": "GeLU"},
    "own vocabulary": {"attn_coeff": 0.6, "diff_vocab": True},
    "width of no whole heads": {"attn_coeff": 0.5, "d_model": 34},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [0, 40])
def test_untrained_and_half_trained_networks_are_undetermined(variant: str, steps: int, tmp_path: Path):
    settings = {"n_heads": 4, "d_model": 32, "n_layers": 1, "act_fn": "ReLU"} | VARIANTS[variant]
    sequence = [
        "a",
        "b'" if settings.get("diff_vocab") else "b",
        *(["="] if settings.get("eqn_sign") else []),
    ]
    config = mg.RECIPES["pizza"].replace(
        lr=5e-3, steps=steps, sequence=tuple(sequence), loss_dtype="float32",
        model=mg.ModelConfig(
            d_model=settings["d_model"], n_heads=4, n_layers=settings["n_layers"], attention_dir="bidirectional",
            attention_rate=settings["attn_coeff"], act_fn=settings["act_fn"].lower(), init="pizza",
        ),
    )  # fmt: skip
    run = mg.train(mg.modular_task("add", P), config, progress=False)
    model = mg.load_model(save(tmp_path, theirs(run.model()), **settings))
    verdict = mg.classify_algorithm(model)
    assert (verdict.algorithm, verdict.evidence) == ("undetermined", ())
    assert "of all inputs correctly" in verdict.reason
    assert verdict.accuracy == pytest.approx(mg.accuracy(run.grid()))
    torch.testing.assert_close(mg.cache_grid(model).logits, run.grid().logits, rtol=1e-5, atol=1e-5)
    if steps:
        assert 1 / P < verdict.accuracy < 0.99
