"""The evidence that distinguishes a clock from a pizza."""

import pytest

import mechgrok as mg
from mechgrok.plots.evidence import RANGES, circle_alone, symmetricity_scale, verdict_scales


def test_marks_are_the_values_and_lie_in_the_ranges_that_vote():
    verdict = mg.classify_algorithm(mg.pizza_network(11, {3: 9.0}))
    marks = verdict_scales(verdict).data[-1]
    assert list(marks.x) == [item.value for item in verdict.evidence]
    assert [vote for vote, _ in marks.customdata] == [item.vote for item in verdict.evidence]


def test_every_measure_that_votes_has_its_ranges():
    verdict = mg.classify_algorithm(mg.cosine_network(11, {3: 9.0}))
    assert {item.measure for item in verdict.evidence if item.vote not in ("silent", "no clock")} == set(
        RANGES
    )


def test_a_network_that_was_not_judged():
    verdict = mg.classify_algorithm(mg.cosine_network(11, {3: 0.0}))
    with pytest.raises(mg.UndefinedMetricError, match="nothing to draw"):
        verdict_scales(verdict)


def test_symmetricity_alone():
    drawn = symmetricity_scale(mg.gradient_symmetricity(mg.cosine_network(7, {2: 5.0})))
    assert drawn.data[-1].y == ("gradient symmetricity",)
    assert "over 343 triples" in drawn.data[-1].customdata[0]


@pytest.mark.parametrize(("p", "k"), [(11, 3), (10, 2)])
def test_a_circle_alone(p: int, k: int):
    circle = mg.isolate_circle(mg.cosine_network(p, {k: 9.0}), k, by="fourier")
    surface, bars = circle_alone(circle).data
    assert surface.z.shape == (p, p)
    assert list(bars.y) == pytest.approx([100 * share for share in circle.fve.values()])
