"""Common parts of hand-built networks for a+b mod p: waves, and the neurons of a pizza."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, pi

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.algebra import fourier_basis
from mechgrok.errors import ConfigError, shown

FEWEST_VIEWS = 5
"""Minimum number of angles for the neurons of a pizza: with three, the waves of order 1 and 2 coincide."""


@dataclass(frozen=True, eq=False)
class PlantedWaves:
    """The waves of a constructed network: a circle for each frequency, with its phase.

    Attributes:
        p: the modulus.
        frequencies: the frequencies, ascending.
        amplitudes: [frequencies], amplitudes in the logits.
        phases: [frequencies], in radians: the angle of the token 0 on each circle.
    """

    p: int
    frequencies: tuple[int, ...]
    amplitudes: Float[Tensor, " frequencies"]
    phases: Float[Tensor, " frequencies"]

    @property
    def angles(self) -> Float[Tensor, "p frequencies"]:
        """The angles of the tokens on each circle: w_k x + phase_k."""
        places = torch.outer(torch.arange(self.p), torch.tensor(self.frequencies)) % self.p
        return 2 * pi / self.p * places.double() + self.phases

    @property
    def circles(self) -> Float[Tensor, "p coordinates"]:
        """The tokens' coordinates: the cosine and sine of every frequency's angle, concatenated."""
        return _coordinates(self.angles)

    @property
    def answer_circles(self) -> Float[Tensor, "p coordinates"]:
        """The answers' coordinates: the angles of two operands add, and so do their phases."""
        return _coordinates(self.angles + self.phases)


def _coordinates(angles: Float[Tensor, "p frequencies"]) -> Float[Tensor, "p coordinates"]:
    return torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)


def planted_waves(
    p: int, amplitudes: Mapping[int, float], phases: Mapping[int, float] | None = None
) -> PlantedWaves:
    """The waves with the given amplitudes; missing phases are 0.

    Raises:
        ConfigError: no frequency, or one that is not in 1..floor(p/2); a phase for a frequency without an amplitude;
            non-finite numbers.

    >>> planted_waves(7, {3: 1.0, 2: 5.0}).frequencies
    (2, 3)
    """
    frequencies = fourier_basis(p).check_labels(amplitudes)
    if not frequencies:
        raise ConfigError(
            f"a constructed network needs a frequency from 1 to {p // 2}, as in {{1: 5.0}}; got {amplitudes}"
        )
    phases = phases or {}
    homeless = [k for k in phases if k not in amplitudes]
    if homeless:
        raise ConfigError(
            f"a phase belongs to a frequency that has an amplitude, which are {shown(sorted(amplitudes))}; "
            f"got a phase of {shown(homeless[0])}"
        )
    for called, numbers in (("amplitude", amplitudes), ("phase", phases)):
        for k, number in numbers.items():
            if not isfinite(number):
                raise ConfigError(f"the {called} of frequency {k} is a finite number; got {number}")
    ascending = sorted(amplitudes)
    return PlantedWaves(
        p,
        tuple(int(k) for k in ascending),
        torch.tensor([float(amplitudes[k]) for k in ascending], dtype=torch.float64),
        torch.tensor([float(phases.get(k, 0.0)) for k in ascending], dtype=torch.float64),
    )


def directions(n: int, turns: int = 1) -> Float[Tensor, "n two"]:
    """Points on the unit circle at n evenly spaced angles, with each angle multiplied by `turns`.

    >>> directions(4, turns=2)[1].round().tolist()
    [-1.0, 0.0]
    """
    angles = 2 * pi * turns / n * torch.arange(n).double()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def pizza_weights(
    waves: PlantedWaves,
) -> tuple[Float[Tensor, "coordinates neurons"], Float[Tensor, "neurons coordinates"]]:
    """The weights with which a pizza's neurons read the sum of both operands' circles and write the answers' circles.

    Raises:
        ConfigError: p is even: at odd frequencies the sum vanishes for antipodal operands, and even frequencies cannot
            distinguish an answer from the one offset by p/2.
    """
    if waves.p % 2 == 0:
        raise ConfigError(
            f"a pizza needs an odd p, for which no two tokens are antipodal on any circle; got p={waves.p}"
        )
    n = max(waves.p, FEWEST_VIEWS)
    # relu(cos x) = ... + 2/(3 pi) cos 2x + ...; summed against cos 2t this leaves n/2 times that, and the length
    # of the sum is twice the cosine.
    gain = 3 * pi / 2 / n
    W_in = torch.block_diag(*[directions(n).T] * len(waves.frequencies))
    return W_in, torch.block_diag(*[gain * a * directions(n, turns=2) for a in waves.amplitudes])
