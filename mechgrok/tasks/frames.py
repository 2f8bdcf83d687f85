"""How the inputs and labels of a task relate to a group, so that one analysis serves every operation."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.algebra import Basis
from mechgrok.algebra.bases import Label
from mechgrok.door import door
from mechgrok.errors import NoGroupError, TaskError, UndefinedMetricError, shown
from mechgrok.readable import Readable

MOST_CLASSES = 2**20
"""Maximum number of classes of a function of one element."""


@dataclass(frozen=True, eq=False)
class Frame(Readable):
    """A task seen as a function on the elements of a group, with the basis to analyse it in.

    With two operands x and y it is an operation, whose result is again an element. For addition mod p the group is Z_p
    and everything is the identity map. For multiplication it is the units mod p in the order of the discrete logarithm;
    inputs with a 0 then have no place in the frame. With one operand it is any function of the elements, such as the
    parity of some bits, a function on Z_2^n: here the result is the element itself, and answers are classes. Element
    numbers run over 0..order-1.

    Attributes:
        basis: orthonormal basis of the functions on the group.
        rows: [order] or [order, order], the input (row of the grid) with these elements as operands.
        results: same shape, the element on which the answer depends.
        answers: [order], the right class if this element is the result.
        classes: [order] or [n_classes], the logits of the answers; for an operation, one per element.
        answer: readable formula of the answer in terms of a and b, such as "a+b".
        symbols: [order], the token that stands for each element; None if an element takes several tokens.
    """

    basis: Basis
    rows: Int[Tensor, "order *more"]
    results: Int[Tensor, "order *more"]
    answers: Int[Tensor, " order"]
    classes: Int[Tensor, " classes"]
    answer: str
    symbols: Int[Tensor, " order"] | None = None

    @property
    def order(self) -> int:
        """The number of group elements."""
        return self.basis.order

    @property
    def arity(self) -> int:
        """The number of operands."""
        return self.rows.ndim

    @property
    def is_operation(self) -> bool:
        """Whether there are two operands, so that answers are also group elements and logits functions on it."""
        return self.arity == 2

    @property
    def tokens(self) -> Int[Tensor, " order"]:
        """The token that stands for each element.

        Raises:
            UndefinedMetricError: no single token stands for an element.
        """
        if self.symbols is None:
            raise UndefinedMetricError(
                f"no single token stands for an element of {self.basis.group.name}, so that what is measured in the "
                "embedding has no value"
            )
        return self.symbols

    @property
    def element_classes(self) -> Int[Tensor, " order"]:
        """The logit that stands for each element, so that logits are functions on the group.

        Raises:
            UndefinedMetricError: answers are not elements.
        """
        if not self.is_operation:
            raise UndefinedMetricError(
                f"the answers are no elements of {self.basis.group.name}, so that the logits are no functions on it"
            )
        return self.classes

    @property
    def is_logarithmic(self) -> bool:
        """Whether element numbers are discrete logarithms: the classes are the powers of one class."""
        cyclic = self.basis.what == "frequency"
        return cyclic and not torch.equal(self.classes, torch.arange(self.order))

    @property
    def direction(self) -> str:
        """The single function of inputs and classes that each block represents, as a readable formula."""
        if not self.is_operation:
            return f"what of {self.answer} lies in the block"
        additive = self.basis.what == "frequency" and not self.is_logarithmic
        return f"cos(w_k({self.answer}-c))" if additive else "chi(a∘b∘c^-1)"

    def direction_of(self, label: Label) -> Float[Tensor, "order classes"]:
        """The function of result and class that supports the answer within a block, in float64.

        It is the part of the table of right answers (1 for the right class of a result, 0 for the others) that lies in
        the block: for an operation in a group, a multiple of chi(s∘c^-1), normalised to norm 1 for each result.
        """
        if self.is_operation:
            return self.basis.character(label)[self.basis.quotients]
        right = (self.answers[:, None] == self.classes).double()
        return self.basis.project(right - right.mean(1, keepdim=True), [label], dim=0)

    @cached_property
    def counts(self) -> Float[Tensor, " order"]:
        """How many inputs have each element as their answer, in float64."""
        return torch.bincount(self.results.flatten(), minlength=self.order).double()

    @property
    def is_latin_square(self) -> bool:
        """Whether every answer occurs once when either operand is held fixed, as in a group."""
        if self.arity != 2:
            return False
        elements = torch.arange(self.order)
        by_either = (self.results, self.results.T)
        return all(torch.equal(r.sort(dim=1).values, elements.expand_as(r)) for r in by_either)

    def covers(self, n_inputs: int) -> Bool[Tensor, " inputs"]:
        """Mask of the inputs that have a place in the frame."""
        covered = torch.zeros(n_inputs, dtype=torch.bool)
        covered[self.rows.flatten()] = True
        return covered

    def square(self, x: Float[Tensor, "inputs *rest"]) -> Float[Tensor, "order ..."]:
        """Values per input, arranged over the operands in the order of the group."""
        return x[self.rows]

    def spread_by_result(
        self, values: Float[Tensor, "order *rest"], n_inputs: int
    ) -> Float[Tensor, "inputs *rest"]:
        """The value of each input's answer, as a function of the input; zero outside the frame."""
        out = values.new_zeros(n_inputs, *values.shape[1:])
        out[self.rows.flatten()] = values[self.results.flatten()]
        return out


def build_frame(
    basis: Basis,
    elements: Int[Tensor, " order"],
    operands: Int[Tensor, "inputs 2"],
    labels: Int[Tensor, " inputs"],
    answer: str,
) -> Frame:
    """The frame in which the token and the class elements[i] represent the group element i.

    Raises:
        NoGroupError: a pair of elements is not an input, or its answer is not an element.
    """
    size = 1 + int(max(operands.max(), labels.max(), elements.max()))
    row_of_pair = torch.full((size, size), -1)
    row_of_pair[operands[:, 0], operands[:, 1]] = torch.arange(len(operands))
    rows = row_of_pair[elements][:, elements]
    if (rows < 0).any():
        a, b = elements[(rows < 0).nonzero()[0]].tolist()
        raise NoGroupError(
            f"{answer!r} has no answer for some pairs, such as a={a}, b={b}, so {basis} does not contain all "
            "of its inputs and its logits cannot be analysed in this basis"
        )
    element_of = torch.full((size,), -1)
    element_of[elements] = torch.arange(len(elements))
    results = element_of[labels[rows]]
    if (results < 0).any():
        x, y = (results < 0).nonzero()[0].tolist()
        a, b, c = int(elements[x]), int(elements[y]), int(labels[rows[x, y]])
        raise NoGroupError(
            f"the answer {c} of {answer!r} for a={a}, b={b} is no element of {basis}, "
            "so the task cannot be analysed in this basis"
        )
    return Frame(basis, rows, results, answers=elements, classes=elements, answer=answer, symbols=elements)


@door
def function_frame(
    basis: Basis,
    classes: Int[Tensor, " order"],
    n_classes: int,
    answer: str,
    rows: Int[Tensor, " order"] | None = None,
) -> Frame:
    """The frame of a function of one group element.

    Args:
        basis: basis of the functions on the group.
        classes: [order], the right class of each element.
        n_classes: number of classes.
        answer: the function, in readable form.
        rows: [order], the input that represents each element; default in their order.

    Raises:
        TaskError: not one integer per element; a class that does not exist.
    """
    if isinstance(n_classes, bool) or not 2 <= n_classes <= MOST_CLASSES:
        raise TaskError(f"a function has 2 to {MOST_CLASSES} classes; got n_classes={shown(n_classes)}")
    elements = torch.arange(basis.order)
    return Frame(
        basis,
        elements if rows is None else _of_elements("rows", rows, basis),
        elements,
        answers=_of_elements("classes", classes, basis, n_classes),
        classes=torch.arange(n_classes),
        answer=answer,
    )


def _of_elements(what: str, given: Any, basis: Basis, below: int | None = None) -> Tensor:
    """Check an argument of `function_frame`: one integer per element."""
    fits = isinstance(given, Tensor) and given.shape == (basis.order,) and given.dtype == torch.long
    if not fits or given.min() < 0 or (below is not None and given.max() >= below):
        most = "" if below is None else f" below {below}"
        raise TaskError(
            f"{what} are whole numbers from 0 on{most}, one for each of the {basis.order} elements of "
            f"{basis.group.name}, as a tensor; got {shown(given)}"
        )
    return given
