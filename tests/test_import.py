"""`import mechgrok` stays light, and every public name is available."""

import os
import subprocess
import sys

import pytest

import mechgrok

NEVER = ("transformer_lens", "plotly", "pandas")


def heavy_modules_after(statement: str) -> list[str]:
    """Which of the heavy packages a fresh interpreter has loaded after a statement."""
    check = f"import sys; {statement}; print(*[m for m in {NEVER!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "import mechgrok",
        "import mechgrok; mechgrok.modular_task('mul', 7).frame; mechgrok.ModelConfig()",
        "from mechgrok import grid_from_tensors, find_key_frequencies, restricted_loss, neuron_frequencies",
    ],
)
def test_import_is_light(statement):
    assert heavy_modules_after(statement) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_how_long_threads_wait_is_set_where_nobody_has(given, kept):
    others = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = "import mechgrok, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=others | given
    )
    assert done.stdout.split() == [kept, "False"]


def test_the_check_can_fail():
    assert heavy_modules_after("from mechgrok import HookedTransformer")[:1] == ["transformer_lens"]
    assert "pandas" in heavy_modules_after("import pandas")


@pytest.mark.parametrize("name", mechgrok.__all__)
def test_public_name_is_importable(name):
    assert getattr(mechgrok, name) is not None
    assert name in dir(mechgrok)


def test_names_are_unique_and_sorted():
    assert sorted(set(mechgrok.__all__)) == mechgrok.__all__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mechgrok' has no attribute 'find_keys'"):
        _ = mechgrok.find_keys


def test_star_import_brings_the_public_names():
    namespace: dict = {}
    exec("from mechgrok import *", namespace)
    assert set(mechgrok.__all__) <= set(namespace)
