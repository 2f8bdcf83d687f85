"""The formula of a network: its logits as a few characters of a∘b∘c^-1, with their coefficients."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid
from mechgrok.algebra import IrrepBasis
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import answers_of_inputs, logits_by_answer
from mechgrok.analysis.formula_text import Term, in_a_line, in_latex, in_sympy, is_sum
from mechgrok.analysis.key_losses import check_keys
from mechgrok.analysis.logit_surface import answers_and_distances
from mechgrok.analysis.projections import character_coefficients, is_even
from mechgrok.readable import Readable
from mechgrok.tasks import Frame, Task
from mechgrok.wording import in_words

ROWS = 1024
"""Inputs whose logits are projected at a time, in float64."""
WORTH = 0.01
"""A second coefficient of a key must explain this share of its power more than the better single one does."""


@dataclass(frozen=True, eq=False)
class Formula(Readable):
    """logits(a, b, c) = sum over the keys of (A + B |cos(w_k d/2)|) chi_k(a∘b∘c^-1) + mean(c).

    Attributes:
        terms: the strongest first.
        mean: [n_classes], what depends on the class alone.
        task: what it is a formula for. Inputs without a place in its frame are none of the formula's.
    """

    terms: tuple[Term, ...]
    mean: Float[Tensor, " classes"]
    task: Task

    @cached_property
    def rows(self) -> Tensor:
        """[n], the inputs that the formula speaks of, in their order."""
        return self.task.frame.covers(self.task.n_inputs).nonzero().flatten()

    def logits(self, rows: Int[Tensor, " some"] | None = None) -> Float[Tensor, "some classes"]:
        """The logits of the formula for some of its inputs, or for all `rows`, in float64."""
        rows = self.rows if rows is None else rows
        frame = self.task.frame
        answers = answers_of_inputs(frame, self.task.n_inputs)[rows]
        # What does not fade is a function of the answer, of which there are fewer than inputs.
        of_answer = self.mean.repeat(frame.order, 1)
        for term in self.terms:
            of_answer[:, frame.classes] += term.amplitude * direction_of(frame, term.label)
        logits = of_answer[answers]
        for term in self.terms:
            if term.fading:
                logits += self._faded(term, rows, answers)
        return logits

    def part(self, term: Term, rows: Int[Tensor, " rows"]) -> Float[Tensor, "rows classes"]:
        """What one term says about some inputs of the task, in float64."""
        frame = self.task.frame
        answers = answers_of_inputs(frame, self.task.n_inputs)[rows]
        part = self._faded(term, rows, answers)
        part[:, frame.classes] += term.amplitude * direction_of(frame, term.label)[answers]
        return part

    def _faded(self, term: Term, rows: Tensor, answers: Tensor) -> Float[Tensor, "rows classes"]:
        """What fades of a term with the distance of the operands."""
        frame = self.task.frame
        part = torch.zeros(len(rows), len(self.mean), dtype=torch.float64)
        if term.fading:
            size = term.fading * fading_of(frame, term.label, self.task.n_inputs)[rows]
            part[:, frame.classes] = size[:, None] * direction_of(frame, term.label)[answers]
        return part

    @property
    def text(self) -> str:
        """The formula in a line; empty where there is none."""
        return in_a_line(self.terms, self.task.frame)

    def shortened(self, most: int) -> str:
        """The formula in a line with no more than so many terms, the strongest ones, and the number of the others."""
        text, left = in_a_line(self.terms[:most], self.task.frame), len(self.terms) - most
        return (
            text if left <= 0 else text.replace(" + mean(c)", f" + {in_words(left, 'weaker term')} + mean(c)")
        )

    @property
    def latex(self) -> str:
        """The same for LaTeX."""
        return in_latex(self.terms, self.task.frame)

    def expression(self) -> Any:
        """The same as an expression of sympy in the symbols a, b and c, with mean(c) as a function.

        Raises:
            UndefinedMetricError: there is no formula; its characters are no cosines of sums or differences.
        """
        return in_sympy(self.terms, self.task.frame)

    def __repr__(self) -> str:
        return f"Formula({self.text or 'none'})"


def fit_formula(grid: ActivationGrid, keys: Iterable[Label]) -> Formula:
    """The formula with the given keys that is nearest to the logits, by least squares over inputs and classes.

    A key has two coefficients where both are needed: one for the character itself, as a clock has it, and one for the
    character that fades with the distance d of the operands, as a pizza has it. Where one of them does, it is
    the one.

    Raises:
        ConfigError: a key that the basis does not have.
        UndefinedMetricError: no keys.

    >>> import mechgrok as mg
    >>> fit_formula(mg.cache_grid(mg.cosine_network(11, {3: 9.0})), [3])
    Formula(9·cos(w_3(a+b-c)) + mean(c))
    """
    labels = check_keys(grid, keys)
    frame = grid.task.frame
    terms = _by_input(grid, labels) if frame.is_operation and is_even(frame) else _by_answer(grid, labels)
    formula = Formula(
        tuple(sorted(terms, key=lambda t: -(abs(t.amplitude) + abs(t.fading)))),
        torch.zeros(grid.task.n_classes, dtype=torch.float64),
        grid.task,
    )
    rest = grid.logits[formula.rows].double().mean(0) - formula.logits().mean(0)
    return Formula(formula.terms, rest, grid.task)


def direction_of(frame: Frame, label: Label) -> Float[Tensor, "order classes"]:
    """What a coefficient is multiplied with, for each answer and class."""
    basis = frame.basis
    if not frame.is_operation:
        return frame.direction_of(label)
    if isinstance(basis, IrrepBasis):
        return basis.irrep(label).character[basis.quotients]
    character = basis.character(label)
    return (character / character.max())[basis.quotients]


def fading_of(frame: Frame, label: Label, n_inputs: int) -> Float[Tensor, " inputs"]:
    """|cos(w_k d/2)| of each input, where d is the distance of its operands; 0 for inputs outside of the frame."""
    _, distance = answers_and_distances(frame)
    fading = torch.zeros(n_inputs, dtype=torch.float64)
    fading[frame.rows.flatten()] = (pi * label / frame.order * distance.flatten().double()).cos().abs()  # pyright: ignore[reportOperatorIssue]
    return fading


def _by_input(grid: ActivationGrid, labels: tuple[Label, ...]) -> list[Term]:
    """Each key on its own, from the coefficient that each input has: on a group characters are orthogonal."""
    frame = grid.task.frame
    rows = frame.covers(grid.task.n_inputs)
    along = _along_blocks(grid, labels)
    answers = answers_of_inputs(frame, grid.task.n_inputs)[rows]
    terms = []
    for label in labels:
        direction = direction_of(frame, label)
        # A direction lies in its block, whose few functions of the class take the place of all classes.
        of_answer = direction @ frame.basis.matrix[frame.basis.rows_of([label])].T
        own = (along[label][rows] * of_answer[answers]).sum(1) / direction[0].square().sum()
        can_fade = is_sum(frame) and 2 * label != frame.order  # type: ignore[operator]
        terms.append(
            _term(label, own, fading_of(frame, label, grid.task.n_inputs)[rows] if can_fade else None)
        )
    return terms


def _along_blocks(
    grid: ActivationGrid, labels: Iterable[Label]
) -> dict[Label, Float[Tensor, "inputs functions"]]:
    """The logits of each input along the functions of the class in some blocks, less their mean over the inputs."""
    frame = grid.task.frame
    rows = {label: frame.basis.rows_of([label]) for label in labels}
    functions = torch.zeros(grid.task.n_classes, sum(map(len, rows.values())), dtype=torch.float64)
    functions[frame.classes] = frame.basis.matrix[[row for some in rows.values() for row in some]].T
    along = torch.cat([part.double() @ functions for part in grid.logits.split(ROWS)])
    along -= along[frame.covers(grid.task.n_inputs)].mean(0)
    return dict(zip(rows, along.split([len(some) for some in rows.values()], dim=1), strict=True))


def _term(label: Label, own: Float[Tensor, " rows"], fading: Tensor | None) -> Term:
    """The simplest of A, B |cos|, and both that leaves hardly more of the coefficients than both do."""
    one = torch.ones_like(own)
    forms = (
        [one[:, None]] if fading is None else [one[:, None], fading[:, None], torch.stack((one, fading), 1)]
    )
    power = own.square().mean().clamp(min=1e-300)
    fits = []
    for form in forms:
        coefficients = torch.linalg.solve(form.T @ form, form.T @ own)
        fits.append((coefficients, own - form @ coefficients))
    least = fits[-1][1].square().mean() / power
    chosen = min(range(min(2, len(fits))), key=lambda i: fits[i][1].square().mean().item())
    if len(fits) == 3 and fits[chosen][1].square().mean() / power > least + WORTH:
        chosen = 2
    coefficients, left = fits[chosen]
    amplitude, fade = ((coefficients[0], 0.0), (0.0, coefficients[0]), tuple(coefficients))[chosen]
    explained = 1 - (left.square().mean() / power).item()
    return Term(label, float(amplitude), float(fade), left.square().mean().sqrt().item(), explained)


def _by_answer(grid: ActivationGrid, labels: tuple[Label, ...]) -> list[Term]:
    """All keys together, where answers are not equally frequent and the directions overlap."""
    frame = grid.task.frame
    means = logits_by_answer(grid)
    fitted = character_coefficients(means, frame, [direction_of(frame, label) for label in labels])
    counts, terms = frame.counts / frame.counts.sum(), []
    for label, amplitude in zip(labels, fitted.tolist(), strict=True):
        direction = direction_of(frame, label)
        size = direction.square().sum(1).clamp(min=1e-300)
        own = (means[:, frame.classes] * direction).sum(1) / size
        left, power = (counts @ (own - amplitude).square()).item(), (counts @ own.square()).item()
        terms.append(Term(label, amplitude, 0.0, left**0.5, 1 - left / max(power, 1e-300)))
    return terms
