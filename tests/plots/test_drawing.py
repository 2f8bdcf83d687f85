"""Every result can be drawn."""

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

import plotly.graph_objects as go
import pytest

import mechgrok as mg
import mechgrok.analysis
from mechgrok.analysis.embeddings import embedding_components
from mechgrok.analysis.representations import hidden_fractions
from mechgrok.drawable import Drawable
from mechgrok.plots.drawing import FIGURES

ROWS = [{"step": s, "loss_train": 10.0**-s, "loss_test": 10.0 ** min(1, 4 - s)} for s in range(9)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One result of each class."""
    model = mg.cosine_network(11, {2: 9.0, 5: 9.0})
    keys = mg.find_key_frequencies(model)
    task, small = mg.modular_task("add", 5), mg.ModelConfig(d_model=16)
    run = mg.train(task, model=small, steps=20, out=tmp_path_factory.mktemp("run") / "add5", progress=False)
    runs = mg.vary(task=task, model=small, steps=2, lr=[1e-3, 1e-2])
    found = [
        mg.sweep(runs, out=tmp_path_factory.mktemp("sweep"), workers=1, progress=False),
        mg.embedding_course(run),
        mg.ablate(model, keys),
        mg.additive_only(model),
        mg.compare_algorithms({"A": model}, triples=50),
        mg.classify_algorithm(model),
        mg.coset_neurons(mg.cosine_network(12, {4: 1.0})),
        embedding_components(model),
        mg.gradient_symmetricity(model, triples=50),
        hidden_fractions(model),
        mg.isolate_circle(model, 2, by="fourier"),
        keys,
        mg.logit_fve(model, keys),
        mg.logit_surface(model),
        mg.neuron_frequencies(model),
        mg.neuron_phases(model),
        mg.perturb_neurons(model),
        mg.explain(model),
        mg.find_phases(ROWS),
        mg.find_phase_changes(ROWS),
        mg.head_scores(mg.induction_network(8, 10)),
        mg.head_circuits(mg.induction_network(8, 10)),
        mg.mean_attention(mg.induction_network(8, 10)),
        mg.in_context_score(mg.induction_network(8, 10), mg.running_sum_task(6, 8), n=10),
        mg.interchange(model, keys),
        mg.scrub(model),
        mg.representation_quality(model),
        mg.direct_logit_attribution(model),
        mg.ablate_components(model),
        mg.patch_activations(model, 0, 1),
        mg.patch_paths(mg.induction_network(8, 10), [1, 2, 3, 1], [4, 2, 3, 1]),
        mg.logit_lens(model),
        mg.position_losses(model),
        mg.progress_measures(run, keys=[1, 2], progress=False),
        mg.representation_measures(model),
        run,
        mg.find_slingshots([{"step": i, "loss_train": x} for i, x in enumerate([1e-6, 1.0, 1e-6])]),
        mg.summarize(model),
    ]
    return {type(result): result for result in found}


@pytest.mark.parametrize("kind", FIGURES, ids=lambda kind: kind.__name__)
def test_every_result_has_a_figure_with_named_axes(results, kind):
    drawn = results[kind].figure()
    assert isinstance(drawn, go.Figure)
    assert drawn.data
    for axis in [*drawn.select_xaxes(), *drawn.select_yaxes()]:
        categories = axis.type == "category" or axis.showticklabels is False
        assert axis.title.text or categories, f"{axis.plotly_name} of {kind.__name__} has no title"
    hovers = [trace for trace in drawn.data if trace.hoverinfo != "skip"]
    assert all(trace.hovertemplate for trace in hovers)


def test_no_result_of_an_analysis_is_forgotten():
    modules = [import_module(f"mechgrok.analysis.{m.name}") for m in iter_modules(mechgrok.analysis.__path__)]
    results = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Drawable) and value is not Drawable
    }
    assert len(results) > 12
    assert results <= set(FIGURES)


def test_options_are_those_of_the_function(results):
    assert results[mg.KeyFrequencies].figure(what="irrep").layout.xaxis.title.text == "irrep"
    with pytest.raises(
        mg.ConfigError, match="figure of a KeyFrequencies has no option 'colour'; allowed: what"
    ):
        results[mg.KeyFrequencies].figure(colour="red")


@dataclass(frozen=True)
class Own(Drawable):
    value: float


def test_own_results_can_be_added(monkeypatch):
    with pytest.raises(mg.ConfigError, match="no function draws a Own"):
        Own(1.0).figure()
    monkeypatch.setitem(FIGURES, Own, lambda own: go.Figure(go.Scatter(y=[own.value])))
    assert Own(3.0).figure().data[0].y == (3.0,)


def test_a_derived_class_is_drawn_as_its_base(results, monkeypatch):
    class Derived(Own):
        pass

    monkeypatch.setitem(FIGURES, Own, lambda own: go.Figure(go.Scatter(y=[own.value])))
    assert Derived(2.0).figure().data[0].y == (2.0,)
