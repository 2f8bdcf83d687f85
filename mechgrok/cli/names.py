"""Writes names.json, from which `mechgrok list` reads the names registered in modules that load torch.

    python -m mechgrok.cli.names

A test fails if the file differs from this module's output.
"""

import json
from typing import Any

from mechgrok.algebra.families import FAMILIES
from mechgrok.cli.listing import NAMES
from mechgrok.measures import MEASURES
from mechgrok.models.layouts import LAYOUTS
from mechgrok.registries import (
    DECAYS,
    GRADIENTS,
    INITS,
    MLP_INITS,
    OBJECTIVES,
    OPTIMIZERS,
    SPLIT_RULES,
)
from mechgrok.registry import Registry
from mechgrok.tasks.modular import NAMED


def gathered() -> dict[str, dict[str, str]]:
    """Names and descriptions by kind, from the registries."""
    groups = {f"{letter}N": _summary(family.__doc__) for letter, family in FAMILIES.items()}
    own = {name: made for name, made in MEASURES.items() if MEASURES.is_ours(name)}
    return {
        "operations": {
            **{name: f"{formula} mod p" for name, formula in NAMED.items()},
            "EXPRESSION": "any polynomial or quotient in a and b (or x and y), such as x^2+x*y+y^2",
        },
        "groups": {**groups, "GxH": "the direct product of two of them, such as Z2xS3"},
        "measures": {name: f"{made.summary} ({made.unit})" for name, made in own.items()},
        "layouts": {name: layout.title for name, layout in LAYOUTS.items()},
        "objectives": _summaries(OBJECTIVES),
        "optimizers": _summaries(OPTIMIZERS),
        "gradients": _summaries(GRADIENTS),
        "decays": _summaries(DECAYS),
        "inits": _joined(_summaries(INITS), _summaries(MLP_INITS)),
        "splits": _summaries(SPLIT_RULES),
    }


def text() -> str:
    """The content of the file."""
    return json.dumps(gathered(), indent=2, ensure_ascii=False) + "\n"


def _summaries(registry: Registry[Any]) -> dict[str, str]:
    """Descriptions of mechgrok's own entries, by name."""
    own = {name: entry for name, entry in registry.items() if registry.is_ours(name)}
    return {name: _summary(getattr(entry, "function", entry).__doc__) for name, entry in own.items()}


def _joined(transformers: dict[str, str], mlps: dict[str, str]) -> dict[str, str]:
    """Join two kinds of networks, which may have schemes with the same name."""
    return transformers | {
        name: f"{transformers[name]} Of an MLP: {what}" if name in transformers else f"Of an MLP: {what}"
        for name, what in mlps.items()
    }


def _summary(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


if __name__ == "__main__":
    NAMES.write_text(text(), encoding="utf-8")
