"""The in-context score, for a circuit that repeats earlier tokens and for an untrained network."""

from math import log

import pytest
import torch

import mechgrok as mg

TASK = mg.repeated_sequence_task(20, 25, subsequence=12, repeats=2, every_token=True)


def test_it_is_the_difference_of_the_losses_of_positions():
    model = mg.induction_network(20, 25)
    found = mg.in_context_score(model, TASK, early=range(10), late=["position 20", -1], n=300, seed=3)
    losses = mg.position_losses(model, TASK, n=300, seed=3).losses
    assert found.late == ("position 20", "position 23")
    assert found.loss_early == pytest.approx(losses[:10].mean().item())
    assert found.loss_late == pytest.approx(losses[[20, 23]].mean().item())
    assert found.score == pytest.approx(found.loss_late - found.loss_early)
    assert "position 20 .. position 23" in repr(found)


def test_the_induction_circuit_predicts_what_comes_again():
    """Subsequences of 12 fill their intervals of 12, so that all of the second one but its first token is known."""
    model = mg.induction_network(20, 25, height=30.0)
    found = mg.in_context_score(model, TASK, early=range(11), late=range(13, 23), n=300)
    # A token that came twice within the first interval leaves two continuations to choose from.
    assert found.loss_late < found.loss_early - 2


def test_a_network_that_guesses_learns_nothing_from_the_context():
    model = mg.induction_network(20, 25)
    with torch.no_grad():
        model.unembed.W_U.zero_()
    found = mg.in_context_score(model, TASK)
    assert found.score == pytest.approx(0, abs=1e-9)
    assert found.loss_early == pytest.approx(log(20))
    assert (found.early, found.late) == (("position 0",), ("position 23",))


@pytest.mark.parametrize("places", [24, -25, "position 24", [], [0, 99], True])
def test_positions_that_are_not_there_are_refused(places):
    with pytest.raises(mg.ConfigError, match="early"):
        mg.in_context_score(mg.induction_network(20, 25), TASK, early=places)
