"""Activation and path patching against hooks by hand, and on a network whose circuit is known."""

import pytest

import mechgrok as mg

TASK = mg.modular_task("add", 7)


def deep():
    return mg.build_model(TASK, mg.ModelConfig(d_model=16, n_heads=2, n_layers=2), seed=0).double()


def pair(model):
    """Two rows with different answers of the network."""
    answers = model(TASK.tokens)[:, -1].argmax(1)
    return 0, int((answers != answers[0]).nonzero()[-1])


@pytest.mark.parametrize(
    ("site", "name"),
    [("resid_pre", "hook_resid_pre"), ("mlp_out", "hook_mlp_out"), ("post", "mlp.hook_post")],
)
def test_positions_by_hand(site, name):
    model = deep()
    clean, corrupted = pair(model)
    found = mg.patch_activations(model, clean, corrupted, [site])
    runs = [model.run_with_cache(TASK.tokens[row][None]) for row in (clean, corrupted)]
    values = [logits[0, -1, found.answers[0]] - logits[0, -1, found.answers[1]] for logits, _ in runs]
    assert (found.clean, found.corrupted) == pytest.approx(tuple(x.item() for x in values))
    for layer in range(2):
        for position in range(3):

            def put(x, hook, layer=layer, position=position):
                x[:, position] = runs[0][1][f"blocks.{layer}.{name}"][:, position]
                return x

            logits = model.run_with_hooks(
                TASK.tokens[corrupted][None], fwd_hooks=[(f"blocks.{layer}.{name}", put)]
            )[0, -1]
            value = logits[found.answers[0]] - logits[found.answers[1]]
            share = ((value - values[1]) / (values[0] - values[1])).item()
            assert found.by_position[site][layer, position].item() == pytest.approx(share)


def test_heads_by_hand():
    model = deep()
    clean, corrupted = pair(model)
    found = mg.patch_activations(model, clean, corrupted, ["z", "pattern"])
    cache = model.run_with_cache(TASK.tokens[clean][None])[1]
    for site, axis in (("z", 2), ("pattern", 1)):

        def put(x, hook, site=site, axis=axis):
            x.select(axis, 1).copy_(cache[site, 0].select(axis, 1))
            return x

        logits = model.run_with_hooks(
            TASK.tokens[corrupted][None], fwd_hooks=[(f"blocks.0.attn.hook_{site}", put)]
        )[0, -1]
        value = (logits[found.answers[0]] - logits[found.answers[1]]).item()
        share = (value - found.corrupted) / (found.clean - found.corrupted)
        assert found.by_head[site][0, 1].item() == pytest.approx(share)


def test_the_last_stream_brings_everything_back():
    model = deep()
    found = mg.patch_activations(model, *pair(model), ["resid_post", "resid_pre"])
    assert found.by_position["resid_post"][1].tolist() == pytest.approx([0, 0, 1])
    assert found.by_position["resid_pre"][0, 2].item() == pytest.approx(
        0, abs=1e-12
    )  # the token "=" is the same


def test_paths_to_the_logits_are_direct_effects():
    """Without a norm, a direct path moves the logits by the difference of what the head writes."""
    model = deep()
    clean, corrupted = pair(model)
    found = mg.patch_paths(model, clean, corrupted)
    first, second = (model.run_with_cache(TASK.tokens[row][None])[1] for row in (clean, corrupted))
    direction = model.W_U[:, found.answers[0]] - model.W_U[:, found.answers[1]]
    for layer in range(2):
        for head in range(2):
            moved = (first["z", layer] - second["z", layer])[0, -1, head] @ model.W_O[layer, head] @ direction
            share = moved.item() / (found.clean - found.corrupted)
            assert found.path(f"L{layer}H{head}", "logits") == pytest.approx(share)
        moved = (first["mlp_out", layer] - second["mlp_out", layer])[0, -1] @ direction
        assert found.path(f"L{layer} mlp", "logits") == pytest.approx(
            moved.item() / (found.clean - found.corrupted)
        )
    assert found.path("L1H0", "L1H1 q") == 0


def test_a_path_between_heads_by_hand():
    model = deep()
    clean, corrupted = pair(model)
    found = mg.patch_paths(model, clean, corrupted)
    first, second = (model.run_with_cache(TASK.tokens[row][None])[1] for row in (clean, corrupted))
    stream = second["resid_pre", 1] + (first["z", 0] - second["z", 0])[:, :, 1] @ model.W_O[0, 1]

    def put(x, hook):
        x[:, :, 0] = stream @ model.W_V[1, 0]
        return x

    logits = model.run_with_hooks(TASK.tokens[corrupted][None], fwd_hooks=[("blocks.1.attn.hook_v", put)])[
        0, -1
    ]
    value = (logits[found.answers[0]] - logits[found.answers[1]]).item()
    share = (value - found.corrupted) / (found.clean - found.corrupted)
    assert found.path("L0H1", "L1H0 v") == pytest.approx(share)


def test_an_induction_circuit_is_found():
    network = mg.induction_network(d_vocab=6, n_ctx=8)
    paths = mg.patch_paths(network, [1, 2, 3, 1], [4, 2, 3, 1])
    strong = {(row["sender"], row["receiver"]) for row in paths.records() if abs(row["recovered"]) > 0.01}
    assert strong == {("L0H0", "L1H1 k"), ("L1H1", "logits")}
    heads = mg.patch_activations(network, [1, 2, 3, 1], [4, 2, 3, 1], ["z"]).by_head["z"]
    assert heads.flatten().tolist() == pytest.approx([1, 0, 0, 1], abs=1e-6)


def test_networks_without_heads_have_their_neurons_patched():
    model = mg.build_model(TASK, mg.MLPConfig(d_embed=8, d_mlp=16), seed=0)
    answers = mg.cache_grid(model).logits.argmax(1)
    other = int((answers != answers[0]).nonzero()[0])
    assert mg.patch_activations(model, 0, other, ["post"]).by_position["post"].tolist() == [
        [pytest.approx(1, abs=1e-5)]
    ]
    with pytest.raises(mg.ActivationError, match="name the sites"):
        mg.patch_activations(model, 0, other)
    with pytest.raises(mg.ActivationError, match="no heads"):
        mg.patch_paths(model, 0, other)


@pytest.mark.parametrize(
    ("clean", "corrupted", "said"),
    [
        (0, 49, "a row from 0 to 48"), (-1, 1, "a row from 0"), ([0, 1, 9], [0, 1, 7], "whole numbers from 0 to 7"),
        ([0, 1], [0, 1, 7], "the same length"), ([], [0], "an input"),
    ],
)  # fmt: skip
def test_what_is_no_input_is_refused(clean, corrupted, said):
    with pytest.raises(mg.ConfigError, match=said):
        mg.patch_activations(deep(), clean, corrupted)


def test_equal_answers_and_unknown_sites_are_refused():
    model = deep()
    with pytest.raises(mg.UndefinedMetricError, match="to both inputs"):
        mg.patch_activations(model, 3, 3)
    with pytest.raises(mg.ConfigError, match="a site is one of"):
        mg.patch_activations(model, *pair(model), ["resid"])
    with pytest.raises(mg.ConfigError, match="list of names"):
        mg.patch_activations(model, *pair(model), [])
