"""The table behind every `.figure()`: which function draws which class of result."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import plotly.graph_objects as go

from mechgrok.analysis.ablation import Ablation
from mechgrok.analysis.additive import AdditiveOnly
from mechgrok.analysis.algorithms import AlgorithmVerdict
from mechgrok.analysis.attention import MeanAttention
from mechgrok.analysis.attribution import LogitAttribution
from mechgrok.analysis.circles import IsolatedCircle
from mechgrok.analysis.component_ablation import ComponentAblations
from mechgrok.analysis.cosets import CosetNeurons
from mechgrok.analysis.embeddings import EmbeddingComponents
from mechgrok.analysis.explained import LogitFVE
from mechgrok.analysis.explanation import Explanation
from mechgrok.analysis.frequencies import KeyFrequencies
from mechgrok.analysis.head_circuits import HeadCircuits
from mechgrok.analysis.heads import HeadScores
from mechgrok.analysis.in_context import InContextScore
from mechgrok.analysis.interchange import Interchange
from mechgrok.analysis.logit_lens import LogitLens
from mechgrok.analysis.logit_surface import LogitSurface
from mechgrok.analysis.neuron_phases import NeuronPhases
from mechgrok.analysis.neurons import NeuronFrequencies
from mechgrok.analysis.patching import ActivationPatching, PathPatching
from mechgrok.analysis.perturbations import NeuronPerturbations
from mechgrok.analysis.phase_changes import PhaseChanges
from mechgrok.analysis.phases import Phases
from mechgrok.analysis.position_losses import PositionLosses
from mechgrok.analysis.representation_quality import RepresentationQuality
from mechgrok.analysis.representations import HiddenFractions, RepresentationMeasures
from mechgrok.analysis.scrubbing import Scrubbing
from mechgrok.analysis.slingshots import Slingshots
from mechgrok.analysis.symmetricity import GradientSymmetricity
from mechgrok.drawable import Drawable
from mechgrok.errors import ConfigError
from mechgrok.measures.summary import Summary
from mechgrok.plots.ablations import ablation_effects
from mechgrok.plots.algorithms import AlgorithmComparison, comparison_figure, surface_figure
from mechgrok.plots.causal_tools import attribution_bars, lens_map, patching_maps, path_map
from mechgrok.plots.circles import component_course, component_pairs
from mechgrok.plots.evidence import circle_alone, symmetricity_scale, verdict_scales
from mechgrok.plots.explanations import explanation_figure
from mechgrok.plots.head_circuits import head_circuit_maps
from mechgrok.plots.heads import attention_over_positions, head_maps
from mechgrok.plots.in_context import in_context_figure
from mechgrok.plots.interventions import performances_figure, predictions_figure
from mechgrok.plots.irreps import hidden_shares, irrep_shares
from mechgrok.plots.learning import learning_figure
from mechgrok.plots.logits import explained_logits, key_evidence
from mechgrok.plots.neurons import cluster_sizes, coset_sizes
from mechgrok.plots.perturbations import perturbations_figure
from mechgrok.plots.phase_changes import phase_change_figure
from mechgrok.plots.phase_scatter import phases_figure
from mechgrok.plots.phases import phase_timeline, spike_timeline
from mechgrok.plots.positions import position_bars
from mechgrok.plots.progress import progress_figure
from mechgrok.plots.summaries import summary_figure
from mechgrok.plots.sums_of_embeddings import sums_by_result
from mechgrok.plots.sweeps import sweep_figure
from mechgrok.progress.embedding_course import EmbeddingCourse
from mechgrok.progress.table import ProgressTable
from mechgrok.runs import Run
from mechgrok.sweeps.sweep import Sweep


def _ablation(ablation: Ablation, *, n_classes: int | None = None) -> go.Figure:
    return ablation_effects([ablation], n_classes=n_classes)


FIGURES: dict[type, Callable[..., go.Figure]] = {
    ActivationPatching: patching_maps,
    AdditiveOnly: performances_figure,
    ComponentAblations: performances_figure,
    LogitAttribution: attribution_bars,
    LogitLens: lens_map,
    PathPatching: path_map,
    Explanation: explanation_figure,
    Interchange: predictions_figure,
    Scrubbing: performances_figure,
    Ablation: _ablation,
    AlgorithmComparison: comparison_figure,
    AlgorithmVerdict: verdict_scales,
    CosetNeurons: coset_sizes,
    EmbeddingComponents: component_pairs,
    EmbeddingCourse: component_course,
    GradientSymmetricity: symmetricity_scale,
    HeadCircuits: head_circuit_maps,
    HeadScores: head_maps,
    HiddenFractions: hidden_shares,
    InContextScore: in_context_figure,
    IsolatedCircle: circle_alone,
    KeyFrequencies: key_evidence,
    LogitFVE: explained_logits,
    LogitSurface: surface_figure,
    MeanAttention: attention_over_positions,
    NeuronFrequencies: cluster_sizes,
    NeuronPerturbations: perturbations_figure,
    NeuronPhases: phases_figure,
    PhaseChanges: phase_change_figure,
    Phases: phase_timeline,
    PositionLosses: position_bars,
    ProgressTable: progress_figure,
    RepresentationMeasures: irrep_shares,
    RepresentationQuality: sums_by_result,
    Run: learning_figure,
    Slingshots: spike_timeline,
    Summary: summary_figure,
    Sweep: sweep_figure,
}
"""The first argument of each function is a result of its class; its other arguments are the options of `.figure()`.
Add your own class of results that derives from `Drawable` with `FIGURES[MyResult] = my_function`."""


def draw(result: Drawable, **options: Any) -> go.Figure:
    """Draw a result with the function for its class, or for the nearest base class that has one.

    Raises:
        ConfigError: an option that the function does not have; a class that is not in the table.
    """
    function = next((FIGURES[kind] for kind in type(result).__mro__ if kind in FIGURES), None)
    name = type(result).__name__
    if function is None:
        raise ConfigError(f"no function draws a {name}; add one to mechgrok.plots.drawing.FIGURES")
    allowed = [
        p.name for p in list(signature(function).parameters.values())[1:] if p.kind != Parameter.VAR_KEYWORD
    ]
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise ConfigError(
            f"the figure of a {name} has no option {unknown[0]!r}; allowed: {', '.join(allowed) or 'none'}"
        )
    return function(result, **options)
