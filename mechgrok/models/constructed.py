"""Networks built by hand, whose frequencies, losses and algorithm are known in closed form."""

from collections.abc import Mapping
from itertools import product
from math import cos, pi, sin

import torch

from mechgrok.algebra import fourier_basis
from mechgrok.config import MLPConfig, ModelConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import modular_task

PHASES = 5
MOST_PHASES = 100
"""Phases per operand; from 5 on every unwanted term of the squares sums to zero."""


@door
def cosine_network(p: int, amplitudes: Mapping[int, float], n_phases: int = PHASES) -> HookedTransformer:
    """A transformer for a+b mod p with logits exactly sum_k amplitude_k * cos(w_k(a+b-c)).

    The embedding holds the cosine and the sine of each frequency; attention adds up both operands; for
    each frequency a neuron for every pair of phases (f, g) computes (cos(w_k a + f) + cos(w_k b + g))^2
    and writes cos(w_k c + f + g) to the logits. Summed over evenly spaced phases only the product term is
    left. Reads the two tokens a b; weights are in float64.

    Args:
        p: the modulus, at least 2.
        amplitudes: amplitude of each frequency k in 1..floor(p/2).
        n_phases: phases per operand, from 5 to 100; n_phases^2 neurons per frequency.

    Raises:
        ConfigError: no frequency, or one out of range; too few phases.

    Source: after Gromov 2023 (arXiv 2301.02679), with the random phases replaced by a regular grid.

    >>> network = cosine_network(7, {2: 5.0})
    >>> network(torch.tensor([[3, 6]]))[0, -1].argmax().item()
    2
    """
    fourier_basis(p).check_labels(amplitudes)
    frequencies = sorted(amplitudes)
    if not frequencies or not PHASES <= n_phases <= MOST_PHASES:
        raise ConfigError(
            f"a constructed network needs a frequency and from {PHASES} to {MOST_PHASES} phases; "
            f"got frequencies {frequencies} and {n_phases} phases"
        )
    phases = [2 * pi * i / n_phases for i in range(n_phases)]
    neurons = [(i, f, g) for i in range(len(frequencies)) for f, g in product(phases, repeat=2)]
    width = 2 * len(frequencies)
    cfg = ModelConfig(
        d_vocab=p, d_vocab_out=p, n_ctx=2, d_model=2 * width + p, n_heads=1, d_head=width, d_mlp=len(neurons),
        act_fn="square", attention_dir="bidirectional", attention_rate=0.0, positions="none", mlp_bias=False,
    )  # fmt: skip
    network = HookedTransformer(cfg).double()
    weights = network.state_dict()
    # The residual stream: [own embedding | sum of both embeddings | logits].
    own, both, answers = slice(0, width), slice(width, 2 * width), slice(2 * width, None)
    angles = 2 * pi / p * torch.outer(torch.arange(p).double(), torch.tensor(frequencies).double())
    weights["embed.W_E"][:, own] = torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)
    weights["blocks.0.attn.W_V"][0, own] = torch.eye(width).double()
    weights["blocks.0.attn.W_O"][0, :, both] = torch.eye(width).double()
    weights["unembed.W_U"][answers] = torch.eye(p).double()
    # Each pair of phases gives cos(w(a+b)+f+g) cos(wc+f+g), on average half of cos(w(a+b-c)).
    gain = 2 / n_phases**2
    for j, (i, f, g) in enumerate(neurons):
        # cos(wx + f) = cos f cos wx - sin f sin wx. The sum gives a and b alike the phase f, and the
        # token's own embedding, which at the read-out is that of b, turns it into g.
        first, second = torch.tensor([[cos(f), -sin(f)], [cos(g), -sin(g)]], dtype=torch.float64)
        weights["blocks.0.mlp.W_in"][both, j][2 * i : 2 * i + 2] = first
        weights["blocks.0.mlp.W_in"][own, j][2 * i : 2 * i + 2] = second - first
        amplitude = gain * amplitudes[frequencies[i]]
        weights["blocks.0.mlp.W_out"][j, answers] = amplitude * (angles[:, i] + f + g).cos()
    network.load_state_dict(weights)
    network.task = modular_task("add", p, sequence=("a", "b"))
    return network


@door
def pizza_network(p: int, amplitudes: Mapping[int, float]) -> HookedMLP:
    """A feed-forward network for a+b mod p with the logits of an ideal pizza, for odd p.

    They are sum_k amplitude_k * |cos(w_k(a-b)/2)| * cos(w_k(a+b-c)), up to ripples of relative height below
    3/p^2. The embedding holds the cosine and the sine of each frequency. The sum of both operands points at
    the angle w_k(a+b)/2 and has the length |2 cos(w_k(a-b)/2)|; for each frequency p neurons look at it from
    evenly spaced angles t, and write relu(length * cos(angle - t)) to the logits with the weights
    cos(w_k c - 2t). Weights are in float64.

    Args:
        p: the modulus, odd: for even p the sum vanishes for antipodal operands.
        amplitudes: amplitude of each frequency k in 1..floor(p/2).

    Raises:
        ConfigError: an even p; no frequency, or one out of range.

    Source: Zhong et al. 2023 (arXiv 2306.17844), the pizza algorithm, in their Model alpha; the sum over angles
    as a quadrature after Yip et al. 2024 (arXiv 2412.03773).

    >>> network = pizza_network(7, {2: 5.0})
    >>> network(torch.tensor([[3, 6]]))[0, -1].argmax().item()
    2
    """
    fourier_basis(p).check_labels(amplitudes)
    frequencies = sorted(amplitudes)
    if not frequencies or p % 2 == 0:
        raise ConfigError(f"a pizza needs an odd p and a frequency; got p={p} and frequencies {frequencies}")
    cfg = MLPConfig(
        d_vocab=p, d_vocab_out=p, d_embed=2 * len(frequencies), d_mlp=p * len(frequencies), mlp_bias=False
    )
    network = HookedMLP(cfg).double()
    weights = network.state_dict()
    steps = 2 * pi / p * torch.arange(p).double()
    waves = torch.outer(steps, torch.tensor(frequencies).double())
    weights["embed.W_E"].copy_(torch.stack([waves.cos(), waves.sin()], dim=2).flatten(1))
    # relu(cos x) = ... + 2/(3 pi) cos 2x + ...; its sum against cos 2t keeps p/2 times that, and the length
    # is twice the cosine.
    gain = 3 * pi / 2 / p
    for i, k in enumerate(frequencies):
        neurons = slice(i * p, (i + 1) * p)
        weights["blocks.0.mlp.W_in"][2 * i : 2 * i + 2, neurons] = torch.stack([steps.cos(), steps.sin()])
        written = (waves[:, i] - 2 * steps[:, None]).cos()
        weights["unembed.W_U"][neurons] = gain * amplitudes[k] * written
    network.load_state_dict(weights)
    network.task = modular_task("add", p, sequence=("a", "b"))
    return network
