"""The sweep over the attention rate: its runs, its counts and its figure."""

import pytest

import mechgrok as mg
from mechgrok.errors import ConfigError, UndefinedMetricError
from mechgrok.experiments.attention_rate import AttentionRateSweep, RatedNetwork, attention_rate_sweep
from mechgrok.models.constructed import pizza_network
from mechgrok.models.ideal_transformers import clock_transformer

TASK = mg.modular_task("add", 7)
TINY = {"task": TASK, "model": mg.ModelConfig(d_model=16, attention_dir="bidirectional"), "steps": 3}


@pytest.fixture(scope="module")
def planted() -> AttentionRateSweep:
    """Two pizzas at 0, one of each at 0.5, two clocks and an untrained network at 1."""
    pizza = mg.classify_algorithm(pizza_network(7, {2: 9.0}))
    clock = mg.classify_algorithm(clock_transformer(7, {2: 9.0}))
    nothing = mg.classify_algorithm(mg.build_model(TASK, mg.ModelConfig(d_model=16)))
    found = {0.0: [pizza, pizza], 0.5: [pizza, clock], 1.0: [clock, clock, nothing]}
    networks = [
        RatedNetwork(r, seed, 10, v) for r, verdicts in found.items() for seed, v in enumerate(verdicts)
    ]
    return AttentionRateSweep(tuple(networks), {"pizza-rate1-seed3": "ConfigError: diverged"})


def test_shares_and_means(planted):
    assert [(row["pizza"], row["clock"]) for row in planted.shares] == [(1, 0), (0.5, 0.5), (0, 2 / 3)]
    assert planted.shares[2]["undetermined"] == pytest.approx(1 / 3)
    assert [row["networks"] for row in planted.shares] == [2, 2, 3]
    assert planted.shares[0]["gradient_symmetricity"] == pytest.approx(1)
    assert planted.shares[1]["gradient_symmetricity"] == pytest.approx(0.5)
    assert planted.shares[2]["distance_irrelevance"] == 1.0  # of the two that could be judged
    assert planted.table[-1]["distance_irrelevance"] is None
    assert (
        repr(planted) == "AttentionRateSweep(7 networks; pizzas at rate 0: 100%, 0.5: 50%, 1: 0%; 1 failed)"
    )


def test_figure(planted):
    line, marks = planted.figure().data[:2]
    assert list(line.x) == [0.0, 0.5, 1.0]
    assert list(line.y) == pytest.approx([1, 0.5, 0], abs=1e-6)
    assert list(marks.marker.symbol) == ["circle", "circle", "circle", "diamond", "diamond", "diamond"]
    with pytest.raises(UndefinedMetricError, match="none of the networks could be judged"):
        AttentionRateSweep(planted.networks[-1:], {}).figure()


def test_each_rate_is_trained_with_each_seed(tmp_path):
    sweep = attention_rate_sweep([0, 0.25], seeds=(1, 4), out=tmp_path, workers=1, progress=False, **TINY)
    assert [(n.rate, n.seed, n.steps) for n in sweep.networks] == [
        (0.0, 1, 3), (0.0, 4, 3), (0.25, 1, 3), (0.25, 4, 3),
    ]  # fmt: skip
    run = mg.load_sweep(tmp_path).run(attention_rate=0.25, seed=4)
    assert run.config.train.model.attention_rate == 0.25
    assert run.config.seed == 4
    assert {network.verdict.algorithm for network in sweep.networks} == {"undetermined"}


def test_failures_are_reported(tmp_path):
    options = {"seeds": [0], "workers": 1, "progress": False, **TINY}
    attention_rate_sweep([0, 1], out=tmp_path / "whole", **options)
    blocked = mg.load_sweep(tmp_path / "whole").rows[1].folder
    (tmp_path / "blocked" / blocked).mkdir(parents=True)
    (tmp_path / "blocked" / blocked / "notes.txt").write_text("in the way")
    sweep = attention_rate_sweep([0, 1], out=tmp_path / "blocked", **options)
    assert [network.rate for network in sweep.networks] == [0.0]
    assert list(sweep.failures) == [blocked]
    assert "is not empty and holds no run" in sweep.failures[blocked]


def test_errors_at_the_door():
    with pytest.raises(ConfigError, match="each value of attention_rate is tried once"):
        attention_rate_sweep([0, 0.0])
    with pytest.raises(ConfigError, match="'beta' trains an MLP, which has no attention"):
        attention_rate_sweep([0], recipe="beta")
    with pytest.raises(ConfigError, match="attention_rate"):
        attention_rate_sweep([1.5])
    with pytest.raises(ConfigError, match="one or several values of attention_rate"):
        attention_rate_sweep([])
