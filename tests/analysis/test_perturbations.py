"""Planted networks whose neurons read something else: what follows is known in closed form."""

import pytest
import torch
from planted import NEURONS, coset_network, phase_grid, wave_network
from torch import nn

import mechgrok as mg
from mechgrok.analysis.perturbations import ABSOLUTE, BOTH, SWAPPED

PRE = "blocks.0.mlp.hook_pre"
SIGNS = ("sign of a flipped", "sign of b flipped")


def loss_of(network: mg.HookedMLP, logits: torch.Tensor) -> float:
    return nn.functional.cross_entropy(logits.double(), network.task.labels).item()


@pytest.mark.parametrize("n", [3, 4, 5])
def test_a_network_of_cosets_breaks_as_its_authors_say(n: int):
    network = coset_network(n)
    logits = mg.cache_grid(network).logits
    found = mg.perturb_neurons(network, noise=0)
    assert found.before.accuracy == 1
    assert found.odd == pytest.approx(0, abs=1e-20)
    assert found.rows[BOTH].loss == pytest.approx(found.before.loss, rel=1e-9)
    assert found.rows[ABSOLUTE].accuracy == 1
    assert found.rows[ABSOLUTE].loss == pytest.approx(loss_of(network, 2 * logits), rel=1e-9)
    assert found.rows[ABSOLUTE].control.loss == pytest.approx(loss_of(network, 2 * logits), rel=1e-9)
    assert [found.rows[sign].accuracy for sign in SIGNS] == [0, 0]
    assert all(row.came_true for row in found.rows.values())


@pytest.mark.parametrize("n", [3, 4])
def test_with_one_sign_flipped_the_things_stand_in_reverse(n: int):
    """-t is t in reverse order, so that the network composes a, the reversal, and b."""
    network = coset_network(n)
    table, reverse = mg.named_group(f"S{n}").table, network.task.n_classes - 1
    grid = mg.cache_grid(network)
    answers = table[table[:, reverse]]  # a, the reversal, b: the reversal is the last permutation
    logits = grid.logits.view(len(table), len(table), -1)[table[:, reverse]]
    assert torch.equal(logits.argmax(2), answers)
    found = mg.perturb_neurons(network, noise=0)
    assert found.rows[SIGNS[0]].loss == pytest.approx(loss_of(network, logits.flatten(0, 1)), rel=1e-9)


@pytest.mark.parametrize("n", [3, 4])
def test_embeddings_swapped_are_not_operands_swapped(n: int):
    network = coset_network(n)
    first, second = network.operand_embeddings
    W = network.layers[0].W_in
    read = (second @ W[: len(first[0])])[:, None] + (first @ W[len(first[0]) :])[None]
    logits = read.relu().flatten(0, 1) @ network.W_U
    row = mg.perturb_neurons(network, noise=0).rows[SWAPPED]
    assert row.loss == pytest.approx(loss_of(network, logits), rel=1e-9)
    group = mg.named_group(f"S{n}")
    commuting = (group.table == group.table.T).double().mean().item()
    assert row.control.accuracy == pytest.approx(commuting)
    assert commuting == len(group.classes) / group.order


@pytest.mark.parametrize(("p", "k"), [(3, 1), (5, 2), (12, 5), (15, 4), (53, 7)])
def test_squares_know_no_sign_and_products_do(p: int, k: int):
    task = mg.modular_task("add", p, sequence=("a", "b"))
    network = wave_network(task, phase_grid(sorted({1, k})), gain=1.0)
    network.task = task
    found = mg.perturb_neurons(network, noise=0)
    logits = mg.cache_grid(network).logits
    assert found.odd == pytest.approx(0, abs=1e-20)
    assert found.rows[BOTH].loss == pytest.approx(found.before.loss, rel=1e-9)
    for sign in SIGNS:
        assert found.rows[sign].loss == pytest.approx(loss_of(network, -logits), rel=1e-9)
        assert found.rows[sign].accuracy == 0
    assert found.left_out.keys() == {ABSOLUTE, SWAPPED}


@pytest.mark.parametrize("group", ["S3", "S4", "D5", "Q8", "A4", "Z2xZ2"])
def test_irreps_change_their_sign(group: str):
    labels = mg.IrrepBasis(mg.named_group(group)).labels
    network = mg.character_network(group, dict.fromkeys(labels, 1.0))
    found = mg.perturb_neurons(network, noise=0)
    assert found.rows[SIGNS[1]].loss == pytest.approx(
        loss_of(network, -mg.cache_grid(network).logits), rel=1e-9
    )
    assert "the same weights" in found.left_out[SWAPPED]


def test_neurons_that_read_products_alone_have_no_sign_of_one_operand():
    found = mg.perturb_neurons(mg.clock_transformer(11, {3: 9.0}), noise=0)
    assert [found.rows[sign].loss for sign in SIGNS] == pytest.approx([found.before.loss] * 2, rel=1e-6)
    assert all(found.rows[sign].came_true for sign in SIGNS)


@pytest.mark.parametrize("bent", [0.0, 1.0, 3.0])
def test_the_odd_part_is_what_linear_neurons_would_write(bent: float):
    """Pairs of ReLUs that write x/2 + bent |x|/2 to the logits."""
    task = mg.modular_task("add", 7)
    x = 20 * (torch.nn.functional.one_hot(task.labels, 7).double() - 1 / 7)
    pre = torch.cat([x, -x], 1)
    W_L = torch.cat([(bent + 1) * torch.eye(7), (bent - 1) * torch.eye(7)]).double() / 2
    neurons = pre.clamp(min=0)
    grid = mg.grid_from_tensors(task, neurons @ W_L, {PRE: pre, NEURONS: neurons}, weights={"W_L": W_L})
    # Centred over the classes, x = 20 (6/7 or -1/7), and |x| is 5/7 of it.
    even = bent * 5 / 7
    found = mg.perturb_neurons(grid, noise=0)
    assert found.odd == pytest.approx(1 / (1 + even) ** 2)
    assert found.rows[BOTH].accuracy == (1.0 if even > 1 else 0.0)
    if not bent:
        assert found.rows[BOTH].came_true
        assert found.rows[ABSOLUTE].accuracy == pytest.approx(1 / 7)
        assert not found.rows[ABSOLUTE].came_true


def test_a_network_with_a_norm_behind_its_neurons_is_run():
    task = mg.modular_task("add", 5)
    network = mg.build_model(task, mg.ModelConfig(d_model=16, normalization="LN"), seed=0)
    pre = mg.cache_grid(network, names=[PRE])[PRE]
    hook = (PRE, lambda x, hook: torch.cat([x[:, :-1], pre.abs()[:, None]], 1))
    logits = network.run_with_hooks(task.tokens, fwd_hooks=[hook])[:, -1, :5]
    found = mg.perturb_neurons(network)
    assert found.rows[ABSOLUTE].loss == pytest.approx(
        nn.functional.cross_entropy(logits.double(), task.labels).item(), rel=1e-5
    )


def test_logits_from_the_map_are_those_of_a_pass():
    network = mg.pizza_network(11, {3: 9.0, 5: 4.0})
    wrapped = mg.wrap(
        network, network.task, hooks={"pre": "blocks.0.mlp.hook_pre", "neurons": "blocks.0.mlp.hook_post"}
    )
    for fast, slow in zip(*(mg.perturb_neurons(net).records() for net in (network, wrapped)), strict=True):
        assert slow["loss"] == pytest.approx(fast["loss"], rel=1e-6)


def test_noise_has_the_size_that_is_said():
    network = coset_network(4)
    pre = mg.cache_grid(network, names=[PRE])[PRE].flatten(1)
    found = mg.perturb_neurons(network)
    assert found.noise == pytest.approx(pre.var(0, correction=0).mean().sqrt().item() / 3)
    names = [name for name in found.rows if name.startswith("noise")]
    losses = [found.rows[name].loss for name in names]
    assert len(names) == 3
    assert found.before.loss < losses[0] < losses[1] < losses[2]
    again = mg.perturb_neurons(network)
    assert [row.loss for row in again.rows.values()] == [row.loss for row in found.rows.values()]
    assert mg.perturb_neurons(network, seed=1).rows[names[1]].loss != losses[1]
    drowned = mg.perturb_neurons(network, noise=1e4)
    assert drowned.rows["noise of 1"].accuracy == pytest.approx(1 / 24, abs=0.05)
    assert not drowned.rows["noise of 1"].came_true
    assert "did not come true" in repr(drowned)


def test_a_mask_says_which_inputs_count():
    network = coset_network(3)
    mask = network.task.split(0.5).train
    found = mg.perturb_neurons(network, mask, noise=0)
    assert found.n_inputs == int(mask.sum())
    assert found.before.loss == pytest.approx(mg.full_loss(network, mask), rel=1e-9)


def test_what_cannot_be_broken_is_refused_in_words():
    with pytest.raises(mg.ConfigError, match="from 0 on; got -1"):
        mg.perturb_neurons(coset_network(3), noise=-1.0)
    mixed = mg.mixed_task([mg.modular_task("add", 5), mg.modular_task("sub", 5)])
    with pytest.raises(mg.UndefinedMetricError, match="all pairs of two operands"):
        mg.perturb_neurons(mg.build_model(mixed, mg.ModelConfig(d_model=16), seed=0))
    still = torch.ones(25, 3).double()
    grid = mg.grid_from_tensors(
        mg.modular_task("add", 5), torch.zeros(25, 5).double(), {PRE: still, NEURONS: still},
        weights={"W_L": torch.zeros(3, 5).double()},
    )  # fmt: skip
    with pytest.raises(mg.UndefinedMetricError, match="do not vary"):
        mg.perturb_neurons(grid)
    with pytest.raises(mg.ActivationError, match="hook_pre"):
        mg.perturb_neurons(mg.grid_from_tensors(mg.modular_task("add", 5), torch.zeros(25, 5)))
