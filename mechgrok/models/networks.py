"""The network of a configuration, of whichever family it is."""

from typing import Any

from mechgrok.config import NetworkConfig
from mechgrok.models.dense import HookedDense
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.transformer import HookedTransformer

Network = HookedTransformer | HookedMLP | HookedDense
"""Any network of ours."""

FAMILIES: dict[str, Any] = {"transformer": HookedTransformer, "mlp": HookedMLP, "dense": HookedDense}
"""By the `kind` of their configurations."""


def make_network(cfg: NetworkConfig, seed: int | None = None) -> Network:
    """A network of the given architecture; without a seed all weights are 0, to be loaded.

    Raises:
        ConfigError: a size is still open.

    >>> from mechgrok import MLPConfig
    >>> type(make_network(MLPConfig(d_vocab=7, d_vocab_out=7))).__name__
    'HookedMLP'
    """
    return FAMILIES[cfg.kind](cfg, seed)
