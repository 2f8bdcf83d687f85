"""Modular tasks: grids, labels, sequences, tokens, and round trips through their spec."""

import inspect
from math import gcd

import pytest
import torch

from mechgrok.errors import TaskError
from mechgrok.tasks import modular_task, task_from_spec
from mechgrok.tasks.modular import powers_of_primitive_root

NAIVE = {
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: a * b % p,
    "div": lambda a, b, p: a * pow(b, -1, p) % p if gcd(b, p) == 1 else None,
    "x^2+x*y+y^2": lambda a, b, p: (a * a + a * b + b * b) % p,
}


@pytest.mark.parametrize("p", [2, 3, 10, 53, 59, 96, 97, 113])
@pytest.mark.parametrize("operation", NAIVE)
def test_grid_and_labels(operation, p):
    task = modular_task(operation, p)
    expected = [(a, b, NAIVE[operation](a, b, p)) for a in range(p) for b in range(p)]
    expected = [row for row in expected if row[2] is not None]
    assert task.n_inputs == len(expected)
    assert task.operands.tolist() == [[a, b] for a, b, _ in expected]
    assert task.labels.tolist() == [c for _, _, c in expected]
    assert task.n_symbols == task.n_classes == p


def test_default_sequence_ends_with_equals():
    task = modular_task("add", 5)
    assert task.sequence is None
    assert task.slots == ("a", "b", "=")
    assert task.special_tokens == {"=": 5}
    assert (task.d_vocab, task.n_ctx) == (6, 3)
    assert task.tokens[7].tolist() == [1, 2, 5]
    assert task.tokens.shape == (25, 3)


def test_any_sequence_of_operands_and_symbols():
    task = modular_task("sub", 5, sequence=("b", "-", "a", "=", "-"))
    assert task.special_tokens == {"-": 5, "=": 6}
    assert (task.d_vocab, task.n_ctx) == (7, 5)
    assert task.tokens[7].tolist() == [2, 5, 1, 6, 5]
    assert task.labels[7] == (1 - 2) % 5


def test_with_sequence_changes_what_is_read_and_nothing_else():
    task = modular_task("add", 5)
    short = task.with_sequence("a", "b")
    assert short.tokens.tolist() == task.operands.tolist()
    assert short.d_vocab == 5
    assert torch.equal(short.labels, task.labels)
    assert task.slots == ("a", "b", "=")
    assert task_from_spec(short.spec).slots == ("a", "b")


@pytest.mark.parametrize("slots", [("a", "="), ("b",), ("=",)])
def test_sequence_without_an_operand_is_refused(slots):
    with pytest.raises(TaskError, match="must contain the operands 'a' and 'b'"):
        modular_task("add", 5, sequence=slots)
    with pytest.raises(TaskError, match="must contain the operands 'a' and 'b'"):
        modular_task("add", 5).with_sequence(*slots)


@pytest.mark.parametrize("sequence", [None, ("a", "b"), ("a", "+", "b", "=")])
@pytest.mark.parametrize("operation", ["div", "a^2-b"])
def test_spec_rebuilds_the_task(operation, sequence):
    task = modular_task(operation, 7, sequence=sequence)
    again = task_from_spec(task.spec)
    assert again.spec == task.spec
    assert again.name == task.name
    assert again.slots == task.slots
    assert torch.equal(again.tokens, task.tokens)
    assert torch.equal(again.labels, task.labels)


def test_names_serve_as_titles():
    assert modular_task("add", 113).name == "add113"
    assert modular_task("x^2 + y^2", 97).name == "x^2+y^2 mod 97"
    assert repr(modular_task("add", 5)) == "Task(add5: a b = -> 5 classes, 25 inputs)"


@pytest.mark.parametrize("p", [1, 0, -7, 4097, 10**9])
def test_modulus_out_of_range(p):
    with pytest.raises(TaskError, match=f"modulus p must be a whole number from 2 to 4096, .*got {p}$"):
        modular_task("add", p)


@pytest.mark.parametrize("operation", [None, 5, ["add"]])
def test_an_operation_is_a_text(operation):
    with pytest.raises(TaskError, match=r"an operation is 'add', .* or an expression such as .*, got "):
        inspect.unwrap(modular_task)(operation, 5)


def test_operation_without_any_answer():
    with pytest.raises(TaskError, match="'a/0' has no value mod 5 for any pair"):
        modular_task("a/0", 5)


def test_unknown_operation_is_read_as_an_expression():
    with pytest.raises(TaskError, match="'plus': unknown symbol 'p' in 'plus'"):
        modular_task("plus", 5)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"operation": "add", "p": 5}, "unknown kind of task None; allowed: .*modular, group, table"),
        (
            {"kind": "modulo", "p": 5},
            "unknown kind of task 'modulo' .did you mean modular.*modular, group, table",
        ),
        ({"kind": "modular", "p": 5}, "does not fit: .*operation"),
        ({"kind": "modular", "operation": "add", "p": 5, "q": 1}, "does not fit: .*'q'"),
    ],
)
def test_spec_that_does_not_fit(spec, text):
    with pytest.raises(TaskError, match=text):
        inspect.unwrap(task_from_spec)(spec)


@pytest.mark.parametrize("p", [3, 4, 7, 9, 10, 18, 53, 59, 97, 113])
def test_powers_of_a_primitive_root_run_through_all_units(p):
    powers = powers_of_primitive_root(p).tolist()
    assert powers[0] == 1
    assert sorted(powers) == [u for u in range(p) if gcd(u, p) == 1]
    g = powers[1] if len(powers) > 1 else 1
    assert all(g * x % p == y for x, y in zip(powers, [*powers[1:], 1], strict=True))
    for smaller in range(2, g):
        assert gcd(smaller, p) != 1 or len({pow(smaller, i, p) for i in range(p)}) < len(powers)


@pytest.mark.parametrize("p", [2, 8, 12, 15, 16, 96, 112])
def test_moduli_without_a_primitive_root(p):
    assert powers_of_primitive_root(p) is None
