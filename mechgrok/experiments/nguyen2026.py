"""Nguyen 2026, The discrete-log clock (arXiv 2606.17399)."""

from collections.abc import Iterator
from math import log

from mechgrok.activations import ActivationGrid
from mechgrok.algebra import fourier_basis
from mechgrok.analysis.curves import first_step
from mechgrok.analysis.frequencies import MAJORITY, find_key_frequencies
from mechgrok.analysis.key_losses import excluded_loss, restricted_loss
from mechgrok.analysis.logit_surface import PIZZA_DISTANCE, distance_irrelevance
from mechgrok.analysis.neurons import PURITY, neuron_frequencies
from mechgrok.analysis.spectrum import frequency_norms, gini
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.models.protocol import token_embedding
from mechgrok.runs import Run
from mechgrok.tasks import Task, group_task, modular_task

P = 113
PUBLISHED = {
    "step of 95% test accuracy": 9000,
    "Gini of the embedding, multiplicative": 0.58,
    "Gini of the embedding, additive": 0.07,
    "key frequencies": 4,
    "neurons tuned to one frequency": 0.969,
}
"""On the units, with the paper's recipe; the step is the earliest one reported."""


def _run(task: Task, full: bool) -> Run:
    """Without early stopping: the spectrum continues to thin out long after the network has generalised."""
    return train_kept(
        task, "nanda" if full else "fast", stop_when_settled=False, eval_every=50, checkpoint_every=1000
    )


def _additive_gini(grid: ActivationGrid) -> float:
    """Gini of the token embedding in the Fourier basis of the tokens in numerical order: the wrong basis."""
    n = grid.operation.n_symbols
    return gini(frequency_norms(token_embedding(grid.model)[:n], basis=fourier_basis(n)))


def _tuned(grid: ActivationGrid, share: float) -> float:
    """Fraction of neurons with at least this share of their variance explained by one frequency."""
    return neuron_frequencies(grid, threshold=share).decided.double().mean().item()


def discrete_log(full: bool) -> Iterator[Row]:
    """Train on the units, as the paper does, and on all residues, and compare the two bases."""
    studied = (("units", group_task(f"U{P}"), PUBLISHED), ("all residues", modular_task("mul", P), {}))
    for name, task, published in studied:
        run = _run(task, full)
        grid = run.grid()
        keys = find_key_frequencies(grid)
        measured = {
            "step of 95% test accuracy": (
                first_step(run.history, "accuracy_test", at_least=0.95),
                None,
                14_000,
            ),
            "Gini of the embedding, multiplicative": (gini(frequency_norms(grid)), 0.5, None),
            "Gini of the embedding, additive": (_additive_gini(grid), None, 0.15),
            "key frequencies": (len(keys), 3, 6),
            "neurons tuned to one frequency": (_tuned(grid, MAJORITY), 0.9, None),
            f"neurons of which it explains {PURITY:z.0%}": (_tuned(grid, PURITY), None, None),
            "restricted loss (nats)": (restricted_loss(grid, keys), None, 0.01),
            "excluded loss, train (nats)": (excluded_loss(grid, keys, run.split.train), log(P) / 2, None),
            "distance irrelevance": (distance_irrelevance(grid), PIZZA_DISTANCE, None),
        }
        for quantity, (value, low, high) in measured.items():
            yield Row(f"{name}: {quantity}", published.get(quantity), value, low, high)
