"""The architectures of networks, one configuration class for each family."""

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, model_validator

from mechgrok.config.base import Config, OpenSize, Positive, Rate, Size
from mechgrok.errors import ConfigError, shown
from mechgrok.registries import CUSTOM, INITS, MLP_INITS, NETWORKS, NetworkEntry

A = TypeVar("A", bound="NetworkConfig")

Activation = Literal["relu", "gelu", "gelu_new", "silu", "tanh", "sigmoid", "square"]
"""TransformerLens's names; "gelu" is the exact one, "gelu_new" its approximation by a tanh."""
Normalization = Literal["LN", "LNPre", "RMS", "RMSPre"]
"""TransformerLens's names: LayerNorm or RMSNorm, with weights of its own or ("Pre") without."""


class NetworkConfig(Config):
    """Architecture of a network of ours, or of a family that a user has registered in `NETWORKS`.

    A subclass has its `kind` as a field with a single value, and fields for the sizes that a task fills in, as long as
    they are 0 or (): `d_vocab_out`, with `d_vocab` and `n_ctx` if it reads tokens, or `features` if it reads features.
    It has `n_layers` if it has blocks, and `init`, checked against `INITS` or `MLP_INITS`, unless its network draws its
    weights in a way of its own.

    Attributes:
        kind: name of the family.
        slots: how the operands of a task are written for it, where the task leaves that open; () for no matter how.
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
        """Whether it can read whole numbers."""
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
        """The same architecture with the sizes of a task; sizes that were given explicitly stay."""
        fields = type(self).model_fields
        sizes = {"d_vocab_out": d_vocab_out, "d_vocab": d_vocab, "n_ctx": n_ctx, "features": features}
        return self.replace(
            **{name: size for name, size in sizes.items() if name in fields and not getattr(self, name)}
        )


class ModelConfig(NetworkConfig):
    """Architecture of a `HookedTransformer`; the defaults are those of Nanda et al. 2023.

    Attributes:
        kind: "transformer".
        d_vocab, d_vocab_out, n_ctx: 0 until a task fills them in (`for_sizes`).
        n_layers: number of blocks; of an MLP, of hidden layers.
        d_model: width of the residual stream.
        n_heads: attention heads in each block.
        act_fn: what the neurons do with their input.
        attention_dir: with "causal" a position attends to itself and those before it, with "bidirectional" to all.
        positions: "learned" position embeddings, or "none".
        attn_bias: whether queries, keys, values and the output of attention have biases.
        mlp_bias: whether the linear layers of the MLP have biases.
        unembed_bias: whether the logits have a bias.
        output: with "classes", one logit for each answer; with "vocabulary" one for every token, as in the
            papers' code, which trains against the special tokens too.
        d_head, d_mlp: 0 stands for d_model // n_heads and 4 * d_model.
        attn_only: leaves the MLP out; d_mlp is then 0.
        attention_rate: alpha of Zhong et al. 2023: pattern <- alpha * pattern + (1 - alpha), so that at 0
            every position adds the full value of every position.
        normalization: None, or which norm stands before each block part and before the unembedding: "LN" and "RMS"
            have weights, "LNPre" and "RMSPre" have none.
        norm_position: "pre", before each part of a block, or "post", after what it writes was added to the residual
            stream.
        final_norm: whether there is a norm before the unembedding too; without `normalization` there is none.
        norm_eps: what the norms add to the variance, or to the mean square, before its root is taken.
        gated_mlp: the MLP multiplies act_fn(x @ W_gate) by x @ W_in, as SwiGLU and GeGLU do.
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
        # The class is frozen; filling in what 0 stands for is part of building it.
        object.__setattr__(self, "d_head", self.d_head or max(self.d_model // self.n_heads, 1))
        object.__setattr__(self, "d_mlp", 0 if self.attn_only else self.d_mlp or 4 * self.d_model)
        return self

    def replace(self, **changes: Any) -> "ModelConfig":
        """As for every configuration; a d_head and d_mlp that followed from d_model follow the new one."""
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

    The defaults are Model alpha of Zhong et al. 2023. Beta has n_layers=2; gamma has n_layers=2 and
    bias_per_operand=True; delta has combine="concat" and d_embed=128; alpha' has embeddings="separate".

    Attributes:
        d_vocab, d_vocab_out: 0 until a task fills them in (`for_sizes`).
        inputs: with "one_hot" there is no factor between token and neuron: the embedding has the width of
            the hidden layer and is added up there. The first layer of a network on one-hot vectors is that.
        embeddings: "shared" by both operands, or "separate".
        combine: how the embeddings of the operands meet, as their sum or side by side.
        d_embed: width of one operand's embedding; d_mlp for one-hot inputs, whatever is given.
        d_mlp, n_layers: width and number of the hidden layers.
        bias_per_operand: the first bias counts once for each operand, as where one linear layer is applied
            to each operand before they are added.
        readout: "direct", one matrix from the last hidden layer to the logits; "factored" through d_embed
            dimensions, W_out @ W_U; "tied" the same with the transposed embedding as W_U.
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
            ConfigError: the task has other than two tokens.
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

    Features enter as they are, tokens as one-hot vectors side by side.

    Attributes:
        features: shape of the features, and d_vocab and n_ctx of tokens: open until a task fills one or the other in.
        d_vocab_out: number of outputs; 0 until a task fills it in.
        d_mlp, n_layers: width and number of the hidden layers.
        init: scheme for the initial weights; see `mechgrok.models.init`.
    """

    kind: Literal["dense"] = "dense"
    features: tuple[Size, ...] = ()
    d_vocab: OpenSize = 0
    n_ctx: OpenSize = 0
    d_vocab_out: OpenSize = 0
    d_mlp: Size = 256
    n_layers: Size = 1
    act_fn: Activation = "relu"
    mlp_bias: bool = True
    unembed_bias: bool = True
    init: Annotated[str, AfterValidator(MLP_INITS.check)] = "fan_in"

    @property
    def d_embed(self) -> int:
        """The number of inputs of the first hidden layer."""
        return prod(self.features) if self.features else self.d_vocab * self.n_ctx

    @property
    def d_model(self) -> int:
        """The same under TransformerLens's name for what enters a block."""
        return self.d_embed

    @property
    def combine(self) -> str:
        """How the inputs meet, as an `MLPConfig` says it: there is a single vector of them."""
        return "sum"

    @property
    def least_weights(self) -> int:
        return self.d_mlp * (self.d_embed + self.d_mlp * (self.n_layers - 1) + self.d_vocab_out)


class CustomConfig(Config):
    """A network of somebody's own: what a run can note about it, since only its author's code can build it.

    Attributes:
        name: of the module's class.
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
    """The configuration of a network from its JSON values, by their kind; a configuration is given back as it is.

    Raises:
        ValueError: it is neither; the kind is not registered; the values are not those of its configuration.

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


for _config, _network in {
    ModelConfig: "transformer:HookedTransformer",
    MLPConfig: "mlp:HookedMLP",
    DenseConfig: "dense:HookedDense",
}.items():
    NETWORKS.register(
        _config.model_fields["kind"].default, NetworkEntry(f"mechgrok.models.{_network}", _config)
    )
