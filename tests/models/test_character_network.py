"""The hand-built network that composes group elements, and the analyses' results for it."""

import math

import pytest
import torch

import mechgrok as mg
from mechgrok.algebra import irrep_basis, named_group
from mechgrok.analysis.ablation import ablate
from mechgrok.analysis.representations import representation_measures
from mechgrok.models.character_network import character_network

PLANTED = {
    "S4": {"sign": 3.0, "standard": 4.0},
    "S5": {"sign": 3.0, "standard_sign": 4.0},
    "D7": {"freq_1": 4.0, "freq_3": 3.0},
    "A4": {"2d": 3.0, "standard": 5.0},
    "Z12": {1: 3.0, 4: 2.0, 6: 1.0},
}


@pytest.mark.parametrize("name", PLANTED)
def test_logits_are_the_characters(name):
    group = named_group(name)
    model = character_network(group, PLANTED[name])
    basis, order = irrep_basis(group), group.order
    quotients = group.table[group.table.flatten()][:, group.inverses]
    expected = sum(a * basis.irrep(label).character for label, a in PLANTED[name].items())
    assert torch.allclose(mg.cache_grid(model).logits, torch.as_tensor(expected)[quotients])
    assert quotients.shape == (order * order, order)


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("method", ["logits", "neurons"])
def test_right_keys(name, method):
    model = character_network(name, PLANTED[name])
    assert mg.find_key_frequencies(model, method).frequencies == tuple(PLANTED[name])


@pytest.mark.parametrize("name", PLANTED)
def test_the_keys_are_all_and_without_them_nothing_is_left(name):
    model = character_network(name, PLANTED[name])
    order, keys, hook = named_group(name).order, tuple(PLANTED[name]), "blocks.0.mlp.hook_post"
    full = mg.full_loss(model)
    for site in ("logits", hook):
        assert mg.restricted_loss(model, keys, site=site) == pytest.approx(full)
        assert mg.excluded_loss(model, keys, site=site) == pytest.approx(math.log(order))
    removed = ablate(model, keys, site="logits")
    assert removed.loss == pytest.approx(math.log(order))
    assert ablate(model, keys, site="logits", keep=True).loss == pytest.approx(full)
    assert ablate(model, keys, site="neurons").loss == pytest.approx(math.log(order))


def test_measures():
    model = character_network("S4", {"sign": 3.0, "standard": 4.0})
    measures = representation_measures(model, train=torch.ones(576, dtype=torch.bool))
    assert measures.similarity["sign"] == pytest.approx(0.6)
    assert measures.similarity["standard"] == pytest.approx(0.8)
    assert measures.logits_explained == pytest.approx(1)
    # The sign has 2 neurons of mean square 1 per operand, the standard irrep 54 of mean square 1/3.
    assert measures.embedding["sign"] == pytest.approx(2 / 20)
    assert measures.embedding_second["standard"] == pytest.approx(18 / 20)
    assert measures.restricted_loss == pytest.approx(mg.full_loss(model))
    assert measures.excluded_loss == pytest.approx(math.log(24))


def test_neurons_are_tuned_to_their_irrep():
    """(u + v)^2 = u^2 + v^2 + 2 u v with u, v from the irrep: the product stays, the squares may leave."""
    model = character_network("D7", {"freq_2": 1.0})
    neurons = mg.neuron_frequencies(model, threshold=0.5)
    assert neurons.clusters == {"freq_2": 16}


def test_errors():
    with pytest.raises(mg.ConfigError, match="needs an irrep; allowed: sign, standard"):
        character_network("S3", {})
    with pytest.raises(mg.ConfigError, match="'6d' is not an irrep of S3"):
        character_network("S3", {"6d": 1.0})
    with pytest.raises(mg.TaskError, match="unknown group 'K8'"):
        character_network("K8", {"sign": 1.0})
