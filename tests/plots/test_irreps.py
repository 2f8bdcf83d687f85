"""Shares of irreps."""

import pytest

import mechgrok as mg
from mechgrok.analysis.representations import hidden_fractions
from mechgrok.plots.irreps import hidden_shares, irrep_shares


def test_cells_are_the_shares_and_the_others_are_summed_up():
    measures = mg.representation_measures(mg.cosine_network(11, {1: 3.0, 2: 4.0, 5: 0.5}), keys=[1, 2])
    heat = irrep_shares(measures).data[0]
    assert heat.y == ("k = 1", "k = 2", "others")
    assert heat.x[-1] == "logits"
    assert heat.z[0][-1] == pytest.approx(measures.similarity[1] ** 2)
    others = sum(measures.similarity[k] ** 2 for k in (3, 4, 5))
    assert heat.z[2][-1] == pytest.approx(others)
    assert heat.z[1][5] == pytest.approx(measures.unembedding[2])


def test_irreps_have_their_names():
    task = mg.sn_task("S3")
    model = mg.character_network("S3", {"standard": 9.0})
    drawn = irrep_shares(mg.representation_measures(mg.cache_grid(model, task), keys=["standard"]))
    assert drawn.data[0].y == ("standard", "others")
    assert drawn.layout.yaxis.title.text == "irrep"


def test_hidden_shares_leave_out_what_is_not_there():
    heat = hidden_shares(hidden_fractions(mg.cosine_network(7, {1: 1.0}))).data[0]
    assert "k = 1" in heat.y
    assert len(heat.x) == 3
