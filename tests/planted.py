"""Networks, logits and neurons with known answers, for all tests.

Everything here is derived from the formulas, without calling the analyses under test.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from math import pi

import torch
from torch import Tensor

import mechgrok as mg
from mechgrok.models.transformer import HookedTransformer

NEURONS = "blocks.0.mlp.hook_post"
MODULI = (3, 10, 53, 59, 96, 97, 112, 113)
"""The odd prime, odd composite, even and tiny moduli on which planted answers are checked."""

Wave = tuple[int, float, float]
"""A neuron (cos(w_k x + f) + cos(w_k y + g))^2 as its frequency k and its phases f and g."""


def extreme_frequencies(n: int) -> list[int]:
    """The frequencies that off-by-one errors lose, and one between them."""
    return sorted({1, max(1, n // 3), n // 2})


def cosine_logits(task: mg.Task, amplitudes: Mapping[int, float]) -> Tensor:
    """Logits sum_k amplitude_k cos(w_k (x∘y - c)) in the task's own group; 0 outside of it."""
    frame = task.frame
    gap = (frame.results.flatten()[:, None] - torch.arange(frame.order)).double()
    waves = torch.zeros_like(gap)
    for k, amplitude in amplitudes.items():
        waves += amplitude * (2 * pi * k / frame.order * gap).cos()
    logits = torch.zeros(task.n_inputs, task.n_classes, dtype=torch.float64)
    logits[frame.rows.flatten()[:, None], frame.classes] = waves
    return logits


def lookup_logits(task: mg.Task, height: float = 10.0) -> Tensor:
    """A lookup table: the right answer stands out by `height`, all others are equal."""
    return height * torch.nn.functional.one_hot(task.labels, task.n_classes).double()


def wave_neurons(task: mg.Task, waves: Sequence[Wave]) -> Tensor:
    """Activations [n_inputs, n_waves] of the squared neurons, on operands a and b of a task mod p."""
    k, f, g = (torch.tensor(column, dtype=torch.float64) for column in zip(*waves, strict=True))
    a, b = (2 * pi * k / task.n_symbols * task.operands[:, i, None].double() for i in (0, 1))
    return ((a + f).cos() + (b + g).cos()).square()


def wave_fve(n: int, wave: Wave) -> float:
    """Share of a squared neuron's variance on Z_n that its own frequency explains, in closed form.

    (cos u + cos v)^2 = 1 + cos(2u)/2 + cos(2v)/2 + 2 cos u cos v: the product has variance 1 and frequency
    k, the squares have variance 1/8 each and frequency 2k. That makes 1/1.25 = 0.8, unless 2k is k again,
    or the alternating function (whose square is 1, not 1/2), or 0.
    """
    k, f, g = wave
    if 2 * k % n == 0 or 3 * k % n == 0:
        return 1.0
    if 4 * k % n == 0:
        squares = (torch.tensor([2 * f, 2 * g], dtype=torch.float64).cos() / 2).square().sum().item()
    else:
        squares = 2 / 8
    return 1 / (1 + squares)


def gromov_waves(p: int, n_neurons: int, seed: int) -> list[Wave]:
    """The neurons of Gromov's analytic solution: frequencies in turn, random phases (arXiv 2301.02679)."""
    generator = torch.Generator().manual_seed(seed)
    phases = 2 * pi * torch.rand(n_neurons, 2, generator=generator, dtype=torch.float64)
    return [(1 + j % (p // 2), *phases[j].tolist()) for j in range(n_neurons)]


def gromov_logits(p: int, waves: Sequence[Wave]) -> Tensor:
    """Gromov's logits for a+b mod p, written out: sum_j cos(w c + f + g) (cos(w a + f) + cos(w b + g))^2."""
    k, f, g = (torch.tensor(column, dtype=torch.float64) for column in zip(*waves, strict=True))
    answers = (2 * pi / p * k[:, None] * torch.arange(p) + (f + g)[:, None]).cos()
    return wave_neurons(mg.modular_task("add", p), waves) @ answers


def wave_network(task: mg.Task, waves: Sequence[Wave], gain: float = 1.0) -> HookedTransformer:
    """A transformer with one squared neuron per wave, each of which writes gain * cos(w c + f + g).

    For any task whose frame is a group and whose answer is x+y or x-y in it; after the discrete logarithm
    that includes products and quotients. Reads the tokens a b. With Gromov's phases this is his network.
    """
    frame = task.frame
    frequencies = sorted({k for k, _, _ in waves})
    width, p = 2 * len(frequencies), task.n_symbols
    cfg = mg.ModelConfig(
        d_vocab=p, d_vocab_out=p, n_ctx=2, d_model=2 * width + p, n_heads=1, d_head=width, d_mlp=len(waves),
        act_fn="square", attention_dir="bidirectional", attention_rate=0.0, positions="none", mlp_bias=False,
    )  # fmt: skip
    network = mg.HookedTransformer(cfg).double()
    weights = network.state_dict()
    # The residual stream at the read-out: [E(b) | E(a) + E(b) | logits].
    own, both, answers = slice(0, width), slice(width, 2 * width), slice(2 * width, None)
    angles = 2 * pi / frame.order * torch.outer(torch.arange(frame.order), torch.tensor(frequencies)).double()
    circles = torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)
    weights["embed.W_E"][frame.tokens, own] = circles
    weights["blocks.0.attn.W_V"][0, own] = torch.eye(width).double()
    weights["blocks.0.attn.W_O"][0, :, both] = torch.eye(width).double()
    weights["unembed.W_U"][answers] = torch.eye(p).double()
    sign = 1 if frame.results[0, 1] == 1 else -1
    for j, (k, f, g) in enumerate(waves):
        i, f_and_g = frequencies.index(k), torch.tensor([f, g], dtype=torch.float64)
        first, second = torch.stack([f_and_g.cos(), -f_and_g.sin()], dim=1)
        second = second * torch.tensor([1, sign])
        weights["blocks.0.mlp.W_in"][both, j][2 * i : 2 * i + 2] = first
        weights["blocks.0.mlp.W_in"][own, j][2 * i : 2 * i + 2] = second - first
        written = torch.zeros(p, dtype=torch.float64)
        written[frame.classes] = gain * (angles[:, i] + f + g).cos()
        weights["blocks.0.mlp.W_out"][j, answers] = written
    network.load_state_dict(weights)
    return network


def phase_grid(frequencies: Sequence[int], n_phases: int = 5) -> list[Wave]:
    """Waves with evenly spaced phases, over which every unwanted term of the squares sums to zero."""
    phases = [2 * pi * i / n_phases for i in range(n_phases)]
    return [(k, f, g) for k in frequencies for f in phases for g in phases]


def coset_network(n: int, gain: float = 3.0, seed: int = 0) -> mg.HookedMLP:
    """An MLP that composes permutations of n things by the cosets of point stabilisers (Stander et al. 2023).

    A neuron for each pair (i, m) reads t[a(i)] - t[b^-1(m)], where t are n evenly spaced numbers around 0, and lowers
    the logits of the c with c(i) = m. It reads 0 where the composition takes i to m, so that the logit of c is
    -gain/2 sum_i |t[a(i)] - t[b^-1(c(i))]|: the numbers of a permutation add up to 0, and ReLU is half of |x| and half
    of x. Operands have embeddings of their own, in random bases.
    """
    group = mg.named_group(f"S{n}")
    elements = torch.tensor(list(permutations(range(n))))
    t = torch.arange(n).double() - (n - 1) / 2
    i, m = torch.cartesian_prod(torch.arange(n), torch.arange(n)).T
    first, second = t[elements[:, i]], -t[elements[group.inverses][:, m]]
    dice = torch.Generator().manual_seed(seed)
    rotations = [torch.linalg.qr(torch.randn(n * n, n * n, generator=dice).double()).Q for _ in range(2)]
    cfg = mg.MLPConfig(
        d_vocab=group.order, d_vocab_out=group.order, embeddings="separate", combine="concat", d_embed=n * n,
        d_mlp=n * n, mlp_bias=False,
    )  # fmt: skip
    network = mg.HookedMLP(cfg).double()
    network.load_state_dict(
        {
            "embed.W_E": first @ rotations[0],
            "embed_b.W_E": second @ rotations[1],
            "blocks.0.mlp.W_in": torch.cat([rotation.T for rotation in rotations]),
            "unembed.W_U": -gain * (elements[:, i] == m).double().T,
        }
    )
    network.task = mg.sn_task(f"S{n}", sequence=("a", "b"))
    return network
