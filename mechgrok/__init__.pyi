"""The public names for editors and type checkers; at run time they are looked up when they are used."""

from mechgrok.activations import (
    ActivationGrid as ActivationGrid,
    cache_grid as cache_grid,
    grid_from_tensors as grid_from_tensors,
    infer_task as infer_task,
)
from mechgrok.algebra import (
    Basis as Basis,
    Block as Block,
    FourierBasis as FourierBasis,
    Group as Group,
    IrrepBasis as IrrepBasis,
    cyclic_group as cyclic_group,
    fourier_basis as fourier_basis,
    named_group as named_group,
    real_irreps as real_irreps,
)
from mechgrok.algebra.walsh import (
    WalshBasis as WalshBasis,
    walsh_basis as walsh_basis,
)
from mechgrok.analysis.ablation import (
    Ablation as Ablation,
    ablate as ablate,
)
from mechgrok.analysis.additive import (
    AdditiveOnly as AdditiveOnly,
    additive_only as additive_only,
)
from mechgrok.analysis.algorithms import (
    AlgorithmVerdict as AlgorithmVerdict,
    classify_algorithm as classify_algorithm,
)
from mechgrok.analysis.attention import (
    MeanAttention as MeanAttention,
    mean_attention as mean_attention,
)
from mechgrok.analysis.attribution import (
    LogitAttribution as LogitAttribution,
    direct_logit_attribution as direct_logit_attribution,
)
from mechgrok.analysis.circles import (
    IsolatedCircle as IsolatedCircle,
    isolate_circle as isolate_circle,
)
from mechgrok.analysis.class_distances import (
    class_distance_ratio as class_distance_ratio,
)
from mechgrok.analysis.component_ablation import (
    ComponentAblations as ComponentAblations,
    ablate_components as ablate_components,
)
from mechgrok.analysis.cosets import (
    coset_neurons as coset_neurons,
)
from mechgrok.analysis.effective_theory import (
    EffectiveTheory as EffectiveTheory,
    effective_theory as effective_theory,
)
from mechgrok.analysis.embeddings import (
    EmbeddingComponents as EmbeddingComponents,
    circularity as circularity,
    embedding_components as embedding_components,
)
from mechgrok.analysis.explained import (
    LogitFVE as LogitFVE,
    logit_fve as logit_fve,
)
from mechgrok.analysis.explained_share import (
    explained_share as explained_share,
)
from mechgrok.analysis.explanation import (
    Explanation as Explanation,
    explain as explain,
)
from mechgrok.analysis.formula import (
    Formula as Formula,
)
from mechgrok.analysis.frequencies import (
    KeyFrequencies as KeyFrequencies,
    find_key_frequencies as find_key_frequencies,
)
from mechgrok.analysis.head_circuits import (
    HeadCircuits as HeadCircuits,
    head_circuits as head_circuits,
)
from mechgrok.analysis.heads import (
    HeadScore as HeadScore,
    HeadScores as HeadScores,
    head_scores as head_scores,
)
from mechgrok.analysis.ideal_network import (
    ideal_network as ideal_network,
)
from mechgrok.analysis.in_context import (
    InContextScore as InContextScore,
    in_context_score as in_context_score,
)
from mechgrok.analysis.input_weights import (
    input_norms as input_norms,
)
from mechgrok.analysis.interchange import (
    Interchange as Interchange,
    interchange as interchange,
)
from mechgrok.analysis.key_losses import (
    excluded_loss as excluded_loss,
    restricted_loss as restricted_loss,
)
from mechgrok.analysis.logit_lens import (
    LogitLens as LogitLens,
    logit_lens as logit_lens,
)
from mechgrok.analysis.logit_surface import (
    LogitSurface as LogitSurface,
    distance_irrelevance as distance_irrelevance,
    logit_surface as logit_surface,
)
from mechgrok.analysis.losses import (
    accuracy as accuracy,
    full_loss as full_loss,
    r2 as r2,
)
from mechgrok.analysis.milestones import (
    kind_by_losses as kind_by_losses,
    kind_of_learning as kind_of_learning,
    milestones as milestones,
)
from mechgrok.analysis.neuron_phases import (
    NeuronPhases as NeuronPhases,
    neuron_phases as neuron_phases,
)
from mechgrok.analysis.neurons import (
    NeuronFrequencies as NeuronFrequencies,
    neuron_frequencies as neuron_frequencies,
)
from mechgrok.analysis.patching import (
    ActivationPatching as ActivationPatching,
    PathPatching as PathPatching,
    patch_activations as patch_activations,
    patch_paths as patch_paths,
)
from mechgrok.analysis.perturbations import (
    NeuronPerturbations as NeuronPerturbations,
    Perturbation as Perturbation,
    perturb_neurons as perturb_neurons,
)
from mechgrok.analysis.phase_changes import (
    PhaseChange as PhaseChange,
    PhaseChanges as PhaseChanges,
    find_phase_changes as find_phase_changes,
)
from mechgrok.analysis.phases import (
    Phases as Phases,
    find_phases as find_phases,
)
from mechgrok.analysis.position_losses import (
    PositionLosses as PositionLosses,
    position_losses as position_losses,
)
from mechgrok.analysis.representation_quality import (
    RepresentationQuality as RepresentationQuality,
    representation_quality as representation_quality,
)
from mechgrok.analysis.representations import (
    RepresentationMeasures as RepresentationMeasures,
    character_similarity as character_similarity,
    key_irreps as key_irreps,
    representation_measures as representation_measures,
)
from mechgrok.analysis.scrubbing import (
    Scrubbing as Scrubbing,
    scrub as scrub,
)
from mechgrok.analysis.slingshots import (
    Slingshots as Slingshots,
    find_slingshots as find_slingshots,
)
from mechgrok.analysis.softmax_collapse import (
    SoftmaxCollapse as SoftmaxCollapse,
    softmax_collapse as softmax_collapse,
)
from mechgrok.analysis.spectrum import (
    fourier_coefficient_ratio as fourier_coefficient_ratio,
    fourier_frequency_density as fourier_frequency_density,
    frequency_norms as frequency_norms,
    gini as gini,
    sum_squared_weights as sum_squared_weights,
    weight_spectrum as weight_spectrum,
)
from mechgrok.analysis.symmetricity import (
    GradientSymmetricity as GradientSymmetricity,
    gradient_symmetricity as gradient_symmetricity,
)
from mechgrok.config import (
    DenseConfig as DenseConfig,
    MLPConfig as MLPConfig,
    ModelConfig as ModelConfig,
    NetworkConfig as NetworkConfig,
    TrainConfig as TrainConfig,
)
from mechgrok.errors import (
    ActivationError as ActivationError,
    CheckpointError as CheckpointError,
    ConfigError as ConfigError,
    MechgrokError as MechgrokError,
    NoGroupError as NoGroupError,
    TaskError as TaskError,
    UndefinedMetricError as UndefinedMetricError,
)
from mechgrok.experiments.attention_rate import (
    AttentionRateSweep as AttentionRateSweep,
    attention_rate_sweep as attention_rate_sweep,
)
from mechgrok.experiments.data_fraction import (
    DataFractionSweep as DataFractionSweep,
    data_fraction_sweep as data_fraction_sweep,
)
from mechgrok.experiments.parity_sweep import (
    ParitySweep as ParitySweep,
    parity_sweep as parity_sweep,
)
from mechgrok.loading import (
    load_model as load_model,
)
from mechgrok.measures import (
    INVARIANCES as INVARIANCES,
    MEASURES as MEASURES,
    Measure as Measure,
    Reference as Reference,
    Snapshot as Snapshot,
    measure as measure,
)
from mechgrok.measures.summary import (
    Summary as Summary,
    summarize as summarize,
)
from mechgrok.models.character_network import (
    character_network as character_network,
)
from mechgrok.models.constructed import (
    cosine_network as cosine_network,
    pizza_network as pizza_network,
)
from mechgrok.models.dense import (
    HookedDense as HookedDense,
)
from mechgrok.models.files import (
    save_model as save_model,
)
from mechgrok.models.five_neurons import (
    five_neuron_network as five_neuron_network,
)
from mechgrok.models.gromov_network import (
    gromov_network as gromov_network,
)
from mechgrok.models.hooked import (
    HookedNetwork as HookedNetwork,
)
from mechgrok.models.ideal_transformers import (
    clock_transformer as clock_transformer,
    pizza_transformer as pizza_transformer,
)
from mechgrok.models.induction_network import (
    induction_network as induction_network,
)
from mechgrok.models.layouts import (
    LAYOUTS as LAYOUTS,
    Converted as Converted,
    Layout as Layout,
)
from mechgrok.models.mlp import (
    HookedMLP as HookedMLP,
)
from mechgrok.models.transformer import (
    HookedTransformer as HookedTransformer,
)
from mechgrok.models.transformer_lens import (
    to_transformer_lens as to_transformer_lens,
)
from mechgrok.models.wrapping import (
    wrap as wrap,
)
from mechgrok.plots.algorithms import (
    AlgorithmComparison as AlgorithmComparison,
    compare_algorithms as compare_algorithms,
)
from mechgrok.progress import (
    EmbeddingCourse as EmbeddingCourse,
    ProgressRecorder as ProgressRecorder,
    ProgressTable as ProgressTable,
    embedding_course as embedding_course,
    progress_measures as progress_measures,
)
from mechgrok.registries import (
    DECAYS as DECAYS,
    GRADIENTS as GRADIENTS,
    INITS as INITS,
    MLP_INITS as MLP_INITS,
    NETWORKS as NETWORKS,
    OBJECTIVES as OBJECTIVES,
    OPTIMIZERS as OPTIMIZERS,
    SPLIT_RULES as SPLIT_RULES,
)
from mechgrok.report import (
    write_comparison as write_comparison,
    write_explanation as write_explanation,
    write_report as write_report,
    write_sweep_page as write_sweep_page,
)
from mechgrok.runs import (
    Run as Run,
    load_run as load_run,
)
from mechgrok.shipped import (
    shipped_runs as shipped_runs,
    verify_shipped as verify_shipped,
)
from mechgrok.signature import (
    Classes as Classes,
    Features as Features,
    Signature as Signature,
    Tokens as Tokens,
    Values as Values,
)
from mechgrok.sweeps.settings import (
    Setting as Setting,
    log_grid as log_grid,
    log_uniform as log_uniform,
    vary as vary,
)
from mechgrok.sweeps.sweep import (
    Sweep as Sweep,
    load_sweep as load_sweep,
    sweep as sweep,
)
from mechgrok.tasks import (
    TASKS as TASKS,
    Batch as Batch,
    FiniteTask as FiniteTask,
    Frame as Frame,
    LimitedTask as LimitedTask,
    MixedTask as MixedTask,
    Operation as Operation,
    Split as Split,
    StreamTask as StreamTask,
    Task as Task,
    array_task as array_task,
    digit_addition_task as digit_addition_task,
    function_frame as function_frame,
    group_task as group_task,
    mixed_task as mixed_task,
    modular_task as modular_task,
    parity_task as parity_task,
    random_labels as random_labels,
    repeated_sequence_task as repeated_sequence_task,
    running_sum_task as running_sum_task,
    skip_trigram_task as skip_trigram_task,
    sn_task as sn_task,
    task_from_function as task_from_function,
    task_from_spec as task_from_spec,
    task_from_table as task_from_table,
)
from mechgrok.training.gradients import (
    GradientFilter as GradientFilter,
)
from mechgrok.training.many import (
    train_many as train_many,
)
from mechgrok.training.networks import (
    build_model as build_model,
)
from mechgrok.training.objectives import (
    LossFunction as LossFunction,
)
from mechgrok.training.recipes import (
    RECIPES as RECIPES,
)
from mechgrok.training.trackers import (
    Tracker as Tracker,
)
from mechgrok.training.trainer import (
    resume as resume,
    train as train,
)

__all__: list[str]
__version__: str
