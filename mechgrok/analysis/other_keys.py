"""The control of a formula: the same coefficients, given to other keys."""

from dataclasses import replace

from mechgrok.algebra.bases import Label
from mechgrok.analysis.formula import Formula
from mechgrok.analysis.formula_text import Term


def at_other_keys(formula: Formula) -> Formula | None:
    """The formula with each coefficient at another key, further on by the number that meets the fewest of its own.

    Such a formula is as right as the one it was made of, and has margins of the same size. What it explains of a
    network, any formula with these coefficients would explain.

    Returns:
        None if there is no formula, or none but itself.

    >>> import mechgrok as mg
    >>> at_other_keys(mg.explain(mg.cosine_network(11, {3: 9.0, 5: 4.0})).fitted)
    Formula(9·cos(w_4(a+b-c)) + 4·cos(w_1(a+b-c)) + mean(c))
    """
    labels = formula.task.frame.basis.labels
    own = {term.label: term for term in formula.terms}
    places = {label: i for i, label in enumerate(labels)}

    def moved(step: int) -> dict[Label, Term]:
        return {labels[(places[label] + step) % len(labels)]: term for label, term in own.items()}

    others = [moved(step) for step in range(1, len(labels))]
    differing = [other for other in others if not _same(other, own)]
    if not own or not differing:
        return None
    best = min(differing, key=lambda other: len(other.keys() & own.keys()))
    terms = tuple(replace(term, label=label) for label, term in best.items())
    return Formula(terms, formula.mean, formula.task)


def _same(other: dict[Label, Term], own: dict[Label, Term]) -> bool:
    """Whether every key has the coefficients that it had, up to rounding."""
    return other.keys() == own.keys() and all(
        abs(other[label].amplitude - own[label].amplitude) + abs(other[label].fading - own[label].fading)
        < 1e-6 * (abs(own[label].amplitude) + abs(own[label].fading))
        for label in own
    )
