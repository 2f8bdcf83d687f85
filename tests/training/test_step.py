"""Compiled networks, and devices."""

import warnings

import pytest
import torch

from mechgrok import ConfigError, ModelConfig, build_model, modular_task
from mechgrok.tasks import Finite
from mechgrok.training.devices import find_device
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import AutogradStep, make_step
from mechgrok.training.trainer import train

TASK = modular_task("add", 5)
TWO_LAYERS = ModelConfig(d_model=8, n_heads=1, n_layers=2)


def test_a_step_written_by_hand_is_not_compiled():
    with pytest.raises(
        ConfigError, match="written by hand, in which there is nothing to compile; leave compile"
    ):
        train(TASK, model=ModelConfig(d_model=8), steps=1, compile=True, progress=False)


def test_without_a_compiler_the_error_says_what_is_missing(monkeypatch):
    def refuse(function):
        raise RuntimeError("compilation failed") from ValueError("no C++ compiler\nfound here")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(ConfigError, match=r"compile=True failed: no C\+\+ compiler\. torch\.compile needs"):
        train(TASK, model=TWO_LAYERS, steps=1, compile=True, progress=False)


def _has_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False


@pytest.mark.slow  # the compiler takes its time
@pytest.mark.usefixtures("unchecked")  # torch cannot compile what checks types
def test_a_compiled_network_has_the_same_gradients():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own compiler uses what torch has deprecated
        if not _has_compiler():
            pytest.skip("no C++ compiler to compile a network with")
        model = build_model(TASK, TWO_LAYERS, seed=0)
        mask = TASK.split(0.5).train
        plain = AutogradStep(model, TASK.signature, Finite(TASK.examples, mask), CrossEntropy())
        loss = plain()
        expected = {name: weight.grad.clone() for name, weight in model.named_parameters()}
        compiled = make_step(model, TASK, Finite(TASK.examples, mask), CrossEntropy(), compile=True)
        torch.testing.assert_close(compiled(), loss)
        for name, weight in model.named_parameters():
            torch.testing.assert_close(weight.grad, expected[name], msg=name)
        torch.testing.assert_close(compiled.logits(), plain.logits())


def test_devices():
    assert find_device(None) == find_device("cpu") == find_device(torch.device("cpu"))
    with pytest.raises(ConfigError, match="cannot train on device='warp'"):
        find_device("warp")


@pytest.mark.parametrize("device", ["mps", "warp", "x" * 5000])
def test_a_device_that_is_not_there_is_refused_in_a_line(device):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ConfigError, match="cannot train on device=") as refused:
        find_device(device)
    assert len(str(refused.value)) < 1000
    assert "\n" not in str(refused.value)
    assert "facebook" not in str(refused.value).lower()
