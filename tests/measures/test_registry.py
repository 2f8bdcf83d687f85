"""The registry: names, and their owners."""

import pytest

import mechgrok as mg
from mechgrok.measures.registry import find_measures


@pytest.fixture(autouse=True)
def _clean():
    known = set(mg.MEASURES)
    yield
    for name in set(mg.MEASURES) - known:
        del mg.MEASURES[name]


def test_an_own_measure_joins_the_default_set_unless_it_is_costly():
    @mg.measure("nats")
    def cheap(snapshot):
        """Cheap."""
        return 1.0

    @mg.measure("nats", name="dear", default=False, direction="up", citation="us")
    def anything(snapshot):
        return 2.0

    default = find_measures(None)
    assert cheap in default
    assert mg.MEASURES["dear"] not in default
    assert (anything.direction, anything.citation, anything.summary) == ("up", "us", "")
    assert repr(cheap) == "Measure(cheap, nats: Cheap.)"
    assert find_measures(["dear", cheap]) == (anything, cheap)


def test_a_cell_may_run_twice_but_ours_stay_ours():
    for value in (1.0, 2.0):
        mg.measure("nats", name="mine")(lambda snapshot, value=value: value)
    assert mg.MEASURES["mine"].function(None) == 2.0
    with pytest.raises(mg.ConfigError, match="mechgrok has a measure 'loss_test'"):
        mg.measure("nats", name="loss_test")(lambda snapshot: 1.0)


@pytest.mark.parametrize("name", ["step", "loss[2]", "a,b"])
def test_names_that_would_be_misread(name):
    with pytest.raises(mg.ConfigError, match="cannot be the name of a measure"):
        mg.measure("nats", name=name)(lambda snapshot: 1.0)


def test_errors():
    with pytest.raises(mg.ConfigError, match=r"unknown measure 'los_test' \(did you mean loss_test"):
        find_measures(["los_test"])
    with pytest.raises(mg.ConfigError, match="unknown measure 'xyz'; allowed: loss_train, loss_test"):
        find_measures(["xyz"])
    with pytest.raises(mg.ConfigError, match="is a list of names or measures"):
        find_measures("loss_test")
    with pytest.raises(mg.ConfigError, match="each once; got none"):
        find_measures([])
    with pytest.raises(mg.ConfigError, match="each once; got loss_test, loss_test"):
        find_measures(["loss_test", "loss_test"])
