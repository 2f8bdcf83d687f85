"""Fresh networks with the sizes of a task."""

from mechgrok.config import MLPConfig, ModelConfig, NetworkConfig
from mechgrok.models.networks import Network, make_network
from mechgrok.tasks import Task


def build_model(task: Task, config: NetworkConfig | None = None, *, seed: int = 0) -> Network:
    """A fresh network with the sizes of a task.

    Args:
        config: the architecture; default the transformer of Nanda et al. 2023.
        seed: of the initial weights.

    Raises:
        ConfigError: an MLP for a task of more than two tokens.

    >>> from mechgrok import modular_task
    >>> build_model(modular_task("add", 7), ModelConfig(d_model=16)).W_E.shape
    torch.Size([8, 16])
    """
    config = config or ModelConfig()
    if task.sequence is None and isinstance(config, MLPConfig):
        task = task.with_sequence("a", "b")
    sizes = config.for_sizes(d_vocab=task.d_vocab, n_classes=task.n_classes, n_ctx=task.n_ctx)
    network = make_network(sizes, seed)
    network.task = task
    return network
