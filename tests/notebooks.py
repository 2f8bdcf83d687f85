"""Runs notebooks without Jupyter: each cell, with its printed text and the value of its last line.

As a script, it writes the outputs into the files: python tests/notebooks.py examples/*.ipynb
"""

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go


def executed(path: Path) -> dict[str, Any]:
    """The notebook with the outputs of this run."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"], cell["outputs"] = count, _outputs("".join(cell["source"]), names, count)
    return notebook


def texts(notebook: dict[str, Any]) -> list[list[str]]:
    """What each code cell printed and showed as text."""
    return [
        [
            "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
            for output in cell["outputs"]
        ]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def _outputs(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    *statements, last = ast.parse(source).body
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        if not isinstance(last, ast.Expr):
            statements.append(last)
        exec(compile(ast.Module(statements, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())})
    if value is not None:
        about = {"output_type": "execute_result", "execution_count": count, "metadata": {}}
        found.append(about | {"data": _data(value)})
    return found


def _data(value: Any) -> dict[str, Any]:
    if isinstance(value, go.Figure):
        return {"application/vnd.plotly.v1+json": json.loads(value.to_json() or ""), "text/plain": ["Figure"]}
    html = getattr(value, "_repr_html_", None)
    shown = {"text/plain": _lines(repr(value))}
    return shown | ({"text/html": _lines(html())} if html else {})


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        made = executed(Path(name))
        Path(name).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
