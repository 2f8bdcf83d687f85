"""Hand-built networks whose frequencies, losses and algorithm are known in closed form."""

from collections.abc import Mapping
from itertools import product
from math import cos, pi, sin

import torch

from mechgrok.config import MLPConfig, ModelConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.mlp import HookedMLP
from mechgrok.models.planted import pizza_weights, planted_waves
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import modular_task

PHASES = 5
MOST_PHASES = 100
"""Phases per operand; from 5 on, every unwanted term of the squares sums to zero."""


@door
def cosine_network(p: int, amplitudes: Mapping[int, float], n_phases: int = PHASES) -> HookedTransformer:
    """A transformer for a+b mod p with logits exactly sum_k amplitude_k * cos(w_k(a+b-c)).

    The embedding holds the cosine and sine of each frequency; attention adds the two operands; for each
    frequency, one neuron per pair of phases (f, g) computes (cos(w_k a + f) + cos(w_k b + g))^2 and
    writes cos(w_k c + f + g) to the logits. Summed over evenly spaced phases, only the product term
    remains. Reads the two tokens a b; weights are in float64.

    Args:
        p: the modulus, at least 2.
        amplitudes: amplitude of each frequency k in 1..floor(p/2).
        n_phases: phases per operand, from 5 to 100; n_phases^2 neurons per frequency.

    Raises:
        ConfigError: no frequency, or one out of range; a non-finite amplitude; too few phases.

    Source: after Gromov 2023 (arXiv 2301.02679), with the random phases replaced by a regular grid.

    >>> network = cosine_network(7, {2: 5.0})
    >>> network(torch.tensor([[3, 6]]))[0, -1].argmax().item()
    2
    """
    waves = planted_waves(p, amplitudes)
    if not PHASES <= n_phases <= MOST_PHASES:
        raise ConfigError(
            f"a constructed network needs from {PHASES} to {MOST_PHASES} phases; got {n_phases}"
        )
    frequencies = waves.frequencies
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
    weights["embed.W_E"][:, own] = waves.circles
    weights["blocks.0.attn.W_V"][0, own] = torch.eye(width).double()
    weights["blocks.0.attn.W_O"][0, :, both] = torch.eye(width).double()
    weights["unembed.W_U"][answers] = torch.eye(p).double()
    # Each pair of phases gives cos(w(a+b)+f+g) cos(wc+f+g), on average half of cos(w(a+b-c)).
    gain = 2 / n_phases**2
    for j, (i, f, g) in enumerate(neurons):
        # cos(wx + f) = cos f cos wx - sin f sin wx. The sum gives a and b the same phase f, and the token's
        # own embedding, which at the read-out is b's, turns the phase of b into g.
        first, second = torch.tensor([[cos(f), -sin(f)], [cos(g), -sin(g)]], dtype=torch.float64)
        weights["blocks.0.mlp.W_in"][both, j][2 * i : 2 * i + 2] = first
        weights["blocks.0.mlp.W_in"][own, j][2 * i : 2 * i + 2] = second - first
        weights["blocks.0.mlp.W_out"][j, answers] = (
            gain * waves.amplitudes[i] * (waves.angles[:, i] + f + g).cos()
        )
    network.load_state_dict(weights)
    network.task = modular_task("add", p, sequence=("a", "b"))
    return network


@door
def pizza_network(p: int, amplitudes: Mapping[int, float]) -> HookedMLP:
    """A feed-forward network for a+b mod p with the logits of an ideal pizza, for odd p.

    These are sum_k amplitude_k * |cos(w_k(a-b)/2)| * cos(w_k(a+b-c)), up to ripples of relative height below
    3/p^2. The embedding holds the cosine and sine of each frequency. The sum of the two operands points at
    the angle w_k(a+b)/2 and has length |2 cos(w_k(a-b)/2)|; for each frequency, p neurons read it from
    evenly spaced angles t, and write relu(length * cos(angle - t)) to the logits with the weights
    cos(w_k c - 2t). Weights are in float64.

    Args:
        p: the modulus, odd: for even p, the sum vanishes for antipodal operands.
        amplitudes: amplitude of each frequency k in 1..floor(p/2).

    Raises:
        ConfigError: an even p; no frequency, or one out of range; a non-finite amplitude.

    Source: Zhong et al. 2023 (arXiv 2306.17844), the pizza algorithm, in their Model alpha; the sum over angles
    as a quadrature after Yip et al. 2024 (arXiv 2412.03773).

    >>> network = pizza_network(7, {2: 5.0})
    >>> network(torch.tensor([[3, 6]]))[0, -1].argmax().item()
    2
    """
    waves = planted_waves(p, amplitudes)
    W_in, W_out = pizza_weights(waves)
    cfg = MLPConfig(
        d_vocab=p, d_vocab_out=p, d_embed=len(W_in), d_mlp=len(W_out), mlp_bias=False
    )  # fmt: skip
    network = HookedMLP(cfg).double()
    network.load_state_dict(
        {
            "embed.W_E": waves.circles,
            "blocks.0.mlp.W_in": W_in,
            "unembed.W_U": W_out @ waves.answer_circles.T,
        }
    )
    network.task = modular_task("add", p, sequence=("a", "b"))
    return network
