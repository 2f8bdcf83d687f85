"""Configurations: closed, frozen, round trips through JSON, with errors that name field and value."""

import json

import pytest

from mechgrok.config import ModelConfig, RunConfig, TrainConfig
from mechgrok.errors import ConfigError, MechgrokError


def test_defaults_are_the_architecture_of_nanda_2023():
    cfg = ModelConfig()
    assert (cfg.n_layers, cfg.d_model, cfg.n_heads, cfg.d_head, cfg.d_mlp) == (1, 128, 4, 32, 512)
    assert (cfg.act_fn, cfg.attention_dir, cfg.attention_rate, cfg.normalization) == (
        "relu",
        "causal",
        1,
        None,
    )
    assert (cfg.attn_bias, cfg.mlp_bias, cfg.unembed_bias, cfg.init) == (False, True, False, "nanda")


@pytest.mark.parametrize(
    ("given", "d_head", "d_mlp"),
    [
        ({"d_model": 64}, 16, 256),
        ({"d_model": 64, "n_heads": 2}, 32, 256),
        ({"d_model": 10, "n_heads": 3}, 3, 40),
        ({"d_model": 2, "n_heads": 4}, 1, 8),
        ({"d_head": 5, "d_mlp": 7}, 5, 7),
        ({"attn_only": True}, 32, 0),
        ({"attn_only": True, "d_mlp": 7}, 32, 0),
    ],
)
def test_open_sizes_follow_from_d_model(given, d_head, d_mlp):
    cfg = ModelConfig(**given)
    assert (cfg.d_head, cfg.d_mlp) == (d_head, d_mlp)


def test_replace_keeps_what_followed_in_step():
    assert ModelConfig().replace(d_model=64) == ModelConfig(d_model=64)
    assert ModelConfig().replace(n_heads=8) == ModelConfig(n_heads=8)
    assert ModelConfig(d_mlp=7, d_head=5).replace(d_model=64) == ModelConfig(d_model=64, d_mlp=7, d_head=5)
    assert ModelConfig(attn_only=True).replace(attn_only=False) == ModelConfig()
    assert ModelConfig().replace(d_model=64, d_mlp=512) == ModelConfig(d_model=64, d_mlp=512)


def test_for_sizes_fills_what_is_open_alone():
    sizes = {"d_vocab": 8, "d_vocab_out": 7, "n_ctx": 3}
    cfg = ModelConfig().for_sizes(**sizes)
    assert (cfg.d_vocab, cfg.d_vocab_out, cfg.n_ctx) == (8, 7, 3)
    assert ModelConfig(output="vocabulary").for_sizes(**sizes).d_vocab_out == 8
    given = ModelConfig(d_vocab=12, n_ctx=5).for_sizes(**sizes)
    assert (given.d_vocab, given.d_vocab_out, given.n_ctx) == (12, 7, 5)


EXAMPLES = [
    ModelConfig(),
    ModelConfig(d_model=6, attn_only=True, normalization="LN", attention_rate=0.1),
    TrainConfig(),
    TrainConfig(sequence=("a", "b"), model=ModelConfig(d_model=8), lr=3e-4, betas=(0.9, 0.999), steps=7),
]


@pytest.mark.parametrize("config", EXAMPLES)
def test_json_round_trip_is_the_same_configuration(config):
    text = json.dumps(config.to_json())
    again = type(config)(**json.loads(text))
    assert again == config
    assert hash(json.dumps(again.to_json())) == hash(text)


@pytest.mark.parametrize("config", EXAMPLES)
def test_replace_without_changes_is_the_same(config):
    assert config.replace() == config


def test_replace_is_validated():
    with pytest.raises(ConfigError, match=r"lr: .*greater than 0, got -1"):
        TrainConfig().replace(lr=-1)
    with pytest.raises(ConfigError, match="unknown key 'learning_rate'"):
        TrainConfig().replace(learning_rate=1)


@pytest.mark.parametrize("config", [ModelConfig(), TrainConfig()])
def test_configurations_are_frozen(config):
    field = next(iter(type(config).model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(config, field, getattr(config, field))


@pytest.mark.parametrize(
    ("build", "values", "texts"),
    [
        (ModelConfig, {"d_modle": 3}, ["ModelConfig: unknown key 'd_modle'", "allowed: ", "d_model"]),
        (ModelConfig, {"d_model": 0}, ["d_model: ", "greater than or equal to 1, got 0"]),
        (ModelConfig, {"d_model": 1.5}, ["d_model: ", "got 1.5"]),
        (ModelConfig, {"d_model": "wide"}, ["d_model: ", "got 'wide'"]),
        (ModelConfig, {"d_model": None}, ["d_model: ", "got None"]),
        (ModelConfig, {"act_fn": "mish"}, ["act_fn: ", "'relu', 'gelu', ", "'square', got 'mish'"]),
        (
            ModelConfig,
            {"init": "xavier"},
            ["init: ", "'xavier'; allowed: nanda, nanda-heads, pizza, furuta, tl"],
        ),
        (ModelConfig, {"attention_rate": 1.1}, ["attention_rate: ", "less than or equal to 1, got 1.1"]),
        (ModelConfig, {"attention_rate": float("nan")}, ["attention_rate: ", "got nan"]),
        (ModelConfig, {"normalization": "BN"}, ["normalization: ", "got 'BN'"]),
        (ModelConfig, {"n_heads": 0, "n_layers": -1}, ["n_heads: ", "got 0", "; ", "n_layers: ", "got -1"]),
        (TrainConfig, {"fraction": 0}, ["TrainConfig: fraction: ", "greater than 0, got 0"]),
        (TrainConfig, {"fraction": 1.2}, ["fraction: ", "got 1.2"]),
        (TrainConfig, {"lr": 0}, ["lr: ", "got 0"]),
        (TrainConfig, {"lr": float("nan")}, ["lr: ", "got nan"]),
        (TrainConfig, {"weight_decay": -0.1}, ["weight_decay: ", "got -0.1"]),
        (TrainConfig, {"betas": (0.9,)}, ["betas"]),
        (
            TrainConfig,
            {"split_rule": "random"},
            ["split_rule: ", "unknown split rule 'random'", "allowed: shuffle"],
        ),
        (TrainConfig, {"eval_every": 0}, ["eval_every: ", "got 0"]),
        *(
            (
                TrainConfig,
                {"recipe": recipe},
                ["recipe: ", "names the folders of its runs", f"got {recipe!r}"],
            )
            for recipe in ("", ".", "..", "../x", "a/b", "a\\b", "a\nb", "<b>", "x" * 101)
        ),
        *(
            (
                RunConfig,
                {"task": {}, "train": TrainConfig(), "seed": seed},
                ["seed: ", "from 0 to 4294967295"],
            )
            for seed in (-1, 2**32, 2**70)
        ),
        (TrainConfig, {"model": {"kind": "transformer", "d_modle": 3}}, ["model", "unknown key 'd_modle'"]),
        (TrainConfig, {"model": {"kind": "transformer", "d_model": -3}}, ["model", "d_model: ", "got -3"]),
    ],
)
def test_errors_name_field_value_and_what_is_allowed(build, values, texts):
    with pytest.raises(ConfigError) as caught:
        build(**values)
    assert all(text in str(caught.value) for text in texts), str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_errors_are_of_the_one_tree_and_of_the_builtin():
    assert issubclass(ConfigError, MechgrokError)
    assert issubclass(ConfigError, ValueError)
