"""The rows that the protocols of Pearce et al. 2023 derive from given networks."""

from math import pi

import pytest
import torch

import mechgrok as mg
from mechgrok.experiments import pair2023, pair2023_parity
from mechgrok.experiments.parity_sweep import ParitySweep
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction

ADD = mg.modular_task("add", 67)


def outcome_of(name):
    return run_reproduction(find_reproduction(name))


def row_of(rows, text):
    (found,) = [row for row in rows if text in row.quantity]
    return found


def star_run(times, height=30.0, n=5):
    """A run whose network is the construction, with output weights that turn so many times as fast."""
    network = mg.five_neuron_network(67, n)
    angle = 2 * pi / n * torch.arange(n).double()
    network.unembed.W_out.data = height * torch.stack([(times * angle).cos(), (times * angle).sin()], 1)
    network.layers[0].W_in.data *= height
    still = {"steps": 1, "lr": 1e-12, "progress": False}
    parts = ["blocks.0.mlp.W_in", "unembed.W_out"]
    return mg.train(ADD, "pair-circle", start=network.float(), parts=parts, **still)


def test_five_neurons_that_turn_twice_as_fast_hold(monkeypatch):
    run = star_run(2)
    monkeypatch.setattr(pair2023, "train_kept", lambda *args, **options: run)
    outcome = outcome_of("pair2023-five-neurons")
    assert outcome.holds, [row for row in outcome.rows if row.bounded and not row.holds]
    titles = [curve.panel for curve in outcome.curves]
    assert titles[0] == "constructed, k = 1: input weights"
    assert titles[-1] == "trained, seed 0, k = 1: output weights"


def test_neurons_that_turn_once_do_not(monkeypatch):
    run = star_run(1)
    monkeypatch.setattr(pair2023, "train_kept", lambda *args, **options: run)
    outcome = outcome_of("pair2023-five-neurons")
    assert not row_of(outcome.rows, "share of seeds").holds
    assert row_of(outcome.rows, "squares, 5 neurons: largest error").holds


def test_pure_waves_with_their_phases_add_and_with_others_do_not():
    phases = mg.neuron_phases(star_run(2))
    assert pair2023._of_waves(phases, times=2) == 1.0
    assert pair2023._of_waves(phases, times=1) < 0.1


@pytest.mark.slow
def test_a_network_that_only_memorised_fails_mod_67(monkeypatch):
    run = mg.train(ADD, "pair", steps=1000, eval_every=500, checkpoint_every=1000, progress=False)
    monkeypatch.setattr(pair2023, "train_kept", lambda *args, **options: run)
    outcome = outcome_of("pair2023-mod67")
    failing = {row.quantity for row in outcome.rows if row.bounded and not row.holds}
    assert any("test accuracy" in name for name in failing)
    assert any("neurons of one frequency" in name for name in failing)


def rows_by_kind(kinds):
    return tuple(
        {"weight_decay": decay, "d_mlp": 32, "n_train": 1500, "seed": seed, "kind": kind}
        for decay, kind in kinds.items()
        for seed in range(4)
    )


FOUR = {0.01: "memorisation", 0.03: "grokking", 0.1: "grokking", 0.3: "comprehension", 1.0: "confusion"}


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, 0),
        ({0.01: "grokking"}, 1),
        ({0.1: "memorisation"}, 1),
        ({1.0: "grokking"}, 1),
        ({0.3: "grokking"}, 2),
        ({0.3: "grokking", 1.0: "comprehension"}, 2),
    ],
)
def test_the_four_regimes_in_their_order(changes, failing):
    given = [*pair2023_parity._kinds(ParitySweep(rows_by_kind(FOUR | changes), {}))]
    rows = [row for row in given if hasattr(row, "quantity")]
    assert sum(not row.holds for row in rows) == failing
    panels = dict.fromkeys(curve.panel for curve in given if not hasattr(curve, "quantity"))
    assert list(panels) == [f"Weight decay {decay:g}" for decay in FOUR]


def test_a_network_that_never_learned_has_no_jump():
    task = mg.parity_task(8, n_samples=100)
    run = mg.train(task, "pair-parity", steps=2, checkpoint_every=1, eval_every=1, progress=False)
    rows = list(pair2023_parity._weights(run, 1))
    assert [row.holds for row in rows] == [False, False, False]


def test_distracting_bits_that_fade_hold_and_others_do_not(monkeypatch):
    """The jump is that of the accuracies; the weights are those of networks in which bits fade, or stay."""
    task = mg.parity_task(8, n_samples=100)
    run = mg.train(task, "pair-parity", steps=300, checkpoint_every=100, eval_every=100, progress=False)
    accuracies = {0: (0.5, 0.5), 100: (1.0, 0.5), 200: (1.0, 0.5), 300: (1.0, 1.0)}
    losses = {0: 0.7, 100: 1e-9, 200: 1e-8, 300: 1e-8}
    history = [
        {"step": s, "accuracy_train": a, "accuracy_test": b, "loss_train": losses[s], "loss_test": losses[s]}
        for s, (a, b) in accuracies.items()
    ]
    monkeypatch.setattr(mg.Run, "history", history)
    for last, holds in ((0.01, True), (0.5, False)):
        norms = iter([torch.tensor([1.0] * 3 + [x] * 5) for x in (1.0, 1.0, 0.5, last)])
        monkeypatch.setattr(pair2023_parity, "input_norms", lambda model, norms=norms: next(norms))
        rows = list(pair2023_parity._weights(run, 1))
        assert row_of(rows, "one, at the end").holds == holds
        assert row_of(rows, "one, memorised").holds
        assert row_of(rows, "train loss before the jump").measured == pytest.approx(10)
