"""What all networks of ours share: hooks whose names are checked, and caches that know the short names."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformer_lens import HookedRootModule

from mechgrok.errors import ActivationError, shown
from mechgrok.models.description import Described
from mechgrok.models.hook_names import NamedActivations
from mechgrok.models.protocol import Hook, check_hook_names, one_at_a_time


def check_tokens(tokens: Any, d_vocab: int) -> None:
    """Refuse what an embedding would answer with something else, or with an error of torch.

    Raises:
        ActivationError: no whole numbers in two dimensions; numbers that are no tokens, a negative one among them,
            which would count from the end.
    """
    if not isinstance(tokens, Tensor) or tokens.ndim != 2 or tokens.is_floating_point():
        raise ActivationError(f"a network reads whole numbers [batch, position]; got {shown(tokens)}")
    if tokens.device.type != "cpu" or torch.compiler.is_compiling():
        return  # to look would stop the device, or the compiler
    try:
        outside = bool(((tokens < 0) | (tokens >= d_vocab)).any())
    except RuntimeError:  # under vmap, where values cannot be looked at
        return
    if outside:
        raise ActivationError(
            f"the network knows the tokens 0 to {d_vocab - 1}; got {int(tokens.min())} to {int(tokens.max())}"
        )


class HookedNetwork(Described, HookedRootModule):
    """A network with TransformerLens's hooks, which refuses names that it does not have.

    Hooks sit on the network itself, so runs with hooks of several threads take turns.
    """

    cfg: Any

    @contextmanager
    def hooks(
        self, fwd_hooks: Sequence[Hook] = (), bwd_hooks: Sequence[Hook] = (), *args: Any, **kwargs: Any
    ) -> Iterator[Any]:
        """Hooks for a while, as in TransformerLens.

        Raises:
            ActivationError: a name that the network does not have; the text lists the closest ones.
        """
        check_hook_names(self, [name for name, _ in (*fwd_hooks, *bwd_hooks) if isinstance(name, str)])
        with one_at_a_time(self), super().hooks(list(fwd_hooks), list(bwd_hooks), *args, **kwargs) as hooked:
            yield hooked

    def run_with_cache(
        self, *args: Any, names_filter: Any = None, **kwargs: Any
    ) -> tuple[Any, NamedActivations]:
        """The output and the activations, by name: `cache["blocks.0.attn.hook_z"]` or `cache["z", 0]`.

        Raises:
            ActivationError: `names_filter` names a hook that the network does not have.
        """
        if isinstance(names_filter, str | list | tuple):
            names_filter = [names_filter] if isinstance(names_filter, str) else list(names_filter)
            check_hook_names(self, names_filter)
        output, cache = super().run_with_cache(*args, names_filter=names_filter, **kwargs)
        return output, NamedActivations(cache, self.cfg.n_layers)
