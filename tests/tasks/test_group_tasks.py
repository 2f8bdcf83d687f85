"""Operations on group elements, and the bases in which they are analysed."""

import inspect
import json

import pytest
import torch

import mechgrok as mg
from mechgrok.algebra import FourierBasis, IrrepBasis, fourier_basis, named_group
from mechgrok.errors import ConfigError, TaskError
from mechgrok.tasks import Operation, group_task, modular_task, random_labels, sn_task, task_from_spec


@pytest.mark.parametrize("op", ["xy", "xyx^-1", "xyx"])
def test_the_three_operations_on_permutations(op):
    """Against permutations of sympy, which also multiplies from left to right."""
    from itertools import permutations

    from sympy.combinatorics import Permutation

    task = sn_task("S4", op=op)
    elements = [Permutation(list(images)) for images in permutations(range(4))]
    for row in range(0, task.n_inputs, 7):
        x, y = (elements[i] for i in task.operands[row].tolist())
        answer = {"xy": x * y, "xyx^-1": x * y * x**-1, "xyx": x * y * x}[op]
        assert elements[task.labels[row]].array_form == answer.array_form


def test_sizes_and_tokens():
    task = sn_task("S5")
    assert (task.n_inputs, task.n_symbols, task.n_classes, task.d_vocab) == (14400, 120, 120, 121)
    assert task.tokens[121].tolist() == [1, 1, 120]
    assert task.name == "S5"
    assert sn_task("S5", op="xyx").name == "S5 xyx"
    assert sn_task("S4", sequence=("a", "o", "b", "=")).tokens[0].tolist() == [0, 24, 0, 25]


@pytest.mark.parametrize("op", ["xy", "xyx^-1", "xyx"])
@pytest.mark.parametrize("name", ["S4", "D5", "A4"])
def test_the_frame_holds_every_input_and_its_answer(name, op):
    task = group_task(name, op=op)
    frame = task.frame
    assert isinstance(frame.basis, IrrepBasis)
    assert frame.covers(task.n_inputs).all()
    assert torch.equal(frame.classes[frame.results], task.labels[frame.rows])
    assert (frame.counts == frame.order).all()


def test_a_cyclic_group_in_any_order_gets_the_fourier_basis():
    order = torch.tensor([3, 0, 4, 1, 2])
    place = order.argsort()
    table = place[(order[:, None] + order) % 5]
    task = group_task(table, name="clock")
    frame = task.frame
    assert isinstance(frame.basis, FourierBasis)
    assert torch.equal(frame.results, named_group("Z5").table)
    assert torch.equal(frame.classes[frame.results], task.labels[frame.rows])


@pytest.mark.parametrize(
    "task",
    [
        sn_task("S4", op="xyx^-1"),
        group_task("D59"),
        group_task([[0, 1], [1, 0]], name="flip"),
        group_task(named_group("Z2xS3"), sequence=("a", "b")),
        group_task(named_group("S3"), name="my group", specials=("=", "+")),
        random_labels(sn_task("S3"), seed=4),
        random_labels(modular_task("add", 5), seed=4).with_sequence("a", "b"),
        modular_task("a/b if b odd else a-b", 7, sequence=("a", "o", "b", "=")),
        modular_task("add", 5, sequence=("a", "+", "b"), specials=("=", "+", "-")),
    ],
    ids=repr,
)
def test_a_task_is_rebuilt_from_its_stored_spec(task):
    again = task_from_spec(json.loads(json.dumps(task.spec)))
    assert again.name == task.name
    assert torch.equal(again.labels, task.labels)
    assert torch.equal(again.tokens, task.tokens)
    assert again.spec == task.spec


def test_the_spec_of_a_known_group_is_its_name_and_of_another_one_its_table():
    assert group_task(named_group("S5")).spec["group"] == "S5"
    assert group_task([[0, 1], [1, 0]], name="S5").spec["group"] == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sn_task("A5"), "sn_task takes 'S2' to 'S6', got 'A5'; group_task takes other groups"),
        (lambda: inspect.unwrap(sn_task)(5), "sn_task takes 'S2' to 'S6', got 5"),
        (lambda: inspect.unwrap(named_group)(5), "unknown group 5; allowed are S, A, D"),
        (
            lambda: group_task("Z999999"),
            "Z999999 has 999,999 elements; a group may have 4,096, since its table",
        ),
        (lambda: group_task("D2049"), "D2049 has 4,098 elements"),
        (lambda: group_task("U4099"), "U4099 has 4,098 elements"),
        (lambda: group_task("S6xS6"), "S6xS6 has 518,400 elements"),
        (lambda: group_task(torch.zeros(1, 1).long().expand(4097, 4097)), "of this table has 4,097 elements"),
        (lambda: sn_task("S9"), "2..6 things are supported, got 9"),
        (lambda: group_task("K8"), "unknown group 'K8'.*multiplication table"),
        (lambda: group_task([[0, 1], [1, 1]]), "element 1 has no inverse"),
        (lambda: group_task([[0, 1, 2], [1, 0, 2], [2, 2, 0]]), r"not associative: \(\d∘\d\)∘\d = \d"),
    ],
)
def test_errors(build, message):
    with pytest.raises(TaskError, match=message):
        build()


def test_special_tokens_are_shared_by_the_tasks_of_one_network():
    signs = ("=", "+", "-", "*")
    add = modular_task("add", 7, sequence=("a", "+", "b"), specials=signs)
    mul = modular_task("mul", 7, sequence=("a", "*", "b"), specials=signs)
    assert add.d_vocab == mul.d_vocab == 11
    assert add.tokens[0].tolist() == [0, 8, 0]
    assert mul.tokens[0].tolist() == [0, 10, 0]
    assert modular_task("add", 7, sequence=("a", "+", "b")).tokens[0].tolist() == [0, 7, 0]


@pytest.mark.parametrize(("p", "order"), [(8, 4), (15, 8), (16, 8), (21, 12)])
def test_products_mod_a_number_without_primitive_root_live_in_its_units(p, order):
    frame = modular_task("mul", p).frame
    assert isinstance(frame.basis, IrrepBasis)
    assert frame.order == order
    assert torch.equal(frame.classes[frame.results], frame.classes[:, None] * frame.classes % p)


@pytest.mark.parametrize(
    "operation", ["x*y", "ab", "a^2*b", "x/y", "a^3/b^2", "3xy", "-a*b", "2a/(5b)^2", "1/(ab)", "1/a", "a*a"]
)
def test_products_of_powers_are_analysed_by_the_discrete_logarithm(operation):
    frame = modular_task(operation, 11).frame
    assert frame.order == 10
    assert (frame.classes > 0).all()


@pytest.mark.parametrize(
    "operation",
    [
        "2a+b",
        "a*b+b",
        "a^2+b^2",
        "a-b",
        "(a+b)^2",
        "ab if a odd else ab",
        "a",
        "-3b",
        "a/2",
        "11ab",
        "7",
        "a^0",
    ],
)
def test_other_operations_are_analysed_additively(operation):
    assert modular_task(operation, 11).frame.order == 11


def test_a_number_that_is_no_unit_makes_no_product():
    assert modular_task("2ab", 10).frame.order == 10
    assert modular_task("3ab", 10).frame.order == 4


def test_a_basis_can_be_forced():
    task = modular_task("mul", 11)
    forced = task.in_basis(fourier_basis(11))
    assert task.frame.order == 10
    assert forced.frame.order == 11
    assert forced.frame.direction == "cos(w_k(a*b-c))"
    assert torch.equal(
        task.in_basis(fourier_basis(11), elements=list(range(11))).frame.rows, forced.frame.rows
    )
    assert torch.equal(forced.frame.results.flatten(), task.labels)
    assert forced.spec["task"] == task.spec
    units = torch.tensor([pow(2, i, 11) for i in range(10)])
    again = forced.in_basis(fourier_basis(10), elements=units)
    assert torch.equal(again.frame.results, task.frame.results)


@pytest.mark.parametrize("elements", [[0.5] * 11, [list(range(11))]])
def test_elements_are_tokens(elements):
    with pytest.raises(TaskError, match="elements are token numbers"):
        inspect.unwrap(Operation.in_basis)(modular_task("mul", 11), fourier_basis(11), elements)


def test_a_basis_is_no_name():
    with pytest.raises(TaskError, match="fourier_basis and irrep_basis give; got 'S3'"):
        inspect.unwrap(Operation.in_basis)(modular_task("mul", 11), "S3")


@pytest.mark.parametrize(
    ("task", "formula"),
    [
        (modular_task("x^2 + xy", 7), "cos(w_k(x^2+xy-c))"),
        (group_task("Z7"), "cos(w_k(a+b-c))"),
        (group_task("Z7", op="xyx"), "cos(w_k(2a+b-c))"),
        (random_labels(modular_task("add", 7)), "cos(w_k(random label-c))"),
        (group_task("S3"), "chi(a∘b∘c^-1)"),
        (modular_task("mul", 7), "chi(a∘b∘c^-1)"),
    ],
)
def test_formulas_for_people(task, formula):
    assert task.frame.direction == formula


def test_a_shifted_product_is_a_product_in_a_basis_of_shifted_units():
    """ab + a + b = (a+1)(b+1) - 1."""
    p = 11
    units = torch.tensor([pow(2, i, p) for i in range(p - 1)])
    task = modular_task("a*b+a+b", p).in_basis(fourier_basis(p - 1), elements=(units - 1) % p)
    assert torch.equal(task.frame.results, named_group("Z10").table)


@pytest.mark.parametrize(
    ("task", "order", "elements", "message"),
    [
        (modular_task("add", 5), 4, None, "4 elements, but 5 tokens.*basis of order 5"),
        (modular_task("add", 5), 3, [0, 1, 1], "3 elements, but 2 tokens"),
        (modular_task("add", 5), 2, [0, 5], r"tokens in 0\.\.4, got \[0, 5\]"),
    ],
)
def test_a_basis_that_does_not_fit_is_refused(task, order, elements, message):
    with pytest.raises(TaskError, match=message):
        task.in_basis(fourier_basis(order), None if elements is None else torch.tensor(elements))


def test_a_frame_without_all_inputs_or_answers_is_refused():
    with pytest.raises(TaskError, match="no answer for some pairs, such as a=0, b=0"):
        _ = modular_task("div", 5).in_basis(fourier_basis(5)).frame
    with pytest.raises(TaskError, match=r"answer 2 of 'a\+b' for a=1, b=1 is no element"):
        _ = modular_task("add", 5).in_basis(fourier_basis(2), torch.tensor([0, 1])).frame


def test_the_wrong_basis_shows():
    """A network sparse in the multiplicative basis has a flat spectrum in the additive one."""
    task = modular_task("mul", 13)
    embedding = torch.zeros(13, 2, dtype=torch.float64)
    angles = 2 * torch.pi * torch.arange(12).double() * 5 / 12
    embedding[task.frame.tokens] = torch.stack([angles.cos(), angles.sin()], 1)
    own, wrong = (
        mg.gini(mg.frequency_norms(embedding[frame.tokens], basis=frame.basis))
        for frame in (task.frame, task.in_basis(fourier_basis(13)).frame)
    )
    assert own == pytest.approx(1 - 1 / 6)
    assert wrong < 0.2


def test_random_labels_stay_fixed_and_keep_their_frequencies():
    task = modular_task("add", 11)
    control = random_labels(task, seed=3)
    assert torch.equal(control.labels, random_labels(task, seed=3).labels)
    assert not torch.equal(control.labels, random_labels(task, seed=4).labels)
    assert torch.equal(control.labels.bincount(), task.labels.bincount())
    assert torch.equal(control.operands, task.operands)
    assert (control.labels == task.labels).double().mean() < 0.2
    assert torch.equal(control.frame.classes[control.frame.results].flatten(), control.labels)
    with pytest.raises(TaskError, match="is no element of"):
        _ = random_labels(modular_task("mul", 11)).frame


def test_no_frequencies_of_cosine_and_sine_where_there_are_none():
    from mechgrok.analysis.ablation import ablate

    task = sn_task("S3")
    grid = mg.grid_from_tensors(task, torch.randn(36, 6, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(mg.UndefinedMetricError, match="has no cos"):
        ablate(grid, ["sign"], "cos", "logits")
    with pytest.raises(mg.UndefinedMetricError, match="no cosines and sines"):
        mg.fourier_coefficient_ratio(torch.randn(6, 2), basis=task.frame.basis)
    with pytest.raises(ConfigError, match="3 is not an irrep of S3; allowed: sign, standard"):
        mg.restricted_loss(grid, [3])
