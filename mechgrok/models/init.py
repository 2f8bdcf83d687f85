"""The initial weights of the papers, for transformers and for feed-forward networks."""

from collections.abc import Callable

import torch
from torch import Size, Tensor, nn

from mechgrok.config import InitScheme, MLPConfig, MLPInit, ModelConfig, check_seed

Deviation = Callable[[str, ModelConfig], float]


def _nanda(name: str, cfg: ModelConfig) -> float:
    # The output projection of the MLP has a fan-in of d_mlp; the paper's code uses d_model all the same.
    return (cfg.d_vocab_out if name == "W_U" else cfg.d_model) ** -0.5


def _pizza(name: str, cfg: ModelConfig) -> float:
    return {"W_U": cfg.d_vocab_out, "W_in": cfg.d_mlp}.get(name, cfg.d_model) ** -0.5


def _furuta(name: str, cfg: ModelConfig) -> float:
    return (cfg.d_vocab if name == "W_E" else cfg.d_model) ** -0.5


def _tl(name: str, cfg: ModelConfig) -> float:
    return 0.8 * cfg.d_model**-0.5


SCHEMES: dict[InitScheme, Deviation] = {
    "nanda": _nanda,
    "pizza": _pizza,
    "furuta": _furuta,
    "tl": _tl,
}
"""Per scheme the standard deviation of a weight: Nanda et al. 2023 (released code), Zhong et al. 2023
(released code: W_in by d_mlp), Furuta et al. 2024 (released code), TransformerLens's "gpt2" mode."""


def initialise(model: nn.Module, cfg: ModelConfig, seed: int) -> None:
    """Draw the weights of a network in place; biases 0, LayerNorm the identity.

    The draw depends on the seed alone, not on torch's global generator, and leaves that one untouched.
    """
    generator = torch.Generator().manual_seed(check_seed(seed))
    deviation = SCHEMES[cfg.init]
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            name = path.rsplit(".", 1)[-1]
            if name.startswith("W_"):
                draw = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(draw * deviation(name, cfg))
            else:
                parameter.fill_(1.0 if name == "w" else 0.0)


def initialise_mlp(model: nn.Module, cfg: MLPConfig, seed: int) -> None:
    """Draw the weights of a feed-forward network in place; as `initialise`."""
    generator = torch.Generator().manual_seed(check_seed(seed))
    draw = MLP_SCHEMES[cfg.init]
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            parameter.copy_(draw(path, parameter.shape, cfg, generator))


def _normal(shape: Size, deviation: float, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) * deviation


def _pizza_mlp(path: str, shape: Size, cfg: MLPConfig, generator: torch.Generator) -> Tensor:
    name = path.rsplit(".", 1)[-1]
    if name == "W_E":
        return _normal(shape, (cfg.d_mlp / 2) ** -0.5, generator)
    if name in ("W_U", "W_out"):
        return _normal(shape, shape[0] ** -0.5, generator)
    # The hidden layers start as torch.nn.Linear does: weights and biases uniform within 1/sqrt(inputs).
    first = cfg.d_embed * (2 if cfg.combine == "concat" else 1)
    bound = (first if path.startswith("blocks.0.") else cfg.d_mlp) ** -0.5
    return (2 * torch.rand(shape, generator=generator) - 1) * bound


def _fan_in(path: str, shape: Size, cfg: MLPConfig, generator: torch.Generator) -> Tensor:
    if len(shape) == 1:
        return torch.zeros(shape)
    return _normal(shape, (cfg.d_embed if path.endswith("W_E") else shape[0]) ** -0.5, generator)


def _xavier(path: str, shape: Size, cfg: MLPConfig, generator: torch.Generator) -> Tensor:
    return torch.zeros(shape) if len(shape) == 1 else _normal(shape, (2 / sum(shape)) ** 0.5, generator)


MLP_SCHEMES: dict[MLPInit, Callable[[str, Size, MLPConfig, torch.Generator], Tensor]] = {
    "pizza": _pizza_mlp,
    "fan_in": _fan_in,
    "xavier": _xavier,
}
"""Per scheme how a parameter is drawn: the linear models of Zhong et al. 2023; normal with variance
1/inputs, as Chughtai et al. 2023; Xavier normal with biases 0 (scienceetonnante)."""
