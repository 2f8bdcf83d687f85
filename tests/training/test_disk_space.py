"""The estimate of the disk space for a run is above the actual use, but not far above."""

import pytest

import mechgrok as mg
from mechgrok.training.assembly import Assembly
from mechgrok.training.disk_space import MARGIN, bytes_needed

TASK = mg.modular_task("add", 7)


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_every": 2},
        {"checkpoints": "logarithmic", "optimizer": "muon"},
        {"checkpoints": "adaptive", "checkpoint_every": 50, "lr": 0.1},
        {"gradient": "grokfast_ma", "grokfast_window": 40, "decay_towards": "init"},
    ],
    ids=["regular", "logarithmic", "adaptive", "a large state"],
)
def test_a_training_writes_no_more_than_was_estimated(changes, tmp_path):
    options = {"model": mg.ModelConfig(d_model=32), "steps": 120, "fraction": 0.6, "stop_when_settled": False}
    run = mg.train(TASK, out=tmp_path / "run", progress=False, **options, **changes)
    needed = bytes_needed(Assembly(mg.training.folders.Plan(run.config, run.split))) - MARGIN
    written = sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file())
    state = (run.path / "state.safetensors").stat().st_size
    headers = 4096 * (len(run.steps) + 4)
    assert written + state <= needed + headers
    assert needed <= 2 * (written + state) + 120 * (run.config.train.checkpoints == "adaptive") * written


def test_what_is_there_needs_no_more_room(tmp_path):
    small = mg.ModelConfig(d_model=16)
    run = mg.train(TASK, out=tmp_path / "run", model=small, steps=100, checkpoint_every=1, progress=False)
    longer = run.config.replace(train=run.config.train.replace(steps=200))
    whole = bytes_needed(Assembly(mg.training.folders.Plan(longer, run.split)))
    rest = bytes_needed(Assembly(mg.Run(run.path, longer)))
    assert (whole - rest) / sum(w.nbytes for w in run.model().parameters()) == pytest.approx(100, rel=0.01)
