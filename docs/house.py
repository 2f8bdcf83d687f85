"""Draws docs/_static/house.svg: the rooms of the package in their layers, from the contract and the rooms themselves.

    python docs/house.py

The layers come from the import contract in pyproject.toml, and a room's description is the first sentence of its
docstring. A test fails if the picture differs from this script's output.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "_static" / "house.svg"
LINE, GAP, PAD = 21, 7, 6
"""Height of a room, and what is left between two layers and within one, in pixels."""
LEFT, NAME, WIDTH = 34, 130, 900
"""Where layers begin, the room for a name in them, and the width of the picture."""
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.name { font-weight: 600 }
.what { font-size: 12px; fill: #52606d }
.layer { fill: #eef3f8; stroke: #9fb3c8 }
.down { stroke: #627d98; stroke-width: 1.5; fill: none }
"""


def layers() -> list[list[str]]:
    """The rooms of each layer, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    rows = next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    return [[room.strip(" ()") for room in re.split(r"[:|]", row)] for row in rows]


def sentence(room: str) -> str:
    """What a room is: the first sentence of its docstring."""
    place = ROOT / "mechgrok" / room
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.split(r"\.(?:\s|$)", doc.partition("\n")[0])[0].replace("`", "")


def picture() -> str:
    """The text of the SVG."""
    rows = list(_rows())
    height = rows[-1][0] + rows[-1][1] + GAP
    drawn = [line for row in rows for line in _layer(*row)]
    arrow = f'<path class="down" d="M16 {GAP + 4}V{height - GAP - 4}m-4 -7l4 7l4 -7"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="The layers of the package, each importing only from those below it">'
    )
    ground = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>'
    label = f'<text class="what" transform="translate(12 {height // 2}) rotate(-90)">imports</text>'
    return "\n".join([head, f"<style>\n{STYLE}</style>", ground, arrow, label, *drawn, "</svg>"]) + "\n"


def _rows() -> Iterator[tuple[int, int, list[str]]]:
    """The top and the height of each layer, with its rooms."""
    top = GAP
    for rooms in layers():
        height = LINE * len(rooms) + PAD
        yield top, height, rooms
        top += height + GAP


def _layer(top: int, height: int, rooms: list[str]) -> Iterator[str]:
    yield (
        f'<rect class="layer" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - GAP}" height="{height}" rx="5"/>'
    )
    for i, room in enumerate(rooms):
        y = top + PAD // 2 + LINE * i + 15
        yield f'<text class="name" x="{LEFT + 10}" y="{y}">{escape(room)}</text>'
        yield f'<text class="what" x="{LEFT + NAME}" y="{y}">{escape(sentence(room))}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
