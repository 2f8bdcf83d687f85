"""Pictures for the pages, drawn by the code that the pages show.

    python docs/figures.py [tutorial] [gallery] [reproduction-gallery]

runs the code of these pages, or of those named, from top to bottom, as a reader would, and replaces the pictures in
docs/_static/tutorial, docs/_static/gallery and docs/_static/reproduction-gallery. A picture is the figure that the last
line of the preceding block returns. A headless Chromium takes it, at the width below, or slightly smaller if the file
would exceed 100 kB, so that a clone stays small. It takes about two minutes.
"""

import ast
import base64
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

ROOT = Path(__file__).parents[1]
PAGES = ("tutorial", "gallery", "reproduction-gallery")
WIDTH = 680
HEIGHT = 340
"""Of a figure that does not say how high it is."""
SCALES = (1.0, 0.9, 0.8)
MOST_BYTES = 100_000

_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n!\[[^\]]*\]\((?P<picture>[^)]+)\))?", re.M | re.S)


def figures_of(page: Path) -> Iterator[tuple[Path, go.Figure]]:
    """Run a page, and give each of its pictures as the file and the figure that the line before it draws.

    Raises:
        SystemExit: the last line of the block before a picture gives no figure.
    """
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in _BLOCK.finditer(text):
        before = "\n" * text[: block.start("code")].count("\n")  # so that an error names the line of the page
        code = ast.parse(before + block["code"], str(page))
        last = code.body.pop() if block["picture"] else None
        exec(compile(code, str(page), "exec"), names)
        if block["picture"]:
            drawn = last and isinstance(last, ast.Expr) and _value(last, page, names)
            if not isinstance(drawn, go.Figure):
                raise SystemExit(f"{page.name}: no figure in the line before {block['picture']}")
            yield page.parent / block["picture"], drawn


def _value(line: ast.Expr, page: Path, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(line.value), str(page), "eval"), names)


def take(figures: list[go.Figure]) -> Iterator[bytes]:
    """Each figure as PNG, by plotly's own script in a browser, at the first scale that gives a small file.

    Raises:
        SystemExit: even the smallest picture has too many bytes.
    """
    sys.path.append(str(ROOT / "tests"))
    from browser import browser_page

    with tempfile.TemporaryDirectory() as folder, browser_page() as browser:
        empty = Path(folder, "empty.html")
        go.Figure().write_html(empty, include_plotlyjs=True)
        browser.open(empty, width=WIDTH)
        browser.wait_for("window.Plotly !== undefined")
        for one in figures:
            image = b""
            for scale in SCALES:
                size = {
                    "format": "png",
                    "width": WIDTH,
                    "height": one.layout.height or HEIGHT,
                    "scale": scale,
                }
                address = browser.evaluate(f"Plotly.toImage({one.to_json()}, {json.dumps(size)})")
                image = base64.b64decode(address.partition(",")[2])
                if len(image) <= MOST_BYTES:
                    break
            else:
                raise SystemExit(f"a picture would have {len(image)} bytes; {MOST_BYTES} are allowed")
            yield image


def main() -> None:
    """Run, draw, write."""
    drawn = [pair for name in sys.argv[1:] or PAGES for pair in figures_of(ROOT / "docs" / f"{name}.md")]
    for (file, _), image in zip(drawn, take([one for _, one in drawn]), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)
        print(f"{file.relative_to(ROOT)}: {len(image)} bytes")


if __name__ == "__main__":
    main()
