"""The recipes of Zhong et al. 2023 build the networks that the authors published, and train as they did."""

from pathlib import Path

import pytest

import mechgrok as mg
from mechgrok.errors import ConfigError
from mechgrok.training.recipes import RECIPES, find_recipe

TASK = mg.modular_task("add", 59)
PUBLISHED = {"pizza": "p99zdpze5l", "clock": "l8k1hzciux", "beta": "p71frej8t7", "delta": "qlvxqhkvit"}
LINEAR = ("alpha", "alpha-prime", "beta", "gamma", "delta")


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_the_networks_are_the_published_ones(recipe: str, peer_data: Path):
    theirs = mg.load_model(peer_data / f"pizza/{PUBLISHED[recipe]}.safetensors")
    task = TASK.with_sequence("a", "b")
    ours = mg.build_model(task, RECIPES[recipe].model)
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    for option in ("act_fn", "attention_rate", "attention_dir", "combine", "bias_per_operand", "embeddings"):
        assert getattr(ours.cfg, option, None) == getattr(theirs.cfg, option, None)


def test_the_linear_models_differ_in_what_the_paper_says():
    configs = {name: RECIPES[name].model for name in LINEAR}
    assert configs["alpha"].replace(embeddings="separate") == configs["alpha-prime"]
    assert configs["alpha"].replace(n_layers=2) == configs["beta"]
    assert configs["beta"].replace(bias_per_operand=True) == configs["gamma"]
    assert configs["alpha"].replace(combine="concat", d_embed=128) == configs["delta"]


@pytest.mark.parametrize("recipe", [*PUBLISHED, *LINEAR])
def test_all_train_alike_but_for_the_optimisers_memory(recipe: str):
    config = RECIPES[recipe]
    linear = recipe in LINEAR
    assert (config.recipe, config.fraction, config.lr, config.weight_decay) == (recipe, 0.8, 1e-3, 2.0)
    assert (config.betas, config.warmup) == (((0.9, 0.999), 0) if linear else ((0.9, 0.98), 10))
    assert (config.steps, config.batch_size, config.loss_dtype) == (20_000, 0, "float64")
    assert not config.stop_when_settled


def test_every_recipe_is_known_by_its_own_name():
    assert all(find_recipe(name).recipe == name for name in RECIPES)
    with pytest.raises(ConfigError, match=r"unknown recipe 'epsilon'; allowed: .*alpha-prime"):
        find_recipe("epsilon")
