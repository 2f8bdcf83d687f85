"""A hand-built network that composes the elements of any group through its irreps."""

from collections.abc import Mapping

import torch

from mechgrok.algebra import Group, irrep_basis, named_group
from mechgrok.algebra.bases import Label
from mechgrok.config import MLPConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.mlp import HookedMLP
from mechgrok.tasks import group_task


@door
def character_network(group: Group | str, amplitudes: Mapping[Label, float]) -> HookedMLP:
    """An MLP with logits exactly sum_rho amplitude_rho * chi_rho(a∘b∘c^-1).

    The algorithm proposed by Chughtai et al. 2023, without its approximations. Operands are embedded as the
    entries rho_ik(a) and rho_kj(b); the difference of a pair of neurons (rho_ik(a) + rho_kj(b))^2 and
    (rho_ik(a) - rho_kj(b))^2 is four times their product; the read-out sums the products over k to rho_ij(a∘b) and
    compares with rho_ij(c), which gives the trace of rho(a∘b) rho(c)^-1. Weights are in float64; an irrep of
    real dimension d takes 2 d^3 neurons.

    Args:
        group: a group or its name, see `named_group`.
        amplitudes: amplitude of each irrep, by its label.

    Raises:
        ConfigError: no irrep, or a label that does not exist.
        TaskError: an unknown name.

    >>> network = character_network("S3", {"sign": 1.0, "standard": 3.0})
    >>> network(torch.tensor([[1, 2]]))[0, -1].argmax().item()  # named_group("S3").table[1, 2]
    3
    """
    group = named_group(group) if isinstance(group, str) else group
    basis = irrep_basis(group)
    labels = basis.check_labels(amplitudes)
    if not labels:
        raise ConfigError(
            f"a constructed network needs an irrep; allowed: {', '.join(map(str, basis.labels))}"
        )
    first, second, readout = [], [], []
    for label in labels:
        matrices = basis.irrep(label).matrices
        dim = matrices.shape[1]
        i, k, j = torch.cartesian_prod(*[torch.arange(dim)] * 3).view(-1, 3).T
        for sign in (1, -1):
            first.append(matrices[:, i, k])
            second.append(sign * matrices[:, k, j])
            readout.append(sign * amplitudes[label] / 4 * matrices[:, i, j])
    width = sum(part.shape[1] for part in first)
    config = MLPConfig(
        d_vocab=group.order,
        d_vocab_out=group.order,
        inputs="one_hot",
        embeddings="separate",
        d_mlp=width,
        act_fn="square",
        mlp_bias=False,
    )
    network = HookedMLP(config).double()
    weights = {"embed.W_E": torch.cat(first, 1), "embed_b.W_E": torch.cat(second, 1)}
    network.load_state_dict({**weights, "unembed.W_U": torch.cat(readout, 1).T})
    network.task = group_task(group, sequence=("a", "b")).in_basis(basis)
    return network
