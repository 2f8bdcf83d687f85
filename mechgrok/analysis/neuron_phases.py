"""Neurons as waves: frequency, amplitude and phase of what each one reads of both operands, and of what it writes."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source, as_grid
from mechgrok.activations.sources import as_network
from mechgrok.algebra.bases import Label
from mechgrok.analysis.embeddings import check_circles
from mechgrok.analysis.neurons import VARIES
from mechgrok.analysis.operand_means import OperandMeans, operand_means
from mechgrok.door import Share, door
from mechgrok.drawable import Drawable
from mechgrok.errors import UndefinedMetricError
from mechgrok.models.protocol import pre_activation_hook
from mechgrok.wording import in_words

WAVE = 0.5
"""Share of the variance of its pre-activation from which a neuron counts as a wave."""


@dataclass(frozen=True, eq=False)
class NeuronPhases(Drawable):
    """Each neuron of the last hidden layer as cos waves of one frequency.

    Its pre-activation is read as constant + A cos(w_k x + phase_a) + B cos(w_k y + phase_b) + what is left, and its
    output weights as C cos(w_k z + output_phase) + what is left, with w_k = 2 pi k / n, and x, y, z the places of the
    operands and of the answer in the group of order n. Phases are in radians, in (-pi, pi], and say nothing where the
    amplitude is that of rounding. The wave of k = n/2 has no other phases than 0 and pi.

    Attributes:
        frequency: [d_mlp], the number of the frequency whose two input waves explain most, whose label is
            `labels[frequency - 1]`. On Z_p it is k itself.
        share: [d_mlp], the fraction of the pre-activation's variance over the inputs that these two explain, 0..1 (R²);
            0 for a neuron that does not vary.
        products: [d_mlp], the fraction that is no sum of a function of a and one of b, 0..1.
        waves: [d_mlp], whether share >= threshold. Groups are of these.
        amplitude_a, phase_a, amplitude_b, phase_b: [d_mlp], of the two input waves.
        output_amplitude, output_phase: [d_mlp], of the output wave at the same frequency.
        output_share: [d_mlp], the fraction of the variance of the output weights over the classes that it explains.
        sense: -1 where the answer is a difference, in which the phase of the second operand counts negatively; else 1.
    """

    frequency: Int[Tensor, " d_mlp"]
    share: Float[Tensor, " d_mlp"]
    products: Float[Tensor, " d_mlp"]
    waves: Bool[Tensor, " d_mlp"]
    amplitude_a: Float[Tensor, " d_mlp"]
    phase_a: Float[Tensor, " d_mlp"]
    amplitude_b: Float[Tensor, " d_mlp"]
    phase_b: Float[Tensor, " d_mlp"]
    output_amplitude: Float[Tensor, " d_mlp"]
    output_phase: Float[Tensor, " d_mlp"]
    output_share: Float[Tensor, " d_mlp"]
    labels: tuple[Label, ...]
    threshold: float
    sense: int = 1

    @property
    def groups(self) -> dict[Label, list[int]]:
        """The numbers of the neurons of each frequency, those with most neurons first; in the order of their phase."""
        found: dict[Label, list[int]] = {}
        for neuron in self.phase_a.argsort().tolist():
            if self.waves[neuron]:
                found.setdefault(self.labels[self.frequency[neuron] - 1], []).append(neuron)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    @property
    def turn(self) -> Float[Tensor, " d_mlp"]:
        """[d_mlp], output phase less the two input phases, in (-pi, pi]: 0 where output weights turn twice as fast.

        The phase of an operand that is subtracted counts negatively.
        """
        return _wrapped(self.output_phase - self.phase_a - self.sense * self.phase_b)

    def doubling(self, label: Label | None = None) -> float:
        """Resultant length of output phase less both input phases over the neurons of a frequency, 0..1.

        It is 1 where output weights turn as fast as both inputs together, twice as fast as where the operands share
        their weights; about 1/sqrt(neurons) where phases have nothing to do with each other, and 1 of a single neuron.

        Args:
            label: of the frequency; None takes the mean over all of them, each counted by its neurons.

        Raises:
            UndefinedMetricError: no neuron has this frequency.
        """
        return self._resultant(self.turn, label)

    def alignment(self, label: Label | None = None) -> float:
        """Phase alignment: resultant length of phase_a less phase_b over the neurons of a frequency, 0..1.

        It is 1 where neurons see both operands at one phase, or at one distance of phases: what they read of an answer
        is then a disc, on which the operands are added as vectors. It is about 1/sqrt(neurons) where the two phases
        have nothing to do with each other: a torus. Of an operand that is subtracted the phase is taken negatively.

        Args:
            label: of the frequency; None takes the neurons of all of them together.

        Raises:
            UndefinedMetricError: no neuron has this frequency.
        """
        difference = self.phase_a - self.sense * self.phase_b
        if label is None and self.waves.any():
            return _resultant(difference[self.waves])
        return self._resultant(difference, label)

    def spread(self, label: Label) -> float:
        """How evenly the input phases of a frequency stand around the circle, 0..1: 1 where they are equally far apart.

        The resultant length of m times the phase over its m neurons.

        Raises:
            UndefinedMetricError: no neuron has this frequency.
        """
        neurons = self._neurons(label)
        return _resultant(len(neurons) * self.phase_a[neurons])

    def records(self) -> list[dict[str, Any]]:
        """One row per neuron."""
        columns = ("share", "products", "amplitude_a", "phase_a", "amplitude_b", "phase_b")
        columns += ("output_amplitude", "output_phase", "output_share")
        return [
            {"neuron": i, "frequency": self.labels[self.frequency[i] - 1], "wave": bool(self.waves[i])}
            | {name: getattr(self, name)[i].item() for name in columns}
            for i in range(len(self.share))
        ]

    def _resultant(self, phases: Tensor, label: Label | None) -> float:
        if label is not None:
            return _resultant(phases[self._neurons(label)])
        groups = list(self.groups.values())
        if not groups:
            raise UndefinedMetricError(
                f"no neuron has {self.threshold:g} of its variance in the waves of one frequency"
            )
        return sum(len(mine) * _resultant(phases[mine]) for mine in groups) / sum(map(len, groups))

    def _neurons(self, label: Label) -> list[int]:
        if label not in self.groups:
            known = ", ".join(map(str, sorted(self.groups))) or "none"
            raise UndefinedMetricError(f"no neuron is a wave of frequency {label}; there are {known}")
        return self.groups[label]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{label}: {len(neurons)}" for label, neurons in self.groups.items())
        return f"NeuronPhases({int(self.waves.sum())} of {in_words(len(self.share), 'neuron')} are waves; {sizes})"


@door
def neuron_phases(source: Source, *, threshold: Share = WAVE) -> NeuronPhases:
    """Frequency and phases of what each neuron of the last hidden layer reads of the operands, and of what it writes.

    What a neuron reads of an operand is the mean of its pre-activation over the other one; in a network that adds up
    both embeddings, its weights on that operand. What it writes is its row of W_L = W_out @ W_U.

    Args:
        source: a network, or a grid with `hook_pre` of the last hidden layer.
        threshold: share of the variance from which a neuron counts as a wave, in 0..1.

    Raises:
        UndefinedMetricError: the task is not one of two operands in a cyclic group.
        ActivationError: there is no MLP, or its pre-activations were not cached.

    Source: Pearce et al. 2023 ("stars"); phases of both operands after McCracken et al. 2025 (arXiv 2505.18266) and
    Moisescu-Pareja et al. 2025 (arXiv 2512.25060).

    >>> import mechgrok as mg
    >>> phases = neuron_phases(mg.five_neuron_network())
    >>> phases, round(phases.doubling(1), 6), round(phases.spread(1), 6)
    (NeuronPhases(5 of 5 neurons are waves; 1: 5), 1.0, 1.0)
    """
    grid = _with_pre_activations(source)
    return phases_by_means(grid, lambda: operand_means(pre_activations(grid), grid.task.frame), threshold)


def phases_by_means(
    grid: ActivationGrid, means: Callable[[], OperandMeans], threshold: float = WAVE
) -> NeuronPhases:
    """`neuron_phases` from the means of the pre-activations over the operands, which are asked for if there are any.

    Raises:
        UndefinedMetricError: the task is not one of two operands in a cyclic group.
    """
    frame = grid.task.frame
    check_circles(frame.basis)
    if not frame.is_operation:
        raise UndefinedMetricError(f"neurons have phases on two operands; {grid.task.name} has one")
    mean, of_a, of_b, variance = means()
    alive = variance > VARIES * (variance + mean.square()).clamp(min=1e-300)
    wave_a, wave_b = _waves(of_a), _waves(of_b)
    explained = _variance(wave_a, frame.order) + _variance(wave_b, frame.order)
    best = explained.max(0)
    share = torch.where(alive, best.values / variance.clamp(min=1e-300), 0).clamp(max=1)
    additive = of_a.square().mean(0) + of_b.square().mean(0)
    products = torch.where(alive, 1 - additive / variance.clamp(min=1e-300), 0).clamp(min=0)

    written = grid.neuron_logit_map.double().T[frame.element_classes]
    written = written - written.mean(0)
    wave_out = _waves(written)
    output = _variance(wave_out, frame.order).gather(0, best.indices[None])[0]
    total = written.square().mean(0)
    amplitude_a, phase_a = _at(wave_a, best.indices)
    amplitude_b, phase_b = _at(wave_b, best.indices)
    output_amplitude, output_phase = _at(wave_out, best.indices)
    return NeuronPhases(
        frequency=best.indices + 1,
        share=share,
        products=products,
        waves=alive & (share >= threshold),
        amplitude_a=amplitude_a,
        phase_a=phase_a,
        amplitude_b=amplitude_b,
        phase_b=phase_b,
        output_amplitude=output_amplitude,
        output_phase=output_phase,
        output_share=torch.where(total > 0, output / total.clamp(min=1e-300), 0).clamp(max=1),
        labels=frame.basis.labels,
        threshold=threshold,
        sense=-1 if torch.equal(frame.results, frame.basis.quotients) else 1,
    )


def _with_pre_activations(source: Source) -> ActivationGrid:
    if isinstance(source, ActivationGrid):
        return source
    model = as_network(source)
    return as_grid(model, names=[pre_activation_hook(model)])


def pre_activations(grid: ActivationGrid) -> Float[Tensor, "inputs d_mlp"]:
    """What the last hidden layer reads, before its activation function.

    Raises:
        ActivationError: it was not cached, or given.
    """
    if grid.source is not None:
        return grid[pre_activation_hook(grid.model)]
    given = [name for name in grid.activations if name.endswith("mlp.hook_pre")]
    return grid[given[-1] if given else "blocks.0.mlp.hook_pre"]


def _waves(x: Float[Tensor, "order features"]) -> Tensor:
    """A exp(i phase) of the wave A cos(w_k x + phase) of each frequency, as complex numbers [frequencies, features]."""
    n = len(x)
    waves = 2 * torch.fft.rfft(x, dim=0)[1:] / n
    if n % 2 == 0:
        waves[-1] /= 2  # the alternating wave is its own conjugate
    return waves


def _variance(waves: Tensor, n: int) -> Float[Tensor, "frequencies features"]:
    """Variance of each wave over the group: half of the squared amplitude, but all of it of the alternating one."""
    variance = waves.abs().square() / 2
    if n % 2 == 0:
        variance[-1] *= 2
    return variance


def _at(waves: Tensor, frequency: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitude and phase of each feature at its frequency."""
    chosen = waves.gather(0, frequency[None])[0]
    return chosen.abs(), _wrapped(chosen.angle())


def _wrapped(angle: Tensor) -> Tensor:
    """The same angle in (-pi, pi]."""
    wrapped = torch.remainder(angle + pi, 2 * pi) - pi
    return torch.where(wrapped <= -pi, pi, wrapped)


def _resultant(phases: Tensor) -> float:
    """Length of the mean of the unit vectors at some angles."""
    return torch.polar(torch.ones_like(phases), phases).mean().abs().item()
