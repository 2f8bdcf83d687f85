"""The content of a page, and runs to make pages from."""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

import mechgrok as mg
from mechgrok.config import RunConfig
from mechgrok.report import write_report
from mechgrok.report.film import LEVELS
from mechgrok.training.folders import Plan, create_run

MOST_BYTES = 15 * 10**6
HOSTILE = (
    "</title></script><script>window.owned=1</script><img src=x onerror=window.owned=1> & \"quotes\" 'here'"
)
HISTORY = [
    {"step": 10 * i, "loss_train": 4 * 2.0**-i, "loss_test": 5 * 2.0 ** -(i // 3)}
    | {"accuracy_train": min(1, i / 5), "accuracy_test": min(1, i / 20)}
    for i in range(30)
]


class Reader(HTMLParser):
    """Elements, attributes that load something, ids of figures, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.places: list[str] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._script: str | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.loads += [
            values[name] or "" for name in ("src", "href", "srcset", "action", "data") if name in values
        ]
        if "data-figure" in values:
            self.places.append(values["data-figure"] or "")
        if tag in ("script", "style"):
            self._script = values.get("id") or f"{tag} {len(self.scripts)}"

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._script = None

    def handle_data(self, data):
        if self._script is None:
            self.text += data
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    @property
    def figures(self) -> dict[str, dict]:
        """What the page draws, by place."""
        return json.loads(self.scripts["figures"])

    @property
    def checkpoints(self) -> dict | None:
        """What the slider goes through."""
        return json.loads(self.scripts["checkpoints"])

    @property
    def shown(self) -> set[str]:
        """The kinds of figures."""
        return {re.sub(r"-\d+$", "", place) for place in self.places}


def read_page(path: Path) -> Reader:
    """The page in a file, which has a place for every figure and is not too large."""
    assert path.stat().st_size < MOST_BYTES
    page = Reader(path.read_text(encoding="utf-8"))
    assert sorted(page.places) == sorted(page.figures), "a place for every figure"
    return page


def report(folder: Path, source, *, split=None, **options) -> Reader:
    """The page about a run, a grid or a network."""
    if not isinstance(source, mg.Run | mg.ActivationGrid):
        source = mg.cache_grid(source)
    summary = None if isinstance(source, mg.Run) else mg.summarize(source, split)
    path = write_report(folder / "report.html", source, summary, **options)
    assert path == folder / "report.html"
    return read_page(path)


def unpacked(part: dict) -> np.ndarray:
    """The frames of a moving attribute, read as the page reads them."""
    raw = b64decode(part["frames"])
    if part["kind"] == "float32":
        return np.frombuffer(raw, "<f4").reshape(-1, *part["shape"])
    share = np.frombuffer(raw, np.uint8).reshape(-1, *part["shape"]) / LEVELS
    return part["low"] + (part["high"] - part["low"]) * share ** part["power"]


def planted_run(
    folder: Path, p: int, amplitudes: Mapping[int, float], n_checkpoints: int, name: str | None = None
) -> mg.Run:
    """A run whose i-th network, from 1, is a planted one with its embedding shrunk to i/n: circles of radius i/n.

    Its test loss falls in the second half. With a name the task is the product in a group of this name.
    """
    task = mg.modular_task("add", p) if name is None else mg.group_task(f"Z{p}", name=name)
    train = mg.TrainConfig(recipe="planted", sequence=("a", "b"), fraction=0.5)
    run = create_run(folder, Plan(RunConfig(task=task.spec, train=train, seed=0), task.split(0.5)))
    for i in range(1, n_checkpoints + 1):
        network = mg.cosine_network(p, amplitudes)
        network.embed.W_E.data *= i / n_checkpoints
        run.write_checkpoint(10 * i, network)
        late = max(0.0, i / n_checkpoints - 0.5)
        run.append_history(
            {"step": 10 * i, "loss_train": 3.0 * 2.0**-i, "loss_test": 4.0 * 10 ** (-6 * late)}
            | {"accuracy_train": 1.0, "accuracy_test": 2 * late, "sum_squared_weights": None}
        )
    return run
