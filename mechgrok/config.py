"""Closed configurations of networks, training and runs.

Every class here is frozen, refuses unknown keys, and round-trips through JSON unchanged. Derived values are
properties, never fields, so that they cannot disagree.
"""

import re
from collections.abc import Iterator, Mapping
from math import prod
from numbers import Integral
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypedDict, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from mechgrok.errors import ConfigError, shown
from mechgrok.readable import Readable
from mechgrok.registries import (
    CUSTOM,
    DECAYS,
    GRADIENTS,
    INITS,
    MLP_INITS,
    NETWORKS,
    OBJECTIVES,
    OPTIMIZERS,
    SPLIT_RULES,
    NetworkEntry,
)
from mechgrok.registry import Registry

C = TypeVar("C", bound="Config")
A = TypeVar("A", bound="NetworkConfig")


class Config(BaseModel, Readable):
    """Base of all configurations: frozen, closed, and with errors that name the field and the value."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    if not TYPE_CHECKING:  # pydantic tells type checkers which fields there are

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError(_explain(type(self), error)) from None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, from which `type(self)(**values)` builds the same configuration."""
        return self.model_dump(mode="json")

    def replace(self: C, **changes: Any) -> C:
        """A copy with some fields changed, validated like a new one."""
        return type(self)(**{**self.model_dump(), **changes})


def _explain(config: type[BaseModel], error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        field = ".".join(map(str, problem["loc"])) or "values"
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown key {field!r}; allowed: {', '.join(config.model_fields)}")
        else:
            given, why = problem["input"], problem["msg"].removeprefix("Value error, ")
            told = isinstance(given, dict) or (problem["type"] == "value_error" and shown(given) in why)
            lines.append(f"{field}: {why}" + ("" if told else f", got {shown(given)}"))
    return f"{config.__name__}: " + "; ".join(lines)


def registry_of(info: FieldInfo) -> Registry[Any] | None:
    """The registry of the names that a field accepts; None for a field that accepts something else."""
    for constraint in info.metadata:
        registry = getattr(getattr(constraint, "func", None), "__self__", None)
        if isinstance(registry, Registry):
            return registry
    return None


def registered_names(config: Config) -> Iterator[tuple[Registry[Any], str]]:
    """The registries from which a configuration, including its network's, names an entry, with the names.

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


Size = Annotated[int, Field(ge=1, lt=2**31)]
OpenSize = Annotated[int, Field(ge=0, lt=2**31)]
"""A size that 0 leaves open: it follows from another size, or from the task."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
LARGEST_SEED = 2**32 - 1
"""Every generator accepts seeds up to this, as well as the seeds derived from a seed for each epoch."""


def check_seed(seed: Any) -> int:
    """Return the seed if it is valid.

    Raises:
        ConfigError: it is not an integer from 0 to 2^32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) <= LARGEST_SEED:
        raise ConfigError(f"a seed is a whole number from 0 to {LARGEST_SEED}, got {shown(seed)}")
    return int(seed)


def _check_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.+ -]{0,99}", name):
        raise ValueError(
            "a recipe names the folders of its runs: up to 100 letters, digits and . _ + - or spaces, of which the "
            "first is a letter or digit"
        )
    return name


Seed = Annotated[int, AfterValidator(check_seed)]
Name = Annotated[str, AfterValidator(_check_name)]

Activation = Literal["relu", "gelu", "gelu_new", "silu", "tanh", "sigmoid", "square"]
"""TransformerLens's names; "gelu" is the exact function, "gelu_new" its tanh approximation."""
Normalization = Literal["LN", "LNPre", "RMS", "RMSPre"]
"""TransformerLens's names: LayerNorm or RMSNorm, with weights or ("Pre") without."""


class NetworkConfig(Config):
    """Architecture of one of our networks, or of a family that a user has registered in `NETWORKS`.

    A subclass has its `kind` as a field with a single value, and fields for the sizes that a task fills in, as long as
    they are 0 or (): `d_vocab_out`, with `d_vocab` and `n_ctx` if it reads tokens, or `features` if it reads features.
    It has `n_layers` if it has blocks, and `init`, checked against `INITS` or `MLP_INITS`, unless its network draws its
    weights in its own way.

    Attributes:
        kind: name of the family.
        slots: format in which a task's operands are written for it, if the task leaves it open; () for any format.
    """

    kind: str
    slots: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:  # fields or properties of the subclasses

        @property
        def d_vocab(self) -> int: ...

        @property
        def d_vocab_out(self) -> int: ...

        @property
        def init(self) -> str: ...

    @property
    def reads_features(self) -> bool:
        """Whether it can read floats."""
        return "features" in type(self).model_fields

    @property
    def reads_tokens(self) -> bool:
        """Whether it can read integers."""
        return "d_vocab" in type(self).model_fields

    @property
    def open_sizes(self) -> tuple[str, ...]:
        """Sizes that a network needs and that are still open."""
        on_features = self.reads_features and bool(getattr(self, "features") or not self.reads_tokens)  # noqa: B009
        taken = ("features",) if on_features else ("d_vocab", "n_ctx")
        return tuple(name for name in (*taken, "d_vocab_out") if not getattr(self, name))

    @property
    def least_weights(self) -> int:
        """Numbers in its large weights, biases and norms left out; 0 for unknown."""
        return 0

    def for_sizes(
        self: A, *, d_vocab_out: int, d_vocab: int = 0, n_ctx: int = 0, features: tuple[int, ...] = ()
    ) -> A:
        """The same architecture with the sizes of a task; explicitly given sizes stay."""
        fields = type(self).model_fields
        sizes = {"d_vocab_out": d_vocab_out, "d_vocab": d_vocab, "n_ctx": n_ctx, "features": features}
        return self.replace(
            **{name: size for name, size in sizes.items() if name in fields and not getattr(self, name)}
        )


class ModelConfig(NetworkConfig):
    """Architecture of a `HookedTransformer`; the defaults are from Nanda et al. 2023.

    Attributes:
        kind: family of the network.
        d_vocab, d_vocab_out, n_ctx: 0 until a task fills them in (`for_sizes`).
        n_layers: number of blocks; for an MLP, of hidden layers.
        d_model: width of the residual stream.
        n_heads: attention heads in each block.
        act_fn: activation function of the neurons.
        attention_dir: with "causal" a position attends to itself and earlier ones, with "bidirectional" to all.
        positions: "learned" position embeddings, or "none".
        attn_bias: whether queries, keys, values and the output of attention have biases.
        mlp_bias: whether the linear layers of the MLP have biases.
        unembed_bias: whether the logits have a bias.
        output: with "classes", one logit for each answer; with "vocabulary", one for every token, as in the
            papers' code, which also trains against the special tokens.
        d_head, d_mlp: 0 stands for d_model // n_heads and 4 * d_model.
        attn_only: whether to leave out the MLP; d_mlp is then 0.
        attention_rate: alpha of Zhong et al. 2023: pattern <- alpha * pattern + (1 - alpha), so that at 0
            every position adds the full value of every position.
        normalization: None, or the norm before each sublayer and before the unembedding: "LN" and "RMS" have
            weights, "LNPre" and "RMSPre" have none.
        norm_position: "pre", before each sublayer, or "post", after its output was added to the residual stream.
        final_norm: whether there is also a norm before the unembedding; without `normalization` there is none.
        norm_eps: added by the norms to the variance, or to the mean square, before the square root.
        gated_mlp: whether the MLP multiplies act_fn(x @ W_gate) by x @ W_in, as SwiGLU and GeGLU do.
        init: scheme for the initial weights; see `mechgrok.models.init`.
    """

    kind: Literal["transformer"] = "transformer"
    d_vocab: OpenSize = 0
    d_vocab_out: OpenSize = 0
    n_ctx: OpenSize = 0
    output: Literal["classes", "vocabulary"] = "classes"
    n_layers: Size = 1
    d_model: Size = 128
    n_heads: Size = 4
    d_head: OpenSize = 0
    d_mlp: OpenSize = 0
    attn_only: bool = False
    act_fn: Activation = "relu"
    attention_dir: Literal["causal", "bidirectional"] = "causal"
    attention_rate: Rate = 1.0
    positions: Literal["learned", "none"] = "learned"
    normalization: Normalization | None = None
    norm_position: Literal["pre", "post"] = "pre"
    final_norm: bool = True
    norm_eps: Positive = 1e-5
    gated_mlp: bool = False
    attn_bias: bool = False
    mlp_bias: bool = True
    unembed_bias: bool = False
    init: Annotated[str, AfterValidator(INITS.check)] = "nanda"

    @model_validator(mode="after")
    def _fill_in(self) -> "ModelConfig":
        # The class is frozen; replacing 0 with the actual size is part of building it.
        object.__setattr__(self, "d_head", self.d_head or max(self.d_model // self.n_heads, 1))
        object.__setattr__(self, "d_mlp", 0 if self.attn_only else self.d_mlp or 4 * self.d_model)
        return self

    def replace(self, **changes: Any) -> "ModelConfig":
        """As for every configuration; a d_head and d_mlp derived from d_model are derived from the new one."""
        followed = {"d_head": self.d_model // self.n_heads, "d_mlp": 4 * self.d_model}
        reopened = {name: 0 for name, size in followed.items() if getattr(self, name) == size}
        return super().replace(**{**reopened, **changes})

    def for_sizes(self, **sizes: Any) -> "ModelConfig":
        """As for every network; with output="vocabulary" there is a logit for each token."""
        if self.output == "vocabulary":
            sizes["d_vocab_out"] = sizes.get("d_vocab", 0)
        return super().for_sizes(**sizes)

    @property
    def least_weights(self) -> int:
        outer = self.d_model * (self.d_vocab + self.d_vocab_out + self.n_ctx * (self.positions == "learned"))
        mlp = 0 if self.attn_only else (2 + self.gated_mlp) * self.d_mlp
        return outer + self.n_layers * self.d_model * (4 * self.n_heads * self.d_head + mlp)


class MLPConfig(NetworkConfig):
    """Architecture of a `HookedMLP`, a feed-forward network on two operands.

    The defaults describe Model alpha of Zhong et al. 2023. Beta has n_layers=2; gamma has n_layers=2 and
    bias_per_operand=True; delta has combine="concat" and d_embed=128; alpha' has embeddings="separate".

    Attributes:
        d_vocab, d_vocab_out: 0 until a task fills them in (`for_sizes`).
        inputs: with "one_hot" there is no factorisation between token and neuron: the embedding has the width of
            the hidden layer and is summed there, which is the first layer of a network on one-hot vectors.
        embeddings: "shared" by both operands, or "separate".
        combine: how the embeddings of the operands are combined: added or concatenated.
        d_embed: width of one operand's embedding; always d_mlp for one-hot inputs.
        d_mlp, n_layers: width and number of the hidden layers.
        bias_per_operand: whether the first bias counts once per operand, as when one linear layer is applied to
            each operand before they are added.
        readout: "direct", one matrix from the last hidden layer to the logits; "factored", through d_embed
            dimensions, W_out @ W_U; "tied", the same with the transposed embedding as W_U.
        init: scheme for the initial weights; see `mechgrok.models.init`.
    """

    kind: Literal["mlp"] = "mlp"
    slots: ClassVar[tuple[str, ...]] = ("a", "b")
    d_vocab: OpenSize = 0
    d_vocab_out: OpenSize = 0
    inputs: Literal["embedding", "one_hot"] = "embedding"
    embeddings: Literal["shared", "separate"] = "shared"
    combine: Literal["sum", "concat"] = "sum"
    d_embed: OpenSize = 256
    d_mlp: Size = 256
    n_layers: Size = 1
    act_fn: Activation = "relu"
    mlp_bias: bool = True
    bias_per_operand: bool = False
    readout: Literal["direct", "factored", "tied"] = "direct"
    unembed_bias: bool = False
    init: Annotated[str, AfterValidator(MLP_INITS.check)] = "pizza"

    @model_validator(mode="after")
    def _fill_in(self) -> "MLPConfig":
        if self.inputs == "one_hot" and self.combine == "concat":
            raise ValueError("one-hot inputs side by side are embeddings='separate' with combine='sum'")
        if self.readout == "tied" and self.embeddings == "separate":
            raise ValueError("readout='tied' needs one embedding to be tied to: embeddings='shared'")
        if self.bias_per_operand and not (self.mlp_bias and self.combine == "sum"):
            raise ValueError("bias_per_operand needs mlp_bias=True and combine='sum'")
        object.__setattr__(self, "d_embed", self.d_mlp if self.inputs == "one_hot" else self.d_embed or 256)
        return self

    @property
    def n_ctx(self) -> int:
        """The number of tokens it reads: the two operands."""
        return 2

    @property
    def d_model(self) -> int:
        """Width of the token embedding, under TransformerLens's name."""
        return self.d_embed

    def for_sizes(self, **sizes: Any) -> "MLPConfig":
        """As for every network.

        Raises:
            ConfigError: the task does not have two tokens.
        """
        if sizes.get("n_ctx", self.n_ctx) != self.n_ctx:
            raise ConfigError(
                f"an MLP reads the two operands, the task has {sizes['n_ctx']} tokens; write it down with "
                "task.with_sequence('a', 'b')"
            )
        return super().for_sizes(**sizes)

    @property
    def least_weights(self) -> int:
        embedded = self.inputs == "embedding"
        first = self.d_embed * (self.d_vocab + self.d_mlp) if embedded else self.d_vocab * self.d_mlp
        read = min(self.d_embed or self.d_vocab_out, self.d_vocab_out)
        return first + self.d_mlp * (self.d_mlp * (self.n_layers - 1) + read)


class DenseConfig(NetworkConfig):
    """Architecture of a `HookedDense`, a feed-forward network on all of its inputs at once.

    Features enter unchanged, tokens as concatenated one-hot vectors or as their numbers.

    Attributes:
        features: shape of the features. This, or d_vocab and n_ctx for tokens, is open until a task fills it in.
        inputs: how tokens enter; with "number", each token is one input with its number as the value, as for bits.
        d_vocab_out: number of outputs; 0 until a task fills it in.
        d_mlp, n_layers: width and number of the hidden layers.
        init: scheme for the initial weights; see `mechgrok.models.init`.
    """

    kind: Literal["dense"] = "dense"
    features: tuple[Size, ...] = ()
    d_vocab: OpenSize = 0
    n_ctx: OpenSize = 0
    d_vocab_out: OpenSize = 0
    inputs: Literal["one_hot", "number"] = "one_hot"
    d_mlp: Size = 256
    n_layers: Size = 1
    act_fn: Activation = "relu"
    mlp_bias: bool = True
    unembed_bias: bool = True
    init: Annotated[str, AfterValidator(MLP_INITS.check)] = "fan_in"

    @property
    def d_embed(self) -> int:
        """The number of inputs of the first hidden layer."""
        if self.features:
            return prod(self.features)
        return self.n_ctx * (self.d_vocab if self.inputs == "one_hot" else 1)

    @property
    def d_model(self) -> int:
        """The same, under TransformerLens's name for the width of a block's input."""
        return self.d_embed

    @property
    def combine(self) -> str:
        """How the inputs are combined, in the terms of `MLPConfig`: they form a single vector."""
        return "sum"

    @property
    def least_weights(self) -> int:
        return self.d_mlp * (self.d_embed + self.d_mlp * (self.n_layers - 1) + self.d_vocab_out)


class CustomConfig(Config):
    """A user-defined network: what a run can record about it, since only its author's code can build it.

    Attributes:
        name: name of the module's class.
        parameters: shape of each parameter and buffer, by name.
    """

    kind: Literal["custom"] = "custom"
    name: str
    parameters: dict[str, tuple[int, ...]]
    slots: ClassVar[tuple[str, ...]] = ()

    @property
    def reads_features(self) -> bool:
        """Only its author knows; the task is tried with it when it is made."""
        return True


def as_architecture(given: Any) -> Any:
    """The configuration of a network from its JSON values, by their kind; a configuration is returned unchanged.

    Raises:
        ValueError: it is neither; the kind is not registered; the values do not fit its configuration.

    >>> as_architecture({"kind": "dense", "d_mlp": 8}).d_mlp
    8
    """
    if isinstance(given, NetworkConfig | CustomConfig):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(
            f"an architecture is a configuration such as ModelConfig(), or its fields by name; got {shown(given)}"
        )
    kind = given.get("kind", "transformer")
    config = CustomConfig if kind == CUSTOM else NETWORKS[NETWORKS.check(kind)].config
    return config(**given)


class TrainConfig(Config):
    """How a network is trained. One step is one optimiser update.

    Attributes:
        recipe: name of the configuration, for tables, messages and folders: letters, digits, and . _ + - or
            spaces between them.
        fraction, split_rule: the training set, see `mechgrok.tasks.make_split`.
        sequence: what the network reads, if the task leaves it open.
        model: the architecture; its sizes come from the task. For a user-defined network, only its class and the
            shapes of its weights are recorded, see `network=` of `train`.
        objective: "cross_entropy", "mse" on one-hot targets, or "stablemax" (Prieto et al. 2025).
        loss_dtype: precision of the training loss. float64 and float32 are exact for small losses; the
            precision itself is studied with `naive_loss`.
        naive_loss: whether to use log_softmax in `loss_dtype` directly, including its rounding: a softmax that
            reaches 1 gives a loss and a gradient of exactly 0 (softmax collapse).
        loss_scale: factor on the loss; some papers divide by the number of classes.
        batch_size: examples per step; 0 for the whole training set.
        lr: learning rate, after the warm-up.
        weight_decay: strength of the weight decay; AdamW removes lr * weight_decay of each weight per step.
        betas: decay rates of the running means of the gradient and of its square, for Adam and AdamW.
        momentum: momentum of SGD.
        eps: added by Adam and AdamW to the root of the mean squared gradient; the norms of a network have their
            own.
        optimizer: one of `mechgrok.OPTIMIZERS`: "adamw"; "adam" and "sgd", with the decay towards zero added to the
            gradient; "muon" for the matrices, with AdamW for embeddings, unembedding and biases.
        decay_towards: one of `mechgrok.DECAYS`: "zero", or "init" for decay towards the initial weights; the
            latter is decoupled from the gradient, as in AdamW, for every optimiser.
        gradient: one of `mechgrok.GRADIENTS`, the treatment of gradients before the optimiser: none ("plain"),
            the slow component amplified ("grokfast_ema", "grokfast_ma", Lee et al. 2024), or the component along
            the weights removed ("orthograd", Prieto et al. 2025).
        grokfast_alpha: decay rate of the running mean of gradients, for "grokfast_ema".
        grokfast_lambda: factor on the slow component before it is added to the gradient.
        grokfast_window: number of recent gradients that are averaged, for "grokfast_ma".
        frozen: parts of the network that keep their initial weights, by the names of their parameters or of the
            modules that hold them: "embed", "blocks.0.mlp". Neither gradients nor weight decay affect them.
        warmup: steps of linear warm-up; the multiplier of step i is min(i / warmup, 1), so that the first
            step of a warm-up changes nothing, as in the papers' code.
        steps: maximum number of steps.
        stop_when_settled: whether to end early once the network has grokked and no longer changes; see
            `mechgrok.training.stopping`.
        stop_test_loss: end early once the test loss is below this.
        eval_every: steps between two evaluations on the train and the test inputs.
        checkpoints: when to keep the weights. "regular": every `checkpoint_every` steps. "logarithmic": at
            1, 2, 5, 10, 20, 50, ... "adaptive": regular, and whenever the test loss has changed by a factor
            of 1.5 since the last one. The first and the last state are always kept.
        checkpoint_every: steps between two checkpoints, for "regular" and "adaptive".
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
    """Fields of a `TrainConfig` by name, accepted by `train` besides its own arguments."""

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
    """All fields of a `TrainConfig` by name, accepted by `train_many`."""

    recipe: str
    model: NetworkConfig | CustomConfig
    steps: int


class StartConfig(Config):
    """Weights of another network that training started with; they are stored next to the run's configuration.

    Attributes:
        task: name of the task that the other network was trained on; empty if unknown.
        parameters: names of the copied parameters; the others were drawn as usual.
        sha256: SHA-256 of these weights.
    """

    task: str
    parameters: tuple[str, ...]
    sha256: str


class RunConfig(Config):
    """Everything that determines a run, as stored with it.

    Attributes:
        task: the task's own `spec`.
        train: how it is trained, including the network.
        seed: seed of the initial weights, and of the split unless one was given.
        start: the weights copied from another network; None if all weights were drawn.
        threads: number of CPU threads used for computing and resuming it; it determines how sums are rounded.
            None if it was not recorded.
    """

    version: Literal[1] = 1
    task: dict[str, Any]
    train: TrainConfig
    seed: Seed
    start: StartConfig | None = None
    threads: Size | None = None


for _config, _network in {
    ModelConfig: "transformer:HookedTransformer",
    MLPConfig: "mlp:HookedMLP",
    DenseConfig: "dense:HookedDense",
}.items():
    NETWORKS.register(
        _config.model_fields["kind"].default, NetworkEntry(f"mechgrok.models.{_network}", _config)
    )
