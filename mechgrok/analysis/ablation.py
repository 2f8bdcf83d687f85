"""Removing or isolating some frequencies or irreps, whole or by their cosines and sines, as hooks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from mechgrok.activations import (
    ActivationGrid,
    Source,
    as_grid,
    logits_under,
    run_from_site,
    run_with_embedding,
    run_with_neurons,
)
from mechgrok.algebra.bases import Label
from mechgrok.analysis.centring import CHUNK
from mechgrok.analysis.key_losses import check_keys
from mechgrok.analysis.losses import accuracy, full_loss, mean_loss, right_after_edit
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, ConfigError, UndefinedMetricError, shown
from mechgrok.models.protocol import (
    Hook,
    check_hook_names,
    embeds_operands_apart,
    neuron_hook,
    neuron_logit_map,
    token_embedding,
)

Site = Literal["embed", "neurons", "logits"]
Edit = Callable[[Tensor], Tensor]

LOGITS_HOOK = "unembed.hook_out"


@dataclass(frozen=True, eq=False)
class Ablation(Drawable):
    """The effect of an ablation.

    Attributes:
        loss, accuracy: after the ablation; loss in nats, accuracy in 0..1.
        loss_before, accuracy_before: of the unmodified network, over the same inputs.
        hooks: the ablation as hooks: `model.run_with_hooks(tokens, fwd_hooks=ablation.hooks)` runs it on any
            batch. Empty for a function of one element, which is edited over all inputs together, at the logits of
            bare tensors, and at the logits of a network that has no hook there.
        keys, component, site, keep: what was done.
    """

    loss: float
    accuracy: float
    loss_before: float
    accuracy_before: float
    hooks: list[Hook]
    keys: tuple[Label, ...]
    component: str
    site: Site
    keep: bool

    def __repr__(self) -> str:
        what = f"{'keep' if self.keep else 'remove'} {self.component} of {list(self.keys)} at {self.site}"
        return (
            f"Ablation({what}: loss {self.loss_before:z.3g} -> {self.loss:z.3g}, "
            f"accuracy {self.accuracy_before:z.1%} -> {self.accuracy:z.1%})"
        )


@door
def ablate(
    source: Source,
    keys: Iterable[Label],
    component: str = "both",
    site: Site = "embed",
    *,
    keep: bool = False,
    mask: Bool[Tensor, " inputs"] | None = None,
) -> Ablation:
    """Remove the cosine, the sine or both of some frequencies at a site of the network, or everything else.

    The mean over the inputs stays at every site, so that only the frequency is removed.

    Args:
        keys: labels of the blocks.
        component: "both" for whole blocks, or the name of single rows: "cos" or "sin" for frequencies, a matrix
            entry such as "12" for irreps. An entry depends on the orthonormal basis that this toolkit chose for
            the irrep; the effect of a whole block does not depend on any choice.
        site: "embed" edits the token embedding as a function of the token. "neurons" projects the activations
            of the last hidden layer on the directions that write cos(w_k c) or sin(w_k c), or the entry of an
            irrep as a function of c, to the logits: the columns of W_L in the basis. "logits" edits the logits as
            functions of the class c. For a function of one element, such as a parity, "neurons" and "logits" edit
            these as functions of the input; the embedding has no counterpart.
        keep: False removes the components; True removes everything else.
        mask: inputs to evaluate on; None means all.

    Raises:
        ConfigError: a key, component or site that does not exist.
        UndefinedMetricError: no keys, or blocks without such a component (the sine of k = p/2, the entry "22" of
            a one-dimensional irrep).
        ActivationError: "embed", if the operands have separate embeddings; a site other than the logits, for bare
            tensors.

    Source: Nanda et al. 2023, section 4.4.

    >>> from mechgrok.models.constructed import cosine_network
    >>> ablation = ablate(cosine_network(7, {2: 9.0}), [2], site="neurons")
    >>> round(ablation.loss_before, 2), round(ablation.loss, 2)
    (0.07, 1.95)
    """
    if not isinstance(site, str) or site not in _EDITS:
        raise ConfigError(f"site must be one of {', '.join(_EDITS)}; got {shown(site)}")
    grid = as_grid(source)
    labels = check_keys(grid, keys)
    basis = grid.task.frame.basis
    rows = basis.rows_of(labels, component)
    if not rows:
        raise UndefinedMetricError(f"{basis.what} {labels} of {basis} has no {component}: nothing to ablate")
    edited = _by_hooks if grid.task.frame.is_operation else _by_inputs
    logits, hooks = edited(grid, site, basis.matrix[rows], keep)
    return Ablation(
        loss=mean_loss(logits, grid, mask),
        accuracy=right_after_edit(logits, grid.labels, grid.logits)[grid.selection(mask)].mean().item(),
        loss_before=full_loss(grid, mask),
        accuracy_before=accuracy(grid, mask),
        hooks=hooks,
        keys=labels,
        component=component,
        site=site,
        keep=keep,
    )


def _by_hooks(grid: ActivationGrid, site: Site, rows: Tensor, keep: bool) -> tuple[Tensor, list[Hook]]:
    """An ablation that needs only the activation itself, so that it works on any batch."""
    name, edit = _EDITS[site](grid, rows, keep)

    def hook_function(activation: Tensor, hook: Any) -> Tensor:
        return edit(activation)

    known = {} if grid.source is None else grid.source.hook_dict
    hooks: list[Hook] = [(name, hook_function)] if name in known else []
    at_the_end = site == "logits" or not hooks  # the logits that the hook would see are known: nothing to run
    return (_in_parts(edit, grid.logits) if at_the_end else _run_edited(grid, site, edit, hooks)), hooks


def _in_parts(edit: Edit, x: Tensor) -> Tensor:
    """An edit that acts on each row alone, without copies of all rows on the way."""
    edited = torch.empty_like(x)
    rows = max(1, CHUNK // x.shape[1])
    for part, room in zip(x.split(rows), edited.split(rows), strict=True):
        room.copy_(edit(part))
    return edited


def _run_edited(grid: ActivationGrid, site: Site, edit: Edit, hooks: list[Hook]) -> Tensor:
    """What the hooks make of the logits, without running the whole network where that can be spared."""
    if site == "neurons":
        logits = run_with_neurons(grid, edit)
    else:
        logits = run_with_embedding(grid, edit(token_embedding(grid.model)))
    return logits_under(grid, hooks) if logits is None else logits


def _by_inputs(grid: ActivationGrid, site: Site, rows: Tensor, keep: bool) -> tuple[Tensor, list[Hook]]:
    """An ablation of activations as functions of the input, which exist only for all inputs together."""
    if site == "embed":
        raise UndefinedMetricError(
            f"no single token stands for an input of {grid.task.name}, so there is nothing to ablate in the embedding; "
            "ablate at the neurons or the logits"
        )
    frame, x = grid.task.frame, grid.neurons if site == "neurons" else grid.logits
    values = frame.square(x.double())
    along = rows.T @ (rows @ values)
    edited = x.double().clone()
    edited[frame.rows] = values.mean(0) + along if keep else values - along
    if site == "logits":
        return edited.to(x.dtype), []
    return run_from_site(grid, neuron_hook(grid.model), edited.to(x.dtype)), []


def _edit_embedding(grid: ActivationGrid, rows: Tensor, keep: bool) -> tuple[str, Edit]:
    check_hook_names(grid.model, ["hook_embed"])
    if embeds_operands_apart(grid.model) or "b'" in grid.operation.slots:
        raise ActivationError(
            "the two operands have embeddings of their own, and a hook on both cannot tell them apart; "
            "ablate at the neurons or the logits"
        )
    tokens = grid.task.frame.tokens
    embedding = token_embedding(grid.model)
    symbols = embedding[tokens].double()
    chosen = rows.T @ (rows @ symbols)
    change = torch.zeros_like(embedding)
    change[tokens] = (symbols.mean(0) + chosen - symbols if keep else -chosen).to(embedding)

    def edit(x: Tensor) -> Tensor:
        # A hook sees embeddings, not tokens: the token is identified by its embedding.
        flat = x.reshape(-1, x.shape[-1])
        token = torch.cdist(flat.double(), embedding.to(x.device).double()).argmin(dim=1)
        return x + change.to(x)[token].view_as(x)

    return "hook_embed", edit


def _edit_neurons(grid: ActivationGrid, rows: Tensor, keep: bool) -> tuple[str, Edit]:
    readout = neuron_logit_map(grid.model, grid.task.n_classes)[:, grid.task.frame.classes].double()
    left, strength, _ = torch.linalg.svd(readout @ rows.T, full_matrices=False)
    directions = left[:, strength > 1e-9 * readout.norm()]
    return neuron_hook(grid.model), _along(directions, _mean(grid.neurons), keep)


def _edit_logits(grid: ActivationGrid, rows: Tensor, keep: bool) -> tuple[str, Edit]:
    directions = torch.zeros(grid.task.n_classes, len(rows), dtype=rows.dtype)
    directions[grid.task.frame.classes] = rows.T
    edit_classes = _along(directions, _mean(grid.logits), keep)

    def edit(logits: Tensor) -> Tensor:
        classes, others = logits[..., : grid.task.n_classes], logits[..., grid.task.n_classes :]
        return torch.cat([edit_classes(classes), others], dim=-1)

    return LOGITS_HOOK, edit


def _mean(x: Tensor) -> Tensor:
    """Over the rows, in float64 without a copy of all of them."""
    return torch.stack([part.double().sum(0) for part in x.split(max(1, CHUNK // x.shape[1]))]).sum(0) / len(
        x
    )


def _along(directions: Tensor, mean: Tensor, keep: bool) -> Edit:
    """Keep or remove the variation along orthonormal directions [features, n]."""

    def edit(x: Tensor) -> Tensor:
        # Half precision can hold the result, but would round the sums behind it.
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        d, centre = directions.to(exact), mean.to(exact)
        along = ((exact - centre) @ d) @ d.T
        return (centre + along if keep else exact - along).to(x.dtype)

    return edit


_EDITS: dict[Site, Callable[[ActivationGrid, Tensor, bool], tuple[str, Edit]]] = {
    "embed": _edit_embedding,
    "neurons": _edit_neurons,
    "logits": _edit_logits,
}
