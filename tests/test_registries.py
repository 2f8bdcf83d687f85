"""Extensible registries: our own names are the declared ones, and users' names work wherever ours do."""

import subprocess
import sys
from textwrap import dedent

import pytest
import torch

import mechgrok as mg
from mechgrok import registries
from mechgrok.config import registered_names
from mechgrok.models.layouts import LAYOUTS
from mechgrok.registry import Registry

DECLARED = {
    **{name: value for name, value in vars(registries).items() if isinstance(value, Registry)},
    "LAYOUTS": LAYOUTS,
}
TASK = mg.modular_task("add", 5)
SMALL = mg.ModelConfig(d_model=16)


def test_the_registries_are_found():
    assert {"OPTIMIZERS", "GRADIENTS", "INITS", "LAYOUTS"} <= DECLARED.keys()


@pytest.mark.parametrize("name", DECLARED)
def test_declared_names_are_registered_and_no_others(name):
    registry = DECLARED[name]
    code = f"import mechgrok as mg; r = mg.{name}; [r[name] for name in r]; print(*r._things)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert sorted(done.stdout.split()) == sorted(registry.names)


@pytest.fixture
def sign_descent():
    class SignDescent(torch.optim.Optimizer):
        def __init__(self, weights, lr, weight_decay):
            super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for weight in group["params"]:
                    state = self.state[weight]
                    average = state.setdefault("average", torch.zeros_like(weight))
                    state["count"] = int(state.get("count", 0)) + 1
                    average.lerp_(weight.grad, 0.1)
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(average.sign(), alpha=-group["lr"] / state["count"])

    @mg.OPTIMIZERS.add("sign_descent", elementwise=True)
    def sign_descent(weights, config, weight_decay):
        return SignDescent(weights.values(), config.lr, weight_decay)

    yield
    del mg.OPTIMIZERS["sign_descent"]


def train(out=None, **changes):
    return mg.train(
        TASK,
        model=SMALL,
        optimizer="sign_descent",
        lr=1e-3,
        checkpoint_every=10,
        out=out,
        progress=False,
        **changes,
    )


@pytest.mark.usefixtures("sign_descent")
def test_an_own_optimizer_goes_on_bit_for_bit(tmp_path):
    whole = train(steps=20)
    train(tmp_path / "run", steps=10)
    longer = train(tmp_path / "run", steps=20)
    assert torch.equal(longer.model().W_in, whole.model().W_in)
    assert whole.parameter_groups["sign_descent"]["settings"]["weight_decay"] == 1.0


@pytest.mark.usefixtures("sign_descent")
def test_an_own_optimizer_that_acts_elementwise_is_batched(tmp_path):
    members = mg.train_many(
        TASK, model=SMALL, optimizer="sign_descent", lr=1e-3, steps=10, seeds=[0, 1], out=tmp_path, batched=True,
        progress=False,
    )  # fmt: skip
    assert [member.error for member in members] == [None, None]


@pytest.mark.usefixtures("sign_descent")
def test_what_a_configuration_names():
    config = mg.TrainConfig(optimizer="sign_descent", model=mg.MLPConfig(init="xavier"))
    names = [(registry.kind, name) for registry, name in registered_names(config)]
    assert ("optimizer", "sign_descent") in names
    assert ("scheme of initial weights", "xavier") in names
    assert len(names) >= 5


SCRIPT = """
    import sys
    import torch
    import mechgrok as mg

    @mg.GRADIENTS.add("clip")
    class Clip(mg.GradientFilter):
        def __call__(self, name, weight, gradient):
            gradient.clamp_(-0.01, 0.01)

    @mg.INITS.add("tiny")
    def tiny(path, shape, config, generator):
        return 0.01 * torch.randn(shape, generator=generator)

    if __name__ == "__main__":
        small = mg.ModelConfig(d_model=16, init="tiny")
        task = mg.modular_task("add", 5)
        members = mg.train_many(
            task, model=small, gradient="clip", steps=4, seeds=[0, 1], workers=2, out=sys.argv[1], progress=False
        )
        print([member.error for member in members])
"""


def test_processes_know_what_a_script_has_registered_and_others_say_that_they_do_not(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(dedent(SCRIPT))
    command = [sys.executable, str(script), str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout.split("\n")[-2:] == ["[None, None]", ""], done.stderr
    with pytest.raises(mg.MechgrokError, match=r"unknown gradient filter 'clip'.*has to be registered"):
        mg.load_run(tmp_path / "runs" / "fast-seed0").steps  # noqa: B018


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("optimizer", "adamw"),
        ("gradient", "grokfast_ema"),
        ("decay_towards", "init"),
        ("split_rule", "shuffle"),
    ],
)
def test_an_unknown_name_has_the_closest_ones(field, meant):
    with pytest.raises(mg.ConfigError, match=f"{field}: unknown .*did you mean {meant}"):
        mg.TrainConfig(**{field: meant + "s"})


def test_a_fact_that_entries_do_not_have_is_refused():
    with pytest.raises(mg.ConfigError, match=r"unknown fact about an optimizer 'elementwize'.*elementwise"):
        mg.OPTIMIZERS.add("x", elementwize=True)(lambda weights, config, decay: None)
    with pytest.raises(mg.ConfigError, match="is made of a function or class; got 3"):
        mg.GRADIENTS.add("x")(3)
    with pytest.raises(mg.ConfigError, match="as an optimizer is of the class OptimizerEntry"):
        mg.OPTIMIZERS["x"] = torch.optim.SGD  # pyright: ignore[reportArgumentType]


def test_what_an_own_entry_gives_is_checked():
    mg.INITS.add("flat")(lambda path, shape, config, generator: torch.zeros(3))
    mg.SPLIT_RULES.add("beyond")(lambda operands, fraction, seed: torch.tensor([25]))
    try:
        with pytest.raises(
            mg.ConfigError, match=r"init='flat' gives a tensor of shape \(6, 16\) for embed.W_E"
        ):
            mg.build_model(TASK, SMALL.replace(init="flat"))
        with pytest.raises(mg.ConfigError, match="'beyond' gives the numbers of the train inputs"):
            TASK.split(0.5, rule="beyond")
    finally:
        del mg.INITS["flat"], mg.SPLIT_RULES["beyond"]


def test_a_layout_of_ones_own_comes_before_those_that_take_anything():
    tensors = {"0.weight": torch.zeros(4, 10), "1.weight": torch.zeros(5, 4)}
    assert mg.LAYOUTS["torch_mlp"].fallback
    mine = mg.MLPConfig(d_vocab=5, d_vocab_out=5, d_mlp=4, inputs="one_hot", mlp_bias=False)

    @mg.LAYOUTS.add("mine", title="mine", detect=lambda source: "0.weight" in source.tensors)
    def from_mine(source):
        state = {"embed.W_E": torch.ones(5, 4), "unembed.W_U": torch.ones(4, 5)}
        return mg.Converted(mine, state)

    try:
        assert str(mg.load_model(tensors).layout) == "mine"
    finally:
        del mg.LAYOUTS["mine"]


def test_a_recipe_has_its_name():
    mg.RECIPES["mine"] = mg.TrainConfig(lr=0.5)
    try:
        assert mg.RECIPES["mine"].recipe == "mine"
    finally:
        del mg.RECIPES["mine"]
    with pytest.raises(mg.ConfigError, match="mechgrok has a recipe 'fast'"):
        mg.RECIPES["fast"] = mg.TrainConfig()
