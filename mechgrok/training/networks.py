"""Fresh networks with the sizes of a task."""

from mechgrok.config import CustomConfig, DenseConfig, ModelConfig, NetworkConfig, TrainConfig
from mechgrok.door import door
from mechgrok.errors import ConfigError
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.networks import make_network
from mechgrok.models.own import Factory, own_config, own_network
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.runs import read_by, written_for
from mechgrok.signature import Features, Tokens, Values
from mechgrok.tasks import Task
from mechgrok.training.objectives import make_objective, takes_values


@door
def build_model(task: Task, config: NetworkConfig | None = None, *, seed: int = 0) -> HookedNetwork:
    """A fresh network with the sizes of a task.

    Args:
        config: the architecture; default the transformer of Nanda et al. 2023.
        seed: determines the initial weights.

    Raises:
        ConfigError: a network that cannot read the task's inputs: an MLP if there are not two tokens, a transformer
            for features.

    >>> from mechgrok import modular_task
    >>> build_model(modular_task("add", 7), ModelConfig(d_model=16)).W_E.shape
    torch.Size([8, 16])
    """
    config = config or ModelConfig()
    task = read_by(task, config)
    network = make_network(sized(config, task), seed)
    network.task = task
    return network


def sized(config: NetworkConfig, task: Task) -> NetworkConfig:
    """The architecture with open sizes filled in from a task.

    Raises:
        ConfigError: the network cannot read the task's inputs.
    """
    signature = read_by(task, config).signature
    inputs, n_outputs = signature.inputs, signature.d_out
    if isinstance(inputs, Tokens):
        if not config.reads_tokens:
            raise ConfigError(
                f"the inputs of {task.name} are tokens, and a network of kind {config.kind!r} reads features"
            )
        return config.for_sizes(d_vocab=inputs.d_vocab, n_ctx=inputs.n_ctx, d_vocab_out=n_outputs)
    if not config.reads_features:
        raise ConfigError(
            f"the inputs of {task.name} are features {list(inputs.shape)}, and a network of kind {config.kind!r} reads "
            "tokens; take model=mg.DenseConfig()"
        )
    return config.for_sizes(features=inputs.shape, d_vocab_out=n_outputs)


def suited(config: TrainConfig, task: Task) -> TrainConfig:
    """The configuration, adapted if a recipe for tokens and classes cannot apply because the task gives something else.

    Features are read by a feed-forward network instead of a transformer or an MLP on two operands, and values are
    learned by their squared error instead of a cross-entropy.

    Raises:
        ConfigError: a different objective that can only compare with classes.

    >>> from mechgrok import modular_task
    >>> suited(TrainConfig(), modular_task("add", 7)) == TrainConfig()
    True
    """
    signature, changes = task.signature, {}
    if isinstance(signature.inputs, Features) and not config.model.reads_features:
        changes["model"] = DenseConfig()
    if isinstance(signature.outputs, Values):
        if config.objective == "cross_entropy":
            changes["objective"] = "mse"
        elif not takes_values(make_objective(config)):
            raise ConfigError(
                f"the answers of {task.name} are values, and the objective {config.objective!r} compares with classes; "
                "take objective='mse', or one of your own that takes values"
            )
    return config.replace(**changes) if changes else config


def with_own_network(
    task: Task,
    config: TrainConfig,
    seed: int,
    network: Factory,
    model: NetworkConfig | CustomConfig | None = None,
) -> TrainConfig:
    """The configuration with the facts that a run records about a user-defined network.

    Raises:
        ConfigError: a `model` is given as well, or the function returns no network.
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
) -> HookedNetwork | WrappedNetwork:
    """The network at the start of a run: of its architecture, or user-defined.

    Raises:
        ConfigError: the network is user-defined, and no function to make it was given.
    """
    if isinstance(config.model, CustomConfig):
        return own_network(make, task, seed, config.model)
    return build_model(task, config.model, seed=seed)
