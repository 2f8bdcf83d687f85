"""HookedMLP: every architecture computes its formula, and every analysis accepts it."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import mechgrok as mg
from mechgrok.config import MLPConfig
from mechgrok.errors import ActivationError, ConfigError
from mechgrok.models.constructed import pizza_network
from mechgrok.models.files import read_model, write_model
from mechgrok.models.mlp import HookedMLP

P = 7
TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P))
SMALL = MLPConfig(d_vocab=P, d_vocab_out=P, d_embed=5, d_mlp=9)
VARIANTS = {
    "alpha": SMALL,
    "beta": SMALL.replace(n_layers=2),
    "gamma": SMALL.replace(n_layers=2, bias_per_operand=True),
    "delta": SMALL.replace(combine="concat"),
    "alpha'": SMALL.replace(embeddings="separate"),
    "three layers": SMALL.replace(n_layers=3, combine="concat", embeddings="separate", act_fn="gelu"),
    "no biases": SMALL.replace(mlp_bias=False, act_fn="square"),
    "one-hot": SMALL.replace(inputs="one_hot"),
    "one-hot, side by side": SMALL.replace(inputs="one_hot", embeddings="separate", unembed_bias=True),
    "factored": SMALL.replace(readout="factored"),
    "tied": SMALL.replace(readout="tied", mlp_bias=False),
}
ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu, "square": torch.square}


def drawn(name: str) -> HookedMLP:
    """A network with biases other than zero."""
    model = HookedMLP(VARIANTS[name])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def by_hand(model: HookedMLP, tokens: Tensor) -> Tensor:
    """The formulas, from the named weights alone."""
    w, cfg = model.state_dict(), model.cfg
    act = ACTIVATIONS[cfg.act_fn]
    a, b = w["embed.W_E"][tokens[:, 0]], w.get("embed_b.W_E", w["embed.W_E"])[tokens[:, 1]]
    x = torch.cat([a, b], dim=1) if cfg.combine == "concat" else a + b
    for i in range(cfg.n_layers):
        x = x @ w.get(f"blocks.{i}.mlp.W_in", torch.eye(cfg.d_mlp))
        bias = w.get(f"blocks.{i}.mlp.b_in", torch.zeros(cfg.d_mlp))
        x = act(x + bias + (bias if i == 0 and cfg.bias_per_operand else 0))
    if cfg.readout != "direct":
        x = x @ w["unembed.W_out"]
    logits = x @ (w["embed.W_E"].T if cfg.readout == "tied" else w["unembed.W_U"])
    return logits + w.get("unembed.b_U", torch.zeros(P))


@pytest.mark.parametrize("name", VARIANTS)
def test_forward_is_the_formula(name: str):
    model = drawn(name)
    logits = model(TOKENS)
    assert logits.shape == (P * P, 1, P)
    torch.testing.assert_close(logits[:, -1], by_hand(model, TOKENS), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_hooks_hold_what_their_names_say(name: str):
    model = drawn(name)
    _, cache = model.run_with_cache(TOKENS)
    last = f"blocks.{model.cfg.n_layers - 1}.mlp"
    assert cache["hook_embed"].shape == (P * P, 2, model.cfg.d_embed)
    torch.testing.assert_close(
        ACTIVATIONS[model.cfg.act_fn](cache[f"{last}.hook_pre"]), cache[f"{last}.hook_post"]
    )
    bias = model.unembed.b_U if model.unembed.b_U is not None else 0
    torch.testing.assert_close(
        cache[f"{last}.hook_post"] @ model.neuron_logit_map() + bias,
        cache["unembed.hook_out"],
        rtol=1e-4,
        atol=1e-4,
    )
    first, second = model.operand_maps()
    biases = 0 if model.layers[0].b_in is None else model.layers[0].b_in * model.layers[0].biases
    torch.testing.assert_close(
        (first[TOKENS[:, 0]] + second[TOKENS[:, 1]] + biases)[:, None],
        cache["blocks.0.mlp.hook_pre"],
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_files_bring_the_network_back(name: str, tmp_path):
    model = drawn(name)
    write_model(model, tmp_path / "m.safetensors")
    again = read_model(tmp_path / "m.safetensors")
    assert isinstance(again, HookedMLP)
    assert again.cfg == model.cfg
    assert torch.equal(again(TOKENS), model(TOKENS))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_seed_gives_the_same_weights_and_leaves_torch_alone(name: str):
    before = torch.get_rng_state()
    one, two, other = (HookedMLP(VARIANTS[name], seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["embed.W_E"], other["embed.W_E"])


@pytest.mark.parametrize(
    ("init", "deviations"),
    [
        ("pizza", {"embed.W_E": 128**-0.5, "unembed.W_U": 256**-0.5, "blocks.0.mlp.W_in": (3 * 512) ** -0.5,
                   "blocks.0.mlp.b_in": (3 * 512) ** -0.5}),
        ("fan_in", {"embed.W_E": 256**-0.5, "unembed.W_U": 256**-0.5, "blocks.0.mlp.W_in": 512**-0.5,
                    "blocks.0.mlp.b_in": 0.0}),
        ("pair", {"embed.W_E": (2 / 59) ** 0.5, "blocks.0.mlp.W_in": 0.88 * 512**-0.5,
                  "unembed.W_U": 0.88 * 256**-0.5, "blocks.0.mlp.b_in": 0.0}),
        ("xavier", {"embed.W_E": (2 / (256 + 59)) ** 0.5, "blocks.0.mlp.W_in": (2 / (512 + 256)) ** 0.5,
                    "blocks.0.mlp.b_in": 0.0}),
    ],
)  # fmt: skip
def test_initial_weights_have_the_deviations_of_their_papers(init, deviations: dict[str, float]):
    state = HookedMLP(MLPConfig(d_vocab=59, d_vocab_out=59, combine="concat", init=init), seed=0).state_dict()
    for name, deviation in deviations.items():
        assert state[name].std().item() == pytest.approx(deviation, rel=0.1, abs=1e-12)


@pytest.mark.parametrize("init", ["pair", "pair_circle"])
def test_truncated_weights_end_at_two_deviations(init):
    state = HookedMLP(MLPConfig(d_vocab=59, d_vocab_out=59, d_embed=40, init=init), seed=0).state_dict()
    largest = state["unembed.W_U"].abs().max().item() * 256**0.5
    assert 1.99 < largest <= 2.0


@pytest.mark.parametrize("p", [5, 8, 67])
def test_an_embedding_of_circles_has_columns_of_length_1(p):
    cfg = MLPConfig(d_vocab=p, d_vocab_out=p, d_embed=4, d_mlp=5, readout="tied", init="pair_circle")
    W_E = HookedMLP(cfg, seed=0).W_E
    angle = 2 * torch.pi / p * torch.arange(p)
    circles = torch.stack([angle.cos(), angle.sin(), (2 * angle).cos(), (2 * angle).sin()], 1)
    torch.testing.assert_close(W_E.detach(), circles * (2 / p) ** 0.5, atol=1e-6, rtol=0)


def test_as_many_circles_as_there_are():
    with pytest.raises(ConfigError, match="d_embed from 1 to 4 for 5 tokens; got 5"):
        HookedMLP(MLPConfig(d_vocab=5, d_vocab_out=5, d_embed=5, init="pair_circle"), seed=0)


def test_the_task_is_inferred_and_all_analyses_run():
    model = pizza_network(11, {2: 9.0, 5: 9.0})
    model.task = None
    grid = mg.cache_grid(model)
    assert (grid.task.name, grid.task.slots) == ("add11", ("a", "b"))
    assert mg.find_key_frequencies(grid).frequencies == (2, 5)
    assert mg.find_key_frequencies(grid, "embedding").frequencies == (2, 5)
    assert mg.find_key_frequencies(grid, "neurons").frequencies == (2, 5)
    assert mg.accuracy(grid) == 1.0
    assert mg.restricted_loss(grid, [2, 5]) < 5e-2
    assert mg.excluded_loss(grid, [2, 5]) > 2
    summary = mg.summarize(grid)
    assert summary.generalised
    assert summary.neurons is not None
    removed = mg.ablate(grid, [2, 5], site="embed")
    assert removed.accuracy < 0.2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"inputs": "one_hot", "combine": "concat"}, "embeddings='separate' with combine='sum'"),
        ({"readout": "tied", "embeddings": "separate"}, "needs one embedding to be tied to"),
        ({"bias_per_operand": True, "combine": "concat"}, "needs mlp_bias=True and combine='sum'"),
        ({"n_layers": 0}, "n_layers"),
    ],
)
def test_impossible_architectures_are_refused(options: dict, text: str):
    with pytest.raises(ConfigError, match=text):
        MLPConfig(**options)


def test_errors_at_the_door():
    with pytest.raises(ConfigError, match="a network needs d_vocab, d_vocab_out"):
        HookedMLP(MLPConfig())
    with pytest.raises(ConfigError, match="a logit for each of the 9 tokens"):
        HookedMLP(MLPConfig(d_vocab=9, d_vocab_out=7, readout="tied"))
    with pytest.raises(ConfigError, match=r"the task has 3 tokens; .*with_sequence\('a', 'b'\)"):
        MLPConfig().for_sizes(d_vocab=8, d_vocab_out=7, n_ctx=3)
    with pytest.raises(ActivationError, match="got 3 tokens"):
        HookedMLP(SMALL)(torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ActivationError, match=r"no hook '.*hook_pots'"):
        mg.cache_grid(HookedMLP(SMALL, seed=0), mg.modular_task("add", P), names=["blocks.0.mlp.hook_pots"])
