"""Frames: every operation, viewed in the group whose product it is."""

import json
import re
from math import gcd

import pytest
import torch

from mechgrok import ModelConfig, load_run, train
from mechgrok.algebra import Basis, FourierBasis, Group, IrrepBasis, fourier_basis, symmetric_group
from mechgrok.algebra.specs import basis_from_spec, basis_spec
from mechgrok.errors import TaskError
from mechgrok.tasks import modular_task, task_from_spec

PRIMES = (3, 5, 53, 59, 97, 113)


def assert_group_product(frame, inverse: bool) -> None:
    group = frame.basis.group
    second = group.inverses if inverse else torch.arange(group.order)
    assert torch.equal(frame.results, group.table[:, second])


@pytest.mark.parametrize("p", [2, 3, 10, 96, 97])
@pytest.mark.parametrize("operation", ["add", "sub"])
def test_addition_is_the_identity_map(operation, p):
    task = modular_task(operation, p)
    frame = task.frame
    assert frame.order == p
    assert frame.rows.tolist() == [[a * p + b for b in range(p)] for a in range(p)]
    assert frame.classes.tolist() == frame.tokens.tolist() == list(range(p))
    assert torch.equal(frame.results.flatten(), task.labels)
    assert_group_product(frame, inverse=operation == "sub")
    assert frame.covers(task.n_inputs).all()
    assert frame.counts.tolist() == [p] * p


@pytest.mark.parametrize("p", [*PRIMES, 4, 9, 10, 18, 8, 15, 16])
@pytest.mark.parametrize("operation", ["mul", "div"])
def test_products_and_quotients_are_the_product_of_the_units(operation, p):
    task = modular_task(operation, p)
    frame = task.frame
    units = [u for u in range(p) if gcd(u, p) == 1]
    assert frame.order == len(units)
    assert sorted(frame.classes.tolist()) == units
    assert torch.equal(frame.classes, frame.tokens)
    assert_group_product(frame, inverse=operation == "div")
    # Row, operands, label and result say the same.
    a, b = task.operands[frame.rows.flatten()].T
    assert torch.equal(a, frame.tokens.repeat_interleave(frame.order))
    assert torch.equal(b, frame.tokens.repeat(frame.order))
    assert torch.equal(task.labels[frame.rows.flatten()], frame.classes[frame.results.flatten()])


@pytest.mark.parametrize(
    ("operation", "same"), [("x*y", "mul"), ("ba", "mul"), ("x/y", "div"), ("a-b", "sub")]
)
def test_the_frame_follows_the_operation_not_its_spelling(operation, same):
    frame, expected = modular_task(operation, 11).frame, modular_task(same, 11).frame
    assert frame.order == expected.order
    assert torch.equal(frame.rows, expected.rows)
    assert torch.equal(frame.results, expected.results)


@pytest.mark.parametrize("p", [3, 10, 53])
def test_inputs_with_a_zero_lie_outside_of_a_product_frame(p):
    task = modular_task("mul", p)
    covered = task.frame.covers(task.n_inputs).tolist()
    assert covered == [gcd(a, p) == 1 and gcd(b, p) == 1 for a in range(p) for b in range(p)]


@pytest.mark.parametrize("p", [3, 5, 97, 9, 10])
def test_a_primitive_root_turns_products_into_sums_of_logarithms(p):
    frame = modular_task("mul", p).frame
    exponents = torch.arange(frame.order)
    assert frame.basis is fourier_basis(frame.order)
    assert torch.equal(frame.results, (exponents[:, None] + exponents) % frame.order)
    assert frame.tokens[0] == 1


@pytest.mark.parametrize(("operation", "p"), [("a/b+1", 7), ("1/(a+b)", 5)])
def test_operations_that_leave_gaps_in_their_group_are_refused(operation, p):
    task = modular_task(operation, p)
    with pytest.raises(TaskError, match=f"{re.escape(operation)}.*has no answer for some pairs"):
        _ = task.frame


def test_polynomials_live_on_all_residues_with_uneven_answers():
    p = 7
    frame = modular_task("x^2+y^2", p).frame
    counts = [sum((a * a + b * b) % p == c for a in range(p) for b in range(p)) for c in range(p)]
    assert frame.counts.tolist() == counts
    assert len(set(counts)) > 1
    assert frame.answer == "x^2+y^2"


@pytest.mark.parametrize("operation", ["add", "mul", "x^2+y^2"])
@pytest.mark.parametrize("rest", [(), (2,), (2, 3)])
def test_every_input_has_the_value_of_its_answer(operation, rest):
    task = modular_task(operation, 7)
    frame = task.frame
    values = torch.randn(frame.order, *rest, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spread = frame.spread_by_result(values, task.n_inputs)
    assert spread.shape == (task.n_inputs, *rest)
    for row, label in enumerate(task.labels.tolist()):
        inside = frame.covers(task.n_inputs)[row]
        element = frame.classes.tolist().index(label) if inside else None
        expected = values[element] if inside else torch.zeros(rest, dtype=torch.float64)
        torch.testing.assert_close(spread[row], expected)


def test_answers_that_never_occur_are_counted():
    frame = modular_task("x^2+0*y", 7).frame
    assert frame.counts.tolist() == [7, 14, 14, 0, 14, 0, 0]


def test_square_lays_values_out_over_both_elements():
    task = modular_task("mul", 5)
    square = task.frame.square(task.labels.double())
    units = task.frame.tokens.tolist()
    assert square.tolist() == [[a * b % 5 for b in units] for a in units]


def test_a_forced_basis_survives_storing(tmp_path):
    forced = modular_task("mul", 7).in_basis(fourier_basis(7))
    again = task_from_spec(json.loads(json.dumps(forced.spec)))
    assert again.frame.basis is fourier_basis(7)
    assert again.frame.tokens.tolist() == list(range(7))
    assert task_from_spec(again.with_sequence("a", "b").spec).n_ctx == 2
    elements = torch.tensor([1, 2, 4])
    ordered = modular_task("mul", 7).in_basis(fourier_basis(3), elements)
    assert task_from_spec(ordered.spec).frame.classes.tolist() == [1, 2, 4]
    options = {"model": ModelConfig(d_model=16), "steps": 1, "progress": False}
    assert load_run(train(forced, out=tmp_path / "run", **options).path).task.frame.order == 7


@pytest.mark.parametrize("group", [symmetric_group(3), Group("mine", symmetric_group(3).table)])
def test_a_forced_basis_of_irreps_survives_storing(group):
    forced = modular_task("add", 6).in_basis(IrrepBasis(group))
    basis = task_from_spec(json.loads(json.dumps(forced.spec))).in_basis(IrrepBasis(group)).spec["basis"]
    assert basis == forced.spec["basis"]
    assert basis_from_spec(basis).group.name == group.name
    assert torch.equal(basis_from_spec(basis).matrix, IrrepBasis(group).matrix)


def test_a_basis_of_ones_own_serves_analyses_but_not_runs():
    class Own(FourierBasis):
        pass

    class Other(Basis):
        matrix = torch.eye(3).double()

        def character(self, label):
            return self.matrix[0]

    assert modular_task("add", 3).in_basis(Own(3)).spec["basis"] == {"fourier": 3}
    other = Other(symmetric_group(2), (), "piece")
    assert basis_spec(other) == {"class": "Other"}
    with pytest.raises(TaskError, match="a Fourier basis and one of irreps can be stored"):
        basis_from_spec(basis_spec(other))
