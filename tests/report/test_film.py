"""Films: the stored values are the figures' values, axes fit all frames, and checkpoints are well chosen."""

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, strategies as st
from pages import unpacked

from mechgrok.report.film import choose_steps, make_film


def heat(z: np.ndarray, **options) -> go.Figure:
    return go.Figure(go.Heatmap(z=z, **options))


def test_lines_are_stored_as_they_are():
    frames = [np.random.default_rng(i).normal(size=5).astype("f4") for i in range(3)]
    film = make_film([go.Figure(go.Scatter(x=np.arange(5), y=y)) for y in frames])
    (part,) = film.moving
    assert (part["trace"], part["attribute"]) == (0, "y"), "the steps are the same in all frames"
    assert np.array_equal(unpacked(part), np.stack(frames))
    low, high = film.figure.layout.yaxis.range
    assert low < np.min(frames)
    assert high > np.max(frames)


@pytest.mark.parametrize(("low", "high", "power"), [(0.0, 7.0, 2), (-3.0, 7.0, 1)])
def test_maps_keep_their_values_to_one_part_in_a_hundred(low: float, high: float, power: int):
    maps = np.random.default_rng(0).uniform(low, high, size=(4, 6, 5))
    maps[1, 2, 3] = low + 1e-3
    film = make_film([heat(z) for z in maps])
    (part,) = film.moving
    assert part["power"] == power
    assert abs(unpacked(part) - maps).max() < 0.01 * (high - low)
    if low == 0:
        assert 0 < unpacked(part)[1, 2, 3] < 2e-3, "small values stay small, and apart from 0"
    trace = film.figure.data[0]
    assert (trace.zmin, trace.zmax) == (maps.min(), maps.max())


def test_colours_that_turn_at_0_reach_as_far_both_ways():
    film = make_film([heat(np.array([[-1.0, 4.0]]), zmid=0), heat(np.array([[-2.0, 1.0]]), zmid=0)])
    assert (film.figure.data[0].zmin, film.figure.data[0].zmax) == (-4, 4)


def test_what_does_not_move_is_stored_once():
    film = make_film([heat(np.eye(3)), heat(np.eye(3))])
    assert film.moving == ()
    assert make_film([heat(np.eye(3))]).moving == ()


def test_ranges_that_are_given_are_united():
    def drawn(reach: float) -> go.Figure:
        figure = go.Figure(go.Scatter(x=[reach], y=[reach]))
        return figure.update_layout(xaxis_range=[-reach, reach], yaxis_range=[-reach, reach])

    assert make_film([drawn(1), drawn(5), drawn(2)]).figure.layout.xaxis.range == (-5, 5)


def test_a_checkpoint_with_nothing_to_draw_is_empty():
    film = make_film([None, go.Figure(go.Bar(x=[1], y=[2.0], customdata=[["k = 1", "90%"]]))])
    (part,) = film.moving
    assert part["attribute"] == "y"
    assert np.isnan(unpacked(part)[0]).all()
    assert unpacked(part)[1] == 2


@given(st.integers(2, 300), st.integers(2, 40), st.randoms(use_true_random=True))
def test_the_choice_is_as_long_as_allowed_with_both_ends(n: int, most: int, random):
    steps = sorted(random.sample(range(10_000), n))
    history = [
        {"step": s, "loss_test": random.choice([None, 0.0, 10 ** random.uniform(-8, 1)])} for s in steps
    ]
    chosen = choose_steps(steps, history, most)
    assert len(chosen) == min(n, most)
    assert list(chosen) == sorted(set(chosen))
    assert set(chosen) <= set(steps)
    assert (chosen[0], chosen[-1]) == (steps[0], steps[-1])


def test_the_transition_is_dense_and_no_stretch_is_empty():
    steps = range(0, 40_001, 100)
    history = [{"step": s, "loss_test": 10 ** np.interp(s, [9000, 11_000], [1, -7])} for s in steps]
    chosen = np.array(choose_steps(steps, history, 40))
    transition = (chosen >= 9000) & (chosen <= 11_000)
    assert 18 <= transition.sum() <= 22, "half of them, and those that are there anyway"
    assert np.diff(chosen).max() <= 2200


@pytest.mark.parametrize("history", [[], [{"step": 0, "loss_test": 1.0}], [{"step": s} for s in range(99)]])
def test_without_losses_steps_are_even(history):
    assert choose_steps(range(100), history, 4) == (0, 33, 66, 99)


def test_where_nothing_is_held_out_the_train_loss_counts():
    history = [{"step": s, "loss_train": 2.0 if s < 80 else 1.0, "loss_test": None} for s in range(100)]
    assert choose_steps(range(100), history, 5)[2:4] == (79, 80)
