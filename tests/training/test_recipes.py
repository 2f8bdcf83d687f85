"""The recipes build the networks of the papers, and train as they did."""

from pathlib import Path

import pytest
import torch

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
    model = mg.build_model(task.with_sequence(*(config.sequence or ("a", "b", "="))), config.model)
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


def test_the_networks_of_pair_have_the_published_shapes_and_norm():
    """3,216 numbers in the collapsed matrices; the notebook prints a norm of 37.387 after the first update."""
    task, parity = mg.modular_task("add", 67), mg.parity_task(30, n_samples=10)
    shapes = {
        "pair": {"embed.W_E": (67, 500), "blocks.0.mlp.W_in": (500, 24), "unembed.W_out": (24, 500)},
        "pair-unfactored": {"embed.W_E": (67, 24), "unembed.W_U": (24, 67)},
        "pair-circle": {"embed.W_E": (67, 2), "blocks.0.mlp.W_in": (2, 5), "unembed.W_out": (5, 2)},
        "pair-parity": {
            "blocks.0.mlp.W_in": (30, 64), "blocks.0.mlp.b_in": (64,), "unembed.W_U": (64, 2), "unembed.b_U": (2,),
        },
    }  # fmt: skip
    for recipe, expected in shapes.items():
        model = mg.build_model(parity if recipe == "pair-parity" else task, RECIPES[recipe].model)
        assert {name: tuple(p.shape) for name, p in model.named_parameters()} == expected
    model = mg.build_model(task, RECIPES["pair"].model, seed=0)
    norm = sum(p.double().square().sum().item() for p in model.parameters()) ** 0.5
    assert norm == pytest.approx(37.387, abs=0.4)


def test_pairs_are_unordered_and_the_loss_is_divided_by_the_classes():
    config = RECIPES["pair"]
    assert (config.split_rule, config.fraction, config.lr, config.weight_decay) == (
        "unordered",
        0.4,
        1e-3,
        1.0,
    )
    assert (config.betas, config.warmup, config.steps, config.loss_scale) == ((0.9, 0.98), 0, 50_000, 1 / 67)
    task = mg.modular_task("add", 67).with_sequence("a", "b")
    train = task.split(config.fraction, seed=0, rule=config.split_rule).train.view(67, 67)
    assert torch.equal(train, train.T)
    assert train.triu().sum() == int(0.4 * 67 * 68 / 2)


def test_the_circle_of_five_neurons_stays_as_it_is():
    run = mg.train(mg.modular_task("add", 11), "pair-circle", steps=3, progress=False)
    first, last = (run.model(step).state_dict() for step in (0, 3))
    assert torch.equal(first["embed.W_E"], last["embed.W_E"])
    assert not torch.equal(first["unembed.W_out"], last["unembed.W_out"])


def test_every_recipe_is_known_by_its_own_name():
    assert all(find_recipe(name).recipe == name for name in RECIPES)
    with pytest.raises(ConfigError, match=r"unknown recipe 'epsilon'; allowed: .*alpha-prime"):
        find_recipe("epsilon")
