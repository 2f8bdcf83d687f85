"""The base of all configurations, and the types of their fields."""

from numbers import Integral
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from mechgrok.errors import ConfigError, shown
from mechgrok.readable import Readable
from mechgrok.registry import Registry

C = TypeVar("C", bound="Config")


class Config(BaseModel, Readable):
    """Base of all configurations: frozen, closed, and with errors that name the field and the value."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    if not TYPE_CHECKING:  # pydantic tells checkers which fields there are

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
    """The registry that has the names which a field takes; None for a field that takes something else."""
    for constraint in info.metadata:
        registry = getattr(getattr(constraint, "func", None), "__self__", None)
        if isinstance(registry, Registry):
            return registry
    return None


Size = Annotated[int, Field(ge=1, lt=2**31)]
OpenSize = Annotated[int, Field(ge=0, lt=2**31)]
"""A size that 0 leaves open: it follows from another one, or from the task."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
LARGEST_SEED = 2**32 - 1
"""Every generator takes seeds up to here, and so do those that are derived from a seed, one for each epoch."""


def check_seed(seed: Any) -> int:
    """The seed, if it is one.

    Raises:
        ConfigError: it is not a whole number from 0 to 2^32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) <= LARGEST_SEED:
        raise ConfigError(f"a seed is a whole number from 0 to {LARGEST_SEED}, got {shown(seed)}")
    return int(seed)


Seed = Annotated[int, AfterValidator(check_seed)]
