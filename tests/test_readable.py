"""Every object that a notebook can hold is shown as a table, escaped, and gives frames."""

import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch
from pages import HOSTILE

import mechgrok as mg
from mechgrok.readable import MOST_ROWS, MOST_TEXT, Readable, Records, html_table, value_text

ROWS = [{"step": s, "loss_train": 10.0**-s, "loss_test": 10.0 ** min(1, 4 - s)} for s in range(9)]


class Cells(HTMLParser):
    """The rows of a table as text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def cells(thing) -> list[list[str]]:
    return Cells(thing._repr_html_()).rows


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> mg.Run:
    folder = tmp_path_factory.mktemp("run") / "add5"
    return mg.train(
        mg.modular_task("add", 5), model=mg.ModelConfig(d_model=16), steps=20, out=folder, progress=False
    )


def things(run: mg.Run) -> list:
    model, task = mg.cosine_network(11, {2: 9.0, 5: 9.0}), mg.modular_task("add", 5)
    keys = mg.find_key_frequencies(model)
    return [
        keys, mg.summarize(model), mg.ablate(model, keys), mg.logit_fve(model, keys), mg.neuron_frequencies(model),
        mg.classify_algorithm(model), mg.compare_algorithms({"A": model}, triples=50), mg.find_phases(ROWS),
        mg.progress_measures(run, keys=[1, 2], progress=False), run, run.history, run.config, run.split, task,
        mg.ModelConfig(), mg.RECIPES["fast"], mg.shipped_runs(), model, mg.cache_grid(model),
    ]  # fmt: skip


def test_everything_shows_itself_as_a_short_table(run):
    for thing in things(run):
        html = thing._repr_html_()
        assert Cells(html).rows, type(thing)
        assert len(html) < 30_000, type(thing)
        assert "object at 0x" not in html, type(thing)
        assert len(str(thing)) < 6000, type(thing)


def test_keys_give_their_evidence():
    keys = mg.find_key_frequencies(mg.cosine_network(11, {2: 4.0, 5: 3.0}))
    frame = keys.frame()
    assert frame["frequency"].tolist() == [1, 2, 3, 4, 5]
    assert frame["is_key"].tolist() == [False, True, False, False, True]
    assert frame["share"].sum() == pytest.approx(1)
    assert cells(keys)[0] == ["frequency", "share", "alignment", "is_candidate", "is_key"]
    assert cells(keys)[2][:2] == ["2", "0.64"]


def test_a_history_is_a_list_with_a_frame(run):
    assert isinstance(run.history, list)
    assert run.history == json.loads(json.dumps(run.history))
    assert run.history.frame()["step"].tolist() == [row["step"] for row in run.history]
    assert cells(run.history)[1][0] == "0"


def test_members_of_many_trainings_are_rows(tmp_path):
    small = {"model": mg.ModelConfig(d_model=16), "steps": 4, "eval_every": 2}
    members = mg.train_many(mg.modular_task("add", 5), seeds=(0, 3), out=tmp_path, progress=False, **small)
    frame = members.frame()
    assert frame[["recipe", "seed", "step"]].to_numpy().tolist() == [["fast", 0, 4], ["fast", 3, 4]]
    assert frame["loss_train"].notna().all()


def test_a_summary_is_its_numbers_and_prints_its_verdict():
    summary = mg.summarize(mg.cosine_network(13, {2: 20.0, 6: 20.0}))
    values = dict(summary.frame().to_numpy().tolist())
    assert values["accuracy_all"] == 1
    assert repr(summary) == f"Summary(add13: {summary.verdict})"


def test_networks_print_their_sizes():
    model = mg.cosine_network(11, {2: 9.0})
    text = repr(model)
    assert text.startswith("HookedTransformer(n_layers=1, d_model=")
    assert f"{sum(w.numel() for w in model.parameters()):,} parameters" in text
    assert f"embed.W_E: {' x '.join(map(str, model.embed.W_E.shape))}" in text
    assert "HookPoint" not in text


def test_a_run_names_its_task(run):
    assert "add5, fast, seed 0" in repr(run)
    assert ["task", "add5"] in cells(run)


def test_text_is_escaped():
    html = html_table(HOSTILE, [{HOSTILE: HOSTILE}])
    assert Cells(html).tags == ["div", "strong", "table", "thead", "tr", "th", "tbody", "tr", "td"]
    rows = Records([{"a": HOSTILE, "b": [HOSTILE]}])
    assert "script" not in Cells(rows._repr_html_()).tags


def test_long_tables_and_values_are_cut():
    rows = Cells(html_table("", [{"i": i} for i in range(1000)])).rows
    assert len(rows) == MOST_ROWS + 2, "a head, and a row for those that are left out"
    assert rows[-1] == ["999"]
    assert len(value_text("x" * 10_000)) == MOST_TEXT + 1
    assert len(value_text(range(10**6))) < 100
    assert len(value_text(list(range(10**6)))) == MOST_TEXT + 1
    assert value_text(torch.zeros(3, 4)) == "Tensor [3, 4], torch.float32"


def test_showing_needs_neither_pandas_nor_plotly():
    code = (
        "import sys, mechgrok as mg; mg.find_key_frequencies(mg.grid_from_tensors("
        "t := mg.modular_task('add', 5), __import__('torch').eye(5)[t.labels]))._repr_html_(); "
        "print([m for m in ('pandas', 'plotly', 'transformer_lens') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_own_classes_show_their_fields():
    class Own(Readable):
        def __init__(self) -> None:
            self.value, self._hidden = 3, 4

        def __str__(self) -> str:
            return "own"

    assert cells(Own()) == [["value", "3"]]
