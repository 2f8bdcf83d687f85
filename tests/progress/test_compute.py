"""progress_measures on runs, on other people's files, and after interruptions."""

import shutil

import pytest
import torch

import mechgrok as mg
from mechgrok.measures.registry import find_measures
from mechgrok.progress.compute import measured
from mechgrok.runs import load_run

SMALL = mg.ModelConfig(d_model=16, n_heads=2)
FEW = ["loss_train", "loss_test", "excluded_loss", "excluded_loss_per_key", "neuron_clusters"]


SAID = mg.ModelConfig(act_fn="relu", attention_dir="causal", normalization=None)
"""What the tensors of such a network do not tell."""


def train(task=None, out=None, **changes):
    options = {"model": SMALL, "steps": 30, "fraction": 0.6, "checkpoint_every": 10, "progress": False}
    return mg.train(task or mg.modular_task("add", 7), out=out, **{**options, **changes})


def measure(run, measures=None, keys=(1, 2), **options):
    return mg.progress_measures(run, measures, keys, progress=False, **options)


@pytest.fixture(scope="module")
def run():
    return train()


def values(table):
    return {name: pytest.approx(column, rel=1e-5) for name, column in table.columns.items()}


def test_the_default_set(run):
    table = measure(run)
    assert table.steps == run.steps == (0, 10, 20, 30)
    assert table.measures == tuple(one.name for one in find_measures(None, run.task))
    assert (table.task, table.keys) == ("add7", (1, 2))
    history = {row["step"]: row for row in run.history}
    for name in ("loss_train", "loss_test", "accuracy_train", "accuracy_test", "sum_squared_weights"):
        assert table[name] == pytest.approx([history[step][name] for step in run.steps], rel=1e-5)
    assert all(value is not None for name in ("restricted_loss", "gini_W_L") for value in table[name])


def test_keys_are_those_of_the_last_checkpoint_at_every_step():
    run = train(mg.modular_task("add", 11), steps=600, fraction=0.9, checkpoint_every=200)
    found = mg.find_key_frequencies(run.grid()).frequencies
    assert found
    table = mg.progress_measures(run, ["restricted_loss"], steps=run.steps[:2], progress=False)
    assert table.keys == found
    assert table.steps == run.steps[:2]
    assert table["restricted_loss"][0] == pytest.approx(mg.restricted_loss(run.grid(0), found), rel=1e-5)


def test_a_run_is_opened_from_its_folder(run):
    assert measure(run.path, FEW).columns == measure(run, FEW).columns


def test_files_of_others_are_ordered_by_their_numbers(run, tmp_path):
    for step in run.steps:
        torch.save(run.model(step).state_dict(), tmp_path / f"p7_epoch_{step}.pth")
    (tmp_path / "readme.txt").write_text("7")
    table = measure(tmp_path, FEW, task=run.task, split=run.split, config=SAID)
    assert table.steps == (0, 10, 20, 30)
    assert table.columns == values(measure(run, FEW))
    some = measure(
        [tmp_path / "p7_epoch_30.pth", str(tmp_path / "p7_epoch_0.pth")], FEW, task=run.task, config=SAID
    )
    assert some.steps == (0, 30)
    assert "give split=" in some.undefined["loss_train"][0]
    assert measure(tmp_path / "p7_epoch_30.pth", FEW, task=run.task, config=SAID).steps == (30,)


def test_the_task_of_files_is_inferred_from_the_last(tmp_path):
    torch.save(
        mg.build_model(mg.modular_task("add", 11, sequence=("a", "b")), SMALL).state_dict(), tmp_path / "0.pt"
    )
    model = mg.cosine_network(11, {2: 9.0})
    from mechgrok.models.files import write_model

    (tmp_path / "0.pt").unlink()
    for step, amplitude in ((5, 1.0), (40, 9.0)):
        write_model(mg.cosine_network(11, {2: amplitude}), tmp_path / f"{step}.safetensors")
    table = mg.progress_measures(tmp_path, ["restricted_loss"], progress=False)
    assert (table.task, table.keys, table.steps) == ("add11", (2,), (5, 40))
    assert table["restricted_loss"][1] == pytest.approx(mg.full_loss(model))


def test_sources_that_are_none(run, tmp_path):
    with pytest.raises(mg.CheckpointError, match=r"is no run and has no files \.safetensors, \.pt, \.pth"):
        measure(tmp_path)
    for name in ("a1.pt", "b1.pt"):
        torch.save(run.model().state_dict(), tmp_path / name)
    with pytest.raises(mg.CheckpointError, match=r"a1\.pt and b1\.pt have the same number 1"):
        measure(tmp_path, task=run.task)
    torch.save(run.model().state_dict(), tmp_path / "final.pt")
    with pytest.raises(mg.CheckpointError, match=r"final\.pt has no number in its name"):
        measure([tmp_path / "final.pt"])
    with pytest.raises(mg.CheckpointError, match=r"nowhere holds no run"):
        measure(tmp_path / "nowhere")
    with pytest.raises(mg.CheckpointError, match="list of checkpoint files is empty"):
        measure([])
    with pytest.raises(mg.ConfigError, match=r"no checkpoint at the steps \[15\]; there are 4 from 0 to 30"):
        measure(run, FEW, steps=[10, 15])
    with pytest.raises(mg.ConfigError, match="steps names no checkpoint"):
        measure(run, FEW, steps=[])
    with pytest.raises(mg.ConfigError, match=r"7 is not a frequency of .*; allowed: 1\.\.3"):
        measure(run, FEW, keys=[7])


def test_what_has_no_value_is_none_with_its_reason():
    group = measure(train(mg.sn_task("S3"), steps=10), keys=["sign"])
    assert "no cosines and sines" in group.undefined["fourier_frequency_density_W_E"][0]
    assert "distance of the operands" in group.undefined["distance_irrelevance"][10]
    assert group["fourier_frequency_density_W_E"] == (None, None)
    assert None not in group["gini_W_E"]

    everything = measure(train(fraction=1.0, steps=10))
    assert everything["loss_test"] == (None, None)
    assert (
        everything.undefined["loss_test"][0]
        == "the network was trained on all inputs: there are no test inputs"
    )

    flat = measure(train(model=SMALL.replace(attn_only=True), steps=10))
    assert "no neurons" in flat.undefined["neurons_decided"][0]
    assert "no neurons" in flat.undefined["gini_W_L"][0]
    assert None not in flat["loss_test"]

    keyless = measure(train(steps=0), keys=[])
    assert keyless.keys == ()
    assert "the last checkpoint has no key frequency" in keyless.undefined["restricted_loss"][0]

    partial = mg.modular_task("a/b if b odd else a-b", 6)
    table = measure(train(partial, steps=10), keys=None)
    assert None not in table["loss_train"]
    assert "has no answer for some pairs" in table.undefined["restricted_loss"][0]


def test_a_broken_checkpoint_leaves_a_gap(run, tmp_path):
    for step in run.steps:
        state = run.model(step).state_dict()
        if step == 10:
            state["unembed.W_U"].fill_(float("nan"))
        torch.save(state, tmp_path / f"{step}.pt")
    with pytest.warns(UserWarning, match="weights that are not finite in unembed.W_U"):
        table = measure(
            tmp_path,
            ["loss_train", "neurons_decided", "gini_W_E"],
            task=run.task,
            split=run.split,
            config=SAID,
        )
    assert [value is None for value in table["loss_train"]] == [False, True, False, False]
    assert "not finite are the weights unembed.W_U" in table.undefined["loss_train"][10]
    assert None not in table["gini_W_E"]


def test_damaged_checkpoints_are_left_out_and_named_at_once(run, tmp_path):
    whole = measure(run, ["loss_test"], keys=None)
    copy = load_run(shutil.copytree(run.path, tmp_path / "run"))
    for step in (copy.steps[1], copy.steps[-1]):
        copy.checkpoint(step).write_bytes(copy.checkpoint(step).read_bytes()[:1000])
    with pytest.warns(UserWarning, match="Left out: the checkpoint at step") as told:
        table = measure(copy, ["loss_test"], keys=None)
    assert all(
        f"step {copy.steps[i]}." in str(warning.message) for i, warning in ((1, told[0]), (-1, told[1]))
    )
    readable = [step for step in copy.steps if step not in (copy.steps[1], copy.steps[-1])]
    assert table.steps == tuple(readable)
    assert table["loss_test"] == whole.select(where=lambda row: row["step"] in readable)["loss_test"]
    with pytest.raises(mg.CheckpointError, match="truncated"):
        measure(copy, ["loss_test"], steps=[copy.steps[1]])
    for step in readable:
        copy.checkpoint(step).write_bytes(b"")
    with pytest.raises(mg.CheckpointError, match="step_00000000"):
        measure(copy, ["loss_test"])


def test_damaged_files_of_others_are_left_out_too(run, tmp_path):
    for step in run.steps:
        torch.save(run.model(step).state_dict(), tmp_path / f"epoch{step}.pt")
    (tmp_path / f"epoch{run.steps[-1]}.pt").write_bytes(b"PK")
    known = {"config": SAID, "task": run.task}
    with pytest.warns(UserWarning, match=f"Left out: the checkpoint at step {run.steps[-1]}"):
        table = measure(tmp_path, ["loss_all"], **known)
    assert table.steps == run.steps[:-1]


def test_files_are_renamed_and_runs_are_not(run, tmp_path):
    for step in run.steps:
        weights = run.model(step).state_dict()
        torch.save(
            {"tokens" if name == "embed.W_E" else name: w for name, w in weights.items()},
            tmp_path / f"{step}.pt",
        )
    known = {"config": SAID, "task": run.task, "rename": {"tokens": "embed.W_E"}}
    assert measure(tmp_path, ["loss_all"], **known)["loss_all"] == measure(run, ["loss_all"])["loss_all"]
    with pytest.raises(mg.ConfigError, match="a run knows its own network; leave config, rename out"):
        measure(run, **{name: known[name] for name in ("config", "rename")})


def test_measures_of_ones_own(run):
    seen = []

    @mg.measure("heads", needs=["blocks.0.attn.hook_pattern"])
    def attention_to_a(snapshot):
        """Mean attention to the first operand, by head."""
        seen.append(snapshot.once(pattern))
        return {f"head {i}": x for i, x in enumerate(snapshot.once(pattern).mean(0)[:, 0])}

    def pattern(snapshot):
        return snapshot.grid["blocks.0.attn.hook_pattern"]

    try:
        table = measure(run, ["attention_to_a", "neurons_decided"])
        assert attention_to_a in mg.MEASURES.values()
    finally:
        del mg.MEASURES["attention_to_a"]
    reference = run.grid(20, names=["blocks.0.attn.hook_pattern"])["blocks.0.attn.hook_pattern"]
    assert table["attention_to_a[head 1]"][2] == pytest.approx(reference[:, 1, 0].mean().item())
    assert list(table.parts("attention_to_a")) == ["head 0", "head 1"]
    assert len(seen) == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), torch.tensor(float("nan"))])
def test_numbers_that_are_none_are_undefined(run, value):
    odd = mg.Measure("odd", lambda snapshot: value, unit="?")
    table = measure(run, [odd], steps=[0])
    assert table["odd"] == (None,)
    assert table.undefined["odd"][0].startswith("the measure returned ")


@pytest.mark.parametrize("value", [None, "3", torch.ones(2), {"a": None}])
def test_what_is_no_number_is_an_error(run, value):
    with pytest.raises(
        mg.ConfigError, match=r"the measure 'odd' returned .*; it returns a number, or a mapping"
    ):
        measure(run, [mg.Measure("odd", lambda snapshot: value, unit="?")], steps=[0])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_interrupted_computation_goes_on_where_it_was(run, suffix, tmp_path):
    done = []

    def slow(snapshot):
        if len(done) == 2:
            done.append("interrupted")
            raise KeyboardInterrupt
        done.append(snapshot.step)
        return snapshot.step

    measures = [mg.Measure("slow", slow, unit="steps"), "loss_test", "gini_W_E"]
    out = tmp_path / f"table.{suffix}"
    with pytest.raises(KeyboardInterrupt):
        measure(run, measures, out=out)
    assert mg.ProgressTable.load(out).steps == (0, 10)
    whole = measure(run, measures, out=out)
    assert done == [0, 10, "interrupted", 20, 30]
    assert whole["slow"] == (0, 10, 20, 30)
    assert whole["loss_test"] == measure(run, ["loss_test"])["loss_test"]
    assert mg.ProgressTable.load(out).columns == whole.columns
    with pytest.raises(mg.ConfigError, match="holds other measures, keys or another task"):
        measure(run, measures, keys=[3], out=out)


def test_the_bar_goes_to_standard_error(run, capsys):
    mg.progress_measures(run, ["loss_test"], [1])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "4/4" in printed.err
    assert "step 30" in printed.err


def test_measuring_changes_no_network(run):
    model = run.model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    snapshot = mg.Snapshot(30, model, run.task, run.split, (1, 2))
    measured(snapshot, list(mg.MEASURES.values()))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def recorded(**options):
    recorder = mg.ProgressRecorder(**options)
    split = options.get("split")
    return recorder, train(split=split, callback=recorder)


def test_recording_a_training_equals_measuring_it_afterwards():
    split = mg.modular_task("add", 7).split(0.6)
    recorder, run = recorded(split=split, keys=[2, 1])
    after = measure(run)
    assert recorder.table.keys == (1, 2)
    assert recorder.table.columns == after.columns
    assert recorder.table.undefined == after.undefined


def test_without_keys_what_needs_them_waits():
    recorder, _ = recorded(measures=FEW, split=mg.modular_task("add", 7).split(0.6))
    assert recorder.table["excluded_loss"] == (None,) * 4
    assert (
        "no key frequency is known before the last checkpoint: give keys="
        in (recorder.table.undefined["excluded_loss"][0])
    )
    assert None not in recorder.table["loss_test"]
    assert recorder.table.keys is None


def test_a_recorder_that_has_seen_nothing():
    with pytest.raises(mg.UndefinedMetricError, match="nothing has been recorded yet"):
        mg.ProgressRecorder().table  # noqa: B018
    with pytest.raises(mg.ConfigError, match="7 is not a frequency"):
        recorded(keys=[7])


def test_a_callback_leaves_the_training_as_it_is(tmp_path):
    plain = train(out=tmp_path / "plain", steps=20)
    seen = []

    def watch(step, model):
        seen.append((step, load_run(tmp_path / "watched").steps[-1]))
        mg.find_key_frequencies(mg.cache_grid(model))

    train(out=tmp_path / "watched", steps=10, callback=watch)
    watched = train(out=tmp_path / "watched", steps=20, callback=watch)
    assert seen == [(0, 0), (10, 10), (20, 20)], "once for each checkpoint, which is on the disk"
    assert watched.history == plain.history
    ours, theirs = (dict(r.model().named_parameters()) for r in (watched, plain))
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_a_callback_that_fails_loses_no_checkpoint(tmp_path):
    def fail(step, model):
        if step == 20:
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        train(out=tmp_path / "run", callback=fail)
    resumed = train(out=tmp_path / "run")
    whole = train()
    assert resumed.history == whole.history
    assert torch.equal(resumed.model().embed.W_E, whole.model().embed.W_E)
