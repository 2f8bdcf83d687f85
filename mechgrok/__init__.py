"""mechgrok: mechanistic interpretability of grokking.

Trains or loads small hooked networks on modular and other algorithmic tasks, and reports which algorithm they
learned, when, and with what certainty. Every public name is an attribute of this module. Names that need
TransformerLens are imported on first use, so that `import mechgrok` stays light.
"""

import os
from importlib import import_module
from typing import Any

# Torch's threads wait for one another in a spin loop, by default for a millisecond. On a machine that is also
# doing something else this makes a step thirty times as long; a shorter loop costs nothing. The setting is read
# when torch is loaded, unless it already is.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")

_HOME = {
    "mechgrok.errors": (
        "ActivationError",
        "CheckpointError",
        "ConfigError",
        "MechgrokError",
        "NoGroupError",
        "TaskError",
        "UndefinedMetricError",
    ),
    "mechgrok.config": ("DenseConfig", "MLPConfig", "ModelConfig", "NetworkConfig", "TrainConfig"),
    "mechgrok.registries": (
        "DECAYS",
        "GRADIENTS",
        "INITS",
        "MLP_INITS",
        "NETWORKS",
        "OBJECTIVES",
        "OPTIMIZERS",
        "SPLIT_RULES",
    ),
    "mechgrok.algebra": (
        "Basis",
        "Block",
        "FourierBasis",
        "Group",
        "IrrepBasis",
        "cyclic_group",
        "fourier_basis",
        "named_group",
        "real_irreps",
    ),
    "mechgrok.signature": ("Classes", "Features", "Signature", "Tokens", "Values"),
    "mechgrok.tasks": (
        "TASKS",
        "Batch",
        "FiniteTask",
        "Frame",
        "LimitedTask",
        "Operation",
        "Split",
        "StreamTask",
        "Task",
        "MixedTask",
        "array_task",
        "digit_addition_task",
        "function_frame",
        "group_task",
        "mixed_task",
        "modular_task",
        "parity_task",
        "random_labels",
        "repeated_sequence_task",
        "running_sum_task",
        "skip_trigram_task",
        "sn_task",
        "task_from_function",
        "task_from_spec",
        "task_from_table",
    ),
    "mechgrok.algebra.walsh": ("WalshBasis", "walsh_basis"),
    "mechgrok.activations": ("ActivationGrid", "cache_grid", "grid_from_tensors", "infer_task"),
    "mechgrok.analysis.frequencies": ("KeyFrequencies", "find_key_frequencies"),
    "mechgrok.analysis.additive": ("AdditiveOnly", "additive_only"),
    "mechgrok.analysis.scrubbing": ("Scrubbing", "scrub"),
    "mechgrok.analysis.perturbations": ("NeuronPerturbations", "Perturbation", "perturb_neurons"),
    "mechgrok.analysis.interchange": ("Interchange", "interchange"),
    "mechgrok.analysis.explanation": ("Explanation", "explain"),
    "mechgrok.analysis.explained_share": ("explained_share",),
    "mechgrok.analysis.ideal_network": ("ideal_network",),
    "mechgrok.analysis.class_distances": ("class_distance_ratio",),
    "mechgrok.analysis.effective_theory": ("EffectiveTheory", "effective_theory"),
    "mechgrok.analysis.representation_quality": ("RepresentationQuality", "representation_quality"),
    "mechgrok.analysis.softmax_collapse": ("SoftmaxCollapse", "softmax_collapse"),
    "mechgrok.analysis.attribution": ("LogitAttribution", "direct_logit_attribution"),
    "mechgrok.analysis.component_ablation": ("ComponentAblations", "ablate_components"),
    "mechgrok.analysis.patching": (
        "ActivationPatching",
        "PathPatching",
        "patch_activations",
        "patch_paths",
    ),
    "mechgrok.analysis.logit_lens": ("LogitLens", "logit_lens"),
    "mechgrok.analysis.formula": ("Formula",),
    "mechgrok.analysis.neuron_phases": ("NeuronPhases", "neuron_phases"),
    "mechgrok.analysis.neurons": ("NeuronFrequencies", "neuron_frequencies"),
    "mechgrok.analysis.key_losses": ("excluded_loss", "restricted_loss"),
    "mechgrok.analysis.input_weights": ("input_norms",),
    "mechgrok.analysis.losses": ("accuracy", "full_loss", "r2"),
    "mechgrok.analysis.position_losses": ("PositionLosses", "position_losses"),
    "mechgrok.analysis.explained": ("LogitFVE", "logit_fve"),
    "mechgrok.analysis.ablation": ("Ablation", "ablate"),
    "mechgrok.measures.summary": ("Summary", "summarize"),
    "mechgrok.analysis.spectrum": (
        "fourier_coefficient_ratio",
        "fourier_frequency_density",
        "frequency_norms",
        "gini",
        "sum_squared_weights",
        "weight_spectrum",
    ),
    "mechgrok.analysis.representations": (
        "RepresentationMeasures",
        "character_similarity",
        "key_irreps",
        "representation_measures",
    ),
    "mechgrok.analysis.symmetricity": ("GradientSymmetricity", "gradient_symmetricity"),
    "mechgrok.analysis.logit_surface": ("LogitSurface", "distance_irrelevance", "logit_surface"),
    "mechgrok.analysis.embeddings": ("EmbeddingComponents", "circularity", "embedding_components"),
    "mechgrok.analysis.circles": ("IsolatedCircle", "isolate_circle"),
    "mechgrok.analysis.algorithms": ("AlgorithmVerdict", "classify_algorithm"),
    "mechgrok.plots.algorithms": ("AlgorithmComparison", "compare_algorithms"),
    "mechgrok.report": ("write_comparison", "write_explanation", "write_report", "write_sweep_page"),
    "mechgrok.analysis.cosets": ("coset_neurons",),
    "mechgrok.analysis.in_context": ("InContextScore", "in_context_score"),
    "mechgrok.analysis.attention": ("MeanAttention", "mean_attention"),
    "mechgrok.analysis.head_circuits": ("HeadCircuits", "head_circuits"),
    "mechgrok.analysis.heads": ("HeadScore", "HeadScores", "head_scores"),
    "mechgrok.analysis.phases": ("Phases", "find_phases"),
    "mechgrok.analysis.phase_changes": ("PhaseChange", "PhaseChanges", "find_phase_changes"),
    "mechgrok.analysis.slingshots": ("Slingshots", "find_slingshots"),
    "mechgrok.analysis.milestones": ("kind_by_losses", "kind_of_learning", "milestones"),
    "mechgrok.models.character_network": ("character_network",),
    "mechgrok.models.transformer": ("HookedTransformer",),
    "mechgrok.models.hooked": ("HookedNetwork",),
    "mechgrok.models.dense": ("HookedDense",),
    "mechgrok.models.mlp": ("HookedMLP",),
    "mechgrok.models.transformer_lens": ("to_transformer_lens",),
    "mechgrok.models.constructed": ("cosine_network", "pizza_network"),
    "mechgrok.models.gromov_network": ("gromov_network",),
    "mechgrok.models.ideal_transformers": ("clock_transformer", "pizza_transformer"),
    "mechgrok.models.five_neurons": ("five_neuron_network",),
    "mechgrok.models.induction_network": ("induction_network",),
    "mechgrok.models.wrapping": ("wrap",),
    "mechgrok.models.layouts": ("LAYOUTS", "Converted", "Layout"),
    "mechgrok.loading": ("load_model",),
    "mechgrok.models.files": ("save_model",),
    "mechgrok.runs": ("Run", "load_run"),
    "mechgrok.shipped": ("shipped_runs", "verify_shipped"),
    "mechgrok.measures": ("INVARIANCES", "MEASURES", "Measure", "Reference", "Snapshot", "measure"),
    "mechgrok.progress": (
        "EmbeddingCourse",
        "ProgressRecorder",
        "ProgressTable",
        "embedding_course",
        "progress_measures",
    ),
    "mechgrok.training.networks": ("build_model",),
    "mechgrok.training.gradients": ("GradientFilter",),
    "mechgrok.training.objectives": ("LossFunction",),
    "mechgrok.training.recipes": ("RECIPES",),
    "mechgrok.training.many": ("train_many",),
    "mechgrok.sweeps.settings": ("Setting", "log_grid", "log_uniform", "vary"),
    "mechgrok.sweeps.sweep": ("Sweep", "load_sweep", "sweep"),
    "mechgrok.experiments.attention_rate": ("AttentionRateSweep", "attention_rate_sweep"),
    "mechgrok.experiments.data_fraction": ("DataFractionSweep", "data_fraction_sweep"),
    "mechgrok.training.trackers": ("Tracker",),
    "mechgrok.experiments.parity_sweep": ("ParitySweep", "parity_sweep"),
    "mechgrok.training.trainer": ("resume", "train"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'mechgrok' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
