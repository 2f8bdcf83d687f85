"""Other people's weight files: detect their layout, and convert them into exactly the same network as ours, or refuse.

A layout is detected from the names and shapes of the tensors. Facts that these do not determine are resolved in
`facts`. Anything that our networks cannot represent is refused.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mechgrok.config import NetworkConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.layouts import bridge, mlps, torch_transformer  # noqa: F401 - each registers its own in LAYOUTS
from mechgrok.models.layouts.aliases import without_aliases
from mechgrok.models.layouts.buffers import is_buffer, read_buffers
from mechgrok.models.layouts.families import family_of, in_our_rows
from mechgrok.models.layouts.published import published_code
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.stored_network import (
    LAYOUTS,
    SETTINGS_KEY,
    Converted,
    Header,
    Layout,
    LayoutNote,
    StoredNetwork,
    Tensors,
    settings_of,
)
from mechgrok.models.layouts.transformers import CONFIG_KEY
from mechgrok.models.networks import make_network
from mechgrok.spelling import unknown

__all__ = [
    "CONFIG_KEY",
    "LAYOUTS",
    "SETTINGS_KEY",
    "Converted",
    "Layout",
    "LayoutNote",
    "RefusedError",
    "StoredNetwork",
    "model_from_tensors",
]


def model_from_tensors(
    tensors: Tensors,
    header: Header | None = None,
    *,
    layout: str | None = None,
    config: NetworkConfig | None = None,
    rename: Mapping[str, str] | None = None,
) -> HookedNetwork:
    """Build the network from a set of named tensors of any origin.

    Every tensor must be used, be a known buffer, or repeat another one; otherwise the file is refused. Facts that the
    tensors do not determine are taken from `config`, from the author's configuration, from masks among the tensors, or
    from the published code that wrote them; otherwise the file is refused, with the option that supplies them.

    Args:
        header: text metadata of the file; under "config" the author's own configuration as JSON.
        layout: name of the layout; None detects it.
        config: its explicitly set fields override what the tensors suggest, for facts that they cannot determine
            (activation function, attention direction and rate, number of heads, position of the norms).
        rename: new names for tensors of the file, by their names in the file. A TransformerLens name
            ("blocks.0.mlp.W_in") identifies the tensor, including its order of axes; a name ending in ".weight" has
            the axes of a torch module.

    Returns:
        The network; `model.layout` records their interpretation, with every fact that they do not determine.

    Raises:
        CheckpointError: no layout fits, the tensors do not match the layout, a fact that the tensors do not determine
            is unknown, or our networks cannot represent what is stored.
        ConfigError: the layout is unknown; `rename` names a tensor that does not exist.
    """
    known = {} if config is None else {name: getattr(config, name) for name in config.model_fields_set}
    tensors = _renamed(tensors, rename or {})
    settings = settings_of(header or {})
    author, fixed = published_code(tensors, settings)
    cut: tuple[str, ...] = ()
    try:
        if CONFIG_KEY not in (header or {}) and (family := family_of(tensors, settings)):
            author, fixed = f"Hugging Face's {family[0]}", family[1].fixed
            tensors, cut = in_our_rows(family[1], tensors)
        buffers = read_buffers({name: t for name, t in tensors.items() if is_buffer(name, t)})
    except RefusedError as reason:
        raise CheckpointError(f"the network cannot be represented: {reason}") from None
    kept, repeats = without_aliases({name: t for name, t in tensors.items() if not is_buffer(name, t)})
    stored = StoredNetwork(kept, header or {}, settings, known, buffers, fixed, author)
    found = _choose(stored, layout)
    converted = _convert(found, stored)
    known_config = _with_known(converted.config, config, known, found)
    _check_exactly(known_config, converted.state, found)
    model = make_network(known_config)
    if all(tensor.dtype == torch.float64 for tensor in converted.state.values()):
        model.double()
    model.load_state_dict(dict(converted.state))
    model.layout = LayoutNote(found.title, (*converted.notes, *cut, *repeats))
    model.task = converted.task
    return model


def _renamed(tensors: Tensors, rename: Mapping[str, str]) -> dict[str, Tensor]:
    for name in rename:
        if name not in tensors:
            raise ConfigError(f"rename: {unknown('tensor', name, tensors)}")
    new = [rename.get(name, name) for name in tensors]
    twice = sorted({name for name in new if new.count(name) > 1})
    if twice:
        raise ConfigError(f"rename: more than one tensor would be called {', '.join(twice)}")
    return dict(zip(new, tensors.values(), strict=True))


def _choose(stored: StoredNetwork, layout: str | None) -> Layout:
    names = [layout] if layout else sorted(LAYOUTS, key=lambda name: LAYOUTS[name].fallback)
    for candidate in map(LAYOUTS.__getitem__, names):
        if candidate.detect(stored):
            return candidate
    found = ", ".join(f"{name} {tuple(t.shape)}" for name, t in list(stored.tensors.items())[:6])
    raise CheckpointError(
        f"the tensors are in no layout that is known ({', '.join(names)}); they are "
        f"{found}, ... "
        "Say what they are with rename={...}, or build the network yourself and pass it to cache_grid(model, task)"
    )


def _convert(layout: Layout, stored: StoredNetwork) -> Converted:
    try:
        return layout.function(stored)
    except RefusedError as reason:
        problem = str(reason)
    except KeyError as error:
        problem = f"{error.args[0]} is missing"
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        problem = f"its configuration or the shapes of its tensors are wrong: {error}"
    raise CheckpointError(f"the file looks like {layout.title}, but {problem}")


def _with_known(
    inferred: NetworkConfig, config: NetworkConfig | None, known: Mapping[str, object], layout: Layout
) -> NetworkConfig:
    """The inferred architecture, overridden by the caller's explicit settings."""
    if config is None:
        return inferred
    if type(config) is not type(inferred):
        raise ConfigError(
            f"the file looks like {layout.title}, which is described by a {type(inferred).__name__}; "
            f"config is a {type(config).__name__}"
        )
    open_sizes = ("d_vocab", "d_vocab_out", "n_ctx")
    return inferred.replace(**{k: v for k, v in known.items() if v or k not in open_sizes})


def _check_exactly(config: NetworkConfig, state: Tensors, layout: Layout) -> None:
    """Check that every parameter is in the file, every tensor is used, and all are floats of the right shapes.

    The comparison allocates nothing, whatever sizes the configuration gives.
    """
    try:
        with torch.device("meta"):
            expected = {name: tuple(p.shape) for name, p in make_network(config).named_parameters()}
    except (RuntimeError, TypeError, OverflowError) as error:
        raise CheckpointError(f"the file looks like {layout.title}, of impossible sizes: {error}") from None
    given = {name: tuple(t.shape) for name, t in state.items()}
    problems = [f"{n} is missing" for n in expected.keys() - given.keys()]
    problems += [f"{n} {given[n]} is not part of the network" for n in given.keys() - expected.keys()]
    problems += [
        f"{n} has shape {given[n]}, expected {expected[n]}"
        for n in expected.keys() & given.keys()
        if expected[n] != given[n]
    ]
    problems += [
        f"{n} holds {t.dtype} and no floating-point numbers"
        for n, t in state.items()
        if not t.is_floating_point()
    ]
    if problems:
        raise CheckpointError(
            f"the file looks like {layout.title}, but {'; '.join(sorted(problems)[:5])}. "
            "Name another layout with layout=..., the architecture with config=..., or drop from the state "
            "dict what has no effect"
        )
