"""Arguments of public functions: everything that stands for a network is accepted, all else refused in words."""

import inspect
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import mechgrok as mg
from tests.planted import cosine_logits

TASK = mg.modular_task("add", 7)
NETWORK_ANALYSES = {
    "accuracy": mg.accuracy,
    "r2": mg.r2,
    "ablate": lambda source: mg.ablate(source, [2], site="logits"),
    "circularity": mg.circularity,
    "classify_algorithm": mg.classify_algorithm,
    "coset_neurons": mg.coset_neurons,
    "distance_irrelevance": mg.distance_irrelevance,
    "embedding_components": mg.embedding_components,
    "excluded_loss": lambda source: mg.excluded_loss(source, [2]),
    "find_key_frequencies": mg.find_key_frequencies,
    "fourier_coefficient_ratio": mg.fourier_coefficient_ratio,
    "fourier_frequency_density": mg.fourier_frequency_density,
    "frequency_norms": mg.frequency_norms,
    "full_loss": mg.full_loss,
    "gradient_symmetricity": mg.gradient_symmetricity,
    "character_similarity": mg.character_similarity,
    "isolate_circle": lambda source: mg.isolate_circle(source, 2, by="fourier"),
    "key_irreps": mg.key_irreps,
    "logit_fve": lambda source: mg.logit_fve(source, [2]),
    "logit_surface": mg.logit_surface,
    "neuron_frequencies": mg.neuron_frequencies,
    "representation_measures": mg.representation_measures,
    "restricted_loss": lambda source: mg.restricted_loss(source, [2]),
    "sum_squared_weights": mg.sum_squared_weights,
    "summarize": mg.summarize,
    "weight_spectrum": mg.weight_spectrum,
}
HISTORY_ANALYSES = {
    "find_phases": mg.find_phases,
    "find_slingshots": mg.find_slingshots,
    "kind_of_learning": mg.kind_of_learning,
    "milestones": mg.milestones,
}
OTHERS = {
    "head_scores": mg.head_scores,
    "in_context_score": lambda source: mg.in_context_score(source, mg.running_sum_task(4, 5)),
    "input_norms": mg.input_norms,
    "ablate_components": mg.ablate_components,
    "additive_only": mg.additive_only,
    "class_distance_ratio": mg.class_distance_ratio,
    "representation_quality": mg.representation_quality,
    "direct_logit_attribution": mg.direct_logit_attribution,
    "explain": mg.explain,
    "explained_share": lambda source: mg.explained_share(source, [2]),
    "ideal_network": mg.ideal_network,
    "interchange": lambda source: mg.interchange(source, [2]),
    "logit_lens": mg.logit_lens,
    "patch_activations": lambda source: mg.patch_activations(source, [0, 1, 7], [2, 3, 7]),
    "patch_paths": lambda source: mg.patch_paths(source, [0, 1, 7], [2, 3, 7]),
    "perturb_neurons": mg.perturb_neurons,
    "scrub": mg.scrub,
    "softmax_collapse": mg.softmax_collapse,
    "head_circuits": mg.head_circuits,
    "mean_attention": mg.mean_attention,
    "neuron_phases": mg.neuron_phases,
    "cache_grid": mg.cache_grid,
    "infer_task": mg.infer_task,
    "compare_algorithms": mg.compare_algorithms,
    "progress_measures": lambda source: mg.progress_measures(source, progress=False),
    "progress_measures of": lambda given: mg.progress_measures("add113", given, progress=False),
    "grid_from_tensors": lambda given: mg.grid_from_tensors(given, torch.zeros(49, 7)),
    "grid_from_tensors logits": lambda given: mg.grid_from_tensors(TASK, given),
    "grid_from_tensors activations": lambda given: mg.grid_from_tensors(
        TASK, torch.zeros(49, 7), _no_none(given)
    ),
    "grid_from_tensors weights": lambda given: mg.grid_from_tensors(
        TASK, torch.zeros(49, 7), weights=_no_none(given)
    ),
    "ablate keys": lambda given: mg.ablate(planted(), given),
    "ablate site": lambda given: mg.ablate(planted(), [2], site=given),
    "restricted_loss keys": lambda given: mg.restricted_loss(planted(), given),
    "restricted_loss space": lambda given: mg.restricted_loss(planted(), [2], space=given),
    "accuracy mask": lambda given: mg.accuracy(planted(), mask=_no_none(given)),
    "find_key_frequencies method": lambda given: mg.find_key_frequencies(planted(), given),
    "gini": mg.gini,
    "RECIPES": lambda given: mg.RECIPES[given],
    "MEASURES": lambda given: mg.MEASURES[given],
    "train": lambda given: mg.train(given, progress=False),
    "train recipe": lambda given: mg.train(TASK, given, progress=False),
    "wrap": lambda given: mg.wrap(given, TASK),
    "wrap task": lambda given: mg.wrap(torch.nn.Linear(2, 7), given),
    "wrap hooks": lambda given: mg.wrap(torch.nn.Linear(2, 7), TASK, hooks=_no_none(given)),
    "modular_task": lambda given: mg.modular_task(given, 7),
    "modular_task p": lambda given: mg.modular_task("add", given),
    "group_task": mg.group_task,
    "mixed_task": mg.mixed_task,
    "random_labels": mg.random_labels,
    "task_from_spec": mg.task_from_spec,
    "task_from_table": mg.task_from_table,
    "task_from_function": lambda given: mg.task_from_function(given, 3),
    "task_from_function n": lambda given: mg.task_from_function(max, given),
    "split": TASK.split,
    "in_basis": TASK.in_basis,
    "summarize split": lambda given: mg.summarize(planted(), _no_none(given)),
}
WRONG = {
    "an int": -5,
    "a float": 5.5,
    "None": None,
    "a dict": {"x": 1},
    "a list": [object(), 2],
    "an empty list": [],
    "a function": print,
    "an array": np.full((3, 4, 5), 0.5),
    "a vector": torch.full((5,), torch.nan),
    "three axes": torch.randn(49, 3, 7),
    "a large matrix": torch.randn(100, 100),
    "a long text": "no such thing " * 1000,
    "a module": torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(100)]),
    "a class": dict,
}
ALLOWED = {
    *(("weight_spectrum", wrong) for wrong in ("a large matrix",)),
    *(("frequency_norms", wrong) for wrong in ("a large matrix",)),
    *(("fourier_frequency_density", wrong) for wrong in ("a large matrix",)),
    *(("fourier_coefficient_ratio", wrong) for wrong in ("a large matrix",)),
    *(("representation_quality", wrong) for wrong in ("a large matrix",)),
    ("progress_measures of", "None"),
    ("wrap", "a module"),
}
"""What is right after all; a module of other sizes is refused in its own test."""


def _no_none(given):
    """None and nothing at all are right there."""
    return 3 if given is None or (isinstance(given, list) and not given) else given


def planted():
    return mg.cosine_network(7, {2: 5.0})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("function", [*NETWORK_ANALYSES, *HISTORY_ANALYSES, *OTHERS])
def test_another_kind_of_thing_is_refused_in_words(function, wrong):
    if (function, wrong) in ALLOWED or (function in HISTORY_ANALYSES and wrong == "an empty list"):
        return
    call = (NETWORK_ANALYSES | HISTORY_ANALYSES | OTHERS)[function]
    with pytest.raises(mg.MechgrokError) as refused:
        call(WRONG[wrong])
    assert 20 < len(str(refused.value)) < 1000


@pytest.fixture(scope="module")
def run():
    return mg.train(TASK, model=mg.ModelConfig(d_model=16), steps=20, lr=1e-2, progress=False)


@pytest.mark.parametrize("name", NETWORK_ANALYSES)
def test_a_run_its_folder_a_file_a_network_and_a_grid_are_taken_alike(run, name):
    sources = [run, str(run.path), run.path, run.checkpoint(20), run.model(), run.grid()]
    results = [_outcome(NETWORK_ANALYSES[name], source) for source in sources]
    if name != "summarize":  # a run knows its split
        assert all(result == results[-1] for result in results), results


def _outcome(analysis, source):
    try:
        return repr(analysis(source))
    except mg.UndefinedMetricError as error:
        return str(error)


@pytest.mark.parametrize("name", HISTORY_ANALYSES)
def test_a_run_is_taken_for_its_history(run, name):
    analysis = HISTORY_ANALYSES[name]
    assert repr(analysis(run)) == repr(analysis(run.history)) == repr(analysis(str(run.path)))


def test_the_name_of_a_shipped_run():
    assert mg.accuracy("add113") == 1.0
    assert mg.milestones("add113")["accuracy_test >= 0.99"] is not None


def test_networks_are_compared_by_name_or_as_a_list(run):
    assert list(mg.compare_algorithms([run, planted()]).verdicts) == [run.path.stem, "network 2"]
    assert list(mg.compare_algorithms({"A": str(run.path)}).verdicts) == ["A"]


def test_a_summary_of_a_run_knows_its_split(run):
    assert "loss_test" in mg.summarize(run).values
    assert "loss_test" not in mg.summarize(run.model()).values


def test_a_plain_module_is_told_of_wrap():
    with pytest.raises(
        mg.ActivationError, match=r"got the network Linear.*mg.wrap\(.*mg.grid_from_tensors\("
    ):
        mg.find_key_frequencies(torch.nn.Linear(2, 2))


@pytest.mark.usefixtures("unchecked")
def test_arrays_are_taken_where_tensors_are():
    logits = cosine_logits(TASK, {2: 5.0})
    angles = 2 * np.pi * 2 * np.arange(7) / 7
    W_E = np.stack([np.cos(angles), np.sin(angles)], 1)
    grid = mg.grid_from_tensors(TASK, logits.numpy(), weights={"W_E": W_E})
    assert mg.find_key_frequencies(grid).frequencies == (2,)
    assert mg.accuracy(grid, mask=TASK.split(0.5).train.numpy()) == 1.0
    assert mg.embedding_components(grid).frequency == (2, 2)
    assert mg.gini(mg.frequency_norms(grid).numpy()) == pytest.approx(1 - 1 / 3)
    assert mg.frequency_norms(W_E).tolist() == pytest.approx(mg.frequency_norms(grid).tolist())


def test_logits_of_bare_tensors_are_ablated():
    network = planted()
    bare = mg.grid_from_tensors(network.task, mg.cache_grid(network).logits)
    ours, theirs = mg.ablate(bare, [2], site="logits"), mg.ablate(network, [2], site="logits")
    assert (ours.loss, ours.accuracy, ours.hooks) == (theirs.loss, theirs.accuracy, [])
    with pytest.raises(mg.ActivationError, match="made of tensors alone"):
        mg.ablate(bare, [2], site="embed")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_keeping_every_frequency_keeps_every_answer(dtype):
    network = mg.cosine_network(13, {1: 9.0, 3: 9.0, 5: 9.0}).to(dtype)
    every = range(1, 7)
    kept = mg.ablate(network, every, site="logits", keep=True)
    assert kept.accuracy == kept.accuracy_before == 1.0
    assert mg.ablate(network, every, site="logits").accuracy == pytest.approx(1 / 13, abs=0.05)


def test_several_threads_get_the_right_numbers():
    network = mg.cosine_network(31, {3: 9.0, 7: 9.0})
    grid = mg.cache_grid(network)
    analyses = [
        lambda: mg.accuracy(network),
        lambda: mg.ablate(network, [3], site="embed").loss,
        lambda: mg.ablate(grid, [7], site="neurons").loss,
        lambda: network.run_with_cache(network.task.tokens[:9])[1]["post", 0].sum().item(),
    ]
    right = [analysis() for analysis in analyses]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: analyses[i % 4](), range(80)))
    assert all(value == pytest.approx(right[i % 4], rel=1e-6) for i, value in enumerate(found))


def test_every_analysis_of_networks_is_in_the_table():
    public = {name: getattr(mg, name) for name in mg.__all__}
    taking = {
        name
        for name, value in public.items()
        if inspect.isfunction(value) and str(value.__annotations__.get("source", "")) != ""
    }
    assert (
        taking - {"measure", "write_explanation", "write_report"} <= NETWORK_ANALYSES.keys() | OTHERS.keys()
    )


def test_a_summary_takes_the_split_of_a_run_by_name_and_folder():
    run = mg.load_run("clock59")
    expected = mg.summarize(run).values
    assert "loss_test" in expected
    for given in ("clock59", run.path, str(run.path)):
        assert mg.summarize(given).values == expected
