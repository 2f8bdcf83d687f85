"""Gromov's analytic solution of modular addition: squares of single waves with random phases."""

from math import pi

import torch

from mechgrok.algebra import fourier_basis
from mechgrok.config import MLPConfig, check_seed
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.mlp import HookedMLP
from mechgrok.tasks import modular_task


@door
def gromov_network(p: int, n: int, seed: int = 0) -> HookedMLP:
    """An untrained network of n squares with random phases that adds mod p.

    Its logits are f_c(a, b) = sum_j cos(w_j c + f_j + g_j) (cos(w_j a + f_j) + cos(w_j b + g_j))^2. Here w_j is
    2 pi k_j / p, where k_j cycles through 1, 2, ..., floor(p/2), and f_j and g_j are random angles: each neuron has one
    frequency, and its output phase is the sum of its input phases. Twice the product of the two cosines is a wave in
    a+b, in phase with the read-out's, plus one in a-b, which is out of phase with it, as are the squares. So every
    neuron contributes cos(w_j(a+b-c))/2 to the logits, and waves of random phase, which cancel more completely the
    more neurons there are. Multiplied by 2(p-1)/(np), for odd p, the logits averaged over the phases are 1 - 1/p at
    the right answer and -1/p at the others: the minimum of the mean squared error.

    With few neurons, it is a matter of chance whether all answers are right. With n = 3p they were, for p = 37, 53, 64,
    97 and 113 and ten seeds; with n = p, 86% were right for p = 37, and 99.5% for p = 97. A small p has few waves to
    distinguish its answers: with n = 4p, 95% were right for p = 5. The square of a neuron also contains waves of twice
    its frequency; its own frequency explains 0.8 of its variance.

    Args:
        p: the modulus, at least 2; it may be even.
        n: number of neurons, at least 1.
        seed: determines the phases.

    Returns:
        A `HookedMLP` on the tokens a b, in float64: `embed.W_E` [p, n] has cos(w_j a + f_j), `embed_b.W_E` [p, n]
        cos(w_j b + g_j), and `unembed.W_U` [n, p] cos(w_j c + f_j + g_j).

    Raises:
        TaskError: p below 2.
        ConfigError: fewer than 1 neuron, or more than fit into memory; an invalid seed.

    Source: Gromov 2023 (arXiv 2301.02679), section 3.

    >>> network = gromov_network(11, 100)
    >>> network(torch.tensor([[3, 9]]))[0, -1].argmax().item()
    1
    """
    n_frequencies = len(fourier_basis(p).labels)
    if n < 1:
        raise ConfigError(f"a network needs a neuron; got n={n}")
    cfg = MLPConfig(
        d_vocab=p, d_vocab_out=p, inputs="one_hot", embeddings="separate", d_mlp=n, act_fn="square", mlp_bias=False
    )  # fmt: skip
    network = HookedMLP(cfg).double()
    generator = torch.Generator().manual_seed(check_seed(seed))
    first, second = 2 * pi * torch.rand(2, n, generator=generator, dtype=torch.float64)
    k = 1 + torch.arange(n) % n_frequencies
    waves = 2 * pi / p * (torch.outer(torch.arange(p), k) % p).double()
    network.load_state_dict(
        {
            "embed.W_E": (waves + first).cos(),
            "embed_b.W_E": (waves + second).cos(),
            "unembed.W_U": (waves + first + second).cos().T,
        }
    )
    network.task = modular_task("add", p, sequence=("a", "b"))
    return network
