"""The clock and the pizza as transformers, hand-built from frequencies and phases."""

from collections.abc import Mapping
from itertools import product
from math import sqrt

import torch

from mechgrok.config import ModelConfig
from mechgrok.door import door
from mechgrok.models.planted import directions, pizza_weights, planted_waves
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import modular_task

SMALL = 1e-3
"""Size of a clock's attention scores: small enough for the softmax to be linear in them, up to a relative 1e-7."""
FAR = 60.0
"""Score that keeps a head of a clock from attending to its own position."""
VIEWS = 8
"""Neurons per frequency that carry the product of a clock to the logits."""
TURNS = (((1.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (-1.0, 0.0)))
"""The matrices that multiply (cos a, sin a) by the cosine of b, and by i times its sine."""
RADIUS = 1e-2
"""Size of the circles that a pizza embeds; attention enlarges them again, so that b's own contribution to the stream
is small compared with the contribution of both operands alike."""


@door
def clock_transformer(
    p: int, amplitudes: Mapping[int, float], phases: Mapping[int, float] | None = None
) -> HookedTransformer:
    """A transformer that adds with clocks: attention multiplies; the logits are sum_k amplitude_k cos(w_k(a+b-c)).

    It reads "= a b". The embedding of x holds the points (cos(w_k x + phase_k), sin(w_k x + phase_k)). For each
    frequency, four heads at b attend to a and to "=", whose embedding is 0 and which receives the attention not given
    to a. Two of them attend to a with weight sigmoid(±s cos(w_k b + phase_k)), with a small s. Their difference is s/2
    times the cosine, by which the point of a is thereby multiplied. The other two do the same with the sine. Together
    they produce the point at the angle w_k(a+b) + 2 phase_k. ReLU neurons read it from evenly spaced angles t: they
    are 1 + cos(w_k(a+b) + 2 phase_k - t), never negative, and write to the logits of c at the angle w_k c + 2 phase_k.

    Everything is exact except the sigmoid, which is linear in its argument up to a relative 1e-7. Weights are in
    float64; in float32 the small s costs three digits. With positive amplitudes, all answers are right if and only if
    the frequencies have no factor in common with p, as for every prime p; p may be even. The right answer's logit is
    the same for all inputs, gradient symmetricity is 0, and without the products computed by attention all logits are
    equal.

    Args:
        p: the modulus, at least 2.
        amplitudes: amplitude of each frequency k in 1..floor(p/2).
        phases: phase of each frequency, in radians; 0 by default. No logit depends on them.

    Returns:
        A `HookedTransformer` with learned positions, 4 heads and 8 neurons per frequency, and d_model = 6 n + 2
        for n frequencies.

    Raises:
        ConfigError: no frequency, or one out of range; a phase for a frequency without an amplitude; a non-finite
            number.

    Source: the clock of Nanda et al. 2023 (arXiv 2301.05217) and Zhong et al. 2023 (arXiv 2306.17844), whose attention
    also multiplies; this way of computing the product is our own.

    >>> network = clock_transformer(7, {2: 5.0}, {2: 0.3})
    >>> network(torch.tensor([[7, 3, 6]]))[0, -1].argmax().item()
    2
    """
    waves = planted_waves(p, amplitudes, phases)
    n = len(waves.frequencies)
    # The residual stream: [own circles | position of a, position of b | circles of a+b | circles of the answer].
    at_a, at_b, d_model = 2 * n, 2 * n + 1, 6 * n + 2
    own, added, answer = slice(0, 2 * n), slice(2 * n + 2, 4 * n + 2), slice(4 * n + 2, d_model)
    cfg = ModelConfig(
        d_vocab=p + 1, d_vocab_out=p, n_ctx=3, d_model=d_model, n_heads=4 * n, d_head=2, d_mlp=VIEWS * n,
    )  # fmt: skip
    network = HookedTransformer(cfg).double()
    weights = network.state_dict()
    weights["embed.W_E"][:p, own] = waves.circles
    weights["pos_embed.W_pos"][1, at_a] = weights["pos_embed.W_pos"][2, at_b] = 1
    W_Q, W_K, W_V, W_O = (weights[f"blocks.0.attn.W_{name}"] for name in "QKVO")
    for head, (i, gate, sign) in enumerate(product(range(n), (0, 1), (1, -1))):
        # The first coordinate of query and key gives the score of a, the second the score of b itself.
        W_Q[head, 2 * i + gate, 0], W_Q[head, at_b, 1] = sign * SMALL * sqrt(2), sqrt(2)
        W_K[head, at_a, 0], W_K[head, at_b, 1] = 1, -FAR
        W_V[head, 2 * i : 2 * i + 2] = torch.eye(2)
        point = slice(added.start + 2 * i, added.start + 2 * i + 2)
        W_O[head, :, point] = sign * 2 / SMALL * torch.tensor(TURNS[gate])
    views = directions(VIEWS)
    weights["blocks.0.mlp.W_in"][added] = torch.block_diag(*[views.T] * n)
    weights["blocks.0.mlp.b_in"].fill_(1)
    # The sum of (1 + cos(x - t)) cos t over the angles t is VIEWS / 2 * cos x.
    weights["blocks.0.mlp.W_out"][:, answer] = torch.block_diag(
        *[2 / VIEWS * a * views for a in waves.amplitudes]
    )
    weights["unembed.W_U"][answer] = waves.answer_circles.T
    network.load_state_dict(weights)
    network.task = modular_task("add", p, sequence=("=", "a", "b"))
    return network


@door
def pizza_transformer(
    p: int, amplitudes: Mapping[int, float], phases: Mapping[int, float] | None = None
) -> HookedTransformer:
    """A transformer with the logits of an ideal pizza, sum_k amplitude_k |cos(w_k(a-b)/2)| cos(w_k(a+b-c)), for odd p.

    It reads "a b" with an attention rate of 0, which adds the embeddings of both. The sum of the points
    (cos(w_k x + phase_k), sin(w_k x + phase_k)) of a and b has length |2 cos(w_k(a-b)/2)|, at the angle
    w_k(a+b)/2 + phase_k or opposite to it. ReLU neurons read it from p evenly spaced angles t, and write to the
    logits of c at the angle w_k c + 2 phase_k - 2t: the output phase of each neuron is the sum of its input phases.

    Exact up to ripples of relative height below 3/p^2, as in `pizza_network`, its counterpart without attention.
    With positive amplitudes, all answers are right if and only if the frequencies have no factor in common with p, as
    for every odd prime. Gradient symmetricity is 1 up to 1e-4: only the sum reaches the neurons, apart from a small
    contribution of b in the stream. Weights are in float64.

    Args:
        p: the modulus, odd: for even p the sum vanishes for antipodal operands.
        amplitudes: amplitude of each frequency k in 1..floor(p/2).
        phases: phase of each frequency, in radians; 0 by default. In the logits, only the ripples depend on
            them.

    Returns:
        A `HookedTransformer` without positions, with one head, p neurons per frequency (5 for p = 3), and
        d_model = 6 n for n frequencies.

    Raises:
        ConfigError: an even p; no frequency, or one out of range; a phase for a frequency without an amplitude; a
            non-finite number.

    Source: Zhong et al. 2023 (arXiv 2306.17844), Model A; the sum over angles as a quadrature after Yip et al. 2024
    (arXiv 2412.03773).

    >>> network = pizza_transformer(7, {2: 5.0}, {2: 0.3})
    >>> network(torch.tensor([[3, 6]]))[0, -1].argmax().item()
    2
    """
    waves = planted_waves(p, amplitudes, phases)
    W_in, W_out = pizza_weights(waves)
    width = len(W_in)
    # The residual stream: [own circles | sum of both operands' circles | circles of the answer].
    own, added, answer = (slice(i * width, (i + 1) * width) for i in range(3))
    cfg = ModelConfig(
        d_vocab=p, d_vocab_out=p, n_ctx=2, d_model=3 * width, n_heads=1, d_head=width, d_mlp=len(W_out),
        attention_dir="bidirectional", attention_rate=0.0, positions="none", mlp_bias=False,
    )  # fmt: skip
    network = HookedTransformer(cfg).double()
    weights = network.state_dict()
    weights["embed.W_E"][:, own] = RADIUS * waves.circles
    weights["blocks.0.attn.W_V"][0, own] = torch.eye(width).double() / RADIUS
    weights["blocks.0.attn.W_O"][0, :, added] = torch.eye(width).double()
    weights["blocks.0.mlp.W_in"][added] = W_in
    weights["blocks.0.mlp.W_out"][:, answer] = W_out
    weights["unembed.W_U"][answer] = waves.answer_circles.T
    network.load_state_dict(weights)
    network.task = modular_task("add", p, sequence=("a", "b"))
    return network
