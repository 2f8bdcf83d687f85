"""Operations in which the parity of an operand selects one of two expressions."""

import pytest
import torch

from mechgrok.errors import TaskError
from mechgrok.tasks import modular_task
from mechgrok.tasks.operations import FURUTA_2024, POWER_2022, parse_operation


@pytest.mark.parametrize("text", POWER_2022)
def test_the_nine_operations_mod_97(text):
    """Against integer arithmetic on every pair."""
    p = 97
    task = modular_task(text, p)
    assert task.n_inputs == (p * (p - 1) if text == "x/y" else p * p)
    python = text.replace("^", "**").replace("x/y", "x*pow(y, -1, p)").replace("y odd", "y % 2")
    function = eval(f"lambda x, y, p: ({python}) % p")
    rows = range(0, task.n_inputs, 13)
    expected = [function(*task.operands[row].tolist(), p) for row in rows]
    assert task.labels[list(rows)].tolist() == expected


@pytest.mark.parametrize("text", [text for kind in FURUTA_2024.values() for text in kind])
def test_the_polynomials(text):
    p = 97
    task = modular_task(text, p, sequence=("a", "=", "b"), specials=("=", "+", "-", "*", "/"))
    assert task.n_inputs == p * p
    assert task.d_vocab == p + 5
    assert task.tokens[5].tolist() == [0, p, 5]
    python = text.replace("^", "**").replace("ab", "a*b").replace("2a", "2*a").replace("2b", "2*b")
    function = eval(f"lambda a, b: ({python.replace('3b', '3*b')}) % p", {"p": p})
    rows = range(0, task.n_inputs, 13)
    assert task.labels[list(rows)].tolist() == [function(*task.operands[row].tolist()) for row in rows]
    frame = task.frame
    assert torch.equal(frame.classes[frame.results], task.labels[frame.rows])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a+b if a even else a*b", [3, 3, 4, 4]),
        ("a+b if b odd else a*b", [3, 4, 4, 4]),
        ("(a+b) if x odd else (a*b)", [0, 4, 4, 5]),
    ],
)
def test_which_operand_decides_and_how(text, expected):
    a, b = torch.tensor([0, 1, 2, 1]), torch.tensor([3, 3, 2, 4])
    values, exists = parse_operation(text).evaluate(a, b, 7)
    assert values.tolist() == expected
    assert exists.all()


def test_inputs_exist_where_the_chosen_expression_has_a_value():
    _, exists = parse_operation("a/b if b even else a").evaluate(torch.ones(3).long(), torch.arange(3), 7)
    assert exists.tolist() == [False, True, True]


@pytest.mark.parametrize(
    "text", ["a if b else c", "a if b odd", "if b odd else a", "a if c odd else b", "a if b prime else b"]
)
def test_other_conditions_are_refused_with_the_form(text):
    with pytest.raises(TaskError, match="EXPRESSION if y odd else EXPRESSION"):
        parse_operation(text)


def test_an_expression_within_is_checked_like_any_other():
    with pytest.raises(TaskError, match="unknown symbol 'q'"):
        parse_operation("a+q if b odd else a")
