"""The network of a configuration, of whichever family it is."""

from mechgrok.config import MLPConfig, NetworkConfig
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.transformer import HookedTransformer

Network = HookedTransformer | HookedMLP
"""Any network of ours."""


def make_network(cfg: NetworkConfig, seed: int | None = None) -> Network:
    """A network of the given architecture; without a seed all weights are 0, to be loaded.

    Raises:
        ConfigError: a size is still open.

    >>> type(make_network(MLPConfig(d_vocab=7, d_vocab_out=7))).__name__
    'HookedMLP'
    """
    return HookedMLP(cfg, seed) if isinstance(cfg, MLPConfig) else HookedTransformer(cfg, seed)
