"""Named training configurations: the papers' set-ups to the last detail, and our own fast one."""

from mechgrok.config import ModelConfig, TrainConfig
from mechgrok.errors import ConfigError

FAST = TrainConfig(
    recipe="fast",
    model=ModelConfig(),
    lr=1e-2,
    weight_decay=1.0,
    warmup=10,
    steps=2000,
    checkpoint_every=50,
)
"""Ours: the network of Nanda et al. with ten times the learning rate; groks in about 500 steps."""

NANDA = TrainConfig(
    recipe="nanda",
    model=ModelConfig(output="vocabulary", init="nanda"),
    sequence=("a", "b", "="),
    lr=1e-3,
    weight_decay=1.0,
    betas=(0.9, 0.98),
    warmup=10,
    steps=40_000,
    loss_dtype="float64",
)
"""Nanda et al. 2023, main experiment: the loss runs over the logit of "=" too."""

RECIPES: dict[str, TrainConfig] = {config.recipe: config for config in (FAST, NANDA)}


def find_recipe(recipe: str | TrainConfig) -> TrainConfig:
    """The configuration of a name; a configuration is given back as it is.

    Raises:
        ConfigError: no recipe has this name.
    """
    if isinstance(recipe, TrainConfig):
        return recipe
    if recipe not in RECIPES:
        raise ConfigError(f"unknown recipe {recipe!r}; allowed: {', '.join(RECIPES)}, or a TrainConfig")
    return RECIPES[recipe]
