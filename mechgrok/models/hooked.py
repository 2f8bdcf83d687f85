"""What all networks of ours share: hooks whose names are checked, and caches that know the short names."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transformer_lens import HookedRootModule

from mechgrok.models.description import Described
from mechgrok.models.hook_names import NamedActivations
from mechgrok.models.protocol import Hook, check_hook_names, one_at_a_time


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
