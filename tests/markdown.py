"""Python code in Markdown pages, run from top to bottom as a reader would."""

import re
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_of(page: Path) -> str:
    """All blocks marked as python, each at its own lines, so that an error names the line of the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * len(text.splitlines())
    for block in _BLOCK.finditer(text):
        start = text[: block.start(1)].count("\n")
        code = block[1].splitlines()
        lines[start : start + len(code)] = code
    return "\n".join(lines)


def run_page(page: Path) -> dict[str, Any]:
    """Run a page's blocks in one namespace, and give it back.

    Raises:
        ValueError: the page has none.
    """
    code = python_of(page)
    if not code.strip():
        raise ValueError(f"{page} has no python blocks")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, str(page), "exec"), namespace)
    return namespace
