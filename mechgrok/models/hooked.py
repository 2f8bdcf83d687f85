"""Common base of our networks: sizes, hooks with checked names, and caches that know the short names."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformer_lens import HookedRootModule

from mechgrok.config import NetworkConfig
from mechgrok.errors import ActivationError, ConfigError, shown
from mechgrok.models.description import Described
from mechgrok.models.hook_names import NamedActivations
from mechgrok.models.init import initialise, scheme_of
from mechgrok.models.protocol import Hook, check_hook_names, one_at_a_time
from mechgrok.models.sizes import check_sizes


def check_tokens(tokens: Any, d_vocab: int) -> None:
    """Refuse tokens that an embedding would misinterpret, or reject with an error from torch.

    Raises:
        ActivationError: not integers in two dimensions; numbers that are not tokens, including negative ones, which
            would count from the end.
    """
    if not isinstance(tokens, Tensor) or tokens.ndim != 2 or tokens.is_floating_point():
        raise ActivationError(f"a network reads whole numbers [batch, position]; got {shown(tokens)}")
    if tokens.device.type != "cpu" or torch.compiler.is_compiling():
        return  # reading values would stall the device, or the compiler
    try:
        outside = bool(((tokens < 0) | (tokens >= d_vocab)).any())
    except RuntimeError:  # under vmap, values cannot be read
        return
    if outside:
        raise ActivationError(
            f"the network knows the tokens 0 to {d_vocab - 1}; got {int(tokens.min())} to {int(tokens.max())}"
        )


class Hooked(Described, HookedRootModule):
    """A module with TransformerLens's hooks, which refuses names that it does not have.

    Hooks are attached to the network itself, so threads that run it with hooks take turns.
    """

    cfg: Any

    @contextmanager
    def hooks(
        self, fwd_hooks: Sequence[Hook] = (), bwd_hooks: Sequence[Hook] = (), *args: Any, **kwargs: Any
    ) -> Iterator[Any]:
        """Temporary hooks, as in TransformerLens.

        Raises:
            ActivationError: the network has no hook of this name; the message lists the closest names.
        """
        check_hook_names(self, [name for name, _ in (*fwd_hooks, *bwd_hooks) if isinstance(name, str)])
        with one_at_a_time(self), super().hooks(list(fwd_hooks), list(bwd_hooks), *args, **kwargs) as hooked:
            yield hooked

    def run_with_cache(
        self, *args: Any, names_filter: Any = None, **kwargs: Any
    ) -> tuple[Any, NamedActivations]:
        """The output and the activations, by hook name: `cache["blocks.0.attn.hook_z"]` or `cache["z", 0]`.

        Raises:
            ActivationError: `names_filter` names a hook that the network does not have.
        """
        if isinstance(names_filter, str | list | tuple):
            names_filter = [names_filter] if isinstance(names_filter, str) else list(names_filter)
            check_hook_names(self, names_filter)
        output, cache = super().run_with_cache(*args, names_filter=names_filter, **kwargs)
        return output, NamedActivations(cache, getattr(self.cfg, "n_layers", 1))


class HookedNetwork(Hooked):
    """A network determined by its configuration: the base of every family registered in `NETWORKS`.

    A subclass takes the configuration and a seed. It creates its parameters and hook points after
    `super().__init__(cfg)`, and ends with `self.ready(seed)`. Its forward pass takes tokens [batch, n_ctx], or features
    [batch, ...], and returns outputs [batch, pos, d_vocab_out], with a position axis of length 1 if it has a single
    answer.

    Attributes:
        cfg: the architecture.
        task: the task that it was trained on, if known; only a hint for `cache_grid`.
        layout: the interpretation of the file that it was read from.

    Raises:
        ConfigError: a size is still open, or the network does not fit into memory.
    """

    def __init__(self, cfg: NetworkConfig) -> None:
        super().__init__()
        if cfg.open_sizes:
            features = " (or features in place of tokens)" if cfg.reads_features else ""
            raise ConfigError(
                f"a network needs {', '.join(cfg.open_sizes)}{features}; set them, or build it for a task with "
                "mechgrok.build_model(task, config)"
            )
        check_sizes(cfg)
        self.cfg = cfg
        self.task: object | None = None
        self.layout: str = "a mechgrok network"

    def ready(self, seed: int | None) -> None:
        """Name the hook points, and draw the weights; without a seed they stay unchanged, to be loaded."""
        self.setup()
        if seed is not None:
            initialise(self, self.cfg, seed, self.draw)

    def draw(self, path: str, shape: torch.Size, cfg: Any, generator: torch.Generator) -> Tensor:
        """The initial values of one parameter: by default from the scheme named by `cfg.init`.

        All random numbers come from the generator.
        """
        return scheme_of(cfg)(path, shape, cfg, generator)
