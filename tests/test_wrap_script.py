"""A user-defined network, wrapped, analysed, ablated, reported and trained: reads like the user's script."""

import pytest
import torch
from torch import nn

import mechgrok as mg

P = 13
TASK = mg.modular_task("add", P)


class PlainMLP(nn.Module):
    """Embeds both operands by one table, adds them up, one hidden layer."""

    def __init__(self, p=P, width=48):
        super().__init__()
        self.table = nn.Embedding(p, 24)
        self.hidden = nn.Linear(24, width)
        self.answer = nn.Linear(width, p)

    def forward(self, a, b):
        return self.answer(torch.relu(self.hidden(self.table(a) + self.table(b))))


class PlainTransformer(nn.Module):
    """One layer of torch's own encoder, read at the "=", as somebody writes it who knows torch."""

    def __init__(self, p=P, width=32):
        super().__init__()
        self.tokens, self.places = nn.Embedding(p + 1, width), nn.Parameter(torch.randn(3, width) / 8)
        self.encoder = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True
        )
        self.unembed = nn.Linear(width, p, bias=False)

    def forward(self, tokens):
        return self.unembed(self.encoder(self.tokens(tokens) + self.places))


def wrap_mlp(task, width=48):
    return mg.wrap(
        PlainMLP(width=width),
        task,
        inputs=lambda tokens: (tokens[:, 0], tokens[:, 1]),
        hooks={"embed": "table", "pre": "hidden", "neurons": "answer:input"},
        weights={"W_E": "table", "W_L": "answer"},
    )


def wrap_transformer(task):
    return mg.wrap(
        PlainTransformer(),
        task,
        hooks={"embed": "tokens", "resid_post": "encoder", "neurons": "encoder.linear2:input"},
        weights={"W_E": "tokens", "W_out": "encoder.linear2", "W_U": "unembed"},
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The MLP after its training."""
    return mg.train(
        TASK,
        network=wrap_mlp,
        fraction=0.7,
        lr=1e-2,
        weight_decay=0.3,
        steps=500,
        checkpoint_every=100,
        stop_when_settled=False,
        out=tmp_path_factory.mktemp("runs") / "mlp",
        progress=False,
    )


def test_a_plain_mlp_is_trained_and_analysed(trained):
    assert trained.history[-1]["accuracy_train"] == 1.0
    keys = mg.find_key_frequencies(trained)
    grid = trained.grid()
    with torch.no_grad():
        theirs = grid.model.module(TASK.operands[:, 0], TASK.operands[:, 1])
    assert torch.allclose(grid.logits, theirs, atol=1e-5)
    assert torch.equal(
        grid.neurons,
        torch.relu(grid.model.module.hidden(sum(grid.model.module.table(TASK.operands).unbind(1)))),
    )
    pre = mg.cache_grid(trained, names=[("pre", 0)])["pre", 0]
    assert torch.equal(pre.relu(), grid.neurons)
    summary = mg.summarize(trained)
    assert {"loss_test", "gini_W_E", "gini_W_L", "sum_squared_weights"} <= summary.values.keys()
    assert mg.restricted_loss(grid, keys or [1], site="neurons") > 0


def test_ablations_are_those_of_the_weights(trained):
    model = trained.model()
    ablated = mg.ablate(model, [2], site="embed")
    changed = model.with_weights(model.state_dict())
    W_E = changed.module.table.weight.detach()
    basis = TASK.frame.basis
    rows = basis.matrix[basis.rows_of((2,), "both")]
    changed.module.table.weight.data = (W_E.double() - rows.T @ (rows @ W_E.double())).to(W_E)
    assert ablated.loss == pytest.approx(mg.full_loss(changed), rel=1e-4)
    everything = mg.ablate(model, basis.labels, site="neurons", keep=True)
    assert everything.loss == pytest.approx(everything.loss_before, rel=0.2)


def test_checkpoints_are_measured_and_reported(trained, tmp_path):
    table = mg.progress_measures(
        trained, ["loss_test", "gini_W_E", "neuron_fve", "restricted_loss"], keys=[1, 2]
    )
    assert table.steps == trained.steps
    assert table["loss_test"][-1] == pytest.approx(trained.history[-1]["loss_test"], rel=1e-4)
    page = mg.write_report(tmp_path / "mlp.html", trained).read_text(encoding="utf-8")
    assert "Test accuracy" in page


def test_a_run_opens_again_with_the_function_that_makes_its_network(trained, tmp_path):
    again = mg.load_run(trained.path)
    with pytest.raises(mg.ConfigError, match=r"user's own, PlainMLP.*load_run\(path, network="):
        again.model()
    opened = mg.load_run(trained.path, network=wrap_mlp)
    assert mg.full_loss(opened) == mg.full_loss(trained)
    with pytest.raises(mg.ConfigError, match=r"the run is one of PlainMLP with 5 weights"):
        mg.load_run(trained.path, network=lambda task: wrap_mlp(task, width=20)).model()


def test_a_training_goes_on_bit_for_bit(tmp_path):
    options = {"network": wrap_transformer, "fraction": 0.5, "progress": False}
    whole = mg.train(TASK, steps=30, out=tmp_path / "whole", **options)
    mg.train(TASK, steps=12, out=tmp_path / "parts", **options)
    parts = mg.train(TASK, steps=30, out=tmp_path / "parts", **options)
    ours, theirs = parts.model().state_dict(), whole.model().state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_folder_of_state_dicts(tmp_path):
    torch.manual_seed(0)
    network = wrap_mlp(TASK)
    losses = []
    for step in (0, 10, 20):
        torch.save(network.module.state_dict(), tmp_path / f"step_{step}.pt")
        losses.append(mg.full_loss(network, TASK.split(0.5).test))
        with torch.no_grad():
            network.module.answer.weight.mul_(1.5)
    table = mg.progress_measures(
        tmp_path, ["loss_test"], model=network, split=TASK.split(0.5), keys=[1], progress=False
    )
    assert table["loss_test"] == pytest.approx(losses)
    with pytest.raises(mg.CheckpointError, match="not the weights of the wrapped PlainTransformer"):
        mg.progress_measures(
            tmp_path, ["loss_test"], model=wrap_transformer(TASK), split=TASK.split(0.5), keys=[1]
        )


def test_a_plain_transformer(tmp_path):
    torch.manual_seed(1)
    network = wrap_transformer(TASK)
    assert network.task.slots == ("a", "b", "=")
    grid = mg.cache_grid(network, names=[("resid_post", 0), ("post", 0), "hook_embed"])
    assert grid["resid_post", 0].shape == (P * P, 32)
    assert grid["hook_embed"].equal(network.module.tokens.weight[P].expand(P * P, -1))
    assert torch.allclose(grid["resid_post", 0] @ network.module.unembed.weight.T, grid.logits, atol=1e-5)
    assert grid.neuron_logit_map.shape == (64, P)
    for site in ("embed", "neurons", "logits"):
        assert mg.ablate(grid, [1, 2], site=site).loss > 0
    assert -1 <= mg.gradient_symmetricity(network, 100).value <= 1
    assert mg.write_report(tmp_path / "page.html", grid).exists()


def test_several_seeds_of_a_network_of_ones_own(tmp_path):
    options = {"fraction": 0.7, "steps": 20, "progress": False}
    members = mg.train_many(TASK, seeds=(0, 1), out=tmp_path, network=wrap_mlp, workers=1, **options)
    assert [member.error for member in members] == [None, None]
    alone = mg.train(TASK, seed=1, network=wrap_mlp, **options)
    assert torch.allclose(members[1].run.model().W_E, alone.model().W_E, atol=1e-5)
    with pytest.raises(mg.ConfigError, match="the network is the user's own"):
        mg.train_many(TASK, out=tmp_path / "x", network=wrap_mlp, batched=True, **options)
    with pytest.raises(mg.ConfigError, match="model= and network= are two networks"):
        mg.train_many(TASK, out=tmp_path / "x", network=wrap_mlp, model=mg.ModelConfig(), **options)


class EveryPosition(nn.Module):
    """A running sum's network of somebody's own: outputs at every position."""

    def __init__(self, width=24):
        super().__init__()
        self.table, self.recurrent = nn.Embedding(5, width), nn.GRU(width, width, batch_first=True)
        self.answer = nn.Linear(width, 5)

    def forward(self, tokens):
        return self.answer(self.recurrent(self.table(tokens))[0])


def test_several_scored_positions_of_a_module_of_ones_own():
    task = mg.running_sum_task(4, 5)

    def network(task):
        return mg.wrap(EveryPosition(), task, hooks={"neurons": "answer:input"}, weights={"W_E": "table"})

    run = mg.train(task, network=network, steps=300, lr=0.01, weight_decay=0.0, progress=False)
    assert run.history[-1]["accuracy_test"] > 0.9
    grid = mg.cache_grid(run)
    assert grid.logits.shape == (task.n_inputs, 4, 5)
    assert grid.neurons.shape == (task.n_inputs, 4, 24)
    assert mg.accuracy(run) == pytest.approx(run.history[-1]["accuracy_test"])
    model = run.model()
    expected = model.module(task.inputs)
    torch.testing.assert_close(grid.logits, expected.detach())


def test_outputs_at_one_position_do_not_do_for_several():
    task = mg.running_sum_task(4, 5)

    class Last(EveryPosition):
        def forward(self, tokens):
            return super().forward(tokens)[:, -1]

    with pytest.raises(
        mg.ActivationError, match=r"\[batch, pos, classes\]; the module gave .* \[batch, 4, classes\]"
    ):
        mg.wrap(Last(), task)
    with pytest.raises(mg.ConfigError, match=r"readout=-1 is one position, and .* scores 4"):
        mg.wrap(EveryPosition(), task, readout=-1)


def test_a_module_on_features_and_values():
    x = torch.linspace(-1, 1, 32)[:, None]
    task = mg.array_task(x, x**2, name="square")
    make = lambda task: mg.wrap(  # noqa: E731
        nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1)), task, hooks={"neurons": "1"}
    )
    run = mg.train(task, network=make, steps=300, lr=0.01, weight_decay=0.0, fraction=0.5, progress=False)
    assert run.history[-1]["r2_test"] > 0.5
    assert "features [1] -> 1 values" in repr(run.model())
