"""How much memory a training takes, and an analysis."""

import torch

from mechgrok.config import CustomConfig, NetworkConfig, TrainConfig
from mechgrok.memory import ALL_INPUTS, check_memory
from mechgrok.models.sizes import SMALLER, least_bytes
from mechgrok.tasks import Task
from mechgrok.training.devices import find_device
from mechgrok.training.networks import sized

AT_LEAST = 128 * 2**20
"""Bytes of a small training or analysis, beside what Python and torch take."""
PER_LOGIT = 30
"""Bytes of a training for each logit over all inputs in the evaluation of the objective that takes most, "stablemax",
which has several copies in float64; cross-entropy needs about 6."""
COPIES = 5
"""The weights, their gradients, two moments of the optimiser, and what is being written to a checkpoint."""
ANALYSED_LOGIT, ANALYSED_NEURON = 24, 12
"""Bytes of an analysis for each logit and each neuron over all inputs."""
GOES_ON = "A machine with more memory goes on from the same folder"
LARGE = 2**30
"""Bytes from which it is worth a word."""


def training_memory(task: Task, config: TrainConfig) -> int:
    """An estimate of the bytes that a training takes at its peak, which is in its evaluations.

    >>> from mechgrok.tasks import modular_task
    >>> training_memory(modular_task("add", 251), TrainConfig()) / 2**20 < 800
    True
    """
    scored = task.signature.n_scored
    n_logits = task.n_inputs * scored * (task.signature.d_out + (config.model.kind == "transformer"))
    return AT_LEAST + PER_LOGIT * n_logits + COPIES * _weights(task, config.model)


def check_training_memory(task: Task, config: TrainConfig, device: str | torch.device | None = None) -> int:
    """The estimate of a training, refused where it does not fit; on a GPU the memory is the GPU's, which torch checks.

    Raises:
        ConfigError: there is too little memory, or no such device.
    """
    needed = training_memory(task, config)
    if find_device(device).type == "cpu":
        of_weights = COPIES * _weights(task, config.model) > needed / 2
        check_memory(
            f"training on {task.name}", needed, f"{SMALLER if of_weights else ALL_INPUTS}. {GOES_ON}"
        )
    return needed


def analysis_memory(task: Task, model: NetworkConfig | CustomConfig) -> int:
    """An estimate of the bytes that `summarize` takes for a network with a grid of all inputs."""
    per_input = ANALYSED_LOGIT * task.signature.d_out + ANALYSED_NEURON * getattr(model, "d_mlp", 0)
    return AT_LEAST + task.n_inputs * per_input + _weights(task, model)


def _weights(task: Task, model: NetworkConfig | CustomConfig) -> int:
    """Bytes of the weights; of a network of the user's own they are unknown, and count as none."""
    if isinstance(model, CustomConfig):
        return 0
    return least_bytes(sized(model, task))
