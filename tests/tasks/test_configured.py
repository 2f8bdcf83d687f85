"""Tasks beyond operations: functions of bits, sequences with several answers, arrays, and user-defined tasks."""

import math
import pickle

import pytest
import torch

import mechgrok as mg
from mechgrok.config import TrainConfig

SMALL = {"progress": False, "steps": 4, "model": mg.ModelConfig(d_model=16, n_heads=2)}


class Threshold(mg.FiniteTask, kind="threshold_of_tests"):
    """Whether a number is above another one."""

    n: int = 5

    def all_inputs(self):
        pairs = torch.cartesian_prod(torch.arange(self.n), torch.arange(self.n))
        return pairs, (pairs[:, 0] > pairs[:, 1]).long()


@pytest.fixture(scope="module")
def parity_run():
    task = mg.parity_task(n_bits=8, relevant=(0, 1))
    return mg.train(task, model=mg.DenseConfig(d_mlp=128), fraction=0.6, steps=1500, progress=False)


def test_the_key_of_a_parity_is_the_planted_subset(parity_run):
    keys = mg.find_key_frequencies(parity_run)
    assert keys.frequencies == ((0, 1),)
    assert mg.restricted_loss(parity_run, keys) < 0.01
    assert mg.excluded_loss(parity_run, keys) > math.log(2)
    for site in ("neurons", "logits"):
        assert mg.ablate(parity_run, keys, site=site).loss > math.log(2) / 2
        assert mg.ablate(parity_run, keys, site=site, keep=True).accuracy == 1
    with pytest.raises(mg.UndefinedMetricError, match="no single token stands for"):
        mg.ablate(parity_run, keys)


def test_a_parity_is_summarized_measured_and_reported(parity_run, tmp_path):
    assert "by the key subset (0, 1)" in mg.summarize(parity_run).verdict
    assert mg.classify_algorithm(parity_run).algorithm == "undetermined"
    table = mg.progress_measures(
        parity_run, ["restricted_loss", "excluded_loss", "logit_fve", "gini_W_L"], progress=False
    )
    assert table["restricted_loss"][-1] < 0.01
    assert "the answers are no elements" in table.undefined["gini_W_L"][0]
    page = mg.write_report(tmp_path / "page.html", parity_run).read_text(encoding="utf-8")
    assert "(0, 1)" in page


def test_planted_functions_of_bits_have_their_blocks():
    task = mg.parity_task(n_bits=5, relevant=(1, 3, 4))
    signs = 1 - 2.0 * task.labels
    noise = torch.randn(32, 2, generator=torch.Generator().manual_seed(0))
    logits = torch.stack([signs, -signs], dim=1) * 4 + 0.01 * noise
    grid = mg.grid_from_tensors(task, logits.double())
    assert mg.find_key_frequencies(grid).frequencies == ((1, 3, 4),)
    assert float(mg.logit_fve(grid, [(1, 3, 4)])) == pytest.approx(1, abs=1e-4)
    assert mg.restricted_loss(grid, [(1, 3, 4)]) == pytest.approx(math.log1p(math.exp(-8)), rel=0.2)
    assert mg.excluded_loss(grid, [(1, 3, 4)]) == pytest.approx(math.log(2), abs=0.01)


def test_sampled_parities_have_no_basis():
    task = mg.parity_task(n_bits=30, relevant=(0, 1, 2), n_samples=100)
    assert len(task.inputs.unique(dim=0)) == 100
    assert torch.equal(task.labels, task.inputs[:, :3].sum(1) % 2)
    with pytest.raises(mg.NoGroupError):
        _ = task.frame
    with pytest.raises(mg.TaskError, match="relevant bits are different places from 0 to 3"):
        mg.parity_task(n_bits=4, relevant=(0, 4))


def test_a_running_sum_is_read_at_every_position(tmp_path):
    task = mg.running_sum_task(4, 5)
    run = mg.train(task, out=tmp_path / "run", **SMALL)
    grid = mg.cache_grid(run)
    assert grid.logits.shape == (2000, 4, 5)
    assert grid.neurons.shape == (2000, 4, 64)
    assert torch.equal(task.labels, task.inputs.cumsum(1) % 5)
    assert run.history[-1]["loss_train"] is None
    assert mg.full_loss(run) == pytest.approx(run.history[-1]["loss_test"], rel=1e-6)
    table = mg.progress_measures(run, ["loss_test", "accuracy_test", "loss_train"], progress=False)
    assert table["accuracy_test"][-1] == pytest.approx(run.history[-1]["accuracy_test"])
    assert "fresh inputs" in table.undefined["loss_train"][0]
    assert mg.write_report(tmp_path / "page.html", run).exists()


def test_fresh_inputs_are_resumed_bit_for_bit(tmp_path):
    task = mg.running_sum_task(3, 4)
    options = SMALL | {"steps": 30, "eval_every": 5}
    whole = mg.train(task, **options)
    mg.train(task, out=tmp_path / "run", **(options | {"steps": 10}))
    again = mg.train(task, out=tmp_path / "run", **options)
    for name, weight in whole.model().named_parameters():
        assert torch.equal(weight, again.model().get_parameter(name)), name
    batches = [task.data(whole.split, 8, seed).batch(update).inputs for seed in (0, 1) for update in (0, 1)]
    assert len({tuple(batch.flatten().tolist()) for batch in batches}) == 4


def test_values_are_learned_by_their_squared_error():
    x = torch.linspace(-1, 1, 50)[:, None]
    run = mg.train(mg.array_task(x, torch.cat([x, x**2], 1), name="curve"), steps=400, progress=False)
    assert run.config.train.objective == "mse"
    assert run.config.train.model.kind == "dense"
    row = run.history[-1]
    assert row["loss_test"] == row["mse_test"]
    assert row["r2_test"] > 0.95
    outputs, targets = mg.cache_grid(run).logits.double(), run.task.labels.double()
    test = run.split.test
    assert row["mse_test"] == pytest.approx((outputs - targets)[test].square().mean().item(), rel=1e-5)
    assert "with an r2 of" in mg.summarize(run).verdict
    with pytest.raises(mg.ConfigError, match="compares with classes"):
        mg.train(run.task, objective="stablemax", progress=False)


def test_the_history_has_the_objectives_own_loss():
    task = mg.modular_task("add", 5)
    run = mg.train(task, objective="mse", **SMALL)
    row, grid = run.history[-1], mg.cache_grid(run)
    wanted = torch.nn.functional.one_hot(task.labels, 5).double()
    errors = (grid.logits.double() - wanted).square().mean(1)
    assert (
        row["loss_train"]
        == row["mse_train"]
        == pytest.approx(errors[run.split.train].mean().item(), rel=1e-5)
    )
    assert set(mg.train(task, **SMALL).history[-1]) == {
        "step", "loss_train", "loss_test", "accuracy_train", "accuracy_test", "sum_squared_weights"
    }  # fmt: skip


def test_a_task_of_ones_own_is_stored_pickled_and_trained_many_times(tmp_path):
    task = Threshold(n=4)
    assert mg.task_from_spec(task.spec).labels.tolist() == task.labels.tolist()
    assert pickle.loads(pickle.dumps(task)) == task
    mg.train(task, out=tmp_path / "run", **SMALL)
    assert mg.load_run(tmp_path / "run").task.spec == {"kind": "threshold_of_tests", "n": 4}
    members = mg.train_many(task, seeds=[0, 1], out=tmp_path / "many", workers=2, **SMALL)
    assert [member.error for member in members] == [None, None]


def test_what_is_wrong_with_a_task_comes_up_when_it_is_made():
    class Bad(mg.FiniteTask, kind="bad_of_tests"):
        what: str = "length"

        def all_inputs(self):
            wrong = {
                "length": (torch.zeros(3, 2).long(), torch.zeros(2).long()),
                "kind": (torch.zeros(3, 2).long(), torch.zeros(3)),
                "nan": (torch.full((3, 2), torch.nan), torch.zeros(3).long()),
                "list": ([1], [2]),
                "negative": (torch.full((3, 2), -1), torch.zeros(3).long()),
            }
            return wrong[self.what]

    for what, text in {
        "length": "an input and a target in each row", "kind": "targets of Bad are", "nan": "NaN or infinite",
        "list": "as two tensors", "negative": "whole numbers from 0 on",
    }.items():  # fmt: skip
        with pytest.raises(mg.TaskError, match=text):
            Bad(what=what)
    with pytest.raises(mg.TaskError, match="unknown key 'm'"):
        Bad(m=3)
    with pytest.raises(mg.TaskError, match=r"--import my_task\.py"):
        mg.task_from_spec({"kind": "nobody"})


def test_the_walsh_transform_is_orthonormal_and_its_own_inverse():
    for n in (1, 2, 5):
        basis = mg.walsh_basis(n)
        torch.testing.assert_close(basis.matrix @ basis.matrix.T, torch.eye(2**n).double())
        x = torch.randn(3, 2**n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        torch.testing.assert_close(basis.inverse(basis.transform(x, 1), 1), x)
        assert basis.labels[0] == (n - 1,)
    with pytest.raises(mg.ConfigError, match="for n from 1 to 12"):
        mg.walsh_basis(13)


def test_a_configuration_says_which_objective_it_takes():
    assert TrainConfig(objective="mse").objective == "mse"
    with pytest.raises(mg.ConfigError, match="unknown objective 'hige'"):
        TrainConfig(objective="hige")
