"""How the inputs and labels of a task sit in a group: what lets one analysis serve every operation."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.algebra import Basis
from mechgrok.errors import NoGroupError
from mechgrok.readable import Readable


@dataclass(frozen=True, eq=False)
class Frame(Readable):
    """A task seen as an operation on the elements of a group, with the basis to analyse it in.

    For addition mod p the group is Z_p and everything is the identity map. For multiplication it is
    the units mod p in the order of the discrete logarithm; inputs with a 0 then have no place in the
    frame. Element numbers run over 0..order-1.

    Attributes:
        basis: orthonormal basis of the functions on the group.
        rows: [order, order], the input (row of the grid) whose operands are the elements x and y.
        results: [order, order], the element that is the answer for x and y.
        classes: [order], the logit that stands for an element.
        tokens: [order], the token that stands for an element.
        answer: how the answer follows from a and b, for people; "a+b".
    """

    basis: Basis
    rows: Int[Tensor, "order order"]
    results: Int[Tensor, "order order"]
    classes: Int[Tensor, " order"]
    tokens: Int[Tensor, " order"]
    answer: str

    @property
    def order(self) -> int:
        """The number of group elements."""
        return self.basis.order

    @property
    def is_logarithmic(self) -> bool:
        """Whether element numbers are discrete logarithms: the classes are the powers of one of them."""
        cyclic = self.basis.what == "frequency"
        return cyclic and not torch.equal(self.classes, torch.arange(self.order))

    @property
    def direction(self) -> str:
        """The one function of inputs and classes that each block stands for, as a formula for people."""
        additive = self.basis.what == "frequency" and not self.is_logarithmic
        return f"cos(w_k({self.answer}-c))" if additive else "chi(a∘b∘c^-1)"

    @cached_property
    def counts(self) -> Float[Tensor, " order"]:
        """How many inputs have each element as their answer, in float64."""
        return torch.bincount(self.results.flatten(), minlength=self.order).double()

    @property
    def is_latin_square(self) -> bool:
        """Whether with either operand held fixed every answer occurs once, as in a group."""
        elements = torch.arange(self.order)
        by_either = (self.results, self.results.T)
        return all(torch.equal(r.sort(dim=1).values, elements.expand_as(r)) for r in by_either)

    def covers(self, n_inputs: int) -> Bool[Tensor, " inputs"]:
        """Which of the inputs have a place in the frame."""
        covered = torch.zeros(n_inputs, dtype=torch.bool)
        covered[self.rows.flatten()] = True
        return covered

    def square(self, x: Float[Tensor, "inputs *rest"]) -> Float[Tensor, "order order *rest"]:
        """Values per input, laid out over the two operands in the order of the group."""
        return x[self.rows]

    def mean_by_result(self, x: Float[Tensor, "inputs *rest"]) -> Float[Tensor, "order *rest"]:
        """Mean of x over all inputs with the same answer; zero for an answer that never occurs."""
        flat = x[self.rows.flatten()]
        sums = x.new_zeros(self.order, *x.shape[1:]).index_add_(0, self.results.flatten(), flat)
        return sums / self.counts.clamp(min=1).to(x.dtype).view(-1, *[1] * (x.ndim - 1))

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
    """The frame in which the token and the class elements[i] are the group element i.

    Raises:
        NoGroupError: a pair of elements is no input, or has an answer that is no element.
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
    return Frame(basis, rows, results, classes=elements, tokens=elements, answer=answer)
