"""What a training and a run follow from."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypedDict

from pydantic import AfterValidator, BeforeValidator, SerializeAsAny

from mechgrok.config.architectures import CustomConfig, ModelConfig, NetworkConfig, as_architecture
from mechgrok.config.base import (
    Config,
    Count,
    Decay,
    Fraction,
    NonNegative,
    Positive,
    Rate,
    Seed,
    Size,
    registry_of,
)
from mechgrok.registries import DECAYS, GRADIENTS, NETWORKS, OBJECTIVES, OPTIMIZERS, SPLIT_RULES
from mechgrok.registry import Registry


def _check_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.+ -]{0,99}", name):
        raise ValueError(
            "a recipe names the folders of its runs: up to 100 letters, digits and . _ + - or spaces, of which the "
            "first is a letter or digit"
        )
    return name


Name = Annotated[str, AfterValidator(_check_name)]


class TrainConfig(Config):
    """How a network is trained. One step is one optimiser update.

    Attributes:
        recipe: name under which the configuration is known, for tables, messages and folders: letters, digits, and
            . _ + - or spaces between them.
        fraction, split_rule: the training set, see `mechgrok.tasks.make_split`.
        sequence: what the network reads, where the task leaves it open.
        model: the architecture; its sizes come from the task. Of a network of the user's own only its class and the
            shapes of its weights are noted, see `network=` of `train`.
        objective: "cross_entropy", "mse" on one-hot targets, or "stablemax" (Prieto et al. 2025).
        loss_dtype: precision of the training loss. float64 and float32 are exact for small losses; the
            precision itself is studied with `naive_loss`.
        naive_loss: takes log_softmax in `loss_dtype` as it comes, rounding included: a softmax that reaches 1
            gives a loss and a gradient of exactly 0 (softmax collapse).
        loss_scale: factor on the loss; some papers divide by the number of classes.
        batch_size: examples per step; 0 for the whole training set.
        lr: learning rate, after the warm-up.
        weight_decay: its strength; AdamW takes lr * weight_decay of each weight away in a step.
        betas: decay rates of the running means of the gradient and of its square, of Adam and AdamW.
        momentum: of SGD.
        eps: what Adam and AdamW add to the root of the mean squared gradient; the norms of a network have their own.
        optimizer: one of `mechgrok.OPTIMIZERS`: "adamw"; "adam" and "sgd", with the decay towards zero added to the
            gradient; "muon" for the matrices, with AdamW for embeddings, unembedding and biases.
        decay_towards: one of `mechgrok.DECAYS`: "zero", or "init" for the distance to the initial weights; that decay
            is decoupled from the gradient, as AdamW's, for every optimiser.
        gradient: one of `mechgrok.GRADIENTS`, what happens to gradients before the optimiser: nothing ("plain"), the
            slow component amplified ("grokfast_ema", "grokfast_ma", Lee et al. 2024), or the component along the
            weights removed ("orthograd", Prieto et al. 2025).
        grokfast_alpha: decay rate of the running mean of gradients, of "grokfast_ema".
        grokfast_lambda: factor on the slow component before it is added to the gradient.
        grokfast_window: number of the last gradients that are averaged, of "grokfast_ma".
        frozen: parts of the network that keep their initial weights, by the names of their parameters or of what
            holds them: "embed", "blocks.0.mlp". Neither gradients nor weight decay reach them.
        warmup: steps of linear warm-up; the multiplier of step i is min(i / warmup, 1), so that the very
            first step of a warm-up changes nothing, as in the papers' code.
        steps: the most steps to take.
        stop_when_settled: end early, once the network has grokked and no longer changes; see
            `mechgrok.training.stopping`.
        stop_test_loss: end early, once the test loss is below this.
        eval_every: steps between two evaluations on the train and the test inputs.
        checkpoints: when to keep the weights. "regular": every `checkpoint_every` steps. "logarithmic": at
            1, 2, 5, 10, 20, 50, ... "adaptive": regular, and whenever the test loss has changed by a factor
            of 1.5 since the last one. The first and the last state are always kept.
        checkpoint_every: steps between two checkpoints, of "regular" and "adaptive".
    """

    recipe: Name = "custom"
    fraction: Fraction = 0.3
    split_rule: Annotated[str, AfterValidator(SPLIT_RULES.check)] = "shuffle"
    sequence: tuple[str, ...] | None = None
    model: Annotated[SerializeAsAny[NetworkConfig | CustomConfig], BeforeValidator(as_architecture)] = (
        ModelConfig()
    )
    objective: Annotated[str, AfterValidator(OBJECTIVES.check)] = "cross_entropy"
    loss_dtype: Literal["float64", "float32", "float16"] = "float32"
    naive_loss: bool = False
    loss_scale: Positive = 1.0
    batch_size: Count = 0
    optimizer: Annotated[str, AfterValidator(OPTIMIZERS.check)] = "adamw"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 1.0
    decay_towards: Annotated[str, AfterValidator(DECAYS.check)] = "zero"
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    momentum: Rate = 0.0
    eps: Positive = 1e-8
    gradient: Annotated[str, AfterValidator(GRADIENTS.check)] = "plain"
    grokfast_alpha: Rate = 0.98
    grokfast_lambda: NonNegative = 2.0
    grokfast_window: Size = 100
    frozen: tuple[str, ...] = ()
    warmup: Count = 10
    steps: Count = 10_000
    stop_when_settled: bool = True
    stop_test_loss: NonNegative = 0.0
    eval_every: Size = 10
    checkpoints: Literal["regular", "logarithmic", "adaptive"] = "regular"
    checkpoint_every: Size = 100


class TrainChanges(TypedDict, total=False):
    """Fields of a `TrainConfig` by name: what `train` takes besides the arguments of its own."""

    fraction: float
    split_rule: str
    sequence: tuple[str, ...] | None
    objective: str
    loss_dtype: Literal["float64", "float32", "float16"]
    naive_loss: bool
    loss_scale: float
    batch_size: int
    optimizer: str
    lr: float
    weight_decay: float
    decay_towards: str
    betas: tuple[float, float]
    momentum: float
    eps: float
    gradient: str
    grokfast_alpha: float
    grokfast_lambda: float
    grokfast_window: int
    frozen: tuple[str, ...]
    warmup: int
    stop_when_settled: bool
    stop_test_loss: float
    eval_every: int
    checkpoints: Literal["regular", "logarithmic", "adaptive"]
    checkpoint_every: int


class AllTrainChanges(TrainChanges, total=False):
    """All fields of a `TrainConfig` by name: what `train_many` takes."""

    recipe: str
    model: NetworkConfig | CustomConfig
    steps: int


class StartConfig(Config):
    """Weights of another network that a training began with; they lie beside the run's configuration.

    Attributes:
        task: name of the task that the other network was trained on; empty where it is unknown.
        parameters: names of those that were taken over; the others were drawn as usual.
        sha256: of these weights.
    """

    task: str
    parameters: tuple[str, ...]
    sha256: str


class RunConfig(Config):
    """All that a run follows from, as stored with it.

    Attributes:
        task: the task's own `spec`.
        train: how it is trained, the network included.
        seed: of the initial weights, and of the split unless one was given.
        start: what was taken over from another network; None where all weights were drawn.
        threads: CPU threads that it is computed in, and that it goes on in; they decide how sums are rounded. None
            where nobody has noted them.
    """

    version: Literal[1] = 1
    task: dict[str, Any]
    train: TrainConfig
    seed: Seed
    start: StartConfig | None = None
    threads: Size | None = None


def registered_names(config: Config) -> Iterator[tuple[Registry[Any], str]]:
    """The registries that a configuration names something of, that of its network included, and the names.

    >>> [name for registry, name in registered_names(TrainConfig()) if registry is OPTIMIZERS]
    ['adamw']
    """
    if isinstance(config, NetworkConfig):
        yield NETWORKS, config.kind
    for field, info in type(config).model_fields.items():
        value, registry = getattr(config, field), registry_of(info)
        if registry is not None:
            yield registry, value
        elif isinstance(value, Config):
            yield from registered_names(value)
