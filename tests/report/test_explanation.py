"""Formula, evidence and stages on the page of a report, and on a page of their own."""

from pathlib import Path

import pytest
import torch
from pages import Reader, report

import mechgrok as mg
from mechgrok.report.explanation import prediction_rows


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def network():
    return mg.pizza_network(13, {2: 9.0, 6: 4.0})


def test_a_page_of_an_explanation(tmp_path: Path, network):
    page = read(mg.write_explanation(tmp_path / "e.html", network))
    assert page.places == ["spare-margins", "outcomes", "phases"]
    assert page.tags.count("details") == page.tags.count("section") == 4, "definitions in every section"
    assert page.loads == []
    found = mg.explain(network)
    for stage in found.stages:
        assert stage.stage in page.text
    for item in found.interventions:
        assert item.intervention in page.text
        assert item.predicted in page.text
    assert "phase alignment is 1.000" in page.text


def test_what_is_explained_has_its_control_beside_it(tmp_path: Path, network):
    found = mg.explain(network)
    for page in (report(tmp_path, network), read(mg.write_explanation(tmp_path / "e.html", found))):
        assert "with the same coefficients at other keys it would be 0.0%" in page.text
        assert page.text.index("The formula") < page.text.index("Interventions, and what was predicted")


def test_formula_and_evidence_stand_before_the_keys(tmp_path: Path, network):
    page = report(tmp_path, network)
    order = [
        page.text.index(text)
        for text in ("Explained share", "Predictions", "Keys", "Interventions, and", "Circle")
    ]
    assert order == sorted(order)


def test_a_control_that_is_not_there_has_no_number(network):
    head, *rows = prediction_rows(mg.explain(network).interventions)
    assert {len(row) for row in rows} == {len(head)}
    without = [
        row for row, item in zip(rows, mg.explain(network).interventions, strict=True) if item.control is None
    ]
    assert without
    assert {row[head.index("control")] for row in without} == {"–"}


def test_a_lookup_table_has_a_page_that_says_why_there_is_no_formula(tmp_path: Path):
    task = mg.modular_task("add", 7)
    table = mg.grid_from_tensors(task, torch.eye(7)[task.labels] * 9)
    page = read(mg.write_explanation(tmp_path / "e.html", table))
    assert (
        "There is none: every frequency is there with the same coefficient, as in a lookup table."
        in page.text
    )
    assert "settles the answer" not in page.text
    assert page.places == []


def test_irreps_and_a_task_without_a_group(tmp_path: Path):
    page = read(mg.write_explanation(tmp_path / "e.html", mg.character_network("S3", {"standard": 9.0})))
    assert "standard" in page.text
    task = mg.task_from_function(lambda a, b: max(a, b) > 4, n=9, name="max above 4")
    with pytest.raises(mg.NoGroupError):
        mg.write_explanation(tmp_path / "n.html", mg.build_model(task, mg.ModelConfig(d_model=16), seed=0))
    assert not (tmp_path / "n.html").exists()
