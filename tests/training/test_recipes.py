"""The recipes build the networks of the papers, and train as they did."""

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


def parameters(recipe: str, task: mg.Task) -> dict[str, tuple[int, ...]]:
    """The shapes of a recipe's network on a task."""
    config = RECIPES[recipe]
    model = mg.build_model(task.written(*(config.sequence or ("a", "b", "="))), config.model)
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("recipe", "task", "file"),
    [
        ("nanda", mg.modular_task("add", 113), "nanda/wd_10-1_mod_addition_loss_curve"),
        ("chughtai", mg.sn_task("S5"), "rep_theory/S5_T_seed1"),
        ("nanda-induction", mg.repeated_sequence_task(), "nanda/induction_head_infinite"),
    ],
    ids=["nanda", "chughtai", "nanda-induction"],
)
def test_the_transformers_are_the_published_ones(recipe: str, task: mg.Task, file: str, peer_data: Path):
    theirs = mg.load_model(peer_data / f"{file}.safetensors")
    assert parameters(recipe, task) == {name: tuple(p.shape) for name, p in theirs.named_parameters()}


def test_furutas_network_has_neither_positions_nor_biases():
    shapes = parameters("furuta", mg.modular_task("add", 97))
    assert set(shapes) == {
        "embed.W_E", "unembed.W_U", "blocks.0.mlp.W_in", "blocks.0.mlp.W_out",
        *(f"blocks.0.attn.W_{m}" for m in "QKVO"),
    }  # fmt: skip
    assert shapes["unembed.W_U"] == (128, 98)  # every symbol is a possible answer


def test_powers_network_has_two_layers_and_no_bias_outside_of_layernorm():
    names = parameters("power", mg.modular_task("div", 97))
    assert {name.split(".")[1] for name in names if name.startswith("blocks")} == {"0", "1"}
    assert all(name.split(".")[-2].startswith("ln") for name in names if ".b" in name.replace("blocks", ""))
    assert names["ln_final.w"] == (128,)


def test_the_optimisers_of_the_four_papers():
    said = {
        "nanda": (0.3, 1e-3, 1.0, (0.9, 0.98), 10, 0, "float64"),
        "nanda-digits": (0.3, 1e-4, 0.1, (0.9, 0.98), 10, 64, "float64"),
        "nanda-skip-trigram": (0.3, 1e-3, 0.1, (0.9, 0.98), 10, 256, "float64"),
        "nanda-induction": (0.3, 1e-3, 1.0, (0.9, 0.999), 100, 128, "float64"),
        "furuta": (0.3, 1e-3, 1.0, (0.9, 0.98), 0, 0, "float64"),
        "power": (0.5, 1e-3, 1.0, (0.9, 0.98), 10, 512, "float32"),
        "chughtai": (0.6, 1e-3, 1.0, (0.9, 0.98), 0, 0, "float64"),
    }
    for recipe, expected in said.items():
        c = RECIPES[recipe]
        found = (c.fraction, c.lr, c.weight_decay, c.betas, c.warmup, c.batch_size, c.loss_dtype)
        assert found == expected, recipe
        assert c.optimizer == "adamw"


def test_every_recipe_is_known_by_its_own_name():
    assert all(find_recipe(name).recipe == name for name in RECIPES)
    with pytest.raises(ConfigError, match=r"unknown recipe 'epsilon'; allowed: .*alpha-prime"):
        find_recipe("epsilon")
