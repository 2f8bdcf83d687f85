"""Every measure keeps its value under the changes that it declares to ignore, and changes under the others."""

from functools import cache

import pytest
import torch

import mechgrok as mg
from mechgrok.measures.invariances import INVARIANCES
from mechgrok.progress.compute import measured

OURS = [measure for measure in mg.MEASURES.values() if mg.MEASURES.is_ours(measure.name)]
TOLERANCE = 1e-7


def planted(p, amplitudes, *, noise=0.1):
    """A planted circuit with every weight a little off, so that it is neither symmetric nor perfect."""
    model = mg.cosine_network(p, amplitudes)
    generator = torch.Generator().manual_seed(p)
    with torch.no_grad():
        for weight in model.parameters():
            weight += noise * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return model.task, model, tuple(amplitudes)


def drawn(task, config, keys):
    """A network as it is drawn before training, with biases that are not 0."""
    model = mg.build_model(task, config, seed=3).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".b_" in name:
                weight += 0.1 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return task, model, keys


RELU = mg.ModelConfig(d_model=16, n_heads=2, attn_bias=True, unembed_bias=True)
MLP = mg.MLPConfig(d_embed=12, d_mlp=24, unembed_bias=True)
NETWORKS = {
    "planted, prime": lambda: planted(13, {2: 8.0, 5: 6.0}),
    "planted, even": lambda: planted(12, {1: 8.0, 5: 6.0}),
    "planted, composite": lambda: planted(15, {5: 8.0, 7: 6.0}, noise=0.03),
    "planted, a third of nine": lambda: planted(9, {1: 5.0, 3: 8.0}, noise=0.03),
    "drawn, prime": lambda: drawn(mg.modular_task("add", 11), RELU, (1, 4)),
    "drawn, even": lambda: drawn(mg.modular_task("sub", 10), RELU, (1, 5)),
    "drawn, one neuron": lambda: drawn(
        mg.modular_task("add", 12), RELU.model_copy(update={"d_mlp": 1}), (2, 6)
    ),
    "two layers, a product": lambda: drawn(
        mg.modular_task("mul", 11), RELU.model_copy(update={"n_layers": 2}), (2, 5)
    ),
    "logits of all tokens": lambda: drawn(
        mg.modular_task("add", 11), RELU.model_copy(update={"output": "vocabulary"}), (1, 4)
    ),
    "logits of all tokens, two layers": lambda: drawn(
        mg.modular_task("add", 9), RELU.model_copy(update={"output": "vocabulary", "n_layers": 2}), (1, 4)
    ),
    "MLP, composite": lambda: drawn(mg.modular_task("add", 9), MLP, (3, 4)),
    "two operands, two embeddings": lambda: drawn(
        mg.modular_task("add", 8), MLP.model_copy(update={"embeddings": "separate", "n_layers": 2}), (1, 4)
    ),
    "dense": lambda: drawn(mg.modular_task("add", 7), mg.DenseConfig(d_mlp=16), (1, 2)),
    "permutations": lambda: drawn(mg.sn_task("S3"), RELU, ("standard",)),
    "uneven answers": lambda: drawn(mg.modular_task("a^2+a*b", 7), RELU, (1, 2)),
}


@cache
def snapshot_of(name):
    task, model, keys = NETWORKS[name]()
    return mg.Snapshot(0, model, task, task.split(0.5, seed=1), keys)


@cache
def changed(name, invariance):
    """The network after a change; None where it cannot be changed that way."""
    try:
        return INVARIANCES[invariance](snapshot_of(name))
    except mg.UndefinedMetricError:
        return None


@cache
def pair(name, invariance, measure):
    """The values before and after, those of the same key side by side; None where there is none."""
    snapshot, after = snapshot_of(name), changed(name, invariance)
    if after is None:
        return None
    values = [measured(which, [mg.MEASURES[measure]]) for which in (snapshot, after)]
    if measure in values[0]:
        assert (isinstance(values[0][measure], str)) == isinstance(values[1].get(measure), str), values
        return None if isinstance(values[0][measure], str) else [torch.tensor([v[measure]]) for v in values]
    renamed = dict(zip(map(str, snapshot.found), map(str, after.found), strict=True))
    parts = [column.partition("[")[2][:-1] for column in values[0]]
    others = [f"{measure}[{renamed.get(part, part)}]" for part in parts]
    assert set(others) == set(values[1])
    return [torch.tensor([*values[0].values()]), torch.tensor([values[1][column] for column in others])]


def is_same(before, after):
    return torch.allclose(before.double(), after.double(), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize(
    "measure", [m for m in OURS if not {"values", "positions"} & {*m.needs}], ids=lambda measure: measure.name
)
def test_a_measure_ignores_what_it_declares_and_nothing_else(measure):
    assert measure.invariances is not None, "a measure of mechgrok says what it ignores: invariances=(...)"
    for invariance in INVARIANCES:
        pairs = {name: pair(name, invariance, measure.name) for name in NETWORKS}
        pairs = {name: values for name, values in pairs.items() if values is not None}
        assert len(pairs) >= 2, (invariance, "has a value for hardly any network")
        differing = [name for name, values in pairs.items() if not is_same(*values)]
        if invariance in measure.invariances:
            assert differing == [], invariance
        else:
            assert differing, f"{invariance} changes it nowhere: declare it"


def test_measures_of_positions_ignore_what_they_declare():
    snapshot = mg.Snapshot(0, *digits()[1::-1], mg.digit_addition_task(1, finite=50).split(0.5), ())
    for measure in [m for m in OURS if "positions" in m.needs]:
        before = measured(snapshot, [measure])
        tried = {}
        for invariance, change in INVARIANCES.items():
            try:
                tried[invariance] = measured(change(snapshot), [measure])
            except mg.UndefinedMetricError:
                assert invariance in ("relabelled frequencies", "shifted operands")
        same = {name for name, after in tried.items() if after == pytest.approx(before, rel=TOLERANCE)}
        assert same == tried.keys() & {*measure.invariances}


def digits():
    task = mg.digit_addition_task(1, finite=50)
    return drawn(task, RELU, ())


def test_measures_of_values_ignore_the_order_of_neurons():
    x = torch.linspace(-1, 1, 30)[:, None]
    task = mg.array_task(x, x**2, name="square")
    model = mg.build_model(task, mg.DenseConfig(d_mlp=16), seed=3).double()
    snapshot = mg.Snapshot(0, model, task, task.split(0.5, seed=1), ())
    after = INVARIANCES["order of neurons"](snapshot)
    for measure in [m for m in OURS if "values" in m.needs]:
        assert measure.invariances == ("order of neurons",)
        assert measured(after, [measure]) == pytest.approx(measured(snapshot, [measure]), rel=1e-9)
