"""The initial weights of the papers, as standard deviations per parameter."""

from collections.abc import Callable

import torch
from torch import nn

from mechgrok.config import InitScheme, ModelConfig

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
    generator = torch.Generator().manual_seed(seed)
    deviation = SCHEMES[cfg.init]
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            name = path.rsplit(".", 1)[-1]
            if name.startswith("W_"):
                draw = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(draw * deviation(name, cfg))
            else:
                parameter.fill_(1.0 if name == "w" else 0.0)
