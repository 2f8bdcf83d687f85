"""A network stated as a formula, how much of it the formula accounts for, and the interventions that test it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid, cached_with
from mechgrok.analysis.additive import sites_to_cache
from mechgrok.analysis.explained_share import is_explained, is_lookup_table, rows_at_a_time
from mechgrok.analysis.formula import Formula, fit_formula
from mechgrok.analysis.frequencies import KeyFrequencies, find_key_frequencies
from mechgrok.analysis.losses import centred, cross_entropy, margins, right_after_edit
from mechgrok.analysis.neuron_phases import NeuronPhases, neuron_phases
from mechgrok.analysis.other_keys import at_other_keys
from mechgrok.analysis.predictions import Prediction, try_predictions
from mechgrok.analysis.stages import Stage, replace_stages
from mechgrok.config import check_seed
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, UndefinedMetricError


@dataclass(frozen=True, eq=False)
class Comparison:
    """The formula's answers next to the network's, for each input in the frame of the task.

    Attributes:
        right: [rows], 1 where the formula is right, in float64; classes that are equal share an answer.
        loss: [rows], the formula's cross-entropy in nats.
        alike: [rows], whether both give the same answer.
        network_right: [rows], whether the network is right.
        kl: [rows], KL divergence of the formula's answers from the network's, in nats.
        margin: [rows], by how much the formula's right logit exceeds its largest wrong one.
        deviation: [rows], the largest difference of the two over the classes, less the mean difference.
        fve: fraction of the variance of the network's logits that the formula explains.
    """

    right: Float[Tensor, " rows"]
    loss: Float[Tensor, " rows"]
    alike: Tensor
    network_right: Tensor
    kl: Float[Tensor, " rows"]
    margin: Float[Tensor, " rows"]
    deviation: Float[Tensor, " rows"]
    fve: float


@dataclass(frozen=True, eq=False)
class Explanation(Drawable):
    """A network as a formula, with the evidence.

    Attributes:
        fitted: the formula with its terms; without terms where there is none.
        reason: why there is no formula; empty where there is one.
        keys: the key frequencies, or key irreps, that its terms belong to, as they were found.
        compared: formula and network input by input.
        neurons: the neurons as waves; None where they cannot be read as such.
        interventions: what was done to the network, each with its prediction.
        grid: what was explained.
        left_out: interventions that could not be made, and why.
    """

    fitted: Formula
    reason: str
    keys: KeyFrequencies
    compared: Comparison
    neurons: NeuronPhases | None
    interventions: tuple[Prediction, ...]
    grid: ActivationGrid = field(repr=False)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """The formula in a line; empty where there is none."""
        return self.fitted.text

    @property
    def latex(self) -> str:
        """The formula for LaTeX."""
        return self.fitted.latex

    @cached_property
    def logits(self) -> Float[Tensor, "rows classes"]:
        """The logits of the formula, for the inputs with a place in the frame of the task, in float64."""
        return self.fitted.logits()

    @property
    def accuracy(self) -> float:
        """Accuracy of the formula alone, 0..1."""
        return self.compared.right.mean().item()

    @property
    def loss(self) -> float:
        """Cross-entropy of the formula alone, in nats."""
        return self.compared.loss.mean().item()

    @property
    def agreement(self) -> float:
        """Share of inputs to which formula and network give the same answer, right or wrong, 0..1."""
        return self.compared.alike.double().mean().item()

    @property
    def agreement_where_wrong(self) -> float:
        """The same among the inputs that the network answers wrongly.

        Raises:
            UndefinedMetricError: there are none.
        """
        wrong = ~self.compared.network_right
        if not wrong.any():
            raise UndefinedMetricError("the network answers every input rightly")
        return self.compared.alike[wrong].double().mean().item()

    @property
    def kl(self) -> float:
        """Mean KL divergence of the formula's answers from the network's, in nats."""
        return self.compared.kl.mean().item()

    @property
    def fve(self) -> float:
        """Fraction of the variance of the logits that the formula explains, at most 1. The logits are centred over the
        classes and over the inputs."""
        return self.compared.fve

    @property
    def explained_share(self) -> float:
        """Share of inputs whose margin in the formula exceeds twice the largest deviation of the network, 0..1.

        These inputs are right because of the formula: whatever else the network does is too small to change the answer.
        It is 0 where there is no formula.
        """
        if self.reason:
            return 0.0
        return _share(self.compared)

    @cached_property
    def control_share(self) -> float | None:
        """The explained share of the same coefficients at other keys, where a formula explains nothing of the network.

        That formula is right on as many inputs. None if there is no formula, or no other one of these coefficients.
        """
        other = at_other_keys(self.fitted)
        return None if self.reason or other is None else _share(_compare(self.grid, other))

    @property
    def phase_alignment(self) -> float | None:
        """1 where neurons see both operands at one phase, about 0 where these are independent; None without waves."""
        return None if self.neurons is None or not self.neurons.groups else self.neurons.alignment()

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The network with one stage after another replaced by its ideal; without those that it does not have.

        It is run for each of them when this is first asked for. See `mechgrok.analysis.stages`.
        """
        return () if self.reason else replace_stages(self.grid, self.keys.frequencies)[0]

    def records(self) -> list[dict[str, Any]]:
        """The predictions, one row each."""
        return [vars(item).copy() for item in self.interventions]

    def __repr__(self) -> str:
        said = self.formula or f"no formula: {self.reason}"
        true = sum(item.came_true for item in self.interventions)
        control = "" if self.control_share is None else f" (control {self.control_share:z.2%})"
        return (
            f"Explanation({said}; accuracy {self.accuracy:z.2%}, explained share {self.explained_share:z.2%}{control}, "
            f"{true} of {len(self.interventions)} predictions came true)"
        )


@door
def explain(source: Source, *, seed: int = 0) -> Explanation:
    """State what a network computes as a formula, say how much of it that accounts for, and test it by interventions.

    The formula is logits(a, b, c) = sum over the keys of A_k chi_k(a∘b∘c^-1) + mean(c), where a coefficient may fade
    with the distance of the operands as A_k + B_k |cos(w_k d/2)|. It is fitted by least squares, and compared with the
    network input by input. A network without keys has no formula, nor has a lookup table, in which every block is
    there with the same coefficient: what it says is the table itself.

    The explained share is sound: where the margin of the formula exceeds twice the deviation, the answer is right by
    the formula alone. A bound on the accuracy that needs no pass over all inputs is not given: on small networks all of
    them take milliseconds, and the known bounds prove nothing there.

    Args:
        source: a network or a grid. Of a grid of bare tensors, interventions that need the network are left out.
        seed: of what is drawn for the interventions.

    Raises:
        NoGroupError: the task sits in no group.

    Source: the form of the logits after Nanda et al. 2023 and Chughtai et al. 2023, the fading after Zhong et al. 2023,
    the explained share after the bounds of Wu et al. 2024 (arXiv 2410.07476); the rest is ours.

    >>> import mechgrok as mg
    >>> explained = explain(mg.cosine_network(11, {3: 9.0, 5: 4.0}))
    >>> explained.formula, explained.explained_share
    ('9·cos(w_3(a+b-c)) + 4·cos(w_5(a+b-c)) + mean(c)', 1.0)
    """
    grid = as_grid(source)
    return explain_by(grid, find_key_frequencies(grid), check_seed(seed))


def explain_by(grid: ActivationGrid, keys: KeyFrequencies, seed: int = 0) -> Explanation:
    """`explain` with keys that are known."""
    formula = fit_formula(grid, keys) if keys.frequencies else None
    reason = _no_formula(formula, keys)
    if formula is None or reason:
        formula = Formula((), grid.logits[_inside(grid)].double().mean(0), grid.task)
    read = _with_what_neurons_read(grid)
    made, left_out = ((), {}) if reason else try_predictions(read, keys.frequencies, seed)
    return Explanation(formula, reason, keys, _compare(grid, formula), _phases(read), made, grid, left_out)


def _share(compared: Comparison) -> float:
    return is_explained(compared.margin, compared.deviation).double().mean().item()


def _no_formula(formula: Formula | None, keys: KeyFrequencies) -> str:
    """Why there is no formula; empty where there is one."""
    if formula is None:
        return keys.reason or f"no key {keys.what} was given"
    if is_lookup_table(formula):
        return f"every {keys.what} is there with the same coefficient, as in a lookup table"
    return ""


def _inside(grid: ActivationGrid) -> Tensor:
    return grid.task.frame.covers(grid.task.n_inputs)


def _with_what_neurons_read(grid: ActivationGrid) -> ActivationGrid:
    """One pass for all that looks at it; the grid itself where its network does not show it."""
    try:
        return cached_with(grid, sites_to_cache)
    except ActivationError:
        return grid


def _phases(grid: ActivationGrid) -> NeuronPhases | None:
    """The neurons as waves; None where they cannot be read as such."""
    try:
        return neuron_phases(grid)
    except (ActivationError, UndefinedMetricError):
        return None


def _compare(grid: ActivationGrid, formula: Formula) -> Comparison:
    common = grid.logits[formula.rows].double().mean(0)
    parts, left, total = [], 0.0, 0.0
    for rows in formula.rows.split(rows_at_a_time(grid)):
        actual, ideal, labels = grid.logits[rows].double(), formula.logits(rows), grid.labels[rows]
        difference = centred(actual - ideal)
        left += difference.square().sum().item()
        total += centred(actual - common).square().sum().item()
        log_p, log_q = actual.log_softmax(1), ideal.log_softmax(1)
        parts.append((
            right_after_edit(ideal, labels, grid.logits),
            cross_entropy(ideal, labels),
            ideal.argmax(1) == actual.argmax(1),
            actual.argmax(1) == labels,
            (log_p.exp() * (log_p - log_q)).sum(1).clamp(min=0),
            margins(ideal, labels),
            difference.abs().amax(1),
        ))  # fmt: skip
    return Comparison(
        *(torch.cat(column) for column in zip(*parts, strict=True)), fve=1 - left / max(total, 1e-300)
    )
