"""Optimisers and weight decay, by name, in `mechgrok.OPTIMIZERS` and `mechgrok.DECAYS`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mechgrok.config import TrainConfig
from mechgrok.registries import DECAYS, OPTIMIZERS

Weights = Mapping[str, nn.Parameter]
NOT_FOR_MUON = ("W_E", "W_pos", "W_U")


@OPTIMIZERS.add("adamw", elementwise=True)
def adamw(weights: Weights, config: TrainConfig, weight_decay: float) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay."""
    return torch.optim.AdamW(weights.values(), weight_decay=weight_decay, fused=True, **_of_adam(config))


@OPTIMIZERS.add("adam", elementwise=True)
def adam(weights: Weights, config: TrainConfig, weight_decay: float) -> torch.optim.Optimizer:
    """Adam, with the decay towards zero added to the gradient (L2)."""
    return torch.optim.Adam(weights.values(), weight_decay=weight_decay, fused=True, **_of_adam(config))


@OPTIMIZERS.add("sgd", elementwise=True)
def sgd(weights: Weights, config: TrainConfig, weight_decay: float) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum, and the decay towards zero added to the gradient."""
    return torch.optim.SGD(
        weights.values(), lr=config.lr, momentum=config.momentum, weight_decay=weight_decay
    )


def _of_adam(config: TrainConfig) -> dict[str, Any]:
    return {"lr": config.lr, "betas": config.betas, "eps": config.eps}


def is_hidden_matrix(name: str) -> bool:
    """Whether a weight is a matrix between hidden dimensions; stacked biases of several heads are not."""
    weight = name.rpartition(".")[2]
    return weight.startswith("W_") and weight not in NOT_FOR_MUON


@OPTIMIZERS.add("muon", takes=is_hidden_matrix)
def muon(weights: Weights, config: TrainConfig, weight_decay: float) -> "MatrixMuon":
    """Muon for the matrices, with AdamW for embeddings, unembedding and biases."""
    return MatrixMuon(weights, lr=config.lr, weight_decay=weight_decay)


@DECAYS.add("zero", by_optimizer=True, elementwise=True)
def towards_zero(weight: Tensor, start: Tensor, rate: float) -> None:
    """Remove a share of the weight."""
    weight.mul_(1 - rate)


@DECAYS.add("init", elementwise=True)
def towards_start(weight: Tensor, start: Tensor, rate: float) -> None:
    """Remove a share of the distance to the initial weight."""
    weight.lerp_(start, rate)


class MatrixMuon:
    """torch's Muon, with the heads of an attention weight combined into one matrix.

    torch accepts only matrices. [head, d_model, d_head] becomes [d_model, head * d_head], and W_O
    [head, d_head, d_model] becomes [head * d_head, d_model]. The update is scaled to the size of AdamW's update, so
    that one learning rate serves both (Tveit et al. 2025 compare the two on grokking).
    """

    def __init__(self, weights: Mapping[str, nn.Parameter], *, lr: float, weight_decay: float) -> None:
        self.weights = weights
        self.matrices = {
            name: nn.Parameter(_as_matrix(name, w.detach()).clone()) for name, w in weights.items()
        }
        self.muon = torch.optim.Muon(
            self.matrices.values(), lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The settings, under the name used by torch's optimisers."""
        return self.muon.param_groups

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """The optimiser state of each weight of the network."""
        return {weight: self.muon.state[self.matrices[name]] for name, weight in self.weights.items()}

    def step(self) -> None:
        """One update of the network's own weights."""
        for name, weight in self.weights.items():
            if weight.grad is not None:
                self.matrices[name].grad = _as_matrix(name, weight.grad).contiguous()
            self.matrices[name].data.copy_(_as_matrix(name, weight.detach()))
        self.muon.step()
        for name, weight in self.weights.items():
            weight.data.copy_(_as_heads(name, self.matrices[name].detach(), weight.shape))


def _as_matrix(name: str, weight: Tensor) -> Tensor:
    if weight.ndim == 2:
        return weight
    return weight.flatten(0, 1) if name.endswith("W_O") else weight.transpose(0, 1).flatten(1)


def _as_heads(name: str, matrix: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) == 2 or name.endswith("W_O"):
        return matrix.view(shape)
    return matrix.view(shape[1], shape[0], shape[2]).transpose(0, 1)
