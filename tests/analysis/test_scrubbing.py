"""Scrubbing planted neurons: neurons that depend on the answer keep it, memorising ones do not."""

import pytest
import torch
from planted import NEURONS, coset_network, phase_grid, wave_network

import mechgrok as mg
from mechgrok.analysis.scrubbing import _donors, _resampled


def tabled(task: mg.Task, neurons: torch.Tensor, W_L: torch.Tensor) -> mg.ActivationGrid:
    return mg.grid_from_tensors(task, neurons @ W_L, {NEURONS: neurons}, weights={"W_L": W_L})


@pytest.mark.parametrize(("p", "k"), [(3, 1), (5, 2), (12, 5), (15, 4), (53, 7)])
@pytest.mark.parametrize("operation", ["add", "sub"])
def test_clusters_that_follow_the_answer_keep_it(p: int, k: int, operation: str):
    task = mg.modular_task(operation, p, sequence=("a", "b"))
    network = wave_network(task, phase_grid(sorted({1, k})), gain=8.0)
    network.task = task
    found = mg.scrub(network)
    assert (found.accuracy, found.before.accuracy) == (1, 1)
    assert found.recovered == pytest.approx(1, abs=1e-9)
    assert found.loss == pytest.approx(found.before.loss, rel=1e-6, abs=1e-12)
    assert found.control_accuracy < found.accuracy
    assert found.baseline.loss > found.loss + 1


def test_the_control_of_a_sum_is_the_difference():
    # One neuron for each difference: what has the same difference leaves them as they are, the same sum does not.
    p = 11
    task = mg.modular_task("add", p)
    a, b = task.operands.T
    differences = torch.nn.functional.one_hot((a - b) % p, p).double()
    W_L = torch.randn(p, p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = mg.scrub(tabled(task, differences, W_L))
    assert found.control.loss == pytest.approx(found.before.loss, rel=1e-9)
    assert found.loss != pytest.approx(found.before.loss, rel=1e-3)


@pytest.mark.parametrize("name", ["S3", "S4", "A4", "D4", "D5", "Q8", "Z2xZ2", "Z2xS3"])
def test_irreps_have_clusters_too(name: str):
    group = mg.named_group(name)
    labels = mg.IrrepBasis(group).labels
    network = mg.character_network(name, dict.fromkeys(labels, 4.0))
    found = mg.scrub(network)
    assert found.accuracy == found.before.accuracy == 1
    assert found.recovered == pytest.approx(1, abs=1e-6)
    assert set(found.clusters) <= set(labels)
    inverses_alone = torch.equal(group.inverses, torch.arange(group.order))
    assert (found.control_accuracy is None) == inverses_alone
    if not inverses_alone:
        assert found.control_accuracy < 1


@pytest.mark.parametrize(("name", "label"), [("S5", "standard"), ("A5", "standard"), ("D59", "freq_1")])
def test_one_irrep_of_a_large_group(name: str, label: str):
    found = mg.scrub(mg.character_network(name, {label: 40.0}))
    assert found.accuracy == found.before.accuracy == 1
    assert found.recovered == pytest.approx(1, abs=1e-6)
    assert set(found.clusters) == {label}
    assert found.control_accuracy < 0.5


@pytest.mark.parametrize("n", [3, 4, 5])
def test_cosets_are_scrubbed_as_irreps(n: int):
    """Neurons of point stabilisers are all of the standard irrep, and one network carries nothing but the answer."""
    found = mg.scrub(coset_network(n))
    assert set(found.clusters) == {mg.find_key_frequencies(coset_network(n)).frequencies[0]}
    assert found.accuracy == 1
    assert found.recovered == pytest.approx(1, abs=0.05)
    assert found.control_accuracy < 0.6


def test_a_memory_falls_to_pieces():
    """Random features of each input, and a map that reads the answers of the train inputs off them."""
    task = mg.modular_task("add", 13)
    train = task.split(0.5).train
    # As many features as train inputs: they cancel each other wherever they are not all of one input.
    width = int(train.sum())
    neurons = torch.randn(169, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    right = 20 * torch.nn.functional.one_hot(task.labels, 13).double()
    grid = tabled(task, neurons, torch.linalg.pinv(neurons[train]) @ right[train])
    found = mg.scrub(grid, train)
    assert found.before.accuracy == 1
    assert found.accuracy < 0.4
    assert found.loss > found.before.loss + 1
    assert found.n_inputs == int(train.sum())


def test_what_is_drawn_is_another_input_of_the_same_answer():
    p = 5
    task = mg.modular_task("add", p)
    # The first neuron is the number of the input and writes it to a logit that no answer uses.
    neurons = torch.arange(p * p).double()[:, None] + 1
    grid = tabled(task, neurons, torch.tensor([[1.0, 0, 0, 0, 0]], dtype=torch.float64))
    everybody = torch.ones(p * p, dtype=torch.bool)
    for seed in range(20):
        dice = torch.Generator().manual_seed(seed)
        donors = _donors(everybody, task.labels, torch.ones(1).long(), dice)[1]
        assert torch.equal(task.labels[donors], task.labels)
        assert (donors != torch.arange(p * p)).all()
    assert torch.equal(grid.neurons, neurons), "the grid keeps its activations"
    again = [mg.scrub(grid, seed=3).loss for _ in range(2)]
    assert again[0] == again[1] != mg.scrub(grid, seed=4).loss


def test_a_random_division_of_a_circle_is_worse():
    found = mg.scrub(mg.pizza_network(11, {3: 9.0, 1: 5.0}))
    assert found.partition.loss > 2 * found.loss
    assert found.random_partition < found.accuracy == 1


def test_networks_with_a_final_norm_are_run():
    task = mg.modular_task("add", 5)
    network = mg.build_model(task, mg.ModelConfig(d_model=16, normalization="LN"), seed=0)
    grid = mg.cache_grid(network, task)
    tuned = mg.neuron_frequencies(grid, threshold=0.0)
    groups = torch.where(tuned.alive, tuned.frequency, 0)
    dice, everybody = torch.Generator().manual_seed(0), torch.ones(25, dtype=torch.bool)
    neurons = _resampled(grid.neurons, _donors(everybody, task.labels, groups, dice), groups)
    hook = (NEURONS, lambda x, hook: torch.cat([x[:, :-1], neurons[:, None]], 1))
    logits = network.run_with_hooks(task.tokens, fwd_hooks=[hook])[:, -1, :5]
    found = mg.scrub(grid)
    assert found.loss == pytest.approx(
        torch.nn.functional.cross_entropy(logits, task.labels).item(), rel=1e-5
    )
    assert found.loss != pytest.approx(found.before.loss, rel=1e-4)


def test_what_cannot_be_scrubbed_is_refused_in_words():
    with pytest.raises(mg.UndefinedMetricError, match="no two inputs"):
        mg.scrub(mg.build_model(mg.parity_task(4, (0, 1)), seed=0))
    with pytest.raises(mg.NoGroupError):
        mg.scrub(
            mg.build_model(
                mg.task_from_function(lambda a, b: max(a, b) > 4, n=9, name="max above 4"),
                mg.ModelConfig(d_model=16),
                seed=0,
            )
        )
    silent = tabled(mg.modular_task("add", 5), torch.ones(25, 3).double(), torch.ones(3, 5).double())
    with pytest.raises(mg.UndefinedMetricError, match="no neuron varies"):
        mg.scrub(silent)
    unread = tabled(mg.modular_task("add", 5), torch.eye(25).double(), torch.zeros(25, 5).double())
    with pytest.raises(mg.UndefinedMetricError, match="no loss to recover"):
        mg.scrub(unread).recovered  # noqa: B018
