"""The control of a formula: as right as the formula, and explaining nothing."""

import pytest

import mechgrok as mg
from mechgrok.analysis.other_keys import at_other_keys


@pytest.mark.parametrize(
    ("p", "amplitudes"),
    [(13, {2: 9.0, 6: 4.0}), (7, {1: 9.0, 2: 5.0, 3: 2.0}), (12, {1: 9.0, 5: 4.0}), (59, {17: 9.0})],
)
def test_a_formula_at_other_keys_is_right_and_explains_nothing(p: int, amplitudes: dict[int, float]):
    found = mg.explain(mg.cosine_network(p, amplitudes))
    other = at_other_keys(found.fitted)
    assert {term.label for term in other.terms} != set(amplitudes) or len(amplitudes) == p // 2
    assert sorted(term.amplitude for term in other.terms) == pytest.approx(sorted(amplitudes.values()))
    assert found.explained_share == 1
    assert found.control_share == 0


def test_it_avoids_its_own_keys_if_it_can():
    other = at_other_keys(mg.explain(mg.cosine_network(31, {3: 9.0, 4: 6.0, 5: 4.0})).fitted)
    assert not {term.label for term in other.terms} & {3, 4, 5}


def test_there_is_none_without_another_key():
    found = mg.explain(mg.cosine_network(3, {1: 9.0}))
    assert at_other_keys(found.fitted) is None
    assert found.control_share is None
    assert "control" not in repr(found)
    table = mg.explain(mg.cosine_network(7, {1: 5.0, 2: 5.0, 3: 5.0}))
    assert at_other_keys(table.fitted) is None


def test_irreps_have_a_control_too():
    found = mg.explain(mg.character_network("S4", {"standard": 9.0}))
    assert (found.explained_share, found.control_share) == (1, 0)
