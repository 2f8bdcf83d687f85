"""The forward pass over all inputs, by the tables of the fast training step where the network allows it."""

from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType

from mechgrok.activations import ActivationGrid, cache_grid
from mechgrok.fast.tables import Pairs
from mechgrok.fast.transformer import TabledNetwork
from mechgrok.models.protocol import HookedModel, neuron_hook
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import Task


def read_grid(model: HookedModel, task: Task, hooks: Sequence[str] = ()) -> ActivationGrid:
    """Neurons, logits and some hooks over all inputs, as `cache_grid` gives them up to rounding.

    Raises:
        ActivationError: as in `cache_grid`.
    """
    if not hooks and isinstance(model, HookedTransformer) and _has_tables(model):
        pairs = _pairs(task)
        neurons = model.embed.W_E.new_empty(len(pairs.of_input), model.cfg.d_mlp)
        logits = TabledNetwork(model, pairs).logits(pairs.of_input, neurons)
        if logits.isfinite().all():
            cached = MappingProxyType({neuron_hook(model): neurons})
            return ActivationGrid(task, model, logits[:, : task.n_classes], cached)
    if not hooks:
        return cache_grid(model, task)
    has_neurons = getattr(model.cfg, "d_mlp", None)
    return cache_grid(model, task, [*([neuron_hook(model)] if has_neurons else []), *hooks])


@lru_cache(maxsize=1)
def _pairs(task: Task) -> Pairs:
    return Pairs.of(task.tokens)


def _has_tables(model: HookedTransformer) -> bool:
    return TabledNetwork.supports(model) and not model.cfg.attn_only and model.embed.W_E.device.type == "cpu"
