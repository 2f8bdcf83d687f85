"""Formulas of planted logits are recovered with their coefficients."""

from math import cos, pi

import pytest
import sympy
import torch
from planted import MODULI, cosine_logits, extreme_frequencies

import mechgrok as mg
from mechgrok.analysis.formula import fit_formula


def fitted(task: mg.Task, logits: torch.Tensor, keys):
    return fit_formula(mg.grid_from_tensors(task, logits), keys)


@pytest.mark.parametrize("p", MODULI)
def test_planted_cosines(p: int):
    task = mg.modular_task("add", p)
    amplitudes = {k: 3.0 + k for k in extreme_frequencies(p)}
    bias = torch.linspace(-1, 1, p, dtype=torch.float64)
    formula = fitted(task, cosine_logits(task, amplitudes) + bias, amplitudes)
    assert {t.label: t.amplitude for t in formula.terms} == pytest.approx(amplitudes)
    assert all((t.fading, t.explained) == (0, pytest.approx(1)) and t.spread < 1e-9 for t in formula.terms)
    assert torch.allclose(formula.mean, bias)
    assert torch.allclose(formula.logits(), cosine_logits(task, amplitudes) + bias)


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
def test_planted_pizzas(operation: str):
    """Waves that fade with the distance, of any operation with one; written down from the formula."""
    task = mg.modular_task(operation, 13)
    frame, n = task.frame, task.frame.order
    x, y = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    distance = x + y if operation in ("sub", "div") else x - y
    logits = cosine_logits(task, {2: 1.0})
    logits[frame.rows.flatten()] *= 7 * (pi * 2 / n * distance.flatten().double()).cos().abs()[:, None]
    logits += cosine_logits(task, {3: 5.0})
    formula = fitted(task, logits, [2, 3])
    by_label = {t.label: t for t in formula.terms}
    assert (by_label[2].amplitude, by_label[2].fading) == (0, pytest.approx(7))
    assert (by_label[3].amplitude, by_label[3].fading) == (pytest.approx(5), 0)
    assert torch.allclose(formula.logits(), logits[formula.rows])


def test_both_coefficients_where_both_are_needed():
    task = mg.modular_task("add", 17)
    a, b = task.operands.T.double()
    fading = (pi * 5 / 17 * (a - b)).cos().abs()
    formula = fitted(task, cosine_logits(task, {5: 1.0}) * (4 + 6 * fading)[:, None], [5])
    assert (formula.terms[0].amplitude, formula.terms[0].fading) == (pytest.approx(4), pytest.approx(6))
    assert formula.text == "(4 + 6 |cos(w_5(a-b)/2)|)·cos(w_5(a+b-c)) + mean(c)"


def test_the_spread_is_that_of_the_inputs():
    task = mg.modular_task("add", 53)
    sizes = torch.randn(53 * 53, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    formula = fitted(task, cosine_logits(task, {7: 1.0}) * (10 + 2 * sizes)[:, None], [7])
    (term,) = formula.terms
    assert term.amplitude == pytest.approx(10 + 2 * sizes.mean().item())
    # Of the spread, mean(c) takes the little that is a wave of the class alone.
    assert term.spread == pytest.approx(2 * sizes.std(correction=0).item(), rel=1e-3)
    assert term.explained == pytest.approx(term.amplitude**2 / (term.amplitude**2 + term.spread**2))


@pytest.mark.parametrize("name", ["S3", "D5", "D6", "S4"])
def test_irreps_have_the_trace_of_their_matrices(name: str):
    group = mg.named_group(name)
    labels = mg.IrrepBasis(group).labels
    amplitudes = {label: 2.0 + i for i, label in enumerate(labels)}
    formula = fit_formula(mg.cache_grid(mg.character_network(name, amplitudes)), labels)
    assert {t.label: t.amplitude for t in formula.terms} == pytest.approx(amplitudes)
    assert all(t.explained == pytest.approx(1) for t in formula.terms)


def test_answers_that_are_not_equally_frequent():
    task = mg.modular_task("x^2+y^2", 13)
    frame = task.frame
    gap = (frame.results[..., None] - torch.arange(13)).double()
    logits = torch.zeros(task.n_inputs, 13, dtype=torch.float64)
    waves = sum(size * (2 * pi * k / 13 * gap).cos() for k, size in {2: 3.0, 5: 4.0}.items())
    logits[frame.rows.flatten()] = waves.flatten(0, 1)
    formula = fitted(task, logits, [2, 5])
    assert {t.label: t.amplitude for t in formula.terms} == pytest.approx({2: 3.0, 5: 4.0})
    assert torch.allclose(formula.logits(), logits[formula.rows])


def test_a_function_of_one_element():
    task = mg.parity_task(4, (0, 2))
    right = torch.nn.functional.one_hot(task.labels, 2).double()
    (key,) = [
        label for label in task.frame.basis.labels if fitted(task, 6 * right, [label]).terms[0].amplitude > 1
    ]
    formula = fitted(task, 6 * right, [key])
    assert formula.terms[0].amplitude == pytest.approx(6)
    assert torch.allclose(formula.logits(), 6 * right)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ("add", "-2·cos(w_1(a+b-c)) + 1.5·cos(w_2(a+b-c)) + mean(c)"),
        ("sub", "-2·cos(w_1(a-b-c)) + 1.5·cos(w_2(a-b-c)) + mean(c)"),
        ("mul", "-2·cos(w_1log(ab/c)) + 1.5·cos(w_2log(ab/c)) + mean(c)"),
        ("div", "-2·cos(w_1log(a/b/c)) + 1.5·cos(w_2log(a/b/c)) + mean(c)"),
    ],
)
def test_how_it_is_written(operation: str, text: str):
    task = mg.modular_task(operation, 7)
    formula = fitted(task, cosine_logits(task, {1: -2.0, 2: 1.5}), [1, 2])
    assert formula.text.replace(" log", "log") == text
    assert formula.latex.startswith(r"-2\,\cos\left(w_{1}")
    assert formula.latex.count("{") == formula.latex.count("}")


@pytest.mark.parametrize("operation", ["add", "sub"])
def test_sympy_gives_the_same_numbers(operation: str):
    task = mg.modular_task(operation, 7)
    formula = fitted(task, cosine_logits(task, {1: 4.0, 3: 2.0}), [1, 3])
    expression = formula.expression().subs(sympy.Function("mean")(sympy.Symbol("c", integer=True)), 0)
    row = 3 * 7 + 5
    a, b, c = sympy.symbols("a b c", integer=True)
    value = float(expression.subs({a: 3, b: 5, c: 6}))
    assert value == pytest.approx(formula.logits()[row, 6].item())
    answer = 8 if operation == "add" else -2
    assert value == pytest.approx(
        sum(s * cos(2 * pi * k / 7 * (answer - 6)) for k, s in {1: 4.0, 3: 2.0}.items())
    )


def test_characters_of_irreps_have_no_expression():
    formula = fit_formula(mg.cache_grid(mg.character_network("S3", {"standard": 1.0})), ["standard"])
    with pytest.raises(mg.UndefinedMetricError, match="no cosines"):
        formula.expression()
