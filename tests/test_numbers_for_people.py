"""A zero has no sign: -1e-17 is printed as 0.00, not as -0.00."""

import ast
import re
from pathlib import Path

import mechgrok

FORMAT = re.compile(r"[+#]?\d*\.\d+[fge%]")
"""Formats of rounded numbers without the `z` that takes the sign from a zero."""


def formats(file: Path) -> list[str]:
    """The formats in the f-strings of a file; those of plotly are text to Python."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    values = [node for node in ast.walk(tree) if isinstance(node, ast.FormattedValue) and node.format_spec]
    return [ast.unparse(node.format_spec)[2:-1] for node in values]


def test_rounded_zeros_are_printed_without_a_sign():
    files = sorted(Path(mechgrok.__file__).parent.rglob("*.py"))
    found = {str(file): [spec for spec in formats(file) if FORMAT.fullmatch(spec)] for file in files}
    assert sum(len(formats(file)) for file in files) > 50
    assert not {file: specs for file, specs in found.items() if specs}
