"""Build the network of a configuration from any family."""

from pkgutil import resolve_name
from typing import Any

from mechgrok.config import NetworkConfig
from mechgrok.errors import ConfigError, shown
from mechgrok.models.hooked import HookedNetwork
from mechgrok.registries import NETWORKS


def make_network(cfg: NetworkConfig, seed: int | None = None) -> HookedNetwork:
    """A network of the given architecture; without a seed all weights are 0, to be loaded.

    Raises:
        ConfigError: a size is still open; the family is not registered, or returns something else.

    >>> from mechgrok import MLPConfig
    >>> type(make_network(MLPConfig(d_vocab=7, d_vocab_out=7))).__name__
    'HookedMLP'
    """
    family = NETWORKS[cfg.kind]
    make: Any = resolve_name(family.function) if isinstance(family.function, str) else family.function
    network = make(cfg, seed)
    if not isinstance(network, HookedNetwork):
        raise ConfigError(
            f"a network of the kind {cfg.kind!r} derives from mg.HookedNetwork; what is registered gives "
            f"{shown(network)}"
        )
    return network
