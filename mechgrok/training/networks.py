"""Fresh networks with the sizes of a task."""

from mechgrok.config import CustomConfig, MLPConfig, ModelConfig, NetworkConfig, TrainConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.networks import Network, make_network
from mechgrok.models.own import Factory, own_config, own_network
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.runs import written_for
from mechgrok.tasks import Task


@door
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
    if isinstance(config, MLPConfig):
        task = task.written("a", "b")
    sizes = config.for_sizes(d_vocab=task.d_vocab, n_classes=task.n_classes, n_ctx=task.n_ctx)
    network = make_network(sizes, seed)
    network.task = task
    return network


def with_own_network(
    task: Task, config: TrainConfig, seed: int, network: Factory, model: NetworkConfig | None = None
) -> TrainConfig:
    """The configuration with what a run notes about a network of the user's own.

    Raises:
        ConfigError: a `model` is given as well, or no network comes out.
    """
    if model is not None:
        raise ConfigError(
            "model= and network= are two networks: give the architecture, or what makes your own"
        )
    made = own_network(network, written_for(task, config), seed)
    slots = made.task.slots if task.is_open else None
    return config.replace(model=own_config(made), sequence=slots or config.sequence)


def fresh_network(
    task: Task, config: TrainConfig, seed: int, make: Factory | None
) -> Network | WrappedNetwork:
    """The network of a training at its start: of its architecture, or of the user's own.

    Raises:
        ConfigError: the network is the user's own, and nothing makes it.
    """
    if isinstance(config.model, CustomConfig):
        return own_network(make, task, seed, config.model)
    return build_model(task, config.model, seed=seed)
