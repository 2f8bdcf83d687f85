"""Files exactly as their authors published them give the same numbers as their authors' layouts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.cli import main

FILES = {
    "nilsleut_p71_s45": (mg.modular_task("add", 71), 4, 0.997421, 0.059541),
    "nilsleut_p97_s43": (mg.modular_task("add", 97), 4, 0.999469, 0.010479),
    "unixsysdev_p113_final": (mg.modular_task("add", 113), 0, 1.0, 2.05724e-4),
    "unixsysdev_p71_final": (mg.modular_task("add", 71), 0, 0.303710, 22.7384),
    "porth_p13_mul": (mg.modular_task("mul", 13), 4, 0.840237, 1.50120),
}
"""Task, the number of heads that has to be said, accuracy, and loss in nats."""


@pytest.fixture(scope="module")
def raw(peer_data: Path) -> Path:
    folder = peer_data / "raw"
    if not folder.is_dir():
        pytest.skip(f"no files as published at {folder}")
    return folder


@pytest.mark.parametrize("name", FILES)
def test_accuracy_and_loss(name: str, raw: Path):
    task, n_heads, accuracy, loss = FILES[name]
    said = mg.ModelConfig(n_heads=n_heads) if n_heads else None
    grid = mg.cache_grid(mg.load_model(raw / f"{name}.pt", task=task, config=said))
    assert mg.accuracy(grid) == pytest.approx(accuracy, abs=5.1e-7)
    assert mg.full_loss(grid) == pytest.approx(loss, rel=2e-5)


def test_keys_of_a_network_that_generalises(raw: Path):
    grid = mg.cache_grid(mg.load_model(raw / "unixsysdev_p113_final.pt"))
    assert mg.find_key_frequencies(grid).frequencies == (4, 24, 26, 53)


def test_a_network_that_has_memorised_has_a_task_and_no_keys(raw: Path):
    grid = mg.cache_grid(mg.load_model(raw / "unixsysdev_p71_final.pt"))
    assert grid.task.name == "add71"
    assert mg.find_key_frequencies(grid).frequencies == ()
    assert "has not learned a+b" in mg.summarize(grid).verdict


def test_composition_in_s5(raw: Path, peer_data: Path):
    table = torch.from_numpy(np.load(peer_data / "rep_theory/group_tables.npz")["S5_mult"])
    task = mg.group_task(table, name="S5")
    model = mg.load_model(raw / "chughtai_S5_T_seed1.pt", task=task)
    assert "x_embed repeats embed.W_E" in model.layout.notes
    cleaned = mg.load_model(peer_data / "rep_theory/S5_T_seed1.safetensors", task=task)
    ours, theirs = mg.cache_grid(model), mg.cache_grid(cleaned)
    assert mg.accuracy(ours) == mg.accuracy(theirs) == 1.0
    assert torch.equal(ours.logits, theirs.logits)


NEEDED = {
    "nilsleut_p71_s45": ["--n-heads", "4"],
    "nilsleut_p97_s43": ["--n-heads", "4"],
    "unixsysdev_p113_final": [],
    "unixsysdev_p71_final": [],
    "porth_p13_mul": ["--n-heads", "4", "--task", "mul"],
}
"""What the command line has to be told."""


@pytest.mark.parametrize("name", NEEDED)
def test_the_command_line_needs_no_more_than_what_no_tensor_tells(name: str, raw: Path, capsys):
    task, _, accuracy, loss = FILES[name]
    assert main(["analyze", str(raw / f"{name}.pt"), "--json", *NEEDED[name]]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["accuracy_all"] == pytest.approx(accuracy, abs=5.1e-7)
    assert said["loss_all"] == pytest.approx(loss, rel=2e-5)
    assert task.answer in said["verdict"]


def test_the_command_line_takes_the_table_of_a_group(raw: Path, peer_data: Path, capsys):
    tables = peer_data / "rep_theory/group_tables.npz"
    file = str(raw / "chughtai_S5_T_seed1.pt")
    for named in (str(tables), f"{tables}:S5_mult"):
        assert main(["analyze", file, "--json", "--task", named]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["accuracy_all"] == 1.0
        assert "sign, standard_sign" in said["verdict"]
