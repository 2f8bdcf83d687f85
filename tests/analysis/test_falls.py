"""Corners of falling losses."""

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.analysis.curves import LearningCurve
from mechgrok.analysis.falls import find_fall, log_loss, lowest


def line(steps, *corners: tuple[float, float]) -> LearningCurve:
    """A loss whose decimal logarithm goes straight from corner to corner."""
    x, y = zip(*corners, strict=True)
    return LearningCurve("loss", np.asarray(steps), 10.0 ** np.interp(steps, x, y))


EVERY = {"10": np.arange(0, 10_001, 10), "100": np.arange(0, 10_001, 100)}
LOGARITHMIC = np.unique(np.geomspace(1, 10_001, 300).astype(int)) - 1


@pytest.mark.parametrize("steps", [*EVERY.values(), LOGARITHMIC], ids=[*EVERY, "logarithmic"])
@pytest.mark.parametrize("depth", [-3, -12])
def test_corners_are_found_however_deep_and_however_sampled(steps, depth: int):
    fall = find_fall(line(steps, (0, 1), (4000, 1), (6000, depth), (10_000, depth)))
    gap = int(np.diff(steps)[steps[1:] >= 4000].max())
    assert abs(fall.start.step - 4000) <= gap
    assert abs(fall.end.step - 6000) <= gap
    assert fall.start.earliest <= 4000 <= fall.start.latest
    assert fall.end.earliest <= 6000 <= fall.end.latest
    assert fall.over


def test_a_gentle_start_has_a_wide_interval():
    steps = EVERY["100"]
    sharp = find_fall(line(steps, (0, 1), (5000, 1), (6000, -6), (10_000, -6))).start
    gentle = find_fall(line(steps, (0, 1), (3000, 1), (5000, 0), (6000, -6), (10_000, -6))).start
    assert gentle.step == sharp.step == 5000
    assert gentle.latest - gentle.earliest > 3 * (sharp.latest - sharp.earliest)
    assert gentle.earliest < 4000


def test_a_fall_that_goes_on_has_no_end_yet():
    steps = EVERY["100"]
    assert not find_fall(line(steps, (0, 1), (5000, 1), (10_000, -6))).over
    assert not find_fall(line(steps, (0, 1), (9900, 1), (10_000, -6))).over, "in the last row alone"
    assert find_fall(line(steps, (0, 1), (5000, 1), (8000, -6), (10_000, -6.3))).over


def test_spikes_do_not_move_the_corners():
    loss = line(EVERY["10"], (0, 1), (4000, 1), (6000, -6), (10_000, -6))
    spiky = LearningCurve("loss", loss.steps, loss.values.copy())
    spiky.values[[100, 700, 800, 900]] = 1e-5, 50.0, 1e2, 1e-12
    assert abs(find_fall(spiky).start.step - find_fall(loss).start.step) <= 50
    assert abs(find_fall(spiky).end.step - find_fall(loss).end.step) <= 50


def test_a_loss_rounded_to_zero_counts_as_the_smallest():
    logs = log_loss(LearningCurve("loss", np.arange(3), np.array([1.0, 0.0, 1e-7])))
    assert logs[1] == pytest.approx(np.log(1e-7))


@pytest.mark.parametrize(
    ("values", "said"),
    [([3.0, 3.0, 3.0], "does not fall"), ([2.0], "1 rows"), ([0.0, 0.0], "zeros"), ([1.0, -1.0], "neg")],
)
def test_what_is_no_fall(values, said: str):
    with pytest.raises(mg.UndefinedMetricError, match=said):
        find_fall(LearningCurve("loss", np.arange(len(values)), np.array(values)))


def test_lowest_is_where_the_greatest_rise_begins():
    steps = EVERY["10"]
    turning = line(steps, (0, 1), (1000, -2), (4000, 0.9), (10_000, 1))
    turn = lowest(turning, 2)
    assert turn is not None
    assert abs(turn.step - 1000) <= 10
    assert turn.earliest < 1000 < turn.latest
    assert lowest(line(steps, (0, 1), (10_000, -3)), 2) is None
    assert lowest(line(steps, (0, 1), (5000, 0), (10_000, 0.2)), 2) is None, "a rise by 1.6 is none"
    # It falls again at the end, below the turning point.
    again = lowest(line(steps, (0, 1), (1000, -2), (4000, 0.9), (10_000, -4)), 2)
    assert again is not None
    assert abs(again.step - 1000) <= 10
