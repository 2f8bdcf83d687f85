"""Multiplication looks dense in the basis of addition, but is sparse in its own.

The logits are the ideal ones for a*b mod 59: a single frequency of the discrete logarithm.
"""

import math

import torch

import mechgrok as mg


def ideal_logits(task: mg.Task, k: int, height: float = 20.0) -> torch.Tensor:
    """height * cos(w_k (log a + log b - log c)); 0 if an operand or the answer is 0."""
    frame = task.frame
    gap = (frame.results.flatten()[:, None] - torch.arange(frame.order)).double()
    logits = torch.zeros(task.n_inputs, task.n_classes, dtype=torch.float64)
    logits[frame.rows.flatten()[:, None], frame.classes] = (
        height * (2 * math.pi * k / frame.order * gap).cos()
    )
    return logits


def main() -> None:
    """Ask for the key frequencies in both bases."""
    task = mg.modular_task("mul", p=59)
    logits = ideal_logits(task, k=7)
    additive = task.in_basis(mg.fourier_basis(task.n_symbols))
    for seen_as in (task, additive):
        keys = mg.find_key_frequencies(mg.grid_from_tensors(seen_as, logits))
        print(f"{seen_as.frame.basis}: {keys}")


if __name__ == "__main__":
    main()
