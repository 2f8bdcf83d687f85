"""What neurons read, broken on purpose: signs flipped, ReLU replaced by |x|, embeddings swapped, noise."""

from copy import deepcopy
from dataclasses import dataclass, field
from math import log
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from mechgrok.activations import ActivationGrid, Source, cache_grid, cached_with, run_from_sites
from mechgrok.analysis.additive import by_operands, operand_parts
from mechgrok.analysis.losses import centred
from mechgrok.analysis.performance import (
    Performance,
    as_it_is,
    is_relu,
    logits_from_neurons,
    performance,
    reads_neurons_linearly,
)
from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.models.protocol import neuron_hook, pre_activation_hook
from mechgrok.readable import Readable

SLACK = 0.01
"""By how much an accuracy may miss its prediction."""
FEW = 0.01
"""Share of a variance below which nothing is expected of it."""
MOST = 0.9
"""Share of the inputs that "most" means."""
UNIT = 1 / 3
"""A noise of 1, as a share of the standard deviation of pre-activations: about that of Stander et al.'s networks."""
VARIES = 1e-7
"""A standard deviation below this share of the largest pre-activation is rounding."""
BOTH, ABSOLUTE, SWAPPED = "both signs flipped", "|x| in place of ReLU", "embeddings swapped"


@dataclass(frozen=True)
class Perturbation(Readable):
    """One way of breaking what neurons read: what should follow, and what did.

    Attributes:
        predicted: what should follow, in words.
        after: how the network answers then.
        control: the same with what should make a difference to that; None where there is no control.
        came_true: whether the prediction did.
    """

    predicted: str
    after: Performance
    control: Performance | None
    came_true: bool

    @property
    def accuracy(self) -> float:
        """Accuracy after that, 0..1."""
        return self.after.accuracy

    @property
    def loss(self) -> float:
        """Loss after that, in nats."""
        return self.after.loss

    def __repr__(self) -> str:
        control = "" if self.control is None else f" ({_said(self.control)})"
        came = "came true" if self.came_true else "did not come true"
        return f"{_said(self.after)}{control}; predicted: {self.predicted}: {came}"


@dataclass(frozen=True, eq=False)
class NeuronPerturbations(Drawable):
    """A network with what its neurons read broken in several ways, one at a time.

    Attributes:
        before: the network as it is.
        rows: each perturbation by its name.
        odd: the share of the variance of the logits, centred over the classes and the inputs, that changes its sign
            with the pre-activations. In a ReLU it is what they would write if neurons were linear.
        noise: what a noise of 1 is, in units of the pre-activations.
        left_out: perturbations that cannot be made, and why.
        n_inputs: how many inputs were evaluated.
    """

    before: Performance
    rows: dict[str, Perturbation]
    odd: float
    noise: float
    left_out: dict[str, str] = field(default_factory=dict)
    n_inputs: int = 0

    def records(self) -> list[dict[str, Any]]:
        """One row per perturbation."""
        return [
            {
                "perturbation": name, "accuracy": row.accuracy, "loss": row.loss,
                "control": row.control and row.control.name,
                "control_accuracy": row.control and row.control.accuracy,
                "control_loss": row.control and row.control.loss,
                "predicted": row.predicted, "came_true": row.came_true,
            }
            for name, row in self.rows.items()
        ]  # fmt: skip

    def __repr__(self) -> str:
        lines = "".join(f"\n  {row}" for row in self.rows.values())
        return f"NeuronPerturbations({_said(self.before)}; {self.odd:z.2%} of the logits is odd){lines}"


@door
def perturb_neurons(
    source: Source,
    mask: Bool[Tensor, " inputs"] | None = None,
    *,
    noise: int | float | None = None,
    seed: int = 0,
) -> NeuronPerturbations:
    """Break what the neurons of the last hidden layer read in several ways, each with its outcome predicted.

    The pre-activations x(a, b) get another sign; what they say about one operand gets another sign, and the rest
    stays; ReLU is replaced by |x|; each operand is embedded as the other one; noise is added to them. A network that
    uses how the two operands cancel each other keeps its answers when both have the other sign, and gives wrong ones
    when one of them has. As relu(x) = (|x| + x)/2, |x| doubles the logits of a ReLU network but for the part of them
    that is odd in x, so that the loss falls to about that of doubled logits where the odd part is small.

    Args:
        source: a network, or a grid. Of a grid of bare tensors `hook_pre`, `hook_post` and W_L must be known.
        mask: inputs to evaluate on; None takes all.
        noise: what a noise of 1 is, in units of the pre-activations; None takes a third of their standard deviation
            over the inputs, and 0 leaves noise out.
        seed: of the noise.

    Raises:
        ConfigError: a noise below 0.
        UndefinedMetricError: the inputs are not all pairs of two operands; the pre-activations do not vary.
        ActivationError: there are no neurons, or their pre-activations are not known.

    Source: Stander et al. 2023 (arXiv 2312.06581), section 6.3 and its table; predictions and controls are ours.

    >>> import mechgrok as mg
    >>> found = perturb_neurons(mg.pizza_network(11, {3: 9.0}), noise=0)
    >>> [(name, round(row.accuracy, 2), row.came_true) for name, row in found.rows.items()][:2]
    [('both signs flipped', 1.0, True), ('sign of a flipped', 0.01, True)]
    >>> absolute = found.rows["|x| in place of ReLU"]
    >>> round(absolute.loss / absolute.control.loss, 6)
    1.0
    """
    if noise is not None and not 0 <= noise < float("inf"):
        raise ConfigError(f"noise is a size in units of the pre-activations, from 0 on; got {noise}")
    network = _Network(_grid(source), mask)
    unit = UNIT * network.spread if noise is None else float(noise)
    rows, left_out = {}, {}
    flipped = network.logits(-network.x)
    odd = _odd_share(network.grid.logits, flipped)
    rows[BOTH] = _both_signs(network, flipped, odd)
    rows |= _one_sign(network, rows[BOTH].after)
    for name, made in ((ABSOLUTE, lambda: _absolute(network, odd)), (SWAPPED, lambda: _swapped(network))):
        try:
            rows[name] = made()
        except UndefinedMetricError as error:
            left_out[name] = str(error)
    if unit:
        rows |= _noisy(network, unit, Generator().manual_seed(check_seed(seed)))
    return NeuronPerturbations(network.before, rows, odd, unit, left_out, int(network.rows.sum()))


class _Network:
    """A network that is run from its pre-activations on."""

    def __init__(self, grid: ActivationGrid, mask: Tensor | None) -> None:
        self.grid, self.rows = grid, grid.selection(mask)
        self.site = "blocks.0.mlp.hook_pre" if grid.source is None else pre_activation_hook(grid.source)
        self.x = grid[self.site]
        self.is_relu = is_relu(grid, self.x)
        self.by_map = self.is_relu and reads_neurons_linearly(grid)
        self.before = as_it_is(grid, self.rows)
        self.guess = 1 / grid.task.n_classes
        self.spread = _spread(self.x)
        if self.spread <= VARIES * self.x.abs().max().item():
            raise UndefinedMetricError(
                "the pre-activations do not vary over the inputs, so there is nothing to break"
            )

    def logits(self, x: Float[Tensor, "inputs d_mlp"]) -> Float[Tensor, "inputs classes"]:
        """Of all inputs, if neurons read x."""
        if self.by_map:
            return logits_from_neurons(self.grid, x, activation=torch.relu)
        return run_from_sites(self.grid, {self.site: x})

    def answers(self, what: str, logits: Float[Tensor, "inputs classes"]) -> Performance:
        return performance(what, logits[self.rows], self.grid.labels[self.rows], self.grid.logits)

    def stays_right(self, found: Performance) -> bool:
        return found.accuracy >= self.before.accuracy - SLACK


def _grid(source: Source) -> ActivationGrid:
    """With pre-activations and neurons of one and the same pass."""
    if isinstance(source, ActivationGrid) and source.source is None:
        return source
    return cached_with(source, lambda model: (pre_activation_hook(model), neuron_hook(model)))


def _both_signs(network: _Network, flipped: Tensor, odd: float) -> Perturbation:
    after = network.answers(BOTH, flipped)
    if odd < FEW:
        says, true = "answers stay right", network.stays_right(after)
    else:
        says, true = "the loss at least doubles", after.loss >= 2 * network.before.loss
    return Perturbation(f"{says}, as {odd:z.2%} of the logits is odd", after, None, true)


def _one_sign(network: _Network, both: Performance) -> dict[str, Perturbation]:
    rows = {}
    square = by_operands(network.x, network.grid)
    for name, part in zip("ab", operand_parts(network.x, network.grid), strict=True):
        flipped = square.sub(part, alpha=2).view_as(network.x)
        after = network.answers(f"sign of {name} flipped", network.logits(flipped))
        share = part.square().mean(dtype=torch.float64).item() / network.spread**2
        if share < FEW:
            says, true = f"answers stay right, as {name} alone says {share:z.2%}", network.stays_right(after)
        else:
            wrong = after.accuracy <= network.guess + SLACK and after.loss > log(network.grid.task.n_classes)
            says, true = "answers are wrong, with a loss above that of guessing", wrong
        rows[after.name] = Perturbation(says, after, both, true)
    return rows


def _absolute(network: _Network, odd: float) -> Perturbation:
    if not network.is_relu:
        raise UndefinedMetricError("the activation function of the neurons is no ReLU")
    after = network.answers(ABSOLUTE, network.logits(network.x.abs()))
    doubled = network.answers("logits doubled", 2 * network.grid.logits)
    stays = network.stays_right(after)
    if odd < FEW:
        return Perturbation(
            "answers stay right, and the loss falls",
            after,
            doubled,
            stays and after.loss < network.before.loss,
        )
    return Perturbation("answers stay right", after, doubled, stays)


def _swapped(network: _Network) -> Perturbation:
    """Each operand embedded as the other one, and read by the same weights of the first layer as before."""
    model: Any = network.grid.source
    if not hasattr(model, "embed_b"):
        raise UndefinedMetricError("the operands have no embeddings of their own that could be swapped")
    if getattr(model.cfg, "combine", None) != "concat":
        raise UndefinedMetricError(
            "the first layer reads both operands by the same weights; swapped embeddings are swapped operands"
        )
    swapped, weights = deepcopy(model), model.state_dict()
    first, second = weights["embed.W_E"], weights["embed_b.W_E"]
    swapped.load_state_dict({**weights, "embed.W_E": second, "embed_b.W_E": first})
    task = network.grid.task
    after = network.answers(SWAPPED, cache_grid(swapped, task, []).logits)
    symbols = round(task.n_inputs**0.5)
    transposed = network.grid.logits.unflatten(0, (symbols, symbols)).transpose(0, 1).flatten(0, 1)
    control = network.answers("operands swapped", transposed)
    return Perturbation("answers are guesses", after, control, after.accuracy <= network.guess + SLACK)


def _noisy(network: _Network, unit: float, dice: Generator) -> dict[str, Perturbation]:
    drawn = torch.randn(network.x.shape, generator=dice, dtype=torch.float32).to(network.x)

    def noisy(what: str, size: float, shift: float = 0.0) -> Performance:
        return network.answers(what, network.logits(network.x + unit * (size * drawn + shift)))

    little, much = noisy("noise of 0.1", 0.1), noisy("noise of 1", 1.0)
    up, down = noisy("noise of 1, shifted up", 1.0, 1.0), noisy("noise of 1, shifted down", 1.0, -1.0)
    most = f"{MOST:z.0%} of the right answers stay right"
    return {
        little.name: Perturbation("answers stay right", little, None, network.stays_right(little)),
        much.name: Perturbation(most, much, None, much.accuracy >= MOST * network.before.accuracy),
        up.name: Perturbation("more harm than shifted down", up, down, up.loss > down.loss),
    }


def _spread(x: Float[Tensor, "inputs d_mlp"]) -> float:
    """Standard deviation over the inputs, as the root of the mean variance of all neurons."""
    total = 0.0
    for part in x.split(64, 1):
        exact = part.double()
        total += (exact - exact.mean(0)).square().sum().item()
    return (total / x.numel()) ** 0.5


def _odd_share(logits: Tensor, flipped: Tensor) -> float:
    odd = _varying((logits - flipped) / 2).square().sum().item()
    return odd / max(_varying(logits).square().sum().item(), 1e-300)


def _varying(x: Float[Tensor, "inputs classes"]) -> Float[Tensor, "inputs classes"]:
    """Without what is common to all classes, or to all inputs."""
    x = centred(x.double())
    return x - x.mean(0)


def _said(found: Performance) -> str:
    return f"{found.name}: accuracy {found.accuracy:z.2%}, loss {found.loss:z.3g}"
