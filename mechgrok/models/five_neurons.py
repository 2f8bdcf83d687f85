"""Modular addition with five neurons, in the construction by Pearce et al. 2023."""

from math import cos, pi, sin

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.config import Activation, MLPConfig
from mechgrok.door import door
from mechgrok.models.mlp import HookedMLP
from mechgrok.tasks import modular_task


@door
def five_neuron_network(p: int = 67, n: int = 5, act_fn: Activation = "relu") -> HookedMLP:
    """An untrained MLP for a+b mod p: one circle, and n neurons that read it from evenly spaced angles.

    The number i is embedded as the point of the unit circle at the angle 2 pi i/p. Neuron j reads the sum of both
    points from the angle t = 2 pi j/n, as cos(wa - t) + cos(wb - t) with w = 2 pi/p, and writes cos(wc - 2t) to the
    logits, via the embedding again: 4n weights besides the embedding. Output weights turn twice as fast as input
    weights, which selects the second harmonic of the activation function.

    With squares and n = 3 or n >= 5, the logits are n/2 (1 + cos(w(a-b))) cos(w(a+b-c)), and all answers are right for
    odd p; for even p, the answers for antipodal operands are undefined, because their points add to 0. Four neurons
    leave a second wave of the same height. With ReLU the circle has wrinkles, more of them for even n, for which
    opposite neurons write the same output: with p = 67, five neurons are right everywhere, as are 7, and 9 or more;
    6 are right for 13 of the 67 sums, 8 for 43. A function without a second harmonic, such as tanh, contributes
    nothing.

    Args:
        p: the modulus, at least 2.
        n: number of neurons.
        act_fn: activation function of the neurons.

    Returns:
        A network that reads the two tokens a b; weights are in float64. The points of the circle are exactly symmetric,
        so logits that are equal by symmetry are equal to the last bit.

    Raises:
        TaskError: a modulus for which no task exists.
        ConfigError: an unknown activation function.

    Source: Pearce et al. 2023, "Do Machine Learning Models Memorize or Generalize?", Appendix A.

    >>> import mechgrok as mg
    >>> [round(mg.accuracy(five_neuron_network(n=n)), 3) for n in (4, 5, 6)]
    [0.03, 1.0, 0.194]
    """
    task = modular_task("add", p, sequence=("a", "b"))
    cfg = MLPConfig(
        d_vocab=p,
        d_vocab_out=p,
        d_embed=2,
        d_mlp=n,
        act_fn=act_fn,
        mlp_bias=False,
        readout="tied",
        init="pair",
    )
    network = HookedMLP(cfg).double()
    neurons = torch.arange(n)
    network.load_state_dict(
        {
            "embed.W_E": points_on_circle(torch.arange(p), p),
            "blocks.0.mlp.W_in": points_on_circle(neurons, n).T,
            "unembed.W_out": points_on_circle(2 * neurons, n),
        }
    )
    network.task = task
    return network


def points_on_circle(steps: Tensor, n: int) -> Float[Tensor, "points 2"]:
    """Cosine and sine of 2 pi step/n, in float64, exactly symmetric: under reversal, and under quarter turns if these
    are steps.

    Every angle is reduced to the first eighth of the circle in integer arithmetic, so that symmetric points use the
    same two values.

    >>> points_on_circle(torch.tensor([0, 1, 2, 3]), 4).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
    """
    return torch.tensor([_point(step % n, n) for step in steps.tolist()], dtype=torch.float64)


def _point(step: int, n: int) -> tuple[float, float]:
    quarter, rest = divmod(4 * step, n)
    angle = pi / 2 * min(rest, n - rest) / n
    x, y = cos(angle), sin(angle)
    if 2 * rest == n:
        y = x  # after rounding, the cosine and sine of an eighth of the circle would differ
    elif 2 * rest > n:
        x, y = y, x
    x, y = ((x, y), (-y, x), (-x, -y), (y, -x))[quarter]
    return x + 0.0, y + 0.0  # no -0.0
