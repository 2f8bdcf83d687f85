"""The protocol's rows for networks in which induction heads form abruptly, and for others."""

import pytest
import torch

import mechgrok as mg
from mechgrok.experiments import olsson2022
from mechgrok.experiments.reproduction import Curve, Row, find_reproduction, run_reproduction

TASK = mg.repeated_sequence_task(20, 25, subsequence=12, repeats=2, every_token=True)
CIRCUIT, NOTHING = mg.induction_network(20, 25), mg.induction_network(20, 25)
with torch.no_grad():
    NOTHING.unembed.W_U.zero_()
    NOTHING.blocks[1].attn.W_Q.zero_()


class Grown:
    """A training in which the circuit is there from a step on."""

    steps = tuple(range(0, 300, 25))

    def __init__(self, begins: int) -> None:
        self.begins = begins

    def model(self, step):
        return CIRCUIT if step >= self.begins else NOTHING


@pytest.fixture
def outcome(monkeypatch):
    """Of networks of one and of two layers in which the circuit begins at these steps."""
    smaller = {"TASK": TASK, "EARLY": range(12), "LATE": range(12, 24), "N_INPUTS": 100}
    for name, value in smaller.items():
        monkeypatch.setattr(olsson2022, name, value)

    def of(one, two):
        asked = []

        def train(task, recipe, *, model, seed, **options):
            asked.append((model.n_layers, seed))
            return Grown(two if model.n_layers == 2 else one)

        monkeypatch.setattr(olsson2022, "train_kept", train)
        found = run_reproduction(find_reproduction("olsson2022-phase-change"))
        assert asked == [(2, 0), (2, 1), (2, 2), (1, 0), (1, 1), (1, 2)]
        return found

    return of


NEVER = 10**6


def test_heads_that_form_at_once_in_two_layers_alone_hold(outcome):
    found = outcome(one=NEVER, two=150)
    rows = {row.quantity: row for row in found.rows}
    assert found.holds, [row for row in found.rows if not row.holds]
    abrupt = "seeds whose in-context score falls by 1 nat or more in a phase change"
    assert rows[f"two layers: {abrupt}"].measured == 3
    assert rows[f"one layer: {abrupt}"].measured == 0
    assert rows["two layers: begin of the window (step), mean of the seeds"].measured < 150
    assert len(found.curves) == 12
    assert all(isinstance(curve, Curve) for curve in found.curves)
    assert {curve.panel for curve in found.curves} == {"In-context score", "Strongest induction head"}


@pytest.mark.slow
@pytest.mark.parametrize(("one", "two"), [(150, 150), (NEVER, NEVER), (NEVER, 0)])
def test_anything_else_does_not(outcome, one, two):
    """One layer that does the same; two layers that never do; two layers that do from the first step on."""
    found = outcome(one=one, two=two)
    assert not found.holds
    assert all(isinstance(row, Row) for row in found.rows)
