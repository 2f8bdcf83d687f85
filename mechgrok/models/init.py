"""The initial weights of the papers, for transformers and for feed-forward networks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Size, Tensor, nn

from mechgrok.algebra import fourier_basis
from mechgrok.config import MLPConfig, ModelConfig, NetworkConfig, check_seed, registry_of
from mechgrok.errors import ConfigError, shown
from mechgrok.registries import INITS, MLP_INITS, Draw

TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal number within -2..2."""
OF_NORMS = {"w": 1.0, "b": 0.0}
"""Parameters of norms, which are initialised as the identity."""


def scheme_of(cfg: NetworkConfig) -> Draw:
    """The scheme named by a configuration's field `init`.

    Raises:
        ConfigError: it has no such field.
    """
    field = type(cfg).model_fields.get("init")
    registry = None if field is None else registry_of(field)
    if registry is None:
        raise ConfigError(
            f"{type(cfg).__name__} has no field init that is checked against mg.INITS or mg.MLP_INITS: give it one, "
            "init: Annotated[str, AfterValidator(mg.MLP_INITS.check)] = 'fan_in', or its network a method draw(path, "
            "shape, cfg, generator)"
        )
    return registry[getattr(cfg, "init")]  # noqa: B009


def initialise(model: nn.Module, cfg: NetworkConfig, seed: int, draw: Draw) -> None:
    """Draw the weights of a network in place; norms are the identity.

    The draw depends only on the seed; torch's global generator has no influence and is left untouched.

    Raises:
        ConfigError: the scheme is not registered, or returns something other than weights of the parameters' shapes.
    """
    generator = torch.Generator().manual_seed(check_seed(seed))
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            name = path.rpartition(".")[2]
            if name in OF_NORMS:
                parameter.fill_(OF_NORMS[name])
                continue
            drawn = draw(path, parameter.shape, cfg, generator)
            if not isinstance(drawn, Tensor) or drawn.shape != parameter.shape:
                raise ConfigError(
                    f"{_drawn_by(cfg)} gives a tensor of shape {tuple(parameter.shape)} for {path}; got {shown(drawn)}"
                )
            parameter.copy_(drawn)


def _drawn_by(cfg: NetworkConfig) -> str:
    return f"init={cfg.init!r}" if hasattr(cfg, "init") else f"draw of the kind {cfg.kind!r}"


def normal(shape: Size, deviation: float, generator: Generator) -> Tensor:
    """Normal weights with mean 0."""
    return torch.randn(shape, generator=generator) * deviation


def _scheme(deviation: Callable[[str, ModelConfig], float]) -> Draw:
    """A scheme of normal weights, whose standard deviation depends on their name, and zero biases."""

    def draw(path: str, shape: Size, cfg: ModelConfig, generator: Generator) -> Tensor:
        name = path.rpartition(".")[2]
        return normal(shape, deviation(name, cfg), generator) if name.startswith("W_") else torch.zeros(shape)

    draw.__doc__ = deviation.__doc__
    return draw


def _nanda(name: str, cfg: ModelConfig) -> float:
    """Normal with variance 1/d_model, W_U with 1/classes, as in Nanda et al. 2023."""
    # The output projection of the MLP has a fan-in of d_mlp, but the paper's code uses d_model.
    return (cfg.d_vocab_out if name == "W_U" else cfg.d_model) ** -0.5


def _nanda_heads(name: str, cfg: ModelConfig) -> float:
    """Like "nanda", with W_Q, W_K and W_V of variance 1/d_head, as in the attention-only network of the same paper."""
    return cfg.d_head**-0.5 if name in ("W_Q", "W_K", "W_V") else _nanda(name, cfg)


def _pizza(name: str, cfg: ModelConfig) -> float:
    """Normal with variance 1/d_model, W_U with 1/classes and W_in with 1/d_mlp, as in Zhong et al. 2023."""
    return {"W_U": cfg.d_vocab_out, "W_in": cfg.d_mlp}.get(name, cfg.d_model) ** -0.5


def _furuta(name: str, cfg: ModelConfig) -> float:
    """Normal with variance 1/d_model, W_E with 1/tokens, as in Furuta et al. 2024."""
    return (cfg.d_vocab if name == "W_E" else cfg.d_model) ** -0.5


def _tl(name: str, cfg: ModelConfig) -> float:
    """Normal with standard deviation 0.8/sqrt(d_model), as in TransformerLens's "gpt2" mode."""
    return 0.8 * cfg.d_model**-0.5


_SCHEMES = {"nanda": _nanda, "nanda-heads": _nanda_heads, "pizza": _pizza, "furuta": _furuta, "tl": _tl}
for _name, _deviation in _SCHEMES.items():
    INITS.register(_name, _scheme(_deviation))


@MLP_INITS.add("pizza")
def pizza_mlp(path: str, shape: Size, cfg: MLPConfig, generator: Generator) -> Tensor:
    """The linear models of Zhong et al. 2023: hidden layers as in torch.nn.Linear, embedding and read-out normal."""
    name = path.rpartition(".")[2]
    if name == "W_E":
        return normal(shape, (cfg.d_mlp / 2) ** -0.5, generator)
    if name in ("W_U", "W_out"):
        return normal(shape, shape[0] ** -0.5, generator)
    # The hidden layers are initialised like torch.nn.Linear: weights and biases uniform within 1/sqrt(inputs).
    first = cfg.d_embed * (2 if cfg.combine == "concat" else 1)
    bound = (first if path.startswith("blocks.0.") else cfg.d_mlp) ** -0.5
    return (2 * torch.rand(shape, generator=generator) - 1) * bound


@MLP_INITS.add("fan_in")
def fan_in(path: str, shape: Size, cfg: Any, generator: Generator) -> Tensor:
    """Normal with variance 1/inputs and biases 0, as in Chughtai et al. 2023."""
    if len(shape) == 1:
        return torch.zeros(shape)
    return normal(shape, (cfg.d_embed if path.endswith("W_E") else shape[0]) ** -0.5, generator)


@MLP_INITS.add("pair")
def pair(path: str, shape: Size, cfg: NetworkConfig, generator: Generator) -> Tensor:
    """Haiku's layers, as in Pearce et al. 2023: normal with deviation 1/sqrt(inputs), truncated at twice that.

    Embeddings have variance 2/tokens, biases are 0.
    """
    if len(shape) == 1:
        return torch.zeros(shape)
    if path.endswith("W_E"):
        return truncated_normal(shape, (2 / shape[0]) ** 0.5 / TRUNCATED_DEVIATION, generator)
    return truncated_normal(shape, shape[0] ** -0.5, generator)


@MLP_INITS.add("pair_circle")
def pair_circle(path: str, shape: Size, cfg: MLPConfig, generator: Generator) -> Tensor:
    """Like "pair", with cosines and sines of the frequencies 1, 2, ... as the unit-length columns of the embedding."""
    if not path.endswith("W_E"):
        return pair(path, shape, cfg, generator)
    tokens, columns = shape
    if not 0 < columns < tokens:
        raise ConfigError(
            f"init='pair_circle' takes a cosine and a sine of each frequency, so d_embed from 1 to {tokens - 1} for "
            f"{tokens} tokens; got {columns}"
        )
    return fourier_basis(tokens).matrix[1 : columns + 1].T


def truncated_normal(shape: Size, deviation: float, generator: Generator) -> Tensor:
    """Normal weights of mean 0, redrawn beyond two deviations, which leaves `TRUNCATED_DEVIATION` of the deviation."""
    return nn.init.trunc_normal_(torch.empty(shape), 0, 1, -2, 2, generator=generator) * deviation


@MLP_INITS.add("xavier")
def xavier(path: str, shape: Size, cfg: NetworkConfig, generator: Generator) -> Tensor:
    """Xavier normal with biases 0 (scienceetonnante)."""
    return torch.zeros(shape) if len(shape) == 1 else normal(shape, (2 / sum(shape)) ** 0.5, generator)


@MLP_INITS.add("gromov")
def gromov(path: str, shape: Size, cfg: Any, generator: Generator) -> Tensor:
    """Normal with variance (2 tokens * neurons)^(-2/3) and biases 0, as in Gromov 2023.

    For a network of squares without biases, this is his f(x) = W_2 (W_1 x)^2 / (2 tokens * neurons) with weights of
    variance 1.
    """
    if len(shape) == 1:
        return torch.zeros(shape)
    return normal(shape, (2 * cfg.d_vocab * cfg.d_mlp) ** (-1 / 3), generator)
