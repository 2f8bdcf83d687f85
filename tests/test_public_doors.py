"""Every public function refuses, with an explanation, a wrong kind of object for each of its arguments."""

import inspect
import pickle
import typing
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from beartype.door import is_bearable

import mechgrok as mg
from mechgrok.door import door, fits, in_kinds

TASK = mg.modular_task("add", 7)
VALUES = mg.array_task([[0.0], [1.0]], [[1.0], [3.0]])
FEW = {"steps": 2, "progress": False}
SWITCHES = {"progress", "compile", "keep", "batched", "keep_mean", "default"}
"""Whether something is done: that they are True or False is looked at once."""
HEAVY = {"train", "train_many", "resume", "attention_rate_sweep", "data_fraction_sweep", "progress_measures"}
HEAVY |= {"write_report", "write_comparison", "write_explanation", "parity_sweep", "sweep"}
"""Functions that would do a lot with what they do accept; that is for their own tests."""
WRONG = {
    "an int": -5,
    "a huge int": 10**12,
    "a float": 5.5,
    "infinity": float("inf"),
    "None": None,
    "True": True,
    "a dict": {"x": 1},
    "a list": [object(), 2],
    "an empty list": [],
    "a set": {1, 2},
    "a function": print,
    "an array": np.full((3, 4, 5), 0.5),
    "a vector": torch.full((5,), torch.nan),
    "a matrix": torch.randn(100, 100, generator=torch.Generator().manual_seed(0)),
    "a name": "no_such_thing",
    "a long text": "no such thing " * 1000,
    "a module": torch.nn.Sequential(torch.nn.Linear(2, 2)),
    "a class": dict,
    "a task": TASK,
}


def nothing(*names: str) -> dict[str, None]:
    return dict.fromkeys(names)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A call of each public function that is right, with all of its arguments by name."""
    out = tmp_path_factory.mktemp("doors")
    net = mg.cosine_network(7, {2: 5.0})
    run = mg.train(TASK, model=mg.ModelConfig(d_model=16), out=out / "run", **FEW)
    swept = mg.sweep(mg.vary(task=TASK, d_model=16, steps=2), out=out / "swept", workers=1, progress=False)
    analysed = {"source": net}
    basis = {**analysed, "matrix": "W_E", "basis": None}
    loss = {**analysed, "keys": [2], "mask": None, "space": "product", "site": "logits"}
    workers = {"workers": 1, **FEW}
    small = {"model": mg.ModelConfig(d_model=16), **FEW}
    return {
        "ablate": {**analysed, "keys": [2], "component": "both", "site": "logits", "keep": False, "mask": None},
        "accuracy": {**analysed, "mask": None},
        "additive_only": {**analysed, "mask": None, "layer": None},
        "attention_rate_sweep": {
            "rates": [0.5], "seeds": [0], "task": TASK, "recipe": "pizza", "triples": 9,
            "out": out / "a", **workers,
        },
        "build_model": {"task": TASK, "config": None, "seed": 0},
        "cache_grid": {"model": net, "task": TASK, "names": None},
        "character_network": {"group": "S3", "amplitudes": {"2d": 1.0}},
        "character_similarity": analysed,
        "circularity": analysed,
        "classify_algorithm": {**analysed, "triples": 20},
        "compare_algorithms": {"networks": {"A": net}, "triples": 20},
        "coset_neurons": {**analysed, "site": None, "threshold": 0.95},
        "cosine_network": {"p": 7, "amplitudes": {2: 1.0}, "n_phases": 5},
        "clock_transformer": {"p": 7, "amplitudes": {2: 1.0}, "phases": {2: 0.5}},
        "cyclic_group": {"n": 5},
        "data_fraction_sweep": {
            "fractions": [0.5], "seeds": [0], "task": TASK, "recipe": "fast", "out": out / "b", **workers,
        },
        "distance_irrelevance": {**analysed, "which": "correct"},
        "embedding_components": {**analysed, "operand": 0},
        "embedding_course": {"run": run, "steps": [0], "operand": 0, **nothing("task", "config", "model")},
        "excluded_loss": loss,
        "five_neuron_network": {"p": 7, "n": 5, "act_fn": "relu"},
        "explain": {**analysed, "seed": 0},
        "interchange": {**analysed, "keys": [2], "site": "logits", "n": 20, "seed": 0},
        "perturb_neurons": {**analysed, "mask": None, "noise": 0.5, "seed": 0},
        "scrub": {**analysed, "mask": None, "seed": 0},
        "direct_logit_attribution": {**analysed, "mask": None},
        "ablate_components": {**analysed, "by": "mean", "mask": None, "seed": 0},
        "patch_activations": {**analysed, "clean": 0, "corrupted": 1, "sites": ["z"]},
        "patch_paths": {**analysed, "clean": 0, "corrupted": 1},
        "logit_lens": {**analysed, "mask": None},
        "explained_share": {**analysed, "keys": [2], "mask": None},
        "ideal_network": {**analysed, "mask": None},
        "class_distance_ratio": {**analysed, "mask": None},
        "effective_theory": {"n": 5, "train_mask": None, "kind": "linear", "mean": False},
        "representation_quality": {**analysed, "task": None, "delta": 0.01, "unit": "deviation", "kind": None},
        "softmax_collapse": {**analysed, "mask": None},
        "find_key_frequencies": {**analysed, "method": "logits"},
        "find_phases": {"history": run},
        "find_slingshots": {"history": run, "last_layer": "x"},
        "fourier_basis": {"n": 7},
        "fourier_coefficient_ratio": basis,
        "fourier_frequency_density": {**basis, "eta": 0.5},
        "frequency_norms": basis,
        "find_phase_changes": {"history": run, "name": "loss_test", "smoothing": 0.01},
        "full_loss": {**analysed, "mask": None},
        "gini": {"norms": torch.ones(5)},
        "gradient_symmetricity": {**analysed, "triples": 10},
        "grid_from_tensors": {"task": TASK, "logits": torch.ones(49, 7), "activations": None, "weights": None},
        "gromov_network": {"p": 7, "n": 4, "seed": 0},
        "group_task": {"group": "S3", "op": "xy", "name": None, "sequence": None, "specials": ()},
        "head_scores": {**analysed, "task": TASK, "seed": 0},
        "in_context_score": {**analysed, "task": TASK, "early": 0, "late": -1, "n": 10, "seed": 0},
        "induction_network": {"d_vocab": 5, "n_ctx": 8, "n_heads": 2, "height": 10.0},
        "infer_task": {"model": net},
        "isolate_circle": {**analysed, "k": 2, "by": "pca"},
        "key_irreps": {**analysed, "threshold": 0.005},
        "input_norms": {"source": mg.build_model(mg.parity_task(4), mg.DenseConfig(d_mlp=4))},
        "kind_by_losses": {"history": run, "learned": 1e-5, "ratio": 5e4},
        "kind_of_learning": {"history": run, "accuracy": 0.9, "within": 1000, "lag": 100},
        "load_model": {"path": out / "run", "task": TASK, **nothing("step", "config", "layout", "rename", "key")},
        "load_sweep": {"path": out / "sweep"},
        "log_grid": {"low": 1e-3, "high": 1e-1, "n": 3},
        "log_uniform": {"n": 3, "seed": 0},
        "load_run": {"path": out / "run", "network": None},
        "logit_fve": {**analysed, "keys": [2], "centre": "class"},
        "logit_surface": {**analysed, "k": 2, "which": "correct"},
        "head_circuits": {**analysed, "into": "neurons"},
        "mean_attention": {**analysed, "task": TASK, "seed": 0},
        "measure": {"unit": "nats", "name": "mine", "direction": None, "needs": (), "citation": "", "default": False},
        "milestones": {"history": run},
        "mixed_task": {"parts": [TASK, mg.modular_task("sub", 7)], "sequence": None},
        "array_task": {"features": [[0.0], [1.0]], "targets": [0, 1], "name": "corners", "n_classes": 0},
        "function_frame": {
            "basis": mg.walsh_basis(2),
            "classes": torch.tensor([0, 1, 1, 0]),
            "n_classes": 2,
            "answer": "xor",
            "rows": None,
        },
        "parity_task": {"n_bits": 4, "relevant": (0, 1), "n_samples": 0, "seed": 0},
        "running_sum_task": {"n_terms": 4, "p": 5},
        "digit_addition_task": {"n_digits": 2, "finite": 10, "seed": 0},
        "repeated_sequence_task": {
            "n_tokens": 9, "length": 11, "subsequence": 4, "repeats": 2, "every_token": False, "finite": 0, "seed": 0,
        },
        "skip_trigram_task": {"n_keys": 3, "length": 9, "finite": 0, "seed": 0},
        "walsh_basis": {"n": 3},
        "r2": {"source": mg.grid_from_tensors(VALUES, torch.tensor([[1.0], [2.0]])), "mask": None},
        "modular_task": {"operation": "add", "p": 7, "sequence": None, "specials": ()},
        "named_group": {"name": "S3"},
        "neuron_frequencies": {**analysed, "threshold": 0.85},
        "neuron_phases": {**analysed, "threshold": 0.5},
        "parity_sweep": {
            "weight_decays": [0.1], "widths": [4], "train_sizes": [8], "seeds": [0], "task": mg.parity_task(4),
            "recipe": "pair-parity", "out": out / "c", **workers,
        },
        "position_losses": {"model": net, "task": TASK, "n": 10, "seed": 0},
        "pizza_network": {"p": 7, "amplitudes": {2: 1.0}},
        "pizza_transformer": {"p": 7, "amplitudes": {2: 1.0}, "phases": {2: 0.5}},
        "progress_measures": {
            "run": run, "measures": ["loss_test"], "progress": False,
            **nothing("keys", "steps", "task", "split", "config", "model", "out"),
        },
        "random_labels": {"task": TASK, "seed": 0},
        "real_irreps": {"group": mg.named_group("S3")},
        "representation_measures": {**analysed, "keys": None, "train": None},
        "restricted_loss": {**loss, "keep_mean": None},
        "resume": {
            "run": run, "callback": None, "device": None, "compile": False, "tracker": None, "progress": False,
        },
        "save_model": {"model": net, "path": out / "x.safetensors"},
        "shipped_runs": {},
        "sn_task": {"group": "S3", "op": "xy", "sequence": None},
        "sum_squared_weights": analysed,
        "sweep": {
            "runs": mg.vary(task=TASK, d_model=16, steps=2), "out": out / "sweep", "measures": ["gini_W_E"],
            "keep": "last", "stacked": None, "workers": 1, "backend": None, "device": None, "tracker": None,
            "progress": False,
        },
        "vary": {"task": TASK, "recipe": "fast", "seed": 0, "points": [{"lr": 1e-2}]},
        "summarize": {**analysed, "split": None, "keys": None},
        "task_from_function": {"function": max, "n": 4, "n_classes": None, "name": None, "sequence": None},
        "task_from_spec": {"spec": TASK.spec},
        "task_from_table": {"table": [[0, 1], [1, 0]], "n_classes": None, "name": None, "sequence": None},
        "to_transformer_lens": {"model": net},
        "train": {
            "task": TASK, "recipe": "fast", "seed": 0, "compile": False, **small,
            **nothing("out", "split", "start", "parts", "network", "callback", "device", "tracker"),
        },
        "train_many": {
            "task": TASK, "recipes": "fast", "seeds": [0], "out": out / "many", "workers": 1, **small,
            **nothing("batched", "network", "device"),
        },
        "verify_shipped": {"name": "add113"},
        "weight_spectrum": basis,
        "wrap": {
            "module": torch.nn.Linear(2, 7), "task": TASK, **nothing("hooks", "weights", "inputs", "readout"),
        },
        "write_comparison": {"path": out / "c.html", "sources": {"A": net}, "comparison": None, "title": None},
        "write_sweep_page": {"path": out / "s.html", "sweep": swept, "title": None},
        "write_explanation": {"path": out / "e.html", "source": net, "title": None},
        "write_report": {"path": out / "r.html", "source": net, "summary": None, "history": None, "title": None},
    }  # fmt: skip


FUNCTIONS = [name for name in mg.__all__ if inspect.isroutine(getattr(mg, name)) or name == "fourier_basis"]


def test_every_public_function_has_a_call(calls: dict[str, dict[str, Any]]):
    assert set(FUNCTIONS) == calls.keys()
    for name, arguments in calls.items():
        inspect.signature(getattr(mg, name)).bind(**arguments)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_another_kind_of_thing_is_refused_in_words(
    name: str, calls: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)  # "no_such_thing" may be a file to write
    function, right = getattr(mg, name), calls[name]
    hints = typing.get_type_hints(function, include_extras=True)
    problems = []
    for parameter in (right.keys() & inspect.signature(function).parameters.keys()) - SWITCHES:
        hint = hints.get(parameter, Any)
        for what, wrong in WRONG.items():
            promised = hint is not Any and is_bearable(wrong, hint)
            if promised and name in HEAVY:
                continue
            try:
                function(**{**right, parameter: wrong})
            except mg.MechgrokError as refusal:
                if not 15 < len(str(refusal)) < 1000:
                    problems.append(
                        f"{parameter}={what}: {len(str(refusal))} characters, {str(refusal)[:99]}"
                    )
            except Exception as error:
                problems.append(f"{parameter}={what}: {type(error).__name__}: {str(error)[:99]}")
            else:
                if not promised and (name, parameter, what) not in RIGHT:
                    problems.append(f"{parameter}={what} is accepted")
    assert not problems, f"{name}:\n" + "\n".join(problems)


OF_TWO_SIZES = {
    "cosine_network",
    "induction_network",
    "repeated_sequence_task",
    "running_sum_task",
    "skip_trigram_task",
}
"""Functions that begin with two sizes, of which either may be either."""
OF_MATRICES = ("weight_spectrum", "frequency_norms", "fourier_frequency_density", "fourier_coefficient_ratio")
OF_MATRICES += ("representation_quality",)
RIGHT = {(name, "source", "a matrix") for name in OF_MATRICES} | {("milestones", "history", "an empty list")}
"""What is right although no annotation says so."""


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_in_the_wrong_order_are_refused_in_words(name: str, calls: dict[str, dict[str, Any]]):
    function = getattr(mg, name)
    about = inspect.signature(function).parameters
    placed = [p for p in about if about[p].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    named = {p: value for p, value in calls[name].items() if p not in placed}
    if len(placed) < 2 or name in OF_TWO_SIZES:
        return
    with pytest.raises(mg.MechgrokError) as refusal:
        function(*(calls[name].get(p) for p in reversed(placed)), **named)
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("name", sorted(SWITCHES - {"default"}))
def test_a_switch_is_true_or_false(name: str, calls: dict[str, dict[str, Any]]):
    for function, right in calls.items():
        if name in right and (function, name) != ("sweep", "keep"):  # where it says what is kept
            with pytest.raises(mg.ConfigError, match=f"{function} takes {name}, True or False"):
                getattr(mg, function)(**{**right, name: "yes"})


def test_the_message_says_what_was_given_what_is_allowed_and_how_to_call():
    said = (
        r"task, a task of one operation, as mg.modular_task\('add', 113\) gives one; got 3. Its arguments are"
    )
    with pytest.raises(mg.ConfigError, match=rf"random_labels takes {said} random_labels\(task, seed=0\)"):
        mg.random_labels(3)
    with pytest.raises(
        TypeError, match=r"random_labels: .*'sead'.*; its arguments are random_labels\(task, seed=0\)"
    ):
        mg.random_labels(TASK, sead=1)


def test_a_name_in_the_place_of_a_task_is_not_stored():
    network = mg.cosine_network(7, {2: 5.0})
    with pytest.raises(mg.ConfigError, match=r"load_model takes task, a task, .* got 'add'"):
        mg.load_model(network.state_dict(), task="add")


def test_a_function_behind_a_door_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(mg.accuracy)) is mg.accuracy


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (np.int64(3), int, True),
        (np.True_, bool, True),
        (True, int, False),
        (3, float, True),
        ("ab", typing.Sequence[str], False),
        (("a", "b"), typing.Sequence[str], True),
        (range(3), typing.Sequence[int], True),
        ([1, "a"], typing.Iterable[int], False),
        (iter([1, "a"]), typing.Iterable[int], True),
        ({"a": 1}, typing.Sequence[str], False),
        ({"a": 1}, typing.Mapping[str, int], True),
        ({1: 1}, typing.Mapping[str, int], False),
        (1, Literal[True], False),
        (len, typing.Callable[[Any], int], True),
        (3, typing.Callable[[Any], int], False),
    ],
)
def test_what_fits_an_annotation(value: Any, hint: Any, expected: bool):
    assert fits(value, hint) is expected


def test_annotations_in_words():
    assert in_kinds(int | str | None) == "a whole number, a text, or None"
    assert in_kinds(typing.Mapping[str, int]) == "a dictionary"
    assert in_kinds(typing.Sequence[int]) == "several in a list (each a whole number)"
    assert in_kinds(typing.Callable[[], int]) == "a function"


def test_what_no_annotation_speaks_of_goes_through():
    @door
    def anything(x, *more, **others):
        return x, more, others

    assert anything(1, 2, y=3) == (1, (2,), {"y": 3})
