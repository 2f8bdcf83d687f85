"""The verdict: planted algorithms are recognised, and everything that should not be judged is left undetermined."""

from math import pi

import pytest
import torch
from planted import cosine_logits, lookup_logits, phase_grid, wave_network

import mechgrok as mg
from mechgrok.analysis.additive import AdditiveOnly
from mechgrok.analysis.algorithm_evidence import Evidence
from mechgrok.analysis.algorithms import _by_scores, _multiplies, classify_algorithm
from mechgrok.analysis.performance import Performance
from mechgrok.config import MLPConfig, ModelConfig
from mechgrok.models.constructed import cosine_network, pizza_network
from mechgrok.models.ideal_transformers import clock_transformer
from mechgrok.tasks import sn_task

FREQUENCIES = {7: {1: 9.0, 3: 9.0}, 13: {2: 9.0}, 59: {1: 9.0, 17: 9.0, 29: 9.0}}


@pytest.mark.parametrize("p", FREQUENCIES)
def test_planted_weights(p: int):
    clock = classify_algorithm(clock_transformer(p, FREQUENCIES[p]), triples=200)
    pizza = classify_algorithm(pizza_network(p, FREQUENCIES[p]), triples=200)
    assert (clock.algorithm, pizza.algorithm) == ("clock", "pizza")
    assert [item.vote for item in clock.evidence[:4]] == ["clock", "clock", "clock", "silent"]
    assert [item.vote for item in pizza.evidence] == ["pizza", "silent", "pizza", "no clock", "silent"]
    assert clock.value("accuracy without products") < 2 / p  # a guess
    assert pizza.value("accuracy without products") == 1
    assert pizza.value("phase alignment") == pytest.approx(1)
    assert clock.value("circle fading") == pytest.approx(0, abs=1e-5)
    assert pizza.value("circle fading") == pytest.approx(1, abs=2e-2)
    assert len(clock.circles) == len(FREQUENCIES[p])
    assert clock.accuracy == pizza.accuracy == 1.0


@pytest.mark.parametrize("p", [7, 13, 59])
def test_planted_logits(p: int):
    task = mg.modular_task("add", p)
    a, b = task.operands.double().T
    amount = (pi / p * (a - b)).cos().abs()[:, None]
    clock = mg.grid_from_tensors(task, cosine_logits(task, {1: 9.0}))
    pizza = mg.grid_from_tensors(task, amount * cosine_logits(task, {1: 9.0}))
    assert classify_algorithm(clock).algorithm == "clock"
    assert classify_algorithm(pizza).algorithm == "pizza"
    assert "by its logits alone" in classify_algorithm(pizza).reason


@pytest.mark.parametrize("p", FREQUENCIES)
def test_squares_of_sums_look_like_a_clock_and_are_none(p: int):
    """All three scores are those of an ideal clock, and nothing is multiplied before the neurons."""
    verdict = classify_algorithm(cosine_network(p, FREQUENCIES[p]), triples=200)
    assert [item.vote for item in verdict.evidence] == ["clock", "clock", "clock", "no clock", "silent"]
    assert (verdict.by_scores, verdict.algorithm) == ("clock", "undetermined")
    assert verdict.value("accuracy without products") == 1
    assert verdict.without_products.loss == pytest.approx(verdict.without_products.before.loss)
    assert "speak for a clock, but it loses nothing without products before its neurons" in verdict.reason


def test_squares_with_random_phases_are_no_clock_either():
    verdict = classify_algorithm(mg.gromov_network(11, n=400, seed=0), triples=200)
    assert (verdict.by_scores, verdict.algorithm) == ("clock", "undetermined")


def planted_verdict(lost: float, factor: float) -> tuple[str, str]:
    """The verdict on a clock by the scores that loses a share of its answers, and whose loss rises by a factor."""
    before, after = Performance("", 0.01, 1.0), Performance("", 0.01 * factor, 1.0 - lost)
    return _multiplies("clock", "all speak for it", AdditiveOnly(after, before, 0.1, torch.zeros(1, 1), ()))


def test_what_a_clock_must_lose():
    assert planted_verdict(0.08, 1e6)[0] == "clock"
    assert planted_verdict(0.0, 30.0) == (
        "hybrid",
        "all speak for a clock, but without any product before its neurons it still gives the right answers (accuracy "
        "100.00%, loss 0.01 -> 0.3 nats): attention multiplies, and the neurons would do without",
    )
    assert planted_verdict(0.0, 1.2)[0] == "undetermined"
    assert _multiplies("pizza", "all speak for it", None) == ("pizza", "all speak for it")


def test_a_verdict_names_who_disputes_it():
    judged, not_judged = (
        classify_algorithm(n) for n in (pizza_network(7, {2: 9.0}), pizza_network(7, {2: 0.0}))
    )
    assert "2505.18266" in judged.caveat
    assert "2512.25060" in judged.caveat
    assert judged.caveat in repr(judged)
    assert not not_judged.caveat


def test_a_clock_that_subtracts():
    task = mg.modular_task("sub", 11, sequence=("a", "b"))
    model = wave_network(task, phase_grid([2, 4]), gain=2.0)
    model.task = task
    verdict = classify_algorithm(model)
    assert (verdict.by_scores, verdict.accuracy) == ("clock", 1.0)


def test_a_clock_of_logarithms():
    """Products with 0 have no place on the clock, but must be right for the network to be judged."""
    task = mg.modular_task("mul", 11)
    logits = cosine_logits(task, {1: 9.0, 3: 9.0})
    logits[task.labels == 0, 5] = 1.0
    assert classify_algorithm(mg.grid_from_tensors(task, logits)).algorithm == "undetermined"
    logits[task.labels == 0, 0] = 9.0
    assert classify_algorithm(mg.grid_from_tensors(task, logits)).algorithm == "clock"


def test_random_networks_are_undetermined_with_the_reason():
    for cfg in (
        ModelConfig(d_vocab=12, d_vocab_out=11, n_ctx=3, d_model=16),
        MLPConfig(d_vocab=11, d_vocab_out=11, d_embed=8, d_mlp=16),
    ):
        model = mg.build_model(mg.modular_task("add", 11), cfg, seed=0)
        verdict = classify_algorithm(model)
        assert verdict.algorithm == "undetermined"
        assert "of all inputs correctly" in verdict.reason
        assert verdict.evidence == ()
        model.task = None
        unknown = classify_algorithm(model)
        assert (unknown.algorithm, unknown.accuracy) == ("undetermined", None)
        assert "cannot infer what the network computes" in unknown.reason


def test_a_half_trained_network_is_undetermined():
    model = cosine_network(13, {2: 9.0})
    with torch.no_grad():
        model.unembed.W_U[-13:, 5] = 0  # one answer is never given
    verdict = classify_algorithm(model)
    assert (verdict.algorithm, verdict.accuracy) == ("undetermined", pytest.approx(12 / 13))


def test_a_lookup_table_is_no_clock():
    task = mg.modular_task("add", 13)
    verdict = classify_algorithm(mg.grid_from_tensors(task, lookup_logits(task)))
    assert verdict.algorithm == "undetermined"
    assert "lookup table" in verdict.reason


def test_logits_that_frequencies_do_not_explain_are_undetermined():
    task = mg.modular_task("add", 13)
    noise = torch.randn(169, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise[torch.arange(169), task.labels] = noise.amax(1) + 0.01
    verdict = classify_algorithm(mg.grid_from_tensors(task, cosine_logits(task, {2: 0.01}) + noise))
    assert verdict.algorithm == "undetermined"


def test_other_groups_are_undetermined():
    task = sn_task("S3")
    verdict = classify_algorithm(mg.grid_from_tensors(task, cosine_logits(task, {}) + lookup_logits(task)))
    assert verdict.algorithm == "undetermined"
    assert "sums and differences in a commutative group" in verdict.reason


def evidence(distance: float, symmetry: float, circles: float) -> tuple[Evidence, Evidence, Evidence]:
    def vote(value, pizza, clock):
        return "pizza" if pizza(value) else "clock" if clock(value) else "between"

    return (
        Evidence(
            "distance irrelevance", distance, vote(distance, lambda x: x <= 0.4, lambda x: x >= 0.75), ""
        ),
        Evidence(
            "gradient symmetricity",
            symmetry,
            "silent" if symmetry == 1 else vote(symmetry, lambda x: x >= 0.98, lambda x: x <= 0.67),
            "",
        ),
        Evidence(
            "circle fading",
            circles,
            "pizza" if circles >= 0.8 else "clock" if circles <= 0.4 else "between",
            "",
        ),
    )


@pytest.mark.parametrize(
    ("numbers", "algorithm"),
    [
        ((0.17, 0.994, 1.0), "pizza"),  # attention rate 0
        ((0.70, 0.993, 1.0), "pizza"),  # attention rate 0 as well: several pizzas hide the distance
        ((0.17, 0.997, 0.5), "pizza"),
        ((0.17, 0.90, 1.0), "pizza"),  # a clock is not ruled out, but nothing speaks for one
        ((0.85, 0.35, 0.1), "clock"),  # attention rate 1
        ((0.65, 0.63, 0.38), "clock"),
        ((0.48, 0.95, 0.88), "hybrid"),  # attention rate 0.75
        ((0.54, 0.82, 0.66), "hybrid"),
        ((0.90, 0.60, 0.5), "clock"),
        ((0.93, 0.00, 0.0), "clock"),  # embeddings side by side
        ((0.80, 0.78, 0.2), "clock"),
        ((0.74, 0.70, 0.55), "hybrid"),  # attention rate 1, weak weight decay
        ((0.72, 0.78, 0.2), "hybrid"),
        ((0.72, 0.78, 1.0), "hybrid"),
        ((0.50, 0.99, 0.5), "hybrid"),
        ((0.50, 0.50, 0.9), "hybrid"),
        ((0.85, 0.35, 1.0), "hybrid"),  # the circles object
        ((0.23, 1.0, 1.0), "pizza"),  # embeddings added up
        ((0.57, 1.0, 1.0), "pizza"),
        ((0.23, 1.0, 0.5), "pizza"),
        ((0.23, 1.0, 0.1), "hybrid"),
        ((0.57, 1.0, 0.5), "hybrid"),
        ((0.90, 1.0, 0.5), "undetermined"),
        ((0.90, 1.0, 1.0), "undetermined"),
        ((0.90, 1.0, 0.0), "clock"),  # squares of sums of one-hot inputs
        ((0.91, 0.995, 1.0), "undetermined"),  # two measures that exclude each other's algorithm
        ((0.20, 0.30, 0.5), "undetermined"),
    ],
)  # fmt: skip
def test_the_rule(numbers: tuple[float, float, float], algorithm: str):
    assert _by_scores(*evidence(*numbers))[0] == algorithm


def test_without_any_circle_the_other_two_by_scores():
    assert _by_scores(*evidence(0.2, 0.99, 0.0)[:2])[0] == "pizza"
    assert _by_scores(*evidence(0.2, 1.0, 0.0)[:2])[0] == "pizza"
    assert _by_scores(*evidence(0.5, 1.0, 0.0)[:2])[0] == "hybrid"


def test_rows_and_repr():
    verdict = classify_algorithm(clock_transformer(7, {2: 9.0}))
    assert [row["measure"] for row in verdict.rows()] == [
        "distance irrelevance", "gradient symmetricity", "circle fading", "accuracy without products",
    ]  # fmt: skip
    assert repr(verdict).startswith("AlgorithmVerdict(clock: distance irrelevance 1.000")
    assert verdict.value("weight norm") is None
