"""The memory needed by a run, and by an analysis."""

import torch

from mechgrok import memory
from mechgrok.config import CustomConfig, NetworkConfig, TrainConfig
from mechgrok.errors import ActivationError
from mechgrok.memory import analysis_bytes
from mechgrok.models.networks import make_network
from mechgrok.models.sizes import SMALLER, least_bytes
from mechgrok.registries import NETWORKS
from mechgrok.runs import written_for
from mechgrok.tasks import Task
from mechgrok.training.devices import find_device
from mechgrok.training.graph_memory import graph_bytes
from mechgrok.training.networks import sized
from mechgrok.training.step import EVALUATION_ROWS, step_written_for

AT_LEAST = 128 * 2**20
"""Bytes of a small run or analysis, besides those of Python and torch."""
PER_LOGIT = 30
"""Bytes of a run per logit over all inputs, in evaluating the objective that takes the most, "stablemax",
which has several copies in float64; cross-entropy needs about 6."""
PER_KEPT = 2.4
"""Bytes of a step per byte kept by its graph, including intermediate results and the gradients."""
COPIES = 5
"""The weights, their gradients, two moments of the optimiser, and the copy being written to a checkpoint."""
BATCHES = "Mini-batches take less: batch_size=512"
GOES_ON = "A machine with more memory goes on from the same folder"
LARGE = 2**30
"""Bytes from which memory is worth mentioning."""


def training_memory(task: Task, config: TrainConfig) -> int:
    """Estimate the peak number of bytes of a run, reached in its evaluations or in a step through autograd.

    >>> from mechgrok.tasks import modular_task
    >>> training_memory(modular_task("add", 251), TrainConfig()) / 2**20 < 800
    True
    """
    weights, evaluation, step = _parts(task, config).values()
    return AT_LEAST + weights + max(evaluation, step)


def check_training_memory(task: Task, config: TrainConfig, device: str | torch.device | None = None) -> int:
    """The estimate for a run, refused if it does not fit; a GPU's own memory is checked by torch.

    Raises:
        ConfigError: there is too little memory, or no such device.
    """
    parts = _parts(task, config)
    needed = training_memory(task, config)
    if find_device(device).type == "cpu":
        remedy = max(parts, key=parts.__getitem__)
        memory.check_memory(f"training on {task.name}", needed, f"{remedy}. {GOES_ON}")
    return needed


def analysis_memory(task: Task, model: NetworkConfig | CustomConfig) -> int:
    """Estimate the bytes that `summarize` takes for a network with a grid of all inputs."""
    of_grid = analysis_bytes(task.n_inputs * task.signature.d_out, task.n_inputs * getattr(model, "d_mlp", 0))
    return AT_LEAST + of_grid + _weights(task, model)


def _parts(task: Task, config: TrainConfig) -> dict[str, int]:
    """Bytes of weights, evaluations and steps, each with a way to reduce it."""
    weights = COPIES * _weights(task, config.model)
    n_outputs, step, one_pass = task.signature.d_out, 0, 0
    free = memory.memory_free()
    # A network that does not fit anyway is not built, not even on the meta device.
    if not isinstance(config.model, CustomConfig) and (free is None or AT_LEAST + weights < free):
        n_outputs = max(n_outputs, sized(config.model, task).d_vocab_out)
        step, one_pass = _passes(config.model, written_for(task, config), config)
    n_logits = task.n_inputs * task.signature.n_scored * n_outputs
    return {SMALLER: weights, memory.ALL_INPUTS: PER_LOGIT * n_logits + one_pass, BATCHES: step}


def _passes(model: NetworkConfig, task: Task, config: TrainConfig) -> tuple[int, int]:
    """Bytes of a step and of a pass without gradients, through autograd; 0 if steps are written by hand.

    Hand-written steps process their inputs in pieces. For user-defined families whose code does not run without data,
    nothing is known.
    """
    with torch.device("meta"):
        network = make_network(sized(model, task))
    if not (config.batch_size or config.frozen) and step_written_for(network, task.signature):
        return 0, 0
    rows = config.batch_size or getattr(task, "default_batch", round(config.fraction * task.n_inputs))
    try:
        step = PER_KEPT * graph_bytes(network, task.signature, rows)
        evaluated = graph_bytes(network, task.signature, min(EVALUATION_ROWS, task.n_inputs))
    except ActivationError:  # it does not fit the task, which is reported when the run is assembled
        return 0, 0
    except Exception:
        if NETWORKS.is_ours(model.kind):
            raise
        return 0, 0
    # Without gradients, only the activations of one layer exist at a time.
    return round(step), evaluated // getattr(model, "n_layers", 1)


def _weights(task: Task, model: NetworkConfig | CustomConfig) -> int:
    """Bytes of the weights; unknown for a user-defined network, and counted as 0."""
    if isinstance(model, CustomConfig):
        return 0
    return least_bytes(sized(model, task))
