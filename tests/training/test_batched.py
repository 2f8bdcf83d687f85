"""Many seeds as one batched network: the runs equal those of each seed alone, and failures stay isolated."""

import os
import shutil

import pytest
import torch

import mechgrok as mg
from mechgrok import storage
from mechgrok.config import TrainConfig
from mechgrok.fast.stacked_transformer_step import StackedTransformerStep
from mechgrok.models.files import read_tensors
from mechgrok.runs import folder as run_folder, load_run
from mechgrok.runs.history import append_row
from mechgrok.training import many
from mechgrok.training.many import train_many
from mechgrok.training.stacked import make_stacked_step

TASK = mg.modular_task("add", 7)
SMALL = {
    "model": mg.ModelConfig(d_model=16, n_heads=2),
    "steps": 20,
    "fraction": 0.6,
    "checkpoint_every": 10,
    "lr": 1e-3,
}


def _train(out, seeds=(0, 3, 4), **changes):
    return train_many(TASK, seeds=seeds, out=out, batched=True, progress=False, **{**SMALL, **changes})


def _assert_same_weights(run, other, **tolerance):
    assert run.steps == other.steps
    for step in run.steps:
        for name, weight in other.model(step).named_parameters():
            torch.testing.assert_close(run.model(step).get_parameter(name), weight, **tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "lr": 0.1},
        {"gradient": "grokfast_ma", "grokfast_window": 4},
        {"decay_towards": "init"},
        {"frozen": ("embed",)},
        {"model": mg.MLPConfig(d_embed=8, d_mlp=16)},
        {"split_rule": "unordered", "checkpoints": "adaptive"},
    ],
    ids=["plain", "sgd", "grokfast", "to init", "frozen", "mlp", "unordered"],
)
def test_members_are_the_runs_of_their_own(changes, tmp_path):
    members = _train(tmp_path, **changes)
    assert [member.name for member in members] == ["fast-seed0", "fast-seed3", "fast-seed4"]
    for member, seed in zip(members, (0, 3, 4), strict=True):
        alone = mg.train(TASK, seed=seed, progress=False, **{**SMALL, **changes})
        assert member.error is None
        assert member.run.config == alone.config
        assert torch.equal(member.run.split.train, alone.split.train)
        _assert_same_weights(member.run, alone, rtol=0, atol=2e-5)
        for row, expected in zip(member.run.history, alone.history, strict=True):
            assert row == pytest.approx(expected, rel=1e-4)


def test_a_member_is_gone_on_with_alone(tmp_path):
    members = _train(tmp_path, steps=10)
    longer = mg.train(TASK, seed=3, out=members[1].run.path, progress=False, **SMALL)
    alone = mg.train(TASK, seed=3, progress=False, **SMALL)
    _assert_same_weights(longer, alone, rtol=0, atol=2e-5)


def test_runs_that_were_interrupted_at_different_steps_go_on(tmp_path):
    _train(tmp_path, steps=10)
    mg.train(TASK, seed=3, out=tmp_path / "fast-seed3", progress=False, **{**SMALL, "steps": 15})
    members = _train(tmp_path, steps=30)
    assert [member.run.steps for member in members] == [(0, 10, 20, 30), (0, 10, 15, 20, 30), (0, 10, 20, 30)]
    for member, seed in zip(members, (0, 3, 4), strict=True):
        alone = mg.train(TASK, seed=seed, progress=False, **{**SMALL, "steps": 30})
        for name, weight in alone.model().named_parameters():
            torch.testing.assert_close(member.run.model().get_parameter(name), weight, rtol=0, atol=2e-5)


def test_members_that_have_come_to_their_end_leave(tmp_path):
    changes = {"steps": 40, "eval_every": 1, "fraction": 0.9, "lr": 1e-2, "stop_test_loss": 2.3}
    sizes = []

    def counted(models, *rest):
        sizes.append(len(models))
        return make_stacked_step(models, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mechgrok.training.batched.make_stacked_step", counted)
        members = _train(tmp_path, **changes)
    ends = [member.run.steps[-1] for member in members]
    assert len(set(ends)) == 3, ends
    assert max(ends) < 40
    assert sizes == [3, 2, 1]
    alone = [mg.train(TASK, seed=seed, progress=False, **{**SMALL, **changes}) for seed in (0, 3, 4)]
    assert ends == [run.steps[-1] for run in alone]


def test_a_member_that_diverges_is_reported_and_the_others_are_kept(tmp_path, monkeypatch):
    def spoil_the_second_once(self, _call=StackedTransformerStep.__call__):
        _call(self)
        if len(self.tables.terms) == 3 and next(updates) == 5:
            next(iter(self.grads.values()))[1] = torch.nan

    updates = iter(range(100))
    monkeypatch.setattr(StackedTransformerStep, "__call__", spoil_the_second_once)
    fine, failed, other = _train(tmp_path)
    monkeypatch.undo()
    assert failed.run is None
    assert "ConfigError: the training diverged: the loss is not finite at step 10" in failed.error
    for member, seed in ((fine, 0), (other, 4)):
        _assert_same_weights(
            member.run, mg.train(TASK, seed=seed, progress=False, **SMALL), rtol=0, atol=2e-5
        )


def test_a_folder_in_the_way_is_reported_and_the_others_are_kept(tmp_path):
    (tmp_path / "fast-seed3").mkdir()
    (tmp_path / "fast-seed3" / "notes.txt").write_text("in the way")
    fine, failed, _ = _train(tmp_path)
    assert "is not empty and holds no run" in failed.error
    assert fine.run.steps[-1] == 20


def test_ctrl_c_saves_all_and_the_same_call_goes_on(tmp_path, interrupt_at):
    whole = _train(tmp_path / "whole")
    interrupt_at(13)
    with pytest.raises(KeyboardInterrupt, match=r"stopped at step 13; the same call goes on from .*cut$"):
        _train(tmp_path / "cut")
    for seed in (0, 3, 4):
        assert load_run(tmp_path / "cut" / f"fast-seed{seed}").read_state()[0] == 13
    for resumed, member in zip(_train(tmp_path / "cut"), whole, strict=True):
        assert resumed.run.history == member.run.history
        _assert_same_weights(resumed.run, member.run, rtol=0, atol=0)


def test_finished_members_are_opened_and_not_trained_again(tmp_path, monkeypatch):
    _train(tmp_path)
    monkeypatch.setattr(StackedTransformerStep, "__call__", lambda self: pytest.fail("trained again"))
    assert [member.run.steps for member in _train(tmp_path)] == [(0, 10, 20)] * 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"optimizer": "muon"}, "optimizer='muon' takes each weight as a whole"),
        ({"gradient": "orthograd"}, "gradient='orthograd' takes each weight as a whole"),
        ({"batch_size": 8}, "mini-batches are drawn for each seed"),
    ],
)
def test_what_cannot_be_batched_is_an_error_when_asked_for_and_a_note_otherwise(
    changes, reason, tmp_path, capsys
):
    with pytest.raises(mg.ConfigError, match=f"cannot be trained as one batched network: {reason}; leave"):
        _train(tmp_path, **changes)
    assert not list(tmp_path.iterdir())
    assert not many._can_be_batched(TrainConfig(**changes), progress=True)
    assert capsys.readouterr().err.strip() == f"custom: in processes, since {reason}"


def test_the_choice_follows_the_device(tmp_path, monkeypatch):
    trained = {"processes": 0, "batched": 0}

    def count(kind, jobs):
        trained[kind] += len(jobs)
        return {job.path: "not trained" for job in jobs}

    monkeypatch.setattr(
        many,
        "train_in_processes",
        lambda groups, **_: count("processes", [job for group in groups for job in group]),
    )
    monkeypatch.setattr(many, "_as_one", lambda jobs, *_: count("batched", jobs))
    options = {"out": tmp_path, "progress": False}
    train_many(TASK, seeds=(0, 1), **options)
    assert trained == {"processes": 2, "batched": 0}
    monkeypatch.setattr(many, "find_device", torch.device)
    train_many(TASK, ["fast", "power"], seeds=(0, 1, 2), device="cuda", **options)
    assert trained == {"processes": 2 + 3, "batched": 3}, "power has mini-batches"
    train_many(TASK, seeds=(0,), device="cuda", **options)
    train_many(TASK, seeds=(0, 1), device="cuda", batched=False, **options)
    assert trained == {"processes": 5 + 1 + 2, "batched": 3}


def test_a_device_that_is_not_there_is_an_error_before_anything_is_written(tmp_path):
    for device in ("warp", "meta"):
        with pytest.raises(mg.ConfigError, match=f"cannot train on device='{device}'"):
            train_many(TASK, device=device, out=tmp_path / "many")
        with pytest.raises(mg.ConfigError, match="Allowed are 'cpu', and 'cuda' where torch finds a GPU"):
            mg.train(TASK, device=device, out=tmp_path / "one")
    assert not list(tmp_path.iterdir())


def _copied_at_every_write(patch, folder, copies):
    """What a kill would leave: the folder is copied before every flush and rename, and within every row."""

    def copying(write):
        def copy_and_write(*arguments):
            copy = copies / str(len(list(copies.iterdir())))
            shutil.copytree(folder, copy)
            if write is append_row:
                with (copy / arguments[0].relative_to(folder)).open("a") as file:
                    file.write('{"step": 1')
            return write(*arguments)

        return copy_and_write

    copies.mkdir()
    for owner, name, write in (
        (storage.os, "fsync", os.fsync),
        (storage.os, "replace", os.replace),
        (run_folder, "append_row", append_row),
    ):
        patch.setattr(owner, name, copying(write))


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_a_batch_that_was_killed_anywhere_becomes_the_undisturbed_one_bit_for_bit(every, tmp_path):
    changes = {"eval_every": 1, "checkpoint_every": 2, "lr": 1e-2, "stop_test_loss": 2.2, "fraction": 0.9}
    whole, copies, steps = tmp_path / "whole", tmp_path / "copies", 10
    with pytest.MonkeyPatch.context() as patch:
        _copied_at_every_write(patch, whole, copies)
        members = _train(whole, steps=steps, **changes)
    assert [member.run.steps[-1] for member in members] == [10, 10, 6], "one is to leave before the others"
    expected = _content(whole)
    moments = sorted(copies.iterdir(), key=lambda folder: int(folder.name))
    assert len(moments) >= 100
    at_different_steps = 0
    for killed in moments[::every]:
        at_different_steps += len({_state_step(path) for path in killed.iterdir()}) > 1
        _train(killed, steps=steps, **changes)
        found = _content(killed)
        assert found.keys() == expected.keys(), killed
        differing = [name for name in found if found[name] != expected[name]]
        # Killed between its last checkpoint and its last state, a run is finished, and goes on from an earlier state.
        assert all(name.endswith("state.safetensors") for name in differing), (killed, differing)
        assert len(differing) <= 1, (killed, differing)
    assert at_different_steps >= 10 // every


def _content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _state_step(path):
    file = path / "state.safetensors"
    return read_tensors(file)[1]["step"] if file.exists() else None
