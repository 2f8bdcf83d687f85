"""How the formula of a network is written: in a line, for LaTeX, and as an expression of sympy."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from mechgrok.algebra import FourierBasis
from mechgrok.algebra.bases import Label
from mechgrok.analysis.logit_surface import answers_and_distances
from mechgrok.errors import UndefinedMetricError
from mechgrok.readable import Readable
from mechgrok.tasks import Frame


@dataclass(frozen=True)
class Term(Readable):
    """One key of the formula: its coefficients, and how well they hold.

    Attributes:
        label: of the key.
        amplitude: A, the coefficient of the character, scaled so that it is the cosine of a frequency, or the trace of
            the matrices of an irrep; of a function of one element the part of the table of right answers in the block.
        fading: B, the coefficient of the same times |cos(w_k d/2)|, where d is the distance of the operands, as
            a pizza has it; 0 where it is not needed, and of blocks that are no frequency of sums or differences.
        spread: standard deviation over the inputs of the coefficient that each input has of its own, around what
            A and B give it.
        explained: the share of the mean square of these coefficients that A and B give, 0..1.
    """

    label: Label
    amplitude: float
    fading: float
    spread: float
    explained: float


def in_a_line(terms: Sequence[Term], frame: Frame) -> str:
    """The formula in a line; empty where there is none."""
    return _joined([(_sized(t, _faded(t, frame)), _character(t, frame)) for t in terms], "·")


def in_latex(terms: Sequence[Term], frame: Frame) -> str:
    """The same for LaTeX."""
    parts = [(_sized(t, _latex_faded(t, frame)), _latex_character(t, frame)) for t in terms]
    return _joined(parts, r"\,").replace("mean(c)", r"\mathrm{mean}(c)")


def in_sympy(terms: Sequence[Term], frame: Frame) -> Any:
    """The same as an expression of sympy in the symbols a, b and c, with mean(c) as a function.

    Raises:
        UndefinedMetricError: there is no formula; its characters are no cosines of sums or differences.
    """
    if not terms or not is_sum(frame) or frame.is_logarithmic:
        raise UndefinedMetricError(
            "there is no formula"
            if not terms
            else f"the characters of {frame.basis} are no cosines of a, b and c"
        )
    # By name: it takes a while, and few ask for it.
    sympy: Any = import_module("sympy")
    a, b, c = sympy.symbols("a b c", integer=True)
    sign, total = -1 if is_difference(frame) else 1, sympy.Function("mean")(c)
    for term in terms:
        w = 2 * sympy.pi * term.label / frame.order
        size = term.amplitude + term.fading * sympy.Abs(sympy.cos(w * (a - sign * b) / 2))
        total += size * sympy.cos(w * (a + sign * b - c))
    return total


def is_sum(frame: Frame) -> bool:
    """Whether the answer is a sum or difference in a cyclic group, so that operands have a distance."""
    if not frame.is_operation or not isinstance(frame.basis, FourierBasis):
        return False
    try:
        answers_and_distances(frame)
    except UndefinedMetricError:
        return False
    return True


def is_difference(frame: Frame) -> bool:
    """Whether the answer is x∘y^-1."""
    return torch.equal(frame.results, frame.basis.quotients)


def _joined(terms: list[tuple[str, str]], times: str) -> str:
    """A sum of products; a negative coefficient is subtracted."""
    text = ""
    for size, character in terms:
        sign = "-" if size.startswith("-") else "+"
        joint = ("-" if sign == "-" else "") if not text else f" {sign} "
        text += joint + size.removeprefix("-") + times + character
    return f"{text} + mean(c)" if text else ""


def _sized(term: Term, faded: str) -> str:
    """The coefficient with its fading."""
    a, b = f"{term.amplitude:z.4g}", f"{term.fading:z.4g}"
    if not term.fading:
        return a
    if not term.amplitude:
        return f"{b} {faded}"
    return f"({a} {'-' if term.fading < 0 else '+'} {b.removeprefix('-')} {faded})"


def _places(frame: Frame) -> tuple[str, str]:
    """The answer less the class, and the distance of the operands, for people."""
    answer = frame.answer if is_sum(frame) and not frame.is_logarithmic else "a∘b"
    if frame.is_logarithmic:
        division = is_difference(frame)
        return f" log({'a/b' if division else 'ab'}/c)", f" log({'ab' if division else 'a/b'})"
    difference = is_sum(frame) and is_difference(frame)
    return f"({answer}-c)", "(a+b)" if difference else "(a-b)"


def _character(term: Term, frame: Frame) -> str:
    if not frame.is_operation:
        return f"[{frame.answer} in {term.label}]"
    if is_sum(frame):
        return f"cos(w_{term.label}{_places(frame)[0]})"
    return f"chi_{term.label}({'a∘b' if frame.is_latin_square else frame.answer}∘c^-1)"


def _faded(term: Term, frame: Frame) -> str:
    return f"|cos(w_{term.label}{_places(frame)[1]}/2)|" if term.fading else ""


def _latex_character(term: Term, frame: Frame) -> str:
    if not frame.is_operation:
        return rf"[\text{{{frame.answer}}}]_{{\text{{{term.label}}}}}"
    if is_sum(frame):
        return rf"\cos\left(w_{{{term.label}}}{_places(frame)[0]}\right)".replace("log", r"\log ")
    return rf"\chi_{{\text{{{term.label}}}}}(a\circ b\circ c^{{-1}})"


def _latex_faded(term: Term, frame: Frame) -> str:
    faded = rf"\left|\cos\left(w_{{{term.label}}}{_places(frame)[1]}/2\right)\right|" if term.fading else ""
    return faded.replace("log", r"\log ")
