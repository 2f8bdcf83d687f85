"""A network family registered by a user's script: available everywhere that ours are."""

import pickle
import subprocess
import sys
from textwrap import dedent
from typing import Annotated, Literal

import pytest
import torch
from pydantic import AfterValidator
from torch import nn
from transformer_lens.hook_points import HookPoint

import mechgrok as mg
from mechgrok.config import registered_names
from mechgrok.models.sizes import PER_LAYER, least_bytes
from mechgrok.registries import NetworkEntry

TASK = mg.modular_task("add", 5)


class BilinearConfig(mg.NetworkConfig):
    """Products of two embeddings, one for each operand."""

    kind: Literal["bilinear_of_tests"] = "bilinear_of_tests"
    slots = ("a", "b")
    d_vocab: int = 0
    n_ctx: int = 0
    d_vocab_out: int = 0
    d_mlp: int = 16
    init: Annotated[str, AfterValidator(mg.MLP_INITS.check)] = "xavier"


class Bilinear(mg.HookedNetwork):
    def __init__(self, cfg, seed=None):
        super().__init__(cfg)
        self.W_a = nn.Parameter(torch.zeros(cfg.d_vocab, cfg.d_mlp))
        self.W_b = nn.Parameter(torch.zeros(cfg.d_vocab, cfg.d_mlp))
        self.W_U = nn.Parameter(torch.zeros(cfg.d_mlp, cfg.d_vocab_out))
        self.neuron_hook = "hook_post"
        self.hook_post = HookPoint()
        self.ready(seed)

    def forward(self, tokens):
        products = self.W_a[tokens[:, 0]] * self.W_b[tokens[:, 1]]
        return self.hook_post(products[:, None]) @ self.W_U

    def neuron_logit_map(self):
        return self.W_U


@pytest.fixture(autouse=True)
def family():
    mg.NETWORKS.add("bilinear_of_tests", config=BilinearConfig)(Bilinear)
    yield
    del mg.NETWORKS["bilinear_of_tests"]


def train(out=None, steps=20, **changes):
    return mg.train(
        TASK,
        model=BilinearConfig(),
        steps=steps,
        lr=0.01,
        checkpoint_every=10,
        out=out,
        progress=False,
        **changes,
    )


def test_a_network_of_the_family_has_the_sizes_of_a_task():
    model = mg.build_model(TASK, BilinearConfig(), seed=3)
    assert isinstance(model, Bilinear)
    assert model.W_a.shape == (5, 16), "written a b, as its slots say"
    again = mg.build_model(TASK, BilinearConfig(), seed=3)
    assert torch.equal(model.W_a, again.W_a)
    assert not torch.equal(model.W_a, mg.build_model(TASK, BilinearConfig(), seed=4).W_a)


def test_it_is_trained_and_goes_on_bit_for_bit(tmp_path):
    whole = train()
    train(tmp_path / "run", steps=10)
    run = train(tmp_path / "run")
    assert run.history == whole.history
    assert torch.equal(run.model().W_U, whole.model().W_U)
    opened = mg.load_run(tmp_path / "run")
    assert opened.config.train.model == BilinearConfig()
    assert type(opened.model(10)) is Bilinear


def test_analyses_and_measures_take_it(tmp_path):
    run = train(tmp_path / "run")
    grid = mg.cache_grid(run, names=["hook_post"])
    assert grid["hook_post"].shape == (25, 16)
    assert len(mg.neuron_frequencies(run).fve) == 16
    assert mg.summarize(run).verdict
    table = mg.progress_measures(run, ["loss_test", "gini_W_L"], progress=False)
    assert table["gini_W_L"][-1] is not None
    assert mg.write_report(tmp_path / "page.html", run).exists()


def test_it_is_saved_loaded_and_pickled(tmp_path):
    model = mg.build_model(TASK, BilinearConfig(), seed=0)
    loaded = mg.load_model(mg.save_model(model, tmp_path / "bilinear.safetensors"))
    tokens = TASK.written("a", "b").tokens
    assert torch.equal(loaded(tokens), model(tokens))
    assert torch.equal(pickle.loads(pickle.dumps(model))(tokens), model(tokens))
    config = mg.TrainConfig(model=BilinearConfig(d_mlp=3))
    assert pickle.loads(pickle.dumps(config)) == config
    assert mg.TrainConfig(**config.to_json()) == config
    assert config.replace(lr=0.5).model == config.model


def test_its_seeds_are_trained_as_one_network(tmp_path):
    members = mg.train_many(
        TASK, model=BilinearConfig(), steps=10, seeds=[0, 1], out=tmp_path, batched=True, progress=False
    )
    assert [member.error for member in members] == [None, None]


def test_a_configuration_names_its_family():
    named = [
        name
        for registry, name in registered_names(mg.TrainConfig(model=BilinearConfig()))
        if registry is mg.NETWORKS
    ]
    assert named == ["bilinear_of_tests"]


def test_sizes_that_are_open_are_told_and_weights_that_are_unknown_count_as_none():
    with pytest.raises(mg.ConfigError, match="needs d_vocab, n_ctx, d_vocab_out; set them"):
        Bilinear(BilinearConfig())
    assert least_bytes(BilinearConfig(d_mlp=10**6)) == PER_LAYER


class Features(mg.NetworkConfig):
    """Without a scheme of initial weights."""

    kind: Literal["features_of_tests"] = "features_of_tests"
    features: tuple[int, ...] = ()
    d_vocab_out: int = 0


class Linear(mg.HookedNetwork):
    def __init__(self, cfg, seed=None):
        super().__init__(cfg)
        self.W_U = nn.Parameter(torch.zeros(cfg.features[0], cfg.d_vocab_out))
        self.ready(seed)

    def forward(self, x):
        return (x @ self.W_U)[:, None]


class Drawn(Linear):
    def draw(self, path, shape, cfg, generator):
        return torch.rand(shape, generator=generator)


def test_a_network_draws_its_weights_or_names_a_scheme():
    x = torch.eye(6)
    task = mg.array_task(x, x[:, :2].sum(1).long(), name="either of two")
    try:
        mg.NETWORKS.add("features_of_tests", config=Features)(Linear)
        with pytest.raises(mg.ConfigError, match=r"Features has no field init .* method draw\(path, shape"):
            mg.build_model(task, Features())
        mg.NETWORKS.add("features_of_tests", config=Features)(Drawn)
        run = mg.train(task, model=Features(), fraction=0.5, steps=3, progress=False)
        assert run.history[-1]["loss_train"] is not None
        with pytest.raises(mg.ConfigError, match=r"are tokens, and a network of kind .* reads features"):
            mg.build_model(TASK, Features())
    finally:
        del mg.NETWORKS["features_of_tests"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(mg.ConfigError, match=r"class of its configurations.*'bilinear_of_tests'"):
        mg.NETWORKS.add("another_name", config=BilinearConfig)(Bilinear)
    with pytest.raises(mg.ConfigError, match="class of its configurations"):
        mg.NETWORKS.add("another_name")(Bilinear)
    with pytest.raises(mg.ConfigError, match="mechgrok has a kind of network 'mlp'"):
        mg.NETWORKS["mlp"] = NetworkEntry(Bilinear, type("Config", (mg.MLPConfig,), {}))
    mg.NETWORKS.add("bilinear_of_tests", config=BilinearConfig)(lambda cfg, seed: nn.Linear(2, 2))
    with pytest.raises(
        mg.ConfigError, match=r"derives from mg.HookedNetwork; what is registered gives the network Linear"
    ):
        mg.build_model(TASK, BilinearConfig())
    with pytest.raises(
        mg.ConfigError, match=r"unknown kind of network 'bilinear'.*did you mean bilinear_of_tests"
    ):
        mg.TrainConfig(model={"kind": "bilinear"})  # pyright: ignore[reportArgumentType]


SCRIPT = """
    import sys
    from typing import Annotated, Literal

    import torch
    from pydantic import AfterValidator
    from torch import nn

    import mechgrok as mg


    class BilinearConfig(mg.NetworkConfig):
        kind: Literal["bilinear"] = "bilinear"
        slots = ("a", "b")
        d_vocab: int = 0
        n_ctx: int = 0
        d_vocab_out: int = 0
        d_mlp: int = 16
        init: Annotated[str, AfterValidator(mg.MLP_INITS.check)] = "xavier"


    @mg.NETWORKS.add("bilinear", config=BilinearConfig)
    class Bilinear(mg.HookedNetwork):
        def __init__(self, cfg, seed=None):
            super().__init__(cfg)
            self.W_a = nn.Parameter(torch.zeros(cfg.d_vocab, cfg.d_mlp))
            self.W_b = nn.Parameter(torch.zeros(cfg.d_vocab, cfg.d_mlp))
            self.W_U = nn.Parameter(torch.zeros(cfg.d_mlp, cfg.d_vocab_out))
            self.ready(seed)

        def forward(self, tokens):
            return (self.W_a[tokens[:, 0]] * self.W_b[tokens[:, 1]] @ self.W_U)[:, None]


    if __name__ == "__main__":
        members = mg.train_many(
            mg.modular_task("add", 5), model=BilinearConfig(), steps=4, seeds=[0, 1], workers=2, out=sys.argv[1],
            progress=False,
        )
        print([member.error for member in members])
"""


@pytest.mark.slow
def test_processes_and_the_command_line_know_a_family_of_a_script(tmp_path):
    script = tmp_path / "my_family.py"
    script.write_text(dedent(SCRIPT))

    def run(*command):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=200, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("my_family.py", "runs").endswith("[None, None]\n")
    with pytest.raises(mg.CheckpointError, match=r"unknown kind of network 'bilinear'.*has to be registered"):
        mg.load_run(tmp_path / "runs" / "fast-seed0")
    cli = ("-m", "mechgrok.cli")
    own = ("--import", "my_family.py")
    run(
        *cli,
        "train",
        "add",
        "5",
        "--kind",
        "bilinear",
        "--d-mlp",
        "8",
        "--steps",
        "4",
        "--out",
        "one",
        "--quiet",
        *own,
    )
    assert "add5" in run(*cli, "analyze", "one", *own)
