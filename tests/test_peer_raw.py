"""Files as their authors published them, cleaned of nothing, give the numbers of their authors' layouts."""

from pathlib import Path

import numpy as np
import pytest
import torch

import mechgrok as mg

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


def state_dict(file: Path) -> dict[str, torch.Tensor]:
    """The weights, which lie under a key of their own in some of these files."""
    loaded = torch.load(file, map_location="cpu", weights_only=True)
    return next((loaded[key] for key in ("model_state", "model_state_dict") if key in loaded), loaded)


@pytest.mark.parametrize("name", FILES)
def test_accuracy_and_loss(name: str, raw: Path):
    task, n_heads, accuracy, loss = FILES[name]
    said = mg.ModelConfig(n_heads=n_heads) if n_heads else None
    grid = mg.cache_grid(mg.load_model(state_dict(raw / f"{name}.pt"), task=task, config=said))
    assert mg.accuracy(grid) == pytest.approx(accuracy, abs=5.1e-7)
    assert mg.full_loss(grid) == pytest.approx(loss, rel=2e-5)


def test_keys_of_a_network_that_generalises(raw: Path):
    grid = mg.cache_grid(mg.load_model(state_dict(raw / "unixsysdev_p113_final.pt")))
    assert mg.find_key_frequencies(grid).frequencies == (4, 24, 26, 53)


def test_composition_in_s5(raw: Path, peer_data: Path):
    table = torch.from_numpy(np.load(peer_data / "rep_theory/group_tables.npz")["S5_mult"])
    task = mg.group_task(table, name="S5")
    model = mg.load_model(state_dict(raw / "chughtai_S5_T_seed1.pt"), task=task)
    assert "x_embed repeats embed.W_E" in model.layout.notes
    cleaned = mg.load_model(peer_data / "rep_theory/S5_T_seed1.safetensors", task=task)
    ours, theirs = mg.cache_grid(model), mg.cache_grid(cleaned)
    assert mg.accuracy(ours) == mg.accuracy(theirs) == 1.0
    assert torch.equal(ours.logits, theirs.logits)
