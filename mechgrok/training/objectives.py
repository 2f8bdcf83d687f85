"""What a training minimises: loss and gradient with respect to the logits, in one pass and without a graph."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from mechgrok.analysis.losses import cross_entropy
from mechgrok.config import TrainConfig
from mechgrok.errors import ConfigError, shown
from mechgrok.fast.objective import Objective
from mechgrok.registries import NATS, OBJECTIVES

LossPrecision = Literal["float64", "float32", "float16"]

PRECISIONS: dict[LossPrecision, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
}


class CrossEntropy:
    """Cross-entropy of the softmax, in nats, that keeps its relative precision however small it gets.

    The loss is log1p(sum_{c != y} exp(l_c - l_y)): the wrong classes are summed, and the probability of the right
    one is never subtracted from 1. A loss of 1e-9 is as good in float32 as one of 1. Logits are taken relative to
    the right one, or to the largest where that overflows.

    Args:
        dtype: precision in which the logits are exponentiated; the logarithm is in float64.
        scale: factor on loss and gradient.

    >>> logits = torch.tensor([[25.0, 0.0, 1.0]])
    >>> loss, gradient = CrossEntropy().loss_and_gradient(logits, torch.tensor([0]))
    >>> f"{loss:z.3e}", f"{gradient[0, 0]:z.3e}"  # exp(-25) + exp(-24)
    ('5.164e-11', '-5.164e-11')
    """

    def __init__(self, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> None:
        self.dtype, self.scale = dtype, scale

    def losses(self, outputs: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The loss of each input in float64, without the factor and the rounding of the training."""
        return cross_entropy(outputs, targets)

    @torch.no_grad()
    def loss_and_gradient(
        self, logits: Float[Tensor, "n classes"], labels: Int[Tensor, " n"], total: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n classes"]]:
        work, y = logits.to(self.dtype), labels[:, None]
        right = work.gather(1, y)
        odds = _wrong_odds(work, y, reference=right)
        wrong, lead = odds.sum(1, keepdim=True), None
        # Far below the overflow, since the inverse of the sum must not underflow either.
        if not wrong.max() < torch.finfo(self.dtype).max ** 0.5:
            largest = work.amax(1, keepdim=True)
            odds = _wrong_odds(work, y, reference=largest)
            wrong, lead = odds.sum(1, keepdim=True), (right - largest).double()
        excess = wrong.double() if lead is None else wrong.double() + torch.expm1(lead)
        losses = torch.log1p(excess) if lead is None else torch.log1p(excess) - lead
        factor = self.scale / (total or len(labels))
        # Not in float16, in which the share of one of many inputs is subnormal, or 0.
        per_class = (factor / (1 + excess)).to(torch.promote_types(odds.dtype, torch.float32))
        torch.mul(odds, per_class, out=logits)
        return factor * losses.sum(), logits.scatter_(1, y, (-wrong * per_class).to(logits.dtype))


def _wrong_odds(logits: Tensor, y: Tensor, reference: Tensor) -> Tensor:
    """exp of the logits relative to the reference, 0 at the right class.

    In new, dense memory: exp is twenty times slower on logits that are some columns of a wider tensor.
    """
    return torch.sub(logits, reference).scatter_(1, y, -torch.inf).exp_()


class NaiveCrossEntropy:
    """Cross-entropy as log_softmax gives it in a precision, rounding included.

    Once the probability of the right class rounds to 1, loss and gradient are exactly 0: the softmax collapse of
    Prieto et al. 2025 (arXiv 2501.04697, section 3), reached at a loss of about 1e-16, 1e-7 and 1e-3 in
    float64, float32 and float16.

    >>> collapsed = torch.tensor([[25.0, 0.0, 1.0]])
    >>> loss, gradient = NaiveCrossEntropy(torch.float32).loss_and_gradient(collapsed, torch.tensor([0]))
    >>> loss.item() == 0, gradient[0, 0].item() == 0
    (True, True)
    """

    def __init__(self, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> None:
        self.dtype, self.scale = dtype, scale

    def losses(self, outputs: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The cross-entropy of each input as it is, in float64: what the training sees of it is rounded."""
        return cross_entropy(outputs, targets)

    def loss_and_gradient(
        self, logits: Float[Tensor, "n classes"], labels: Int[Tensor, " n"], total: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n classes"]]:
        # By autograd, since the rounding of the usual training loop is the very subject.
        leaf = logits.detach().to(self.dtype, copy=True).requires_grad_()
        with torch.enable_grad():
            log_p = functional.log_softmax(leaf, dim=1).gather(1, labels[:, None])
            loss = -log_p.mean() * (self.scale * len(labels) / (total or len(labels)))
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach().double(), gradient.to(logits.dtype)


class MeanSquaredError:
    """Squared distance from the one-hot answer or from the value, averaged over inputs and outputs.

    >>> loss, gradient = MeanSquaredError().loss_and_gradient(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    >>> loss.item(), gradient.tolist()
    (0.5, [[1.0, 0.0]])
    >>> MeanSquaredError().losses(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0]])).item()
    1.0
    """

    takes_values = True

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def losses(self, outputs: Float[Tensor, "n d_out"], targets: Tensor) -> Float[Tensor, " n"]:
        """The loss of each input in float64, without the factor."""
        return _errors(outputs.to(torch.float64, copy=True), targets).square().mean(1)

    def loss_and_gradient(
        self, logits: Float[Tensor, "n d_out"], labels: Tensor, total: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n d_out"]]:
        error = _errors(logits, labels)
        factor = self.scale / ((total or len(labels)) * logits.shape[1])
        loss = factor * error.square().sum(dtype=torch.float64)
        return loss, error.mul_(2 * factor)


def _errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs less the values, or less the one-hot answers, in the memory of the outputs."""
    if targets.is_floating_point():
        return outputs.sub_(targets.to(outputs.dtype))
    y = targets[:, None]
    return outputs.scatter_add_(1, y, -torch.ones_like(y, dtype=outputs.dtype))


class StableMax:
    """Cross-entropy with s(x) = x + 1 for x >= 0, 1 / (1 - x) below, in the place of exp(x); in float64.

    Cannot collapse, since s grows no faster than its argument.

    Source: Prieto et al. 2025 (arXiv 2501.04697), section 4.

    >>> loss, _ = StableMax().loss_and_gradient(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([0]))
    >>> f"{loss:z.6f}"  # log((2 + 1 + 1/2) / 2)
    '0.559616'
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def losses(self, outputs: Float[Tensor, "n classes"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The loss of each input in float64, without the factor."""
        x = outputs.double()
        s = 1 / (1 - x.clamp(max=0)) + x.clamp(min=0)
        wrong = s.scatter(1, targets[:, None], 0.0).sum(1)
        return torch.log1p(wrong / s.gather(1, targets[:, None]).squeeze(1))

    def loss_and_gradient(
        self, logits: Float[Tensor, "n classes"], labels: Int[Tensor, " n"], total: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n classes"]]:
        x = logits.double()
        y = labels[:, None]
        below = 1 / (1 - x.clamp(max=0))  # 1 where x >= 0
        s = below + x.clamp(min=0)
        slope = below.square_()
        right = s.gather(1, y)
        wrong = s.scatter(1, y, 0.0).sum(1, keepdim=True)
        factor = self.scale / (total or len(labels))
        loss = factor * torch.log1p(wrong / right).sum()
        per_class = factor / (wrong + right)
        at_label = -slope.gather(1, y) * per_class * (wrong / right)
        return loss, logits.copy_(slope.mul_(per_class).scatter_(1, y, at_label))


class LossFunction:
    """A loss of one's own, with its gradient by automatic differentiation.

    Args:
        function: called as function(outputs, targets) with [n, d_out] outputs and the targets of as many examples,
            class numbers [n] or values [n, d_out]; gives the loss of each, [n].
        takes_values: whether the targets may be values, and need not be classes.
        scale: factor on loss and gradient.

    >>> import mechgrok as mg
    >>> @mg.OBJECTIVES.add("margin")
    ... def margin(config):
    ...     def losses(outputs, targets):
    ...         margins = outputs.gather(1, targets[:, None]) - outputs
    ...         return (1 - margins).clamp(min=0).sum(1) - 1
    ...     return mg.LossFunction(losses, scale=config.loss_scale)
    >>> run = mg.train(mg.modular_task("add", 5), objective="margin", steps=2, progress=False)
    >>> "margin_test" in run.history[-1]
    True
    """

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor], *, takes_values: bool = False, scale: float = 1.0
    ) -> None:
        self.function, self.takes_values, self.scale = function, takes_values, scale

    def losses(self, outputs: Float[Tensor, "n d_out"], targets: Tensor) -> Float[Tensor, " n"]:
        """The loss of each example in float64, without the factor.

        Raises:
            ConfigError: the function gives something else.
        """
        losses = self.function(outputs.double(), targets)
        if not isinstance(losses, Tensor) or losses.shape != (len(outputs),):
            raise ConfigError(
                f"the loss of {len(outputs)} examples is a tensor [{len(outputs)}]; got {shown(losses)}"
            )
        return losses

    def loss_and_gradient(
        self, logits: Float[Tensor, "n d_out"], labels: Tensor, total: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "n d_out"]]:
        leaf = logits.detach().clone().requires_grad_()
        with torch.enable_grad():
            loss = self.losses(leaf, labels).sum() * (self.scale / (total or len(labels)))
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), gradient


@OBJECTIVES.add("cross_entropy", title="cross-entropy", unit=NATS)
def _cross_entropy(config: Any) -> Objective:
    """Cross-entropy of the softmax, in nats."""
    kind = NaiveCrossEntropy if config.naive_loss else CrossEntropy
    return kind(PRECISIONS[config.loss_dtype], config.loss_scale)


@OBJECTIVES.add("mse", title="mean squared error")
def _mse(config: Any) -> Objective:
    """Mean squared distance from the one-hot answer, or from the value."""
    return MeanSquaredError(config.loss_scale)


@OBJECTIVES.add("stablemax", title="cross-entropy of stablemax", unit=NATS)
def _stablemax(config: Any) -> Objective:
    """Cross-entropy of stablemax in place of the softmax (Prieto et al. 2025)."""
    return StableMax(config.loss_scale)


def make_objective(config: TrainConfig) -> Objective:
    """The objective of a configuration.

    Raises:
        ConfigError: a naive loss other than cross-entropy.

    >>> make_objective(TrainConfig(objective="stablemax", loss_scale=0.5)).scale
    0.5
    """
    if config.naive_loss and config.objective != "cross_entropy":
        raise ConfigError(
            f"only 'cross_entropy' has a naive form, not {config.objective!r}; leave naive_loss out"
        )
    return OBJECTIVES[config.objective].function(config)


def takes_values(objective: Objective) -> bool:
    """Whether an objective compares with values, and not with classes alone."""
    return getattr(objective, "takes_values", False)
