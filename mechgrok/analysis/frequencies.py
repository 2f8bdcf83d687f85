"""Which frequencies, or other blocks of the task's basis, a network uses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.algebra.bases import Label
from mechgrok.analysis.by_answer import logits_by_answer
from mechgrok.analysis.centring import centred_logits, logit_power, rounding_power
from mechgrok.analysis.neurons import neuron_frequencies
from mechgrok.analysis.projections import character_power
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError, NoGroupError, shown
from mechgrok.models.protocol import neuron_logit_map

Method = Literal["logits", "neurons", "embedding"]

OF_STRONGEST: dict[Method, float] = {"logits": 0.01, "neurons": 0.01, "embedding": 0.1}
"""A key has at least this fraction of the strongest block's share."""
OF_NOISE = 25
"""Logits: a key has at least this many times the power of white noise along its direction."""
ALIGNED = 0.5
"""Logits: at least this fraction of their content in a key's block lies along the direction of the answer."""
MAJORITY = 0.5
"""Neurons: a neuron counts for a block that explains at least this fraction of its variance."""


@dataclass(frozen=True, eq=False)
class KeyFrequencies(Drawable):
    """The key frequencies of a network, with the evidence; iterates over the frequencies.

    Attributes:
        frequencies: labels of the key blocks in the order of the basis; on Z_p, k in 1..floor(p/2).
        labels: labels of all non-trivial blocks.
        power: [blocks], share of the power in each block, in the order of `labels`; the total depends on the
            method.
        threshold: the share that a key needs.
        method, rule: how they were found, in a word and in a sentence.
        candidates: labels of the blocks with that share. With "logits", a candidate is a key only if it is
            aligned.
        alignment: [blocks], for "logits": the fraction of the logits' content in the block, input by input, that
            favours the answer; 0 if there is none. None for other methods.
        what: the kind of block, "frequency" or "irrep".
        no_group: why the task has no basis to find keys in; empty if it has one.
    """

    frequencies: tuple[Label, ...]
    labels: tuple[Label, ...]
    power: Float[Tensor, " blocks"]
    threshold: float
    method: Method
    rule: str
    candidates: tuple[Label, ...] = ()
    alignment: Float[Tensor, " blocks"] | None = None
    what: str = "frequency"
    no_group: str = ""

    def __iter__(self) -> Iterator[Label]:
        return iter(self.frequencies)

    def __len__(self) -> int:
        return len(self.frequencies)

    def __contains__(self, label: object) -> bool:
        return label in self.frequencies

    def records(self) -> list[dict[str, Any]]:
        """One row per block: its share, its alignment, and whether it is a candidate and a key."""
        alignment = [None] * len(self.labels) if self.alignment is None else self.alignment.tolist()
        return [
            {
                self.what: label,
                "share": share,
                "alignment": aligned,
                "is_candidate": label in self.candidates,
                "is_key": label in self.frequencies,
            }
            for label, share, aligned in zip(self.labels, self.power.tolist(), alignment, strict=True)
        ]

    @property
    def explained(self) -> float:
        """Share of the power in all keys together."""
        return sum(self.share(label) for label in self.frequencies)

    def share(self, label: Label) -> float:
        """Share of the power in one block."""
        return self.power[self.labels.index(label)].item()

    @property
    def reason(self) -> str:
        """Why there are no keys; empty if there are some."""
        if self.frequencies or self.no_group:
            return self.no_group
        if not self.candidates:
            return f"no {self.what} stands out in the {self.method}"
        explained = sum(self.share(label) for label in self.candidates)
        if len(self.candidates) == 1:
            return f"the only candidate explains {explained:z.1%} of the logits"
        return f"the strongest {len(self.candidates)} candidates explain {explained:z.1%} of the logits"

    def __str__(self) -> str:
        if self.frequencies:
            return repr(self)
        return f"no key {'frequencies' if self.what == 'frequency' else f'{self.what}s'}: {self.reason}"

    def __repr__(self) -> str:
        shares = ", ".join(f"{label}: {self.share(label):z.1%}" for label in self.frequencies)
        return f"KeyFrequencies({shares or f'none, {self.reason}'}; by {self.method})"


@door
def find_key_frequencies(source: Source, method: Method = "logits") -> KeyFrequencies:
    """Find the blocks of the task's basis, on Z_p the frequencies, that a network uses.

    The default looks at the logits, because what the network uses must arrive there. Embeddings contain residue
    that nothing reads, and neurons may be few, impure or unread.

    Args:
        source: a network or a grid.
        method: what to measure the power in.
            "logits": the share of the variance of the logits, centred over the classes and over the inputs,
            that lies along chi(a∘b∘c^-1) of a block; on Z_p cos(w_k(a+b-c)).
            "neurons": the share of the variance that the last hidden layer writes to the logits, counting for a
            block the neurons of which it explains at least half.
            "embedding": the share of the token embedding's variance over the tokens.

    Returns:
        A block is a key if its share is at least 1% of the strongest block's (10% for the embedding). For the
        logits two further conditions apply. The share must be 25 times what it would be if everything that no
        block explains were white noise. And at least half of the content of the individual inputs' logits in the
        block must lie along chi(a∘b∘c^-1): a circuit answers every input, whereas memorisation of the train
        inputs fills the block with whatever these inputs need. Finding no key is a possible outcome, with its
        `reason`. A network that has only memorised has none, nor does a lookup table of up to half of the inputs.

    Raises:
        ConfigError: unknown method.
        NoGroupError: the task has no group, and hence no basis.

    >>> from mechgrok.models.constructed import cosine_network
    >>> find_key_frequencies(cosine_network(11, {2: 5.0, 5: 3.0})).frequencies
    (2, 5)
    """
    if not isinstance(method, str) or method not in _SHARES:
        raise ConfigError(f"method must be one of {', '.join(_SHARES)}; got {shown(method)}")
    grid = as_grid(source, names=None if method == "neurons" else [])
    basis = grid.task.frame.basis
    shares, noise, quantity = _SHARES[method](grid)
    # For a tiny group noise covers the whole space, and there may be only a single block.
    floor = min(OF_NOISE * noise, 0.25)
    threshold = max(OF_STRONGEST[method] * shares.max().item(), floor, 1e-12)
    alignment = logit_alignment(grid) if method == "logits" else None
    strong = shares >= threshold
    aligned = torch.ones_like(strong) if alignment is None else alignment >= ALIGNED
    return KeyFrequencies(
        frequencies=_labels(basis.labels, strong & aligned),
        labels=basis.labels,
        power=shares,
        threshold=threshold,
        method=method,
        rule=f"share of {quantity} at least {OF_STRONGEST[method]:z.0%} of the strongest"
        + (f" and {OF_NOISE} times white noise, at least half of its block" if method == "logits" else ""),
        candidates=_labels(basis.labels, strong),
        alignment=alignment,
        what=basis.what,
    )


def keys_if_any(grid: ActivationGrid) -> KeyFrequencies:
    """The result of `find_key_frequencies`; for a task without a group, no keys, with the reason."""
    try:
        return find_key_frequencies(grid)
    except NoGroupError as error:
        return KeyFrequencies((), (), torch.zeros(0), 0.0, "logits", "", no_group=str(error))


def logit_alignment(grid: ActivationGrid) -> Float[Tensor, " blocks"]:
    """For each block, the fraction of the logits' content in it that favours the answer, 0..1.

    The logits of each input are a function of the class. Its part in a block has a few coefficients for each
    input, on Z_p a cosine and a sine of w_k c; chi(a∘b∘c^-1) is one direction for all inputs together. The
    squared norm along that direction, divided by the squared norm of the part summed over the inputs, is 1 for a
    circuit that treats all inputs alike, 8/pi^2 for an ideal pizza, the fraction of known inputs for a lookup
    table, and almost nothing for noise. Logits are centred over the classes and over the inputs.
    """
    frame = grid.task.frame
    if frame.is_operation:
        power = torch.zeros(len(frame.basis.blocks), dtype=torch.float64)
        for some in centred_logits(grid, "double"):
            power += frame.basis.power(some[:, frame.classes], dim=1).sum(0)
        part = power[1:]
    else:
        part = frame.basis.power(_centred_over_classes(frame.square(grid.logits.double())), dim=0).sum(1)[1:]
    along = character_power(logits_by_answer(grid), frame)
    return torch.where(part > rounding_power(grid.logits), along / part, 0.0)


def _centred_over_classes(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def _labels(labels: tuple[Label, ...], chosen: Tensor) -> tuple[Label, ...]:
    return tuple(label for label, is_chosen in zip(labels, chosen.tolist(), strict=True) if is_chosen)


def _logit_shares(grid: ActivationGrid) -> tuple[Tensor, float, str]:
    frame = grid.task.frame
    total = logit_power(grid, "double")
    shares = _fraction(character_power(logits_by_answer(grid), frame), total, grid.logits)
    unexplained = (1 - shares.sum()).clamp(min=0).item()
    noise = unexplained / (frame.counts.sum().item() * (grid.logits.shape[1] - 1))
    return shares, noise, f"logit variance along {frame.direction}"


def _neuron_shares(grid: ActivationGrid) -> tuple[Tensor, float, str]:
    tuned = neuron_frequencies(grid, threshold=MAJORITY)
    weight = tuned.power.sum(1)
    if grid.source is not None:
        readout = neuron_logit_map(grid.source, grid.task.n_classes).double()
        weight = weight * (readout - readout.mean(1, keepdim=True)).square().sum(1)
    votes = torch.zeros(len(tuned.labels), dtype=weight.dtype)
    votes.index_add_(0, tuned.frequency[tuned.decided] - 1, weight[tuned.decided])
    shares = votes / weight.sum().clamp(min=1e-300)
    return shares, 0.0, "what neurons tuned to it write to the logits"


def _embedding_shares(grid: ActivationGrid) -> tuple[Tensor, float, str]:
    frame = grid.task.frame
    embedding = grid.token_embedding[frame.tokens]
    power = frame.basis.power(embedding.double(), dim=0).sum(1)[1:]
    return _fraction(power, power.sum(), embedding), 0.0, "embedding variance"


def _fraction(power: Tensor, total: Tensor | float, x: Tensor) -> Tensor:
    """Power as shares of the total; all 0 if x does not vary, so that the total is only rounding error."""
    return power / total if total > rounding_power(x) else torch.zeros_like(power)


_SHARES: dict[Method, Callable[[ActivationGrid], tuple[Tensor, float, str]]] = {
    "logits": _logit_shares,
    "neurons": _neuron_shares,
    "embedding": _embedding_shares,
}
