"""Networks that compose group elements: planted characters, and the measures of Chughtai et al. 2023."""

import math
from collections.abc import Mapping

import pytest
import torch
from projecting import project_on_product
from torch import Tensor

import mechgrok as mg
from mechgrok.algebra import fourier_basis, real_irreps
from mechgrok.analysis.representations import (
    character_similarity,
    hidden_fractions,
    key_irreps,
    representation_measures,
    weight_fractions,
)
from mechgrok.models.constructed import cosine_network
from mechgrok.tasks import group_task, modular_task, sn_task

CASES = {
    "S4": (group_task("S4"), {"sign": 3.0, "standard": 5.0}),
    "S5": (sn_task("S5"), {"sign": 6.0, "standard_sign": 2.0, "6d": 1.0}),
    "A5": (group_task("A5"), {"3d_a": 4.0}),
    "A4": (group_task("A4"), {"2d": 4.0, "standard": 3.0}),
    "Q8": (group_task("Q8"), {"1d_a": 3.0, "4d": 3.0}),
    "D7": (group_task("D7"), {"freq_2": 3.0, "freq_3": 2.0}),
    "S4 xyx^-1": (sn_task("S4", op="xyx^-1"), {"standard": 4.0, "2d": 3.0}),
    "S4 xyx": (sn_task("S4", op="xyx"), {"standard_sign": 4.0}),
    "U15": (modular_task("mul", 15), {"1d_b": 3.0, "2d_a": 3.0, "2d_b": 3.0}),
    "U15 div": (modular_task("div", 15), {"2d_a": 3.0}),
}


def irreps_of(task: mg.Task) -> dict:
    return {irrep.label: irrep for irrep in real_irreps(task.frame.basis.group)}


def character_logits(task: mg.Task, amplitudes: Mapping[str, float]) -> Tensor:
    """Logits sum_rho amplitude_rho tr rho(x∘y) rho(c)^-1 on the task's group, written out; 0 outside."""
    frame, irreps = task.frame, irreps_of(task)
    logits = torch.zeros(task.n_inputs, task.n_classes, dtype=torch.float64)
    for label, amplitude in amplitudes.items():
        matrices = irreps[label].matrices
        of_answers = matrices[frame.results.flatten()].flatten(1)
        # tr A B^-1 is the scalar product of the entries of the orthogonal matrices A and B.
        logits[frame.rows.flatten()[:, None], frame.classes] += amplitude * of_answers @ matrices.flatten(1).T
    return logits


def grid_of(name: str) -> tuple[mg.ActivationGrid, dict[str, float]]:
    task, amplitudes = CASES[name]
    return mg.grid_from_tensors(task, character_logits(task, amplitudes)), amplitudes


@pytest.mark.parametrize("name", CASES)
def test_planted_characters_are_the_keys(name):
    grid, amplitudes = grid_of(name)
    keys = mg.find_key_frequencies(grid)
    assert set(keys) == set(amplitudes)
    assert keys.explained == pytest.approx(1)
    assert key_irreps(grid) == keys.frequencies


@pytest.mark.parametrize("space", ["product", "character"])
@pytest.mark.parametrize("name", CASES)
def test_the_keys_alone_are_the_network_and_without_them_nothing_is_left(name, space):
    grid, amplitudes = grid_of(name)
    inside = grid.task.frame.covers(grid.task.n_inputs)
    full = mg.full_loss(grid, inside)
    assert mg.restricted_loss(grid, amplitudes, space=space) == pytest.approx(full, rel=1e-9)
    assert mg.excluded_loss(grid, amplitudes, space=space) == pytest.approx(math.log(grid.task.n_classes))


@pytest.mark.parametrize("name", ["S5", "A4", "D7"])
def test_one_irrep_excluded_leaves_the_others(name):
    grid, amplitudes = grid_of(name)
    dropped, *kept = amplitudes
    rest = character_logits(grid.task, {label: amplitudes[label] for label in kept})
    expected = mg.full_loss(mg.grid_from_tensors(grid.task, rest))
    for space in ("product", "character"):
        assert mg.excluded_loss(grid, [dropped], space=space) == pytest.approx(expected)


@pytest.mark.parametrize("name", CASES)
def test_similarity_in_closed_form(name):
    """Characters of different irreps are orthogonal: cosines are their amplitudes times their norms."""
    grid, amplitudes = grid_of(name)
    irreps = irreps_of(grid.task)
    norms = {label: a * irreps[label].character.norm().item() for label, a in amplitudes.items()}
    length = math.hypot(*norms.values())
    for label, similarity in character_similarity(grid).items():
        assert similarity == pytest.approx(norms.get(label, 0) / length, abs=1e-9)


def test_similarity_is_blind_to_what_the_loss_cannot_see_and_keeps_its_sign():
    grid, _ = grid_of("S4")
    task = grid.task
    expected = character_similarity(grid)
    offsets = torch.randn(task.n_inputs, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = character_similarity(mg.grid_from_tensors(task, 3 * grid.logits + offsets))
    assert moved == pytest.approx(expected, abs=1e-9)
    flipped = character_similarity(mg.grid_from_tensors(task, -grid.logits))
    assert flipped["sign"] == pytest.approx(-expected["sign"])


def test_flat_logits_resemble_nothing():
    task = group_task("S3")
    with pytest.raises(mg.UndefinedMetricError, match="resemble no character"):
        character_similarity(mg.grid_from_tensors(task, torch.ones(36, 6)))


def test_noise_has_no_keys():
    task = sn_task("S4")
    noise = torch.randn(task.n_inputs, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert mg.find_key_frequencies(mg.grid_from_tensors(task, noise)).frequencies == ()


def test_order_of_a_product_matters():
    """Characters of b∘a are not those of a∘b; only one-dimensional irreps cannot tell."""
    task, amplitudes = CASES["S4"]
    swapped = character_logits(task, amplitudes).view(24, 24, 24).transpose(0, 1).reshape(576, 24)
    similarity = character_similarity(mg.grid_from_tensors(task, swapped))
    right = character_similarity(mg.grid_from_tensors(task, character_logits(task, amplitudes)))
    assert similarity["sign"] == pytest.approx(right["sign"])
    assert abs(similarity["standard"]) < 0.5 * right["standard"]


def test_weight_fractions_of_planted_embeddings():
    task = sn_task("S5")
    basis, matrices = task.frame.basis, irreps_of(task)["standard"].matrices.flatten(1)
    sign = irreps_of(task)["sign"].matrices.flatten(1)
    weights = torch.cat(
        [matrices / matrices.norm(), 2 * sign / sign.norm(), torch.full_like(sign, 120**-0.5)], 1
    )
    fractions = weight_fractions(weights, basis=basis)
    assert sum(fractions.values()) == pytest.approx(1)
    wanted = {"trivial": 1 / 6, "sign": 4 / 6, "standard": 1 / 6}
    assert fractions == pytest.approx({label: wanted.get(label, 0) for label in fractions}, abs=1e-9)


def test_hidden_fractions_of_planted_neurons():
    task = sn_task("S4")
    entry = irreps_of(task)["standard"].matrices[:, 0, 1]
    other = irreps_of(task)["2d"].matrices[:, 1, 0]
    a, b, c = task.operands[:, 0], task.operands[:, 1], task.labels
    hidden = torch.stack([5 + 2 * entry[a], entry[b], other[c] * (3 / 2) ** 0.5], dim=1)
    grid = mg.grid_from_tensors(task, torch.zeros(576, 24), {"hidden": hidden})
    shares = hidden_fractions(grid, site="hidden")
    # Entries of an irrep of dimension d have a mean square of 1/d; the third neuron is scaled by 3/2 of 2/3.
    total = 4 / 3 + 1 / 3 + 3 / 4
    assert shares.first["standard"] == pytest.approx(4 / 3 / total)
    assert shares.second["standard"] == pytest.approx(1 / 3 / total)
    assert shares.product["2d"] == pytest.approx(3 / 4 / total)
    assert sum(sum(part.values()) for part in (shares.first, shares.second, shares.product)) == pytest.approx(
        1
    )


def test_hidden_fractions_where_they_are_undefined():
    task = sn_task("S3")
    grid = mg.grid_from_tensors(task, torch.zeros(36, 6), {"hidden": torch.ones(36, 2)})
    with pytest.raises(mg.UndefinedMetricError, match="do not vary"):
        hidden_fractions(grid, site="hidden")


@pytest.mark.parametrize(
    "task",
    [
        modular_task("a^2+b^2", 5),
        modular_task("a^2+b", 5),
        modular_task("b+0*a", 5),
        sn_task("S3", op="xyx^-1"),
    ],
    ids=lambda task: task.name,
)
def test_no_hidden_fractions_where_answers_and_operands_overlap(task):
    """In the second and the last all answers are equally frequent over all inputs, but not for each b."""
    grid = mg.grid_from_tensors(
        task, torch.zeros(task.n_inputs, task.n_classes), {"hidden": task.operands.double()}
    )
    with pytest.raises(mg.UndefinedMetricError, match="not equally frequent for each a and for each b"):
        hidden_fractions(grid, site="hidden")


def test_the_other_measures_do_without_the_hidden_layer():
    task = sn_task("S3", op="xyx^-1")
    measures = mg.representation_measures(mg.build_model(task, mg.ModelConfig(d_model=16)), keys=["sign"])
    assert measures.hidden is None
    assert {"embedding", "unembedding", "similarity"} <= measures.rows()[0].keys()
    assert measures.figure().data[0].x[-2:] == ("unembedding", "logits")


@pytest.mark.parametrize("x_alone", [True, False])
def test_neurons_of_one_irrep_are_assigned_to_it(x_alone):
    from mechgrok.analysis.neurons import block_power

    task = sn_task("S4")
    matrices = irreps_of(task)["standard"].matrices
    a, b = task.operands.T
    neuron = matrices[a, 0, 1] if x_alone else (matrices[a, 0] * matrices[b, :, 1]).sum(1)
    power, total = block_power(task.frame.square(neuron[:, None]), task.frame.basis)
    place = task.frame.basis.labels.index("standard")
    assert power[0, place].item() == pytest.approx(total.item())


def test_a_network_of_cosines_in_all_measures():
    """On Z_p irreps are frequencies; logits 3 cos(w_1 .) + 4 cos(w_2 .), one neuron block for each."""
    model = cosine_network(11, {1: 3.0, 2: 4.0})
    train = torch.zeros(121, dtype=torch.bool)
    train[:50] = True
    measures = representation_measures(model, train=train)
    assert measures.keys == (1, 2)
    assert measures.similarity == pytest.approx({1: 0.6, 2: 0.8, 3: 0, 4: 0, 5: 0}, abs=1e-9)
    assert measures.logits_explained == pytest.approx(1)
    assert measures.embedding == pytest.approx({"trivial": 0, 1: 0.5, 2: 0.5, 3: 0, 4: 0, 5: 0}, abs=1e-9)
    assert measures.unembedding == pytest.approx(
        {"trivial": 0, 1: 9 / 25, 2: 16 / 25, 3: 0, 4: 0, 5: 0}, abs=1e-9
    )
    # (cos u + cos v)^2 has a variance of 1 in the product, half of it in a + b, and of 1/8 in each square.
    assert measures.hidden.product[1] == pytest.approx(0.5 / 1.25 / 2)
    assert measures.hidden.first[2] == pytest.approx(1 / 8 / 1.25 / 2)
    assert measures.restricted_loss == pytest.approx(mg.full_loss(model))
    assert measures.excluded_loss == pytest.approx(math.log(11))
    assert [row["irrep"] for row in measures.rows() if row["key"]] == [1, 2]
    assert repr(measures).startswith("RepresentationMeasures(1: 0.600, 2: 0.800; 100.0%")


def test_losses_at_the_neurons_need_keys_and_a_network():
    model = cosine_network(7, {2: 5.0})
    assert representation_measures(model, [2]).excluded_loss is None
    with pytest.raises(mg.UndefinedMetricError, match="no key frequency given"):
        mg.restricted_loss(model, [], site="neurons")
    task = sn_task("S3")
    zeros = {"blocks.0.mlp.hook_post": torch.zeros(36, 4)}
    with pytest.raises(mg.ActivationError, match="needs W_L, and the grid was made of tensors without it"):
        mg.restricted_loss(mg.grid_from_tensors(task, torch.zeros(36, 6), zeros), ["sign"], site="neurons")


def test_at_the_neurons_only_what_they_write_counts():
    """Whatever reaches the logits past the neurons, or as a bias, changes the loss at the hook alone."""
    model = cosine_network(7, {2: 5.0})
    keys, hook = [2], "blocks.0.mlp.hook_post"
    at_neurons, at_hook = (
        mg.restricted_loss(model, keys, site=site, keep_mean=False) for site in ("neurons", hook)
    )
    assert at_neurons == pytest.approx(at_hook), "this network has nothing else"
    excluded = mg.excluded_loss(model, keys, site="neurons")
    with torch.no_grad():
        model.W_E[:, -7:] += (
            torch.randn(model.W_E.shape[0], 7, generator=torch.Generator().manual_seed(0)) * 3
        )
    assert mg.restricted_loss(model, keys, site=hook, keep_mean=False) != pytest.approx(at_hook, rel=0.01)
    assert mg.restricted_loss(model, keys, site="neurons", keep_mean=False) == pytest.approx(at_neurons)
    assert mg.excluded_loss(model, keys, site="neurons") == pytest.approx(excluded)


def test_the_mean_at_the_neurons_is_an_option():
    model = mg.build_model(modular_task("add", 7), mg.ModelConfig(d_model=16), seed=0)
    grid = mg.cache_grid(model)
    readout = (model.W_out[0] @ model.W_U).detach().double()[:, :7]
    kept = project_on_product(grid.neurons.double(), grid.task.frame, [1])
    with_mean = kept + (grid.neurons.double() - kept).mean(0)
    for hidden, keep_mean in ((kept, False), (with_mean, True)):
        expected = mg.full_loss(mg.grid_from_tensors(grid.task, hidden @ readout))
        found = mg.restricted_loss(grid, [1], site="neurons", keep_mean=keep_mean)
        assert found == pytest.approx(expected)


def test_a_network_in_the_wrong_basis_has_no_few_keys():
    """Multiplication, analysed by addition: no frequency explains the logits any more."""
    task = modular_task("mul", 13)
    angles = 2 * torch.pi * torch.arange(12).double() / 12
    frame = task.frame
    logits = torch.zeros(169, 13, dtype=torch.float64)
    gaps = frame.results.flatten()[:, None] - torch.arange(12)
    logits[frame.rows.flatten()[:, None], frame.classes] = 9 * (angles[gaps % 12] * 5).cos()
    own = mg.find_key_frequencies(mg.grid_from_tensors(task, logits))
    assert own.frequencies == (5,)
    assert own.explained == pytest.approx(1, abs=1e-6)
    wrong = mg.find_key_frequencies(mg.grid_from_tensors(task.in_basis(fourier_basis(13)), logits))
    assert wrong.frequencies == ()
    # 2/13 of all of the variance, of which centring each class over the 169 inputs takes one part in 169.
    explained = sum(wrong.share(label) for label in wrong.candidates)
    assert explained == pytest.approx(2 / 13 * 169 / 168)
    assert wrong.power.tolist() == pytest.approx([1 / 39 * 169 / 168] * 6)


def test_each_operand_with_tokens_of_its_own_has_its_own_embedding():
    task = mg.group_task("D4", sequence=("a", "b'", "="))
    model = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    found = mg.representation_measures(mg.cache_grid(model, task), keys=["freq_1"])
    for measured, tokens in ((found.embedding, slice(0, 8)), (found.embedding_second, slice(8, 16))):
        direct = weight_fractions(model.embed.W_E[tokens], basis=task.frame.basis)
        assert measured == pytest.approx(direct)
    assert found.embedding != pytest.approx(found.embedding_second, rel=0.01)
