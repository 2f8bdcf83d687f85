"""Starting from parts of another network, and freezing them."""

import pytest
import torch

import mechgrok as mg
from mechgrok.runs import load_run
from mechgrok.training.parameters import parameters_of, starting_weights

SMALL = mg.ModelConfig(d_model=16, n_heads=2)
ADD, MUL = mg.modular_task("add", 7), mg.modular_task("mul", 7)


def train(task=MUL, out=None, **changes):
    options = {"model": SMALL, "steps": 20, "fraction": 0.6, "checkpoint_every": 5, "progress": False}
    return mg.train(task, out=out, **{**options, **changes})


@pytest.fixture(scope="module")
def grokked():
    return train(ADD, seed=3).model()


def weights(run, step):
    return dict(run.model(step).named_parameters())


def names(model):
    return [name for name, _ in model.named_parameters()]


def test_parts_are_named_up_to_a_dot(grokked):
    assert list(parameters_of(grokked, ["embed"])) == ["embed.W_E"], "and not pos_embed, nor unembed"
    assert list(parameters_of(grokked, ["embed.W_E"])) == ["embed.W_E"]
    body = parameters_of(grokked, ["blocks"])
    assert len(body) == 8
    assert all(name.startswith("blocks.0.") for name in body)
    assert list(parameters_of(grokked, ["embed", "pos_embed", "blocks", "unembed"])) == names(grokked)
    with pytest.raises(mg.ConfigError, match=r"no part 'emb'; its parameters are embed\.W_E, "):
        parameters_of(grokked, ["emb"])


@pytest.mark.parametrize("parts", [["embed"], ["blocks"], ["blocks.0.attn", "unembed"], None])
def test_a_training_takes_over_what_it_is_told_and_draws_the_rest(grokked, parts):
    run = train(start=grokked, parts=parts, steps=0)
    drawn = dict(mg.build_model(run.task, SMALL, seed=0).named_parameters())
    source = dict(grokked.named_parameters())
    taken = parameters_of(grokked, names(grokked) if parts is None else parts)
    for name, weight in weights(run, 0).items():
        assert torch.equal(weight, (source if name in taken else drawn)[name]), name
    assert run.config.start.parameters == tuple(taken)
    assert run.config.start.task == "add7"


def test_weights_may_come_as_tensors(grokked):
    run = train(start={"embed.W_E": grokked.embed.W_E + 1}, steps=0)
    assert torch.equal(weights(run, 0)["embed.W_E"], grokked.embed.W_E + 1)
    assert run.config.start.task == ""


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
@pytest.mark.parametrize("model", [SMALL, SMALL.replace(n_layers=2)], ids=["by hand", "autograd"])
def test_frozen_parts_keep_their_weights_and_all_others_move(grokked, model, optimizer):
    run = train(start={"embed.W_E": grokked.embed.W_E}, frozen=("embed", "blocks.0.mlp"), model=model,
                optimizer=optimizer)  # fmt: skip
    before, after = weights(run, 0), weights(run, 20)
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {name for name in before if name.startswith(("embed.", "blocks.0.mlp."))}
    assert torch.equal(after["embed.W_E"], grokked.embed.W_E)


def test_a_frozen_part_changes_nothing_for_the_others():
    """One update: the trained parts get the same gradient, whether others are frozen or not."""
    options = {"steps": 1, "warmup": 0, "weight_decay": 0.0}
    free, held = (weights(train(frozen=frozen, **options), 1) for frozen in ((), ("embed",)))
    assert not torch.equal(free["embed.W_E"], held["embed.W_E"])
    assert all(torch.equal(free[name], held[name]) for name in free if name != "embed.W_E")


def test_what_it_took_over_is_stored_and_the_run_resumes_bit_for_bit(grokked, tmp_path, interrupt_at):
    options = {"start": grokked, "parts": ["embed"], "frozen": ("embed",)}
    whole = train(**options)
    interrupt_at(13)
    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path / "run", **options)
    resumed = mg.resume(load_run(tmp_path / "run"), progress=False)
    assert resumed.history == whole.history
    assert list(resumed.start) == ["embed.W_E"]
    assert torch.equal(resumed.start["embed.W_E"], grokked.embed.W_E)
    for name, weight in weights(whole, 20).items():
        assert torch.equal(weights(resumed, 20)[name], weight)


def test_another_start_is_another_run(grokked, tmp_path):
    train(out=tmp_path / "run", start=grokked, parts=["embed"])
    assert train(out=tmp_path / "run", start=grokked, parts=["embed"]).steps[-1] == 20
    with pytest.raises(mg.ConfigError, match="holds a run with another configuration"):
        train(out=tmp_path / "run", start={"embed.W_E": grokked.embed.W_E * 2}, parts=["embed"])
    with pytest.raises(mg.ConfigError, match="holds a run with another configuration"):
        train(out=tmp_path / "run")


def test_changed_weights_beside_the_configuration_are_noticed(grokked, tmp_path):
    run = train(out=tmp_path / "run", start=grokked, parts=["embed"])
    other = train(out=tmp_path / "other", start={"embed.W_E": grokked.embed.W_E * 2})
    (run.path / "start.safetensors").write_bytes((other.path / "start.safetensors").read_bytes())
    with pytest.raises(mg.CheckpointError, match=r"does not hold the weights that config\.json speaks of"):
        _ = load_run(run.path).start


def test_errors_come_before_anything_is_written(grokked, tmp_path):
    larger = mg.build_model(mg.modular_task("add", 11), SMALL)
    cases = [
        ({"start": larger}, r"embed\.W_E has the shape \(12, 16\) .* and \(8, 16\) in this network"),
        ({"start": grokked, "parts": ["tail"]}, "no part 'tail'"),
        ({"start": {"embed.W_E": grokked.embed.W_E}, "parts": ["unembed"]}, r"lack unembed\.W_U; they have embed"),
        ({"parts": ["embed"]}, r"needs start=\.\.\."),
        ({"frozen": ("tail",)}, "no part 'tail'"),
        ({"start": grokked, "parts": "embed"}, r"train takes parts, several in a list"),
        ({"start": {"embed.W_E": grokked.embed.W_E * torch.nan}}, r"embed\.W_E has weights that are NaN or infinite"),
        ({"start": grokked, "parts": ()}, "nothing to start from"),
        ({"start": {}}, "nothing to start from"),
        ({"start": {"embed.W_E": grokked.embed.W_E.long()}}, r"embed\.W_E to start from is a tensor of floats"),
    ]  # fmt: skip
    for options, text in cases:
        with pytest.raises(mg.ConfigError, match=text):
            train(out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    with pytest.raises(mg.ConfigError, match="leaves nothing of the network to train"):
        train(frozen=("embed", "pos_embed", "blocks", "unembed"))


def test_starting_weights_are_copies(grokked):
    model = mg.build_model(ADD, SMALL)
    taken = starting_weights(model, grokked, ["embed"])
    taken["embed.W_E"].zero_()
    assert grokked.embed.W_E.abs().sum() > 0


def test_a_start_that_is_no_network(grokked):
    """The type checker of the tests would refuse it first, without a word on what is wanted."""
    unchecked = getattr(starting_weights, "__wrapped__", starting_weights)
    for start in ("foo", 3):
        with pytest.raises(mg.ConfigError, match=r"start is a network, as load_model.* got"):
            unchecked(grokked, start)
    with pytest.raises(mg.ConfigError, match="is a tensor of floats; got"):
        unchecked(grokked, {"embed.W_E": [[1.0]]})
    with pytest.raises(mg.ConfigError, match="parts is a sequence of names"):
        unchecked(grokked, grokked, 1)
