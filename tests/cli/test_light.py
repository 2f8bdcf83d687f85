"""Help, lists and mistakes do not load torch; an analysis does not load any language-model library."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "datasets", "plotly", "pandas", "sympy")
CODE = """
import sys
from mechgrok.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print("LOADED", *[name for name in {heavy!r} if name in sys.modules])
"""


def loaded(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200
    )
    return done.stdout.rsplit("LOADED", 1)[1].split()


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "trian",
        "train --help",
        "analyze --help",
        "train add --stpes 3",
        "reproduce --list",
        "list",
    ],
)
def test_what_needs_no_torch_loads_none(command):
    assert loaded(CODE.format(arguments=command.split(), heavy=HEAVY)) == []


def test_an_analysis_loads_torch_alone():
    heavy = loaded(CODE.format(arguments=["analyze", "clock59"], heavy=HEAVY))
    assert "torch" in heavy
    assert not {"transformers", "datasets", "plotly", "pandas"} & {*heavy}


def test_the_hooks_are_those_of_transformer_lens_whatever_is_imported_first():
    code = """
from mechgrok.cli.light import open_by_name
open_by_name()
from mechgrok import HookedTransformer
from transformer_lens.hook_points import HookPoint
import sys
early = "transformers" in sys.modules
import transformer_lens, transformer_lens.utilities as utilities
assert issubclass(HookedTransformer, transformer_lens.HookedRootModule)
assert transformer_lens.hook_points.HookPoint is HookPoint
assert transformer_lens.ActivationCache.__module__ == "transformer_lens.ActivationCache"
assert callable(utilities.get_act_name)
try:
    transformer_lens.no_such_name
except (AttributeError, ImportError):
    print("LOADED", early)
"""
    assert loaded(code) == ["False"]
