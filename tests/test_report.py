"""The HTML report: what it says, that it needs nothing else, and that it works in a browser."""

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import planted
import pytest
import torch
from browser import browser_page

import mechgrok as mg
from mechgrok.report import write_report
from mechgrok.tasks import sn_task

HISTORY = [
    {"step": 10 * i, "loss_train": 4 * 2.0**-i, "loss_test": 5 * 2.0 ** -(i // 3)}
    | {"accuracy_train": min(1, i / 5), "accuracy_test": min(1, i / 20)}
    for i in range(30)
]
HOSTILE = (
    "</title></script><script>window.owned=1</script><img src=x onerror=window.owned=1> & \"quotes\" 'here'"
)
MOST_BYTES = 8 * 10**6
WIDTHS = (1280, 390)


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


def report(folder: Path, source, *, split=None, **options) -> Reader:
    grid = source if isinstance(source, mg.ActivationGrid) else mg.cache_grid(source)
    path = write_report(folder / "report.html", grid, mg.summarize(grid, split), **options)
    assert path == folder / "report.html"
    assert path.stat().st_size < MOST_BYTES
    page = Reader(path.read_text(encoding="utf-8"))
    assert sorted(page.places) == sorted(json.loads(page.scripts["figures"])), "a place for every figure"
    return page


def shown(page: Reader) -> set[str]:
    return {re.sub(r"-\d+$", "", place) for place in page.places}


@pytest.fixture(scope="module")
def network():
    return mg.cosine_network(13, {2: 20.0, 6: 20.0})


def test_a_report_tells_the_story(tmp_path: Path, network):
    page = report(tmp_path, network, history=HISTORY)
    assert mg.summarize(network).verdict in page.text
    assert page.places == [
        "loss", "accuracy", "evidence", "spectrum", "circle-0", "circle-1",
        "clusters", "neuron-0", "neuron-1", "fourier", "ablation",
    ]  # fmt: skip
    assert page.tags.count("details") == page.tags.count("section") == 6, "definitions in every section"
    assert "How a network computes a+b" in page.text
    for row in ("remove, logits", "keep only, embedding", "share of logits"):
        assert row in page.text


def test_numbers_of_the_page_are_those_of_the_summary(tmp_path: Path, network):
    split = mg.cache_grid(network).task.split(0.4)
    page = report(tmp_path, network, split=split)
    values = mg.summarize(network, split).values
    assert f"{values['excluded_loss_train']:#.3g}" in page.text
    assert "Test accuracy" in page.text
    assert "train loss without (nats)" in page.text
    assert "loss" not in page.places, "no history, no curves"


def test_it_loads_nothing(tmp_path: Path, network):
    page = report(tmp_path, network)
    assert page.loads == []
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    assert all(
        "@import" not in text and "url(" not in text for name, text in page.scripts.items() if "style" in name
    )
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in source
    assert source.count("plotly.js v") == 1


def test_the_check_for_loads_can_fail():
    assert Reader('<script src="https://cdn.example/plotly.js"></script>').loads == [
        "https://cdn.example/plotly.js"
    ]


def test_hostile_titles_are_text(tmp_path: Path, network):
    page = report(tmp_path, network, title=HOSTILE)
    assert page.text.count(HOSTILE) == 2, "in the title and in the heading"
    assert page.tags.count("script") == 3
    assert "img" not in page.tags


def test_hostile_labels_are_text(tmp_path: Path):
    task = sn_task("S3")
    grid = mg.grid_from_tensors(task, planted.lookup_logits(task))
    summary = mg.summarize(grid)
    values = summary.values | {"key_frequencies": []}
    hostile = type(summary)(**{**vars(summary), "answer": HOSTILE, "task": HOSTILE, "values": values})
    page = Reader(write_report(tmp_path / "r.html", grid, hostile).read_text(encoding="utf-8"))
    assert HOSTILE in page.text
    assert page.tags.count("script") == 3


def test_an_untrained_network_is_reported_without_keys(tmp_path: Path):
    task = mg.modular_task("add", 23)
    grid = mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16)), task)
    page = report(tmp_path, grid, split=task.split(0.3), history=HISTORY[:1])
    assert shown(page) == {"loss", "accuracy", "evidence", "spectrum", "clusters", "neuron", "fourier"}
    assert "None stands out in the logits" in page.text
    assert "There are no keys to remove" in page.text
    assert "A network that learns a+b" in page.text


@pytest.mark.parametrize("p", [2, 3, 10])
def test_small_and_even_moduli(tmp_path: Path, p: int):
    page = report(tmp_path, mg.cosine_network(p, {p // 2: 9.0}))
    assert {"spectrum", "circle", "neuron", "fourier", "ablation"} <= shown(page)


def test_products_and_groups(tmp_path: Path):
    task = mg.modular_task("mul", 11, sequence=("a", "b"))
    page = report(tmp_path, mg.cache_grid(planted.wave_network(task, planted.phase_grid([2, 5])), task))
    assert "Colour is k·(place of a in the group) mod 10" in page.text
    task = sn_task("S4")
    page = report(tmp_path, mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=16)), task))
    assert "Key irreps" in page.text


def test_a_network_without_neurons_and_a_grid_without_network(tmp_path: Path):
    task = mg.modular_task("add", 7)
    attention_only = mg.build_model(task, mg.ModelConfig(d_model=16, attn_only=True))
    assert "clusters" not in shown(report(tmp_path, mg.cache_grid(attention_only, task)))
    page = report(tmp_path, mg.grid_from_tensors(task, planted.lookup_logits(task)))
    assert shown(page) == {"evidence", "fourier"}
    assert "no token embedding" in page.text


def test_of_many_keys_the_strongest_are_shown(tmp_path: Path):
    amplitudes = {k: 5.0 + k for k in range(1, 10)}
    page = report(tmp_path, mg.cosine_network(19, amplitudes))
    assert sum("circle" in place for place in page.places) == 6
    assert "The 6 strongest of 9 keys" in page.text
    assert "9 keys" in page.text


def test_large_groups_get_fewer_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = mg.cosine_network(19, dict.fromkeys([2, 4, 5, 9], 9.0))
    monkeypatch.setattr("mechgrok.report.sections.MOST_CELLS", 3 * 19**2)
    page = report(tmp_path, network)
    assert sum("neuron" in place for place in page.places) == 3


def test_a_file_that_cannot_be_written(tmp_path: Path, network):
    (tmp_path / "file").write_text("")
    grid = mg.cache_grid(network)
    with pytest.raises(mg.CheckpointError, match="cannot write"):
        write_report(tmp_path / "file" / "report.html", grid, mg.summarize(grid))


def test_others_network(tmp_path: Path, peer_data: Path):
    model = mg.load_model(peer_data / "nanda" / "wd_10-1_mod_addition_loss_curve.safetensors")
    page = report(tmp_path, model, split=mg.cache_grid(model).task.split(0.3, 1))
    assert [place for place in page.places if "circle" in place] == [f"circle-{i}" for i in range(5)]
    assert "6, 23, 37, 39, 41" in page.text


OVERFLOWING = """[...document.querySelectorAll('main *')].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && !e.closest('.scroll') && !e.closest('svg') && (box.left < -1 || box.right > innerWidth + 1);
}).map((e) => e.tagName + ' ' + e.className)"""
UNDRAWN = """[...document.querySelectorAll('.plot')].filter((e) => {
    const svg = e.querySelector('svg.main-svg');
    return !svg || Math.abs(svg.getBoundingClientRect().width - e.clientWidth) > 1;
}).map((e) => e.dataset.figure)"""
SHIFT = """new Promise((done) => {
    let sum = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((e) => { sum += e.value; }))
        .observe({ type: 'layout-shift', buffered: true });
    setTimeout(() => done(sum), 200);
})"""


@pytest.mark.parametrize("width", WIDTHS)
def test_in_a_browser(tmp_path: Path, network, width: int):
    grid = mg.cache_grid(network)
    file = write_report(tmp_path / "report.html", grid, mg.summarize(grid), history=HISTORY, title=HOSTILE)
    with browser_page() as page:
        page.open(file, width)
        page.wait_for("document.documentElement?.dataset.drawn === 'all'")
        assert page.evaluate(UNDRAWN) == []
        assert page.evaluate(OVERFLOWING) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(SHIFT) < 0.01
        assert page.evaluate("window.owned === undefined")
        # A phone turned round: the figures follow.
        page.resize(width // 2 + 200)
        page.wait_for(f"({UNDRAWN}).length === 0")
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


def test_the_browser_reports_what_is_wrong(tmp_path: Path):
    """The guard itself: a page with an error and a foreign address does not pass as clean."""
    file = tmp_path / "bad.html"
    file.write_text("<img src='http://127.0.0.1:9/x.png'><script>missing()</script>")
    with browser_page() as page:
        page.open(file, 800)
        page.wait_for("document.querySelector('img') !== null && document.readyState === 'complete'")
        deadline = time.monotonic() + 20
        while not page.errors and time.monotonic() < deadline:
            time.sleep(0.05)
            page.evaluate("1")  # events come in with the answers
        assert any("missing" in error for error in page.errors)
        assert "http://127.0.0.1:9/x.png" in page.requests


def test_logits_without_variance_are_refused_or_reported(tmp_path: Path):
    task = mg.modular_task("add", 5)
    page = report(tmp_path, mg.grid_from_tensors(task, torch.zeros(25, 5)))
    assert "None stands out" in page.text
