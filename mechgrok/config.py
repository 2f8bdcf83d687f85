"""Closed configurations: what a network, a training and a run are made of.

Every class here is frozen, refuses unknown keys, and goes to JSON and back unchanged. Values that follow
from others are properties, never fields, so that they cannot disagree.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mechgrok.errors import ConfigError


C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Base of all configurations: frozen, closed, and with errors that name the field and the value."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

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
            given = problem["input"]
            shown = f", got {given!r}" if not isinstance(given, dict) else ""
            lines.append(f"{field}: {problem['msg']}{shown}")
    return f"{config.__name__}: " + "; ".join(lines)


Size = Annotated[int, Field(ge=1)]
OpenSize = Annotated[int, Field(ge=0)]
"""A size that 0 leaves open: it follows from another one, or from the task."""
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

InitScheme = Literal["nanda", "pizza", "furuta", "tl"]
Activation = Literal["relu", "gelu", "square"]


class ModelConfig(Config):
    """Architecture of a `HookedTransformer`; the defaults are those of Nanda et al. 2023.

    Attributes:
        d_vocab, d_vocab_out, n_ctx: 0 until a task fills them in (`for_sizes`).
        output: with "classes", one logit for each answer; with "vocabulary" one for every token, as in the
            papers' code, which trains against the special tokens too.
        d_head, d_mlp: 0 stands for d_model // n_heads and 4 * d_model.
        attn_only: leaves the MLP out; d_mlp is then 0.
        attention_rate: alpha of Zhong et al. 2023: pattern <- alpha * pattern + (1 - alpha), so that at 0
            every position adds the full value of every position.
        normalization: None or "LN", LayerNorm before each block part and before the unembedding.
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
    normalization: Literal["LN"] | None = None
    attn_bias: bool = False
    mlp_bias: bool = True
    unembed_bias: bool = False
    init: InitScheme = "nanda"

    @model_validator(mode="after")
    def _fill_in(self) -> "ModelConfig":
        # The class is frozen; filling in what 0 stands for is part of building it.
        object.__setattr__(self, "d_head", self.d_head or max(self.d_model // self.n_heads, 1))
        object.__setattr__(self, "d_mlp", 0 if self.attn_only else self.d_mlp or 4 * self.d_model)
        return self

    def for_sizes(self, *, d_vocab: int, n_classes: int, n_ctx: int) -> "ModelConfig":
        """The same architecture with the sizes of a task; sizes that were given explicitly stay."""
        d_vocab_out = d_vocab if self.output == "vocabulary" else n_classes
        sizes = {"d_vocab": d_vocab, "d_vocab_out": d_vocab_out, "n_ctx": n_ctx}
        return self.replace(**{name: size for name, size in sizes.items() if not getattr(self, name)})


class TrainConfig(Config):
    """How a network is trained. One step is one optimiser update on the whole training set.

    Attributes:
        recipe: name under which the configuration is known; for tables and messages.
        fraction, split_rule: the training set, see `mechgrok.tasks.make_split`.
        sequence: what the network reads, where the task leaves it open.
        warmup: steps of linear warm-up; the multiplier of step i is min(i / warmup, 1), so that the very
            first step of a warm-up changes nothing, as in the papers' code.
        steps: the most steps to take.
        stop_when_settled: end early, once the network has grokked and no longer changes; see
            `mechgrok.training.settling`.
        eval_every: steps between two evaluations on the train and the test inputs.
        checkpoint_every: steps between two checkpoints; the first and the last state are always kept.
    """

    recipe: str = "custom"
    fraction: Fraction = 0.3
    split_rule: Literal["shuffle", "randperm", "unordered"] = "shuffle"
    sequence: tuple[str, ...] | None = None
    model: ModelConfig = ModelConfig()
    lr: Positive = 1e-3
    weight_decay: NonNegative = 1.0
    betas: tuple[float, float] = (0.9, 0.98)
    eps: Positive = 1e-8
    warmup: Count = 10
    steps: Count = 10_000
    stop_when_settled: bool = True
    eval_every: Size = 10
    checkpoint_every: Size = 100
