"""Phases of planted and published curves."""

import numpy as np
import pytest

import mechgrok as mg
from mechgrok.analysis.curves import first_step
from mechgrok.analysis.phases import find_phases

STEPS = {
    "every 10": np.arange(0, 20_001, 10),
    "every 100": np.arange(0, 20_001, 100),
    "logarithmic": np.unique(np.geomspace(1, 20_001, 400).astype(int)) - 1,
}


def history(steps, **corners):
    """Rows whose losses have decimal logarithms that go straight from corner to corner."""
    columns = {name: 10.0 ** np.interp(steps, *zip(*points, strict=True)) for name, points in corners.items()}
    return [
        {"step": int(step), **{name: float(values[i]) for name, values in columns.items()}}
        for i, step in enumerate(steps)
    ]


TRAIN = [(0, 0.68), (1400, -6.5), (9400, -6.6), (14_000, -7.5)]
TEST = [(0, 0.68), (1400, 1.4), (9400, 1.3), (14_000, -6.6), (20_000, -6.7)]
EXCLUDED = [(0, 0.68), (1400, -4), (9400, 0.7), (20_000, 0.8)]
RESTRICTED = [(0, 0.68), (1400, 0.6), (9400, -1), (14_000, -7)]


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("with_circuit", [False, True])
def test_the_planted_story_is_told(steps, with_circuit: bool):
    circuit = {"excluded_loss": EXCLUDED, "restricted_loss": RESTRICTED} if with_circuit else {}
    phases = find_phases(history(steps, loss_train=TRAIN, loss_test=TEST, **circuit))
    gap = int(np.diff(steps).max())
    for phase, start, end in zip(phases, (0, 1400, 9400), (1400, 9400, 14_000), strict=True):
        assert phase.start is not None
        assert phase.end is not None
        assert abs(phase.start.step - start) <= gap
        assert abs(phase.end.step - end) <= gap
        assert phase.end.earliest <= end <= phase.end.latest
        assert phase.reason == ""
    assert phases.evidence == ("excluded_loss" if with_circuit else "loss_train")
    assert (phases.first, phases.last) == (steps[0], steps[-1])
    assert phases.memorisation.end == phases.circuit_formation.start
    assert phases.circuit_formation.end == phases.cleanup.start


def test_the_unit_and_the_depth_of_the_losses_do_not_matter():
    steps = STEPS["every 100"]
    deep = [(s, 2 * y if y < 0 else y) for s, y in TEST]
    a, b = (find_phases(history(steps, loss_train=TRAIN, loss_test=test)) for test in (TEST, deep))
    assert a.cleanup.start is not None
    assert b.cleanup.start is not None
    assert abs(a.cleanup.start.step - b.cleanup.start.step) <= 100


def test_missing_values_are_left_out():
    rows = history(STEPS["every 10"], loss_train=TRAIN, loss_test=TEST)
    sparse = [row | {"loss_test": row["loss_test"] if i % 10 == 0 else None} for i, row in enumerate(rows)]
    full, thinned = find_phases(rows), find_phases(sparse)
    assert full.cleanup.start is not None
    assert thinned.cleanup.start is not None
    assert abs(full.cleanup.start.step - thinned.cleanup.start.step) <= 100
    assert thinned.memorisation.end == full.memorisation.end


def test_a_network_that_never_groks():
    steps = STEPS["every 100"]
    flat = [(0, 0.68), (1400, 1.4), (20_000, 1.3)]
    phases = find_phases(history(steps, loss_train=TRAIN[:3], loss_test=flat))
    assert phases.memorisation.end is not None
    assert abs(phases.memorisation.end.step - 1400) <= 100
    assert phases.circuit_formation.start is None
    assert "without the excluded loss it cannot be seen" in phases.circuit_formation.reason
    assert phases.cleanup.start is None
    assert "stays above 0.5 nats" in phases.cleanup.reason


def test_a_circuit_under_way_is_seen_in_the_excluded_loss():
    steps = STEPS["every 100"]
    flat = [(0, 0.68), (1400, 1.4), (20_000, 1.3)]
    phases = find_phases(history(steps, loss_train=TRAIN[:3], loss_test=flat, excluded_loss=EXCLUDED))
    assert phases.circuit_formation.start is not None
    assert phases.circuit_formation.end is None
    assert "stays above" in phases.circuit_formation.reason
    assert str(phases.circuit_formation).endswith("to the last step")


def test_immediate_generalisation_has_no_phases():
    together = [(0, 0.68), (300, 0.67), (1400, -6)]
    phases = find_phases(history(STEPS["every 10"], loss_train=together, loss_test=together))
    assert [phase.start for phase in phases] == [None] * 3
    assert "before the train loss is below 0.5 nats" in phases.memorisation.reason
    assert phases.cleanup.reason == "there is nothing to clean up"


def test_a_network_that_learns_nothing_is_memorising_still():
    flat = [(0, 0.68), (20_000, 0.5)]
    phases = find_phases(history(STEPS["every 100"], loss_train=flat, loss_test=flat))
    assert phases.memorisation.start is not None
    assert phases.memorisation.end is None
    assert "the train loss stays above" in phases.memorisation.reason
    assert phases.circuit_formation.reason == "memorisation has not ended"


@pytest.mark.parametrize(
    ("circuit", "said"),
    [
        ({"excluded_loss": [(0, 0.68), (1400, -6), (20_000, -6)]}, "excluded loss does not rise"),
        (
            {"excluded_loss": EXCLUDED, "restricted_loss": [(0, 0), (20_000, 0.5)]},
            "restricted loss does not fall",
        ),
    ],
)
def test_keys_that_are_not_the_circuit_show_none(circuit, said: str):
    phases = find_phases(history(STEPS["every 100"], loss_train=TRAIN, loss_test=TEST, **circuit))
    assert phases.circuit_formation.start is None
    assert said in phases.circuit_formation.reason
    assert phases.cleanup.start is not None


def test_phases_that_cannot_be_told_apart():
    steps = STEPS["every 100"]
    train = [(0, 0.68), (2000, -3), (20_000, -8)]
    test = [(0, 0.68), (1000, 1.0), (2300, 1.0), (6000, -6), (20_000, -6)]
    gradual = [(0, 0.68), (1500, -3), (2800, -3), (8000, 0.5), (20_000, 0.6)]
    phases = find_phases(history(steps, loss_train=train, loss_test=test, excluded_loss=gradual))
    assert phases.circuit_formation.start is None
    assert "no phase of its own" in phases.circuit_formation.reason


@pytest.mark.parametrize(
    "rows",
    [
        [{"step": 0, "loss_train": 4.7, "loss_test": 4.7}],
        [{"step": 0, "loss_train": 1e-3, "loss_test": 1e-3}],
        [{"step": 0}],
    ],
)
def test_one_row_has_no_phases_that_end(rows):
    phases = find_phases(rows)
    assert [phase.end for phase in phases] == [None] * 3
    assert all(phase.reason for phase in phases)


def test_no_test_inputs():
    rows = history(STEPS["every 100"], loss_train=TRAIN)
    phases = find_phases(rows)
    assert phases.cleanup.reason == "there is no test loss; ask for loss_test too"
    assert phases.memorisation.start is not None


def test_errors():
    with pytest.raises(mg.UndefinedMetricError, match="no rows"):
        find_phases([])
    with pytest.raises(mg.ConfigError, match="steps must ascend"):
        find_phases([{"step": 5, "loss_train": 1.0}, {"step": 3, "loss_train": 1.0}])


def published(peer_data, name: str, every: int = 1):
    """Rows of a published run; its test curve has one value in `every` steps."""
    stored = np.load(peer_data / "nanda/loss_curves.npz")
    train, test = stored[f"{name}__train"], stored[f"{name}__test"]
    return [
        {
            "step": i,
            "loss_train": float(x),
            "loss_test": float(test[i // every]) if i % every == 0 and i // every < len(test) else None,
        }
        for i, x in enumerate(train)
    ]


def test_published_epochs_come_out_exactly(peer_data):
    low_decay = published(peer_data, "wd_10-1_mod_addition_loss_curve", every=10)
    assert first_step(low_decay, "loss_train", below=1e-3) == 331
    assert first_step(low_decay, "loss_test", below=1) == 90_890
    low_precision = published(peer_data, "low_precision_mod_addition", every=10)
    assert first_step(low_precision, "loss_test", below=1) == 8780
    for fraction, epoch in {"0.3": 7930, "0.28": 15_037, "0.25": 21_848, "0.95": 157}.items():
        rows = published(peer_data, f"frac_train_sweep__{fraction}")
        assert first_step(rows, "loss_test", below=0.1) == epoch, fraction


@pytest.mark.parametrize("every", [10, 100])
def test_phases_of_published_runs(peer_data, every: int):
    """Their authors put the end of memorisation of their main run at 1400, by eye."""
    for fraction in ("0.25", "0.28", "0.3"):
        phases = find_phases(published(peer_data, f"frac_train_sweep__{fraction}")[::every])
        assert phases.memorisation.end is not None
        assert 1300 <= phases.memorisation.end.step <= 1600
        assert phases.cleanup.start is not None
        assert phases.cleanup.end is None, "they were stopped at a test loss of 3e-6"
    low_decay = published(peer_data, "wd_10-1_mod_addition_loss_curve", every=10)[::every]
    start = find_phases(low_decay).cleanup.start
    assert start is not None
    assert 70_000 <= start.step <= 90_000


@pytest.mark.parametrize("fraction", ["0.95", "0.9", "0.8", "0.7"])
def test_much_data_generalises_at_once(peer_data, fraction: str):
    phases = find_phases(published(peer_data, f"frac_train_sweep__{fraction}"))
    assert phases.memorisation.start is None


def test_a_network_that_was_trained_before_does_not_memorise():
    known = [(0, -6), (20_000, -6)]
    phases = find_phases(history(STEPS["every 100"], loss_train=known, loss_test=TEST))
    assert phases.memorisation.end is None
    assert "loss_train does not fall" in phases.memorisation.reason
    assert phases.cleanup.end is not None


def test_without_losses_there_are_no_phases():
    phases = find_phases([{"step": s, "gini_W_E": s / 100} for s in range(0, 100, 10)])
    assert [phase.start for phase in phases] == [None] * 3
    assert phases.memorisation.reason == "there is no train loss; ask for loss_train too"


def test_losses_that_are_no_cross_entropies_have_no_phases():
    rows = [
        {"step": s, "loss_train": 0.1, "loss_test": 0.2, "mse_train": 0.1, "mse_test": 0.2} for s in range(3)
    ]
    with pytest.raises(mg.UndefinedMetricError, match=r"cross-entropies in nats; .* those of 'mse'"):
        find_phases(rows)
