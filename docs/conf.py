"""Settings for building the documentation: `make docs`."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert as mathml

import mechgrok

project = "mechgrok"
author = "the mechgrok developers"
copyright = "2026, the mechgrok developers"
release = mechgrok.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"mechgrok {release}"
html_static_path = ["_static"]
html_css_files = ["boxes.css"]
html_show_sphinx = False
html_math_renderer = "mathml"
smartquotes_action = "D"  # dashes; quotes and dots stay as they were typed

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "model_config, model_post_init"}
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
toc_object_entries_show_parents = "hide"

_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"([*|])")
_ITEM = re.compile(r'( +)("\w+": )')


def plain_text(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are written for a terminal: turn their conventions into markup, before napoleon reads them."""
    in_example = False
    for i, line in enumerate(lines):
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        if not in_example:
            # Stars and bars are products and absolute values.
            parts = _CODE.split(line)
            parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
            parts[1::2] = map(_name_or_code, parts[1::2])
            lines[i] = "".join(parts)
    _mark_lists(lines)


def _name_or_code(quoted: str) -> str:
    name = quoted.strip("`")
    return f":py:obj:`~mechgrok.{name}`" if name in mechgrok.__all__ else f"``{name}``"


def _mark_lists(lines: list[str]) -> None:
    """Quoted words with an explanation each, of which some run over several lines, are a list."""
    start = 0
    while start < len(lines):
        first = _ITEM.match(lines[start])
        if first is None:
            start += 1
            continue
        indent = len(first[1])
        end = start
        while end < len(lines) and lines[end][:indent].isspace() and lines[end].strip():
            end += 1
        run = range(start, end)
        hanging = [lines[i].startswith(" " * (indent + 4)) for i in run]
        items = [_ITEM.match(lines[i]) is not None for i in run]
        if any(hanging) and all(h or item for h, item in zip(hanging, items, strict=True)):
            for i, h in zip(run, hanging, strict=True):
                lines[i] = lines[i] if h else f"{lines[i][:indent]}*   {lines[i][indent:]}"
        start = end


def inline_formula(page: Any, node: Any) -> None:
    """A formula as MathML, which browsers draw by themselves: the pages need no network."""
    page.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def displayed_formula(page: Any, node: Any) -> None:
    """The same, in a box of its own."""
    page.body.append(f'<div class="math">{mathml(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain_text, priority=400)
    app.add_html_math_renderer("mathml", (inline_formula, None), (displayed_formula, None))
