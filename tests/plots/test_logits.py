"""Logits in the basis of the task."""

import numpy as np
import planted
import pytest
import torch

import mechgrok as mg
from mechgrok.plots.logits import ROUNDING, component_norms, fourier_map, key_evidence
from mechgrok.tasks import sn_task


@pytest.mark.parametrize("p", [3, 10, 13])
def test_planted_logits_are_products_of_one_frequency(p: int):
    task, k = mg.modular_task("add", p), max(1, p // 3)
    grid = mg.grid_from_tensors(task, planted.cosine_logits(task, {k: 3.0}))
    norms = component_norms(grid)
    rows = slice(2 * k - 1, 2 * k + 1)
    # 3 cos(w(a+b-c)) has the squared norm 9/2 p^3, a quarter of it in each product of a wave in a and one in b.
    assert norms[rows, rows].flatten().tolist() == pytest.approx([(9 / 8 * p**3) ** 0.5] * 4)
    norms[rows, rows] = 0
    assert norms.max() < 1e-9


def test_squares_add_up_to_the_centred_logits():
    task = mg.modular_task("add", 10)
    logits = torch.randn(100, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = (logits - logits.mean(1, keepdim=True)).square().sum()
    torch.testing.assert_close(component_norms(mg.grid_from_tensors(task, logits)).square().sum(), total)
    shifted = mg.grid_from_tensors(task, logits + torch.arange(100.0)[:, None])
    torch.testing.assert_close(component_norms(shifted).square().sum(), total)


def test_the_map_has_a_along_x_and_names_its_components():
    task = mg.modular_task("add", 6)
    wave = (2 * torch.pi * task.operands[:, :1] / 6).cos().double()
    grid = mg.grid_from_tensors(task, wave * torch.arange(6.0).double())
    drawn = fourier_map(grid, keys=[1, 3])
    heat = drawn.data[0]
    assert heat.x == ("constant", "cos 1", "sin 1", "cos 2", "sin 2", "cos 3")
    assert np.unravel_index(heat.z.argmax(), heat.z.shape) == (0, 1), "a row for b, a column for a"
    assert drawn.layout.xaxis.tickvals == (1.5, 5.0)
    assert drawn.layout.xaxis.title.text == "component of a (key frequencies marked)"


def test_irreps_are_named_with_their_entries():
    task = sn_task("S3")
    grid = mg.grid_from_tensors(task, torch.nn.functional.one_hot(task.labels).double())
    drawn = fourier_map(grid)
    assert drawn.data[0].x[:3] == ("constant", "sign 11", "standard 11")
    assert drawn.layout.xaxis.ticktext == ("sign", "standard")


def test_evidence_shows_every_share_and_the_threshold():
    keys = mg.find_key_frequencies(mg.cosine_network(13, {2: 3.0, 5: 4.0}))
    drawn = key_evidence(keys)
    key, other = drawn.data
    assert (key.name, key.x) == ("key", (2, 5))
    np.testing.assert_allclose(key.y, [36, 64], rtol=1e-5)
    assert other.x == (1, 3, 4, 6)
    assert other.y.min() >= np.float32(100 * ROUNDING)
    assert drawn.layout.shapes[0].y0 == pytest.approx(100 * keys.threshold)
    assert drawn.layout.yaxis.title.text == "share (%)"
    assert key.customdata == ("k = 2", "k = 5")


def test_evidence_without_keys_has_one_trace():
    task = mg.modular_task("add", 7)
    noise = torch.randn(49, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    keys = mg.find_key_frequencies(mg.grid_from_tensors(task, noise))
    assert [trace.name for trace in key_evidence(keys).data] == ["other"]
