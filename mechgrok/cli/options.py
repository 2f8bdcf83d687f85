"""Options for the fields of the configuration classes, and configurations read from a file.

An option is named like its field, with dashes: `--lr`, `--d-model`. Fields of a network and of its training share one
level, since no two have the same name; in a file, the network's are below `model`, as in the configuration itself.
"""

import json
import tomllib
from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypedDict, cast, get_args, get_origin

from pydantic.fields import FieldInfo
from tyro.conf import arg

from mechgrok.cli.usage import described
from mechgrok.config import Config, NetworkConfig, TrainConfig, registry_of
from mechgrok.errors import ConfigError
from mechgrok.registries import NETWORKS
from mechgrok.spelling import unknown
from mechgrok.training.recipes import find_recipe

KINDS: dict[str, type[NetworkConfig]] = {kind: family.config for kind, family in NETWORKS.items()}
CONFIGS = tuple(KINDS.values())
"""Classes of architectures, from the families registered when the commands are declared."""
APART = ("recipe", "model")
"""Training fields that are not options: the recipe is the command's starting point, the network has its own."""
NONE = "none"
"""The choice that stands for None."""


def _kind(info: FieldInfo) -> Any:
    """The type of a field; for registered names, a choice of these."""
    registry = registry_of(info)
    return info.annotation if registry is None else Literal[tuple(registry)]  # pyright: ignore[reportInvalidTypeForm]


def _as_option(kinds: list[Any], meaning: str, default: str) -> Any:
    """The type of an option for a field, which several classes may have with different types."""
    kind = reduce(or_, kinds)
    members = [m for m in get_args(kind) if m is not NoneType] if NoneType in get_args(kind) else []
    if members:
        kind = members[0]
        if get_origin(kind) is Literal:
            kind = Literal[(*get_args(kind), NONE)]  # pyright: ignore[reportInvalidTypeForm]
    elif len(kinds) > 1 and all(get_origin(k) is Literal for k in kinds):
        choices = dict.fromkeys(choice for k in kinds for choice in get_args(k))
        kind = Literal[tuple(choices)]  # pyright: ignore[reportInvalidTypeForm]
    return Annotated[kind, arg(help=meaning or None, help_behavior_hint=default)]


def _options(name: str, *configs: type[Config], default: str) -> Any:
    """A dictionary type with a key for every field; omitted options have no key."""
    kinds: dict[str, list[Any]] = {}
    meanings: dict[str, str] = {}
    for config in configs:
        meanings = described(config.__doc__ or "", "Attributes:") | meanings
        for field, info in config.model_fields.items():
            kind = _kind(info)
            if field not in APART and kind not in kinds.setdefault(field, []):
                kinds[field].append(kind)
    types = {field: _as_option(kinds[field], meanings.get(field, ""), default) for field in kinds}
    make: Any = TypedDict  # type checkers cannot read fields that are known only at run time
    return make(name, types, total=False)


def _about_files(name: str) -> Any:
    """A dictionary type with a key for everything that a user may know about a network in a file."""
    told = {field: Annotated[kind, arg(help=meaning)] for field, (kind, meaning) in FILE_FIELDS.items()}
    make: Any = TypedDict
    return make(name, {**told, **NetworkOptions.__annotations__}, total=False)


FILE_FIELDS: dict[str, tuple[Any, str]] = {
    "task": (
        str,
        "the operation, where it is not stored and cannot be inferred; a group, such as S5, in the order of elements "
        "in which mechgrok has it; or a file with a table of answers or of a group, FILE.npy or FILE.npz:NAME.",
    ),
    "p": (int, "the modulus of the operation; by default what the sizes of the network suggest."),
    "sequence": (
        tuple[str, ...],
        "the tokens that the network in a file reads, with --task, such as a op b =.",
    ),
    "layout": (
        str,
        "how the tensors of a file are laid out; by default detected. `mechgrok list` shows all.",
    ),
    "rename": (
        tuple[str, ...],
        "names of tensors in a file and what they are called in its layout, as OLD=NEW.",
    ),
    "key": (str, "where the weights are in a file that holds more than these, such as model.state_dict."),
    "config": (Path, "file of JSON, YAML or TOML with fields of the network, for what tensors cannot tell."),
}
"""Options that describe a network in a file besides the fields of its configuration: type and meaning by name."""

TrainOptions: Any = _options("TrainOptions", TrainConfig, *CONFIGS, default="(default: the recipe's)")
NetworkOptions: Any = _options("NetworkOptions", *CONFIGS, default="(default: from the file)")
FileOptions: Any = _about_files("FileOptions")


def training_from(
    recipe: str | None, file: Path | None, options: Mapping[str, Any], default: str = "fast"
) -> TrainConfig:
    """A recipe, modified by a file of fields, then by options.

    Raises:
        ConfigError: an unknown recipe or field, a value that is invalid for its field, a file that cannot be read.
    """
    changes = {} if file is None else read_fields(file, TrainConfig)
    start = find_recipe(recipe or changes.pop("recipe", default))
    changes.pop("recipe", None)
    network = _fields(changes.pop("model", {}), file)
    network |= {name: value for name, value in options.items() if name not in TrainConfig.model_fields}
    changes |= {name: value for name, value in options.items() if name in TrainConfig.model_fields}
    if network:
        changes["model"] = _changed(cast(NetworkConfig, start.model), _without_none(network))
    return start.replace(**_without_none(changes))


def network_from(file: Path | None, options: Mapping[str, Any]) -> NetworkConfig | None:
    """The user's knowledge about the network in a file; None if there is none.

    Raises:
        ConfigError: an unknown field, a value that is invalid for its field, a file that cannot be read.
    """
    fields = _without_none(({} if file is None else read_fields(file, *CONFIGS)) | dict(options))
    if not fields:
        return None
    fitting = [kind for kind, config in KINDS.items() if fields.keys() <= config.model_fields.keys()]
    return _made(_of_kind(fields.get("kind", (fitting or ["transformer"])[0])), fields)


def read_fields(file: Path, *configs: type[Config]) -> dict[str, Any]:
    """Read fields of configurations from a JSON, YAML or TOML file.

    Raises:
        ConfigError: no such file, another kind of file, unparsable text, an unknown field.
    """
    readers = {".json": json.loads, ".toml": tomllib.loads, ".yaml": _yaml, ".yml": _yaml}
    if file.suffix.lower() not in readers:
        raise ConfigError(f"--config takes a file of {', '.join(readers)}; got {file}")
    try:
        values = readers[file.suffix.lower()](file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {file}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {file}: {str(error)[:300]}") from None
    return _fields(values, file, *configs)


def _fields(values: Any, file: Path | None, *configs: type[Config]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{file} holds {str(values)[:60]!r} where fields with values belong")
    known = dict.fromkeys(field for config in configs or CONFIGS for field in config.model_fields)
    for name in values:
        if name not in known:
            raise ConfigError(f"{file}: {unknown('field', name, known)}")
    return dict(values)


def _changed(base: NetworkConfig, fields: dict[str, Any]) -> NetworkConfig:
    """The recipe's network with other fields; a different kind of network starts from its defaults."""
    if fields.get("kind", base.kind) == base.kind:
        _check_kind(type(base), fields)
        return base.replace(**fields)
    return _made(_of_kind(fields["kind"]), fields)


def _of_kind(kind: Any) -> type[NetworkConfig]:
    if kind not in KINDS:
        raise ConfigError(unknown("kind of network", kind, KINDS))
    return KINDS[kind]


def _made(config: type[NetworkConfig], fields: dict[str, Any]) -> NetworkConfig:
    _check_kind(config, fields)
    return config(**fields)


def _check_kind(config: type[NetworkConfig], fields: Mapping[str, Any]) -> None:
    strange = [name for name in fields if name not in config.model_fields]
    if strange:
        kind = config.model_fields["kind"].default
        having = [f"--kind {k}" for k, c in KINDS.items() if all(name in c.model_fields for name in strange)]
        way = f"; {' and '.join(having)} {'has' if len(having) == 1 else 'have'}" if having else ""
        raise ConfigError(f"a network of the kind {kind} has no {', '.join(strange)}{way}")


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the word that stands for None by None, unless a field has the word itself as a choice."""
    return {
        name: None if value == NONE and name not in _HAVE_NONE else value for name, value in fields.items()
    }


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


_HAVE_NONE = {
    field
    for config in (TrainConfig, *CONFIGS)
    for field, info in config.model_fields.items()
    if NONE in get_args(info.annotation)
}
