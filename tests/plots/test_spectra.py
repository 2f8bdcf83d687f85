"""Norms of weights per block of the basis."""

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.plots.spectra import PALE, norm_spectrum
from mechgrok.tasks import sn_task


@pytest.mark.parametrize("p", [3, 10, 13])
@pytest.mark.parametrize("matrix", ["W_E", "W_L"])
def test_bars_are_the_norms_of_the_analysis(p: int, matrix):
    model = mg.cosine_network(p, {1: 9.0})
    drawn = norm_spectrum(model, matrix=matrix, keys=[1])
    norms, basis = mg.weight_spectrum(model, matrix=matrix)
    for bars, component in zip(drawn.data, ("cos", "sin"), strict=True):
        blocks = [block for block in basis.blocks[1:] if component in block.components]
        expected = [norms[block.start + block.components.index(component)].item() for block in blocks]
        np.testing.assert_allclose(bars.y, expected, rtol=1e-6, atol=1e-6)
        assert list(bars.x) == [block.label for block in blocks]
        assert list(bars.marker.opacity) == [1.0] + [PALE] * (len(blocks) - 1)
    assert drawn.layout.yaxis.title.text == f"norm of {matrix}"
    assert drawn.layout.xaxis.title.text == "frequency k"


def test_hover_tells_the_frequency_and_its_share():
    cosine, sine = norm_spectrum(mg.cosine_network(7, {2: 1.0}), keys=[2]).data
    assert list(cosine.customdata[1]) == ["k = 2", "50.0%"]
    assert "of the variance" in cosine.hovertemplate
    assert list(sine.customdata[0]) == ["k = 1", "0.0%"]


def test_keys_are_ticks_where_they_are_few():
    amplitudes = dict.fromkeys((3, 20, 28), 1.0)
    assert norm_spectrum(mg.cosine_network(59, amplitudes), keys=amplitudes).layout.xaxis.tickvals == (
        3,
        20,
        28,
    )
    assert norm_spectrum(mg.cosine_network(59, amplitudes), keys=range(1, 30)).layout.xaxis.tickvals is None


def test_neighbouring_keys_share_a_tick():
    drawn = norm_spectrum(
        mg.cosine_network(113, dict.fromkeys((14, 35, 41, 42, 52), 1.0)), keys=[14, 35, 41, 42, 52]
    )
    assert drawn.layout.xaxis.ticktext == ("14", "35", "41, 42", "52")
    assert drawn.layout.xaxis.tickvals == (14, 35, 41.5, 52)


def test_the_alternating_function_of_two_elements_has_no_sine():
    assert [bars.name for bars in norm_spectrum(mg.cosine_network(2, {1: 5.0})).data] == ["cosine"]


def test_irreps_have_one_bar_each():
    task = sn_task("S3")
    grid = mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16)), task)
    drawn = norm_spectrum(grid)
    np.testing.assert_allclose(drawn.data[0].y, mg.frequency_norms(grid), rtol=1e-6)
    assert drawn.data[0].x == ("sign", "standard")
    assert drawn.layout.xaxis.title.text == "irrep"
