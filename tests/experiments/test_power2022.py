"""The rows of the Power et al. 2022 protocols for networks that learn as planned; training is run separately."""

import pytest

import mechgrok as mg
from mechgrok.experiments import power2022
from mechgrok.experiments.data_fraction import DataFractionSweep
from mechgrok.experiments.reproduction import find_reproduction, run_reproduction
from mechgrok.tasks.operations import POWER_2022


@pytest.fixture
def plan(monkeypatch):
    """Sweeps that train nothing: `plan.steps(task, fraction)` is the step of generalisation, None for never."""

    class Plan:
        def __init__(self):
            self.failures = {}

        def steps(self, task, fraction):
            return None if "x^3+x*y^2+y" in task.name else 200

        def sweep(self, fractions, seeds, *, task, recipe):
            rows = [
                {
                    "fraction": fraction,
                    "seed": seed,
                    "step": self.steps(task, fraction),
                    "steps": recipe.steps,
                    "accuracy_test": 0.02 if self.steps(task, fraction) is None else 1.0,
                }
                for fraction in fractions
                for seed in seeds
            ]
            return DataFractionSweep(tuple(rows), self.failures)

    planned = Plan()
    monkeypatch.setattr(power2022, "data_fraction_sweep", planned.sweep)
    return planned


def failing(name):
    return {row.quantity for row in run_reproduction(find_reproduction(name)).rows if not row.holds}


def symmetric_sooner(task, fraction):
    if fraction == power2022.LITTLE:
        return 500 if "+" in task.name else None
    return None if "x^3+x*y^2+y" in task.name else 200


def test_the_published_outcome_holds(plan):
    plan.steps = symmetric_sooner
    outcome = run_reproduction(find_reproduction("power2022-operations"))
    assert outcome.holds
    names = " ".join(row.quantity for row in outcome.rows)
    for text in (*POWER_2022, "xy in S5", "xyx^-1 in S5", "xyx in S5"):
        assert text in names
    counted = [row.measured for row in outcome.rows if row.quantity.startswith("how many")]
    assert counted == [11]
    lateness = [row.measured for row in outcome.rows if "as late" in row.quantity]
    assert lateness == [power2022.QUICK.steps / 500] * len(power2022.SEEDS)


def test_a_difference_as_early_as_a_sum_fails(plan):
    failed = failing("power2022-operations")
    assert len([quantity for quantity in failed if quantity.startswith("x-y, 30%")]) == len(power2022.SEEDS)


@pytest.mark.parametrize(("task_name", "name"), [("x^2+y^2 mod 97", "x^2+y^2 mod 97"), ("S5", "xy in S5")])
def test_an_operation_that_does_not_generalise_fails(plan, task_name, name):
    plan.steps = lambda task, fraction: None if task.name == task_name else symmetric_sooner(task, fraction)
    failed = failing("power2022-operations")
    assert len(failed) == len(power2022.SEEDS)
    assert {quantity.split(",")[0] for quantity in failed} == {name}


def test_most_operations_have_to_generalise(plan):
    few = ("x+y mod", "x-y mod", "x/y mod", "x^2+y^2 mod", "S5 xyx^-1")
    plan.steps = lambda task, fraction: (
        symmetric_sooner(task, fraction) if task.name.startswith(few) else None
    )
    assert "how many of the twelve generalise with every seed" in failing("power2022-operations")


def test_the_one_that_never_generalises_must_not(plan):
    plan.steps = lambda task, fraction: symmetric_sooner(task, fraction) or (500 if fraction > 0.9 else None)
    assert {quantity.split(",")[0] for quantity in failing("power2022-operations")} == {"x^3+x*y^2+y mod 97"}


def test_steps_that_rise_with_less_data_hold(plan):
    plan.steps = lambda task, fraction: 100 / (fraction - 0.3)
    assert not failing("power2022-data-fraction")
    plan.steps = lambda task, fraction: 100 * fraction
    assert len(failing("power2022-data-fraction")) == len(power2022.S5_FRACTIONS)
    plan.steps = lambda task, fraction: None if fraction < 0.4 else 100 / fraction
    assert "median step of 99% test accuracy at 35%" in failing("power2022-data-fraction")


def test_a_failed_training_is_no_result(plan):
    plan.failures = {"power-quick-0.5-seed3": "ConfigError: diverged"}
    with pytest.raises(mg.MechgrokError, match="not every training came to its end"):
        run_reproduction(find_reproduction("power2022-data-fraction"))
