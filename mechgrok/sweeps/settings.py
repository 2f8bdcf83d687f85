"""The settings of a sweep: which trainings it consists of and how they differ."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mechgrok.config import Config, TrainConfig, check_seed
from mechgrok.door import door
from mechgrok.errors import ConfigError, shown
from mechgrok.readable import Readable, Records
from mechgrok.spelling import unknown
from mechgrok.storage import json_digest
from mechgrok.tasks import Task
from mechgrok.tasks.data import seeded
from mechgrok.training.networks import suited
from mechgrok.training.recipes import find_recipe

OWN = ("task", "recipe", "seed")
"""Fields that every setting has in addition to the ones that vary."""
MOST = 10**6
"""Maximum number of values or points created in one call."""


@dataclass(frozen=True, eq=False)
class Setting(Readable):
    """One training of a sweep: everything that determines it.

    Attributes:
        task: what is learned.
        config: how, including the network.
        seed: of the initial weights and of the split.
        varied: the fields by which the settings of the sweep differ, with the values of this one.
    """

    task: Task
    config: TrainConfig
    seed: int
    varied: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Identifies the setting: SHA-256 of the whole configuration, shortened to 16 digits."""
        return json_digest({"task": self.task.spec, "train": self.config.to_json(), "seed": self.seed})[:16]

    @property
    def name(self) -> str:
        """The varying values, as text for people and folders; the digest distinguishes settings of the same name."""
        parts = [_in_name(field, value) for field, value in self.varied.items() if field != "seed"]
        return re.sub(r"[^\w.+=-]+", "_", " ".join([*parts, f"seed{self.seed}"]))[:80].strip("_")

    @property
    def folder(self) -> str:
        """Name of its folder in a sweep."""
        return f"{self.name}-{self.digest}"

    def record(self) -> dict[str, Any]:
        """Task, recipe, seed and the varying values."""
        own = {"task": self.task.name, "recipe": self.config.recipe, "seed": self.seed}
        return own | {field: as_cell(value) for field, value in self.varied.items() if field not in OWN}

    def __repr__(self) -> str:
        return f"Setting({self.name}: {self.task.name}, {self.config.recipe})"


@door
def vary(
    *,
    task: Task | Iterable[Task],
    recipe: str | TrainConfig | Iterable[str | TrainConfig] = "fast",
    seed: int | Iterable[int] = 0,
    points: Iterable[Mapping[str, Any]] = ({},),
    **fields: Any,
) -> Records[Setting]:
    """Build the settings of a sweep: every combination of the listed values.

    A list, a range or an array lists values, each of which is tried; anything else, tuples included, is one value. So
    `betas=(0.9, 0.98)` is a value, and `betas=[(0.9, 0.98), (0.9, 0.999)]` are two.

    Args:
        task: one task or several.
        recipe: names of recipes, or configurations.
        seed: one seed or several; of the initial weights and of the splits.
        points: combinations that are listed one by one, each a dictionary of fields; every one is combined with
            everything else. `log_uniform` draws some.
        fields: fields of `TrainConfig`, such as `lr`, and of the network's configuration, such as `d_model`.

    Returns:
        A list of settings for `sweep`, with the seed varying fastest. Lists can be added.

    Raises:
        ConfigError: an unknown field, a value that a field does not take, no values, or a value that is listed twice.

    >>> from mechgrok import modular_task
    >>> runs = vary(task=modular_task("add", 31), lr=[1e-3, 1e-2], d_model=32, seed=range(3))
    >>> len(runs), runs[4].name, runs[4].config.model.d_model
    (6, 'lr=0.01_seed1', 32)
    """
    tasks, recipes = _values("task", task, Task), _values("recipe", recipe, str | TrainConfig)
    seeds = [check_seed(value) for value in _values("seed", seed, Integral)]
    listed = {field: _values(field, value) for field, value in fields.items()}
    bases = [find_recipe(one) for one in recipes]
    settings = []
    for one, base, point, values in product(tasks, bases, _checked(points), product(*listed.values())):
        chosen = dict(zip(listed, values, strict=True)) | point
        config = suited(changed(base, chosen), one)
        varied = {"task": one.name} if len(tasks) > 1 else {}
        varied |= {"recipe": base.recipe} if len(bases) > 1 else {}
        varied |= {name: value for name, value in chosen.items() if name in point or len(listed[name]) > 1}
        settings += [Setting(one, config, number, varied | {"seed": number}) for number in seeds]
    check_settings(settings)
    return Records(settings)


@door
def log_uniform(
    n: int, *, seed: int = 0, **bounds: tuple[int | float, int | float]
) -> list[dict[str, float]]:
    """Draw points for `vary`, uniformly in the logarithm of each field.

    Args:
        n: number of points.
        seed: of the draw; fewer points of the same seed are the first of more.
        bounds: the smallest and the largest value of each field, both above 0.

    Raises:
        ConfigError: no points, no fields, or bounds that are not ascending and positive.

    >>> points = log_uniform(400, lr=(1e-4, 1e-1), weight_decay=(1e-2, 10))
    >>> len(points), 1e-4 <= min(point["lr"] for point in points) < 2e-4
    (400, True)
    """
    if not 1 <= n <= MOST or not bounds:
        raise ConfigError(f"log_uniform draws 1 to {MOST} points of at least one field; got n={n}")
    for field, pair in bounds.items():
        _check_bounds(field, pair)
    low, high = (
        torch.tensor([pair[i] for pair in bounds.values()], dtype=torch.float64).log() for i in (0, 1)
    )
    share = torch.rand(n, len(bounds), dtype=torch.float64, generator=seeded("log_uniform", seed))
    drawn = (low + share * (high - low)).exp().tolist()
    return [dict(zip(bounds, row, strict=True)) for row in drawn]


@door
def log_grid(low: int | float, high: int | float, n: int) -> list[float]:
    """Geometrically spaced values for one field of `vary`, including both ends.

    Raises:
        ConfigError: bounds that are not ascending and positive, or fewer than two values.

    >>> log_grid(1e-3, 1e-1, 3)
    [0.001, 0.01, 0.1]
    """
    _check_bounds("log_grid", (low, high))
    if not 2 <= n <= MOST:
        raise ConfigError(f"log_grid gives 2 to {MOST} values, both ends included; got n={n}")
    return [
        float(f"{value:z.12g}") for value in np.geomspace(low, high, n)
    ]  # 0.01 rather than 0.010000000000000002


def changed(base: TrainConfig, fields: Mapping[str, Any]) -> TrainConfig:
    """Replace fields of a configuration or of the network in it.

    Raises:
        ConfigError: an unknown field, or a value that a field does not take.
    """
    own = {name: value for name, value in fields.items() if name in TrainConfig.model_fields}
    config = base.replace(**own)
    inner = {name: value for name, value in fields.items() if name not in own}
    for name in inner:
        if name not in type(config.model).model_fields:
            known = [*TrainConfig.model_fields, *type(config.model).model_fields]
            raise ConfigError(unknown("field", name, dict.fromkeys(known)))
    return config.replace(model=config.model.replace(**inner)) if inner else config


def check_settings(settings: Sequence[Setting]) -> None:
    """Check that there are settings and that no two are the same.

    Raises:
        ConfigError: there are none, or one comes twice.
    """
    if not settings:
        raise ConfigError("there is nothing to train: some list of values is empty")
    seen: dict[str, Setting] = {}
    for setting in settings:
        if setting.digest in seen:
            raise ConfigError(f"each setting is trained once, and {setting.name} is there twice")
        seen[setting.digest] = setting


def as_cell(value: Any) -> Any:
    """Convert a field's value for a table: to a number, a string, True, False or None.

    >>> as_cell((0.9, 0.98)), as_cell(1e-3), as_cell(True)
    ('0.9, 0.98', 0.001, True)
    """
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, tuple | list):
        return ", ".join(str(as_cell(one)) for one in value)
    return repr(value) if isinstance(value, Config) else str(value)


def _in_name(field: str, value: Any) -> str:
    return str(value) if field in OWN else f"{field}={as_cell(value)}"


def _values(field: str, given: Any, one: Any = None) -> list[Any]:
    """The values to try for a field; a tuple also lists values, unless the field itself holds tuples."""
    if one is not None and isinstance(given, one):
        return [given]
    lists = isinstance(given, list | range | np.ndarray | Tensor | Iterator)
    if not (lists or (one is not None and isinstance(given, Iterable))):
        return [given]
    values = given.tolist() if isinstance(given, np.ndarray | Tensor) else list(given)
    wrong = [value for value in values if one is not None and not isinstance(value, one)]
    if not values or wrong:
        raise ConfigError(
            f"vary takes one or several values of {field}; got {shown(wrong[0] if wrong else given)}"
        )
    twice = [
        value for number, value in enumerate(values) if any(value is v or value == v for v in values[:number])
    ]
    if twice:
        raise ConfigError(f"each value of {field} is tried once; got {shown(twice[0])} twice")
    return values


def _checked(points: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    listed = [dict(point) for point in points]
    taken = sorted({name for point in listed for name in point if name in OWN})
    if taken:
        raise ConfigError(
            f"points have fields of trainings and networks; {taken[0]} is an argument of its own"
        )
    return listed


def _check_bounds(field: str, bounds: Any) -> None:
    numbers = (
        isinstance(bounds, tuple | list) and len(bounds) == 2 and all(isinstance(b, Real) for b in bounds)
    )
    if not numbers or not 0 < bounds[0] < bounds[1] < float("inf"):
        raise ConfigError(f"{field} goes from one positive number to a larger one; got {shown(bounds)}")
