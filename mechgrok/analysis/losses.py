"""Losses and accuracy over the grid: full, restricted to the key blocks, and with them excluded.

All in nats, as means over inputs, in float64.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from mechgrok.activations import ActivationGrid, Source, as_grid, run_from_site
from mechgrok.algebra.bases import Label
from mechgrok.analysis.projections import project_on_characters, project_on_product
from mechgrok.door import door
from mechgrok.errors import ConfigError, UndefinedMetricError, shown

Space = Literal["product", "character"]
_PROJECTIONS = {"product": project_on_product, "character": project_on_characters}


def cross_entropy(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Cross-entropy of each row in nats, in float64.

    Computed from the wrong classes, log(1 + sum exp(wrong - right)), so that a loss of 1e-20 keeps all its
    digits, where log_softmax would round it against 1.

    >>> cross_entropy(torch.tensor([[0.0, 50.0]]), torch.tensor([1])).item() < 1e-21
    True
    """
    logits = logits.double()
    right = logits.gather(1, labels[:, None])
    wrong = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    return functional.softplus(wrong - right.squeeze(1), threshold=50)


@door
def full_loss(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> float:
    """Cross-entropy of the network in nats, over the inputs in `mask` (all for None).

    Logits beyond the answers of the task are dropped before.

    Raises:
        UndefinedMetricError: the mask selects nothing.

    >>> from mechgrok.models.constructed import cosine_network
    >>> round(full_loss(cosine_network(7, {2: 5.0})), 3)
    0.269
    """
    grid = as_grid(source, names=[])
    return mean_loss(grid.logits, grid, mask)


@door
def accuracy(source: Source, mask: Bool[Tensor, " inputs"] | None = None) -> float:
    """Share of right answers in 0..1, over the inputs in `mask` (all for None).

    Raises:
        UndefinedMetricError: the mask selects nothing.

    >>> from mechgrok.models.constructed import cosine_network
    >>> accuracy(cosine_network(7, {2: 5.0}))
    1.0
    """
    grid = as_grid(source, names=[])
    chosen = grid.selection(mask)
    return (grid.logits.argmax(1) == grid.labels)[chosen].double().mean().item()


@door
def restricted_loss(
    source: Source,
    keys: Iterable[Label],
    mask: Bool[Tensor, " inputs"] | None = None,
    *,
    space: Space = "product",
    site: str = "logits",
    keep_mean: bool | None = None,
) -> float:
    """Loss of what the key blocks alone compute. Low once the circuit is there, before the test loss falls.

    Of the logits as functions of the input only the part is kept that depends on a∘b through the key
    blocks, and the mean over all inputs. Inputs without a place in the task's frame (a 0 in a
    product) are left out, here and in `excluded_loss`, where `full_loss` counts them.

    Args:
        source: a network or a grid.
        keys: labels of the key blocks, as `find_key_frequencies` gives them; all are kept together.
        mask: inputs to average over; None takes all, train and test, as the paper does.
        space: "product" keeps any function of a∘b in the blocks, separately for each class (Nanda et al.
            2023, the released code); "character" keeps the single direction chi(a∘b∘c^-1) of each block.
        site: "logits"; "neurons", the last hidden layer, of which only what it writes to the logits itself
            counts, through W_L = W_out @ W_U: nothing that passes it by, and no bias; or the name of a hook,
            whose activation at the read-out position is restricted and then run on through the network.
            Other sites than the logits go with "product" alone.
        keep_mean: whether to add the mean back. None does as the source does: not for "character", and not
            at the "neurons".

    Returns:
        The loss in nats.

    Raises:
        ConfigError: a key that the basis does not have, an unknown space, "character" at a hook.
        UndefinedMetricError: no keys at all, or a mask that selects nothing.
        ActivationError: another site than the logits, of a grid without its network.

    Source: Nanda et al. 2023, section 5.1 and released notebook ("trig loss"); for "character" and at the
    neurons Chughtai et al. 2023, section 5 and released code ("total_hidden_restricted_loss").

    >>> from mechgrok.models.constructed import cosine_network
    >>> model = cosine_network(7, {2: 5.0})
    >>> abs(restricted_loss(model, [2]) - full_loss(model)) < 1e-12
    True
    >>> round(restricted_loss(model, [2], site="neurons"), 3)
    0.269
    """
    grid = _grid_with(source, site)
    kept, mean = _key_part(grid, keys, space, site)
    if keep_mean is None:
        keep_mean = space == "product" and site != "neurons"
    return _loss_from(grid, kept + mean if keep_mean else kept, site, mask)


@door
def excluded_loss(
    source: Source,
    keys: Iterable[Label],
    mask: Bool[Tensor, " inputs"] | None = None,
    *,
    space: Space = "product",
    site: str = "logits",
) -> float:
    """Loss without what the key blocks compute. High once the network relies on the circuit.

    The part that `restricted_loss` keeps is removed; the mean stays as it is.

    Args:
        mask: inputs to average over. The paper takes the train inputs, `mask=split.train`: there the loss is
            low as long as memorisation carries the answer. None takes all inputs.

    The other arguments, the errors and the source are those of `restricted_loss`. For one block at a time
    pass one key: `excluded_loss(grid, [k], split.train)`.

    >>> import math
    >>> from mechgrok.models.constructed import cosine_network
    >>> abs(excluded_loss(cosine_network(7, {2: 5.0}), [2]) - math.log(7)) < 1e-12
    True
    """
    grid = _grid_with(source, site)
    kept, _ = _key_part(grid, keys, space, site)
    return _loss_from(grid, _at_site(grid, site) - kept, site, mask)


def check_keys(grid: ActivationGrid, keys: Iterable[Label]) -> tuple[Label, ...]:
    """The keys in the order of the basis.

    Raises:
        UndefinedMetricError: there is none.
        ConfigError: one is not a label of the basis.
    """
    labels = grid.task.frame.basis.check_labels(keys)
    if not labels:
        raise UndefinedMetricError(
            f"no key {grid.task.frame.basis.what} given; if find_key_frequencies found none, "
            "the network has not learned a circuit in this basis"
        )
    return labels


def _key_part(grid: ActivationGrid, keys: Iterable[Label], space: Space, site: str) -> tuple[Tensor, Tensor]:
    """What the keys contribute at the site, and the mean over the inputs of what they do not."""
    labels = check_keys(grid, keys)
    if not isinstance(space, str) or space not in _PROJECTIONS:
        raise ConfigError(f"space must be one of {', '.join(_PROJECTIONS)}; got {shown(space)}")
    if space == "character" and site != "logits":
        raise ConfigError(
            f"space='character' compares with the classes and needs site='logits', got {site!r}"
        )
    x = _at_site(grid, site)
    frame = grid.task.frame
    kept = _PROJECTIONS[space](x, frame, labels)
    return kept, (x - kept)[frame.covers(len(x))].mean(dim=0)


def _grid_with(source: Source, site: str) -> ActivationGrid:
    if site == "neurons":
        return as_grid(source)
    return as_grid(source, names=[] if site == "logits" else [site])


def _at_site(grid: ActivationGrid, site: str) -> Tensor:
    if site == "neurons":
        return grid.neurons.double()
    return (grid.logits if site == "logits" else grid[site]).double()


def _loss_from(grid: ActivationGrid, x: Tensor, site: str, mask: Tensor | None) -> float:
    """Mean loss if the activation at the site were x, over the chosen inputs that lie in the frame."""
    inside = grid.selection(mask) & grid.task.frame.covers(len(x))
    if site == "neurons":
        x = x @ grid.neuron_logit_map.double()
    elif site != "logits":
        x = run_from_site(grid, site, x)
    return mean_loss(x, grid, inside)


def mean_loss(
    logits: Float[Tensor, "inputs classes"], grid: ActivationGrid, mask: Bool[Tensor, " inputs"] | None
) -> float:
    """Cross-entropy of other logits on the inputs of a grid, over a mask."""
    chosen = grid.selection(mask)
    return cross_entropy(logits[chosen], grid.labels[chosen]).mean().item()


def right_after_edit(
    logits: Float[Tensor, "inputs classes"],
    labels: Int[Tensor, " inputs"],
    before: Float[Tensor, "inputs_before classes"],
) -> Float[Tensor, " inputs"]:
    """1 where edited logits have the right answer, 0 where not, in float64.

    Classes that the rounding of the logits `before` puts in an order share the answer: where all that told them
    apart has been removed, the largest logit says nothing.
    """
    eps = torch.finfo(before.dtype).eps
    # Sums of many products round in the last two digits of float32; half precision has no more than two of its own.
    rounding = eps * (100 if eps < 1e-6 else 2) * before.abs().max()
    first = logits >= logits.amax(1, keepdim=True) - rounding
    right = first.gather(1, labels[:, None]).squeeze(1)
    return right.double() / first.sum(1)
