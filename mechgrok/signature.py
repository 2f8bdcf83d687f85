"""The interface between a task and a network: sizes, and the positions at which the network is read."""

from math import prod
from typing import Annotated, Literal

from pydantic import Field

from mechgrok.config import Config, Size


class Tokens(Config):
    """Inputs that are integers 0..d_vocab-1 at n_ctx positions, [n, n_ctx]."""

    kind: Literal["tokens"] = "tokens"
    d_vocab: Size
    n_ctx: Size


class Features(Config):
    """Inputs that are floats, [n, *shape]."""

    kind: Literal["features"] = "features"
    shape: tuple[Size, ...]


class Classes(Config):
    """Answers that are integers 0..n-1, with one output, a logit, for each."""

    kind: Literal["classes"] = "classes"
    n: Size


class Values(Config):
    """Answers that are floats, with one vector of this shape at every scored position."""

    kind: Literal["values"] = "values"
    shape: tuple[Size, ...]


class Signature(Config):
    """What a network must take and return for a task.

    Attributes:
        inputs: what the network reads.
        outputs: its answer at each scored position; a network may have more outputs, which are ignored.
        scored: the positions at which its outputs are scored; -1 is the last one. A single number means that this many
            positions are scored, but at different places in each input, given by `Batch.positions`.

    >>> Signature(inputs=Tokens(d_vocab=114, n_ctx=3), outputs=Classes(n=113)).scored
    (-1,)
    """

    inputs: Annotated[Tokens | Features, Field(discriminator="kind")]
    outputs: Annotated[Classes | Values, Field(discriminator="kind")]
    scored: tuple[int, ...] | Size = (-1,)

    @property
    def d_out(self) -> int:
        """Number of outputs at a scored position: one per class, or per component of a value."""
        if isinstance(self.outputs, Classes):
            return self.outputs.n
        return prod(self.outputs.shape)

    @property
    def n_scored(self) -> int:
        """The number of scored positions of an input, each of which has a separate answer."""
        return self.scored if isinstance(self.scored, int) else len(self.scored)

    @property
    def reads_last(self) -> bool:
        """Whether only the last position is scored, so that nothing else of the last layer is needed."""
        return self.scored == (-1,)
