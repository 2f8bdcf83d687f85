"""Estimates of memory against the actual use of a process, and the refusal of work that does not fit."""

import subprocess
import sys

import pytest

import mechgrok as mg
from mechgrok import TrainConfig, memory
from mechgrok.training.memory_needed import AT_LEAST, analysis_memory, training_memory

CODE = """
import re, sys
import mechgrok as mg
from mechgrok.training.memory_needed import analysis_memory, training_memory
# getrusage's peak would be that of the process that started this one, where it was higher.
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
task = mg.modular_task("add", 151)
mg.train(mg.modular_task("add", 5), steps=1, progress=False)
before = peak()
run = mg.train(task, steps=1, progress=False)
print((peak() - before) / training_memory(task, run.config.train))
costly = mg.train(task, steps=1, objective="stablemax", progress=False)
print((peak() - before) / training_memory(task, costly.config.train))
mg.summarize(run.grid(), run.split, keys=[1, 2, 3])
print((peak() - before) / analysis_memory(task, run.config.train.model))
"""
GRAPHS = {
    "two layers": "task, {'model': mg.ModelConfig(n_layers=2)}",
    "two layers with norms": "task, {'model': mg.ModelConfig(n_layers=2, normalization='LN', act_fn='gelu')}",
    "mini-batches": "task, {'model': mg.ModelConfig(n_layers=2), 'batch_size': 1024}",
    "several positions": "mg.running_sum_task(4, 5), {'model': mg.ModelConfig(n_layers=2), 'batch_size': 4096}",
    "dense": "mg.parity_task(14, (0, 1)), {'model': mg.DenseConfig(d_mlp=1024, n_layers=2), 'fraction': 0.5}",
}
GRAPH_CODE = """
import re
import mechgrok as mg
from mechgrok.training.memory_needed import training_memory
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
task = mg.modular_task("add", 97)
mg.train(mg.modular_task("add", 5), model=mg.ModelConfig(n_layers=2, d_model=16), steps=1, progress=False)
before = peak()
task, options = CASE
run = mg.train(task, steps=2, progress=False, **options)
print((peak() - before) / training_memory(task, run.config.train))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory has another unit elsewhere")
@pytest.mark.parametrize("name", GRAPHS)
def test_estimates_of_graphs_are_near_what_is_taken(name):
    code = GRAPH_CODE.replace("CASE", GRAPHS[name])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200
    )
    assert 0.4 < float(done.stdout) < 1.2


def test_a_deeper_network_has_a_larger_graph_and_a_step_by_hand_has_none():
    task = mg.modular_task("add", 97)
    by_layers = [
        training_memory(task, TrainConfig(model=mg.ModelConfig(n_layers=n, d_vocab_out=97)))
        for n in (1, 2, 3)
    ]
    assert by_layers[1] > by_layers[0] * 1.3
    assert by_layers[2] > by_layers[1] * 1.2
    frozen = training_memory(task, TrainConfig(frozen=("embed",)))
    assert frozen > training_memory(task, TrainConfig()), "through autograd"


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory has another unit elsewhere")
@pytest.mark.slow
def test_estimates_are_near_what_is_taken():
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=200
    )
    training, costly, analysis = map(float, done.stdout.split())
    assert training < 1.2
    assert 0.35 < analysis < 1.2
    assert 0.4 < costly < 1.2, "of the objective whose evaluation takes most"


def test_what_does_not_fit_is_refused_with_the_estimate(monkeypatch):
    monkeypatch.setattr(memory, "memory_free", lambda: 2**30)
    with pytest.raises(mg.ConfigError, match=r"training takes about 2.0 GiB of memory, and 1.0 GiB are free"):
        memory.check_memory("training", 2**31)
    memory.check_memory("training", 2**29)
    monkeypatch.setattr(memory, "memory_free", lambda: None)
    memory.check_memory("training", 2**50)


def test_the_tightest_limit_counts(monkeypatch, tmp_path):
    files = {
        "most": "1000\n",
        "taken": "400\n",
        "meminfo": "MemTotal: 9 kB\nMemAvailable: 5 kB\n",
        "none": "max\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_LIMITS", ((tmp_path / "most", tmp_path / "taken"),))
    assert memory.memory_free() == 600
    monkeypatch.setattr(
        memory, "_LIMITS", ((tmp_path / "none", tmp_path / "taken"), (tmp_path / "x", tmp_path / "y"))
    )
    assert memory.memory_free() == 5 * 1024
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "x")
    assert memory.memory_free() is None


def test_a_training_that_does_not_fit_is_refused_before_it_begins(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "memory_free", lambda: 2**30)
    with pytest.raises(mg.ConfigError, match=r"training on add997 takes about 27.\d GiB .* 1.0 GiB are free"):
        mg.train(mg.modular_task("add", 997), steps=1, out=tmp_path / "run", progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", ["d_model", "d_mlp", "n_heads", "d_head", "n_layers"])
def test_a_network_that_does_not_fit_is_refused_before_it_is_made(field, monkeypatch):
    monkeypatch.setattr(memory, "memory_free", lambda: 2**30)
    config = mg.ModelConfig(**{field: 10**9})
    with pytest.raises(
        mg.ConfigError, match=r"A network of these sizes takes about .* GiB are free. Smaller sizes"
    ):
        mg.build_model(mg.modular_task("add", 7), config, seed=0)


@pytest.mark.parametrize("field", ["d_embed", "d_mlp", "n_layers"])
def test_an_mlp_that_does_not_fit_is_refused_before_it_is_made(field, monkeypatch):
    monkeypatch.setattr(memory, "memory_free", lambda: 2**30)
    with pytest.raises(mg.ConfigError, match="A network of these sizes takes about"):
        mg.build_model(mg.modular_task("add", 7), mg.MLPConfig(**{field: 10**9}), seed=0)


def test_sizes_beyond_any_tensor_are_no_sizes():
    with pytest.raises(mg.ConfigError, match="d_model: Input should be less than") as refused:
        mg.ModelConfig(d_model=10**5000)
    assert len(str(refused.value)) < 1000


def test_a_training_that_does_not_fit_is_refused_before_the_folder_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "memory_free", lambda: 2**29)
    task = mg.group_task("D150")
    with pytest.raises(
        mg.ConfigError, match=r"training on D150 takes about 0.9 GiB of memory, and 0.5 GiB are"
    ):
        mg.train(task, steps=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", [mg.ModelConfig(d_model=512, d_mlp=4096), mg.MLPConfig(d_mlp=65536)])
def test_the_weights_count_in_the_estimates(model):
    task = mg.modular_task("add", 7)
    weights = 4 * sum(weight.numel() for weight in mg.build_model(task, model).parameters())
    training = training_memory(task, TrainConfig(model=model)) - AT_LEAST
    assert 4 * weights < training < 6 * weights, "with gradients and two moments"
    assert analysis_memory(task, model) - AT_LEAST > weights * 0.9


def test_a_large_network_is_told_to_be_smaller(monkeypatch):
    monkeypatch.setattr(memory, "memory_free", lambda: 2**30)
    with pytest.raises(mg.ConfigError, match=r"Smaller sizes take less: .*n_layers"):
        mg.train(mg.modular_task("add", 7), model=mg.ModelConfig(n_layers=10**6), steps=1, progress=False)


def test_a_grid_that_does_not_fit_is_refused_before_the_network_runs(monkeypatch):
    task = mg.modular_task("add", 31)
    network = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0)
    needed = 31**2 * 4 * (31 + network.cfg.d_mlp)
    monkeypatch.setattr(memory, "memory_free", lambda: needed)
    mg.cache_grid(network, task)
    monkeypatch.setattr(memory, "memory_free", lambda: needed - 1)
    with pytest.raises(mg.ConfigError, match=r"the network on add31 takes about .* a smaller modulus"):
        mg.cache_grid(network, task)
