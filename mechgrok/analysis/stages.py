"""A network with one stage after another replaced by its ideal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, cache_grid, run_from_sites
from mechgrok.algebra.bases import Label
from mechgrok.analysis.ablation import ablate
from mechgrok.analysis.losses import full_loss
from mechgrok.analysis.neurons import neuron_frequencies
from mechgrok.analysis.performance import performance
from mechgrok.errors import ActivationError, UndefinedMetricError
from mechgrok.models.protocol import Hook, pre_activation_hook
from mechgrok.readable import Readable

AS_NEURONS = "blocks.0.mlp.hook_post"


@dataclass(frozen=True)
class Stage(Readable):
    """A network of which one stage, or all up to one, was replaced by its ideal.

    Attributes:
        stage: which one, and by what.
        accuracy, loss: of the network with it; loss in nats.
        recovered: 1 - (loss - L) / (ln n - L), where L is the loss of the network and ln n that of guessing: 1 where
            the replacement does no harm.
    """

    stage: str
    accuracy: float
    loss: float
    recovered: float


def replace_stages(grid: ActivationGrid, keys: Sequence[Label]) -> tuple[tuple[Stage, ...], dict[str, str]]:
    """Each stage replaced by its ideal, and the neurons with all before and after them; and why others cannot be.

    The embedding is restricted to the key blocks. The attention pattern of the last layer is fixed to its mean over the
    inputs. Each neuron of the last hidden layer reads the one block that explains most of its pre-activation, with
    products of the operands or without; without, on a cyclic group, that is a constant and a wave of each operand. And
    what the neurons write is restricted to the key blocks.

    >>> import mechgrok as mg
    >>> stages, left_out = replace_stages(mg.cache_grid(mg.cosine_network(11, {3: 9.0})), [3])
    >>> {round(stage.recovered, 9) for stage in stages}, left_out
    ({1.0}, {})
    """
    stages: list[Stage] = []
    left_out: dict[str, str] = {}
    for name, replaced in _STAGES.items():
        try:
            logits = replaced(grid, keys)
        except (ActivationError, UndefinedMetricError) as error:
            left_out[name] = str(error)
        else:
            stages.append(_stage(name, logits, grid))
    return tuple(stages), left_out


def _stage(name: str, logits: Float[Tensor, "inputs classes"], grid: ActivationGrid) -> Stage:
    inside = grid.task.frame.covers(grid.task.n_inputs)
    found = performance(name, logits[inside], grid.labels[inside], grid.logits)
    before = full_loss(grid, inside)
    harm = (found.loss - before) / max(log(grid.task.n_classes) - before, 1e-300)
    return Stage(name, found.accuracy, found.loss, 1 - harm)


def _embedding(grid: ActivationGrid, keys: Sequence[Label]) -> Tensor:
    return _under(grid, ablate(grid, keys, site="embed", keep=True).hooks)


def _fixed_attention(grid: ActivationGrid, keys: Sequence[Label]) -> Tensor:
    model = grid.model
    name = f"blocks.{getattr(model.cfg, 'n_layers', 1) - 1}.attn.hook_pattern"
    pattern = cache_grid(model, grid.task, [name])[name]
    return run_from_sites(grid, {name: pattern.mean(0, keepdim=True).expand_as(pattern)})


def _with_products(grid: ActivationGrid, keys: Sequence[Label]) -> Tensor:
    return run_from_sites(grid, _one_block(grid, products=True))


def _without_products(grid: ActivationGrid, keys: Sequence[Label]) -> Tensor:
    return run_from_sites(grid, _one_block(grid, products=False))


def _written(grid: ActivationGrid, keys: Sequence[Label]) -> Tensor:
    return _under(grid, ablate(grid, keys, site="neurons", keep=True).hooks)


def _all_of_it(grid: ActivationGrid, keys: Sequence[Label]) -> Tensor:
    hooks = ablate(grid, keys, site="neurons", keep=True).hooks
    return run_from_sites(grid, _one_block(grid, products=False), hooks)


def _under(grid: ActivationGrid, hooks: Sequence[Hook]) -> Tensor:
    return run_from_sites(grid, {}, hooks)


def _one_block(grid: ActivationGrid, *, products: bool) -> dict[str, Tensor]:
    """What each neuron reads, restricted to the block that explains most of it."""
    name = pre_activation_hook(grid.model)
    frame = grid.task.frame
    if not frame.is_operation:
        raise UndefinedMetricError(f"{grid.task.name} has no two operands that neurons could read")
    pre = cache_grid(grid.model, grid.task, [name])[name]
    read = ActivationGrid(grid.task, None, grid.logits, MappingProxyType({AS_NEURONS: pre}))
    blocks = neuron_frequencies(read, threshold=0.0).frequency
    ideal = pre.clone()
    for block in blocks.unique().tolist():
        mine = (blocks == block).nonzero().flatten()
        square = frame.square(pre[:, mine].double())
        rows = [0, *frame.basis.rows_of([frame.basis.labels[block - 1]])]
        functions = frame.basis.matrix[rows]
        coefficients = torch.einsum("rx,xym,sy->rsm", functions, square, functions)
        if not products:
            coefficients[1:, 1:] = 0
        part = torch.einsum("rx,rsm,sy->xym", functions, coefficients, functions)
        ideal[frame.rows.flatten()[:, None], mine] = part.flatten(0, 1).to(ideal)
    return {name: ideal}


_STAGES: dict[str, Callable[[ActivationGrid, Sequence[Label]], Tensor]] = {
    "embedding in the keys": _embedding,
    "attention fixed": _fixed_attention,
    "neurons read one block, with products": _with_products,
    "neurons read one block, without products": _without_products,
    "neurons write in the keys": _written,
    "neurons read one block without products, and write in the keys": _all_of_it,
}
