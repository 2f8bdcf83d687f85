"""Activations over all inputs of a task: the one place where a network meets a task."""

from mechgrok.activations.caching import as_grid, cache_grid, cached_with
from mechgrok.activations.fitting import fit_task, infer_task, likely_modulus
from mechgrok.activations.forward import (
    logits_under,
    logits_under_each,
    run_from_site,
    run_from_sites,
    run_with_embedding,
    run_with_neurons,
)
from mechgrok.activations.grid import ActivationGrid, grid_from_tensors
from mechgrok.activations.sources import Source

__all__ = [
    "ActivationGrid",
    "Source",
    "as_grid",
    "cache_grid",
    "cached_with",
    "fit_task",
    "grid_from_tensors",
    "infer_task",
    "likely_modulus",
    "logits_under",
    "logits_under_each",
    "run_from_site",
    "run_from_sites",
    "run_with_embedding",
    "run_with_neurons",
]
