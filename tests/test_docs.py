"""The documentation's code runs, covers every public name, and names tests that exist."""

import re
import runpy
from functools import wraps
from importlib.metadata import version
from pathlib import Path

import pytest
from markdown import python_of, run_page

import mechgrok
from mechgrok.plots.drawing import FIGURES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PICTURES = runpy.run_path(str(DOCS / "figures.py"))
PICTURED = [DOCS / f"{name}.md" for name in PICTURES["PAGES"]]
PAGES = sorted(page for page in DOCS.rglob("*.md") if python_of(page).strip() and page not in PICTURED)
NEEDS_4 = {"own-network.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_run(page, monkeypatch, tmp_path):
    if page.name in NEEDS_4 and version("transformer-lens").startswith("3."):
        pytest.skip("shows TransformerLens 4")
    monkeypatch.chdir(tmp_path)
    run_page(page)


def test_pages_with_code_are_found():
    assert {"index", "groups", "own-network"} <= {page.stem for page in PAGES}
    assert {"tutorial", "gallery", "reproduction-gallery"} == {page.stem for page in PICTURED}


@pytest.mark.parametrize("page", PICTURED, ids=lambda page: page.stem)
def test_the_line_before_a_picture_draws_it(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    kinds: set[type] = set()
    for kind, function in FIGURES.items():
        monkeypatch.setitem(FIGURES, kind, noting(function, kind, kinds))
    drawn = dict(PICTURES["figures_of"](page))
    assert [file for file in drawn if not 0 < file.stat().st_size <= PICTURES["MOST_BYTES"]] == []
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert [DOCS / file for file in shown] == list(drawn), "a picture without a line that draws it"
    assert {file for folder in {file.parent for file in drawn} for file in folder.iterdir()} == set(drawn)
    if page.stem == "gallery":
        assert kinds == set(FIGURES), "each kind of result has its picture"


def noting(function, kind, kinds):
    """The same function, which also notes that it was called; options are read from its signature, which stays."""

    @wraps(function)
    def noted(result, **options):
        kinds.add(kind)
        return function(result, **options)

    return noted


def test_a_line_that_draws_nothing_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    for line in ("x = 1", "x", "import mechgrok"):
        page.write_text(f"```python\nx = 2\n{line}\n```\n\n![what](x.png)\n")
        with pytest.raises(SystemExit, match=r"page\.md: no figure in the line before x\.png"):
            list(PICTURES["figures_of"](page))


NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]\d+)?")


def test_the_front_page_prints_what_it_shows(capsys):
    run_page(DOCS / "index.md")
    printed = " ".join(capsys.readouterr().out.split())
    block = re.search(r"^```text\n(.*?)^```", (DOCS / "index.md").read_text(encoding="utf-8"), re.M | re.S)
    assert block
    shown = " ".join(block[1].split())
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    # Rounding differs between processors, which shows where a loss is near zero.
    numbers = [[float(x) for x in NUMBER.findall(text)] for text in (printed, shown)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.05)


def test_every_public_name_is_in_the_reference():
    assert [name for name in mechgrok.__all__ if not is_documented(name)] == []
    assert not is_documented("no_such_name")


def is_documented(name: str) -> bool:
    """Whether a directive of the reference names it, or the whole module that it is defined in."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    named = re.findall(r"^\.\. [\w:]+:: (mechgrok[\w.]+)$", text, re.MULTILINE)
    home = getattr(getattr(mechgrok, name, None), "__module__", None)
    return home in named or any(full.rpartition(".")[2] == name for full in named)


def named_tests(text: str) -> list[tuple[str, str | None]]:
    """Tests as a page names them: `file.py::function`, and `::function` for another one in the same file."""
    named, file = [], ""
    for own_file, function in re.findall(r"`([\w/]+\.py)?(?:::(\w+))?`", text):
        file = own_file or file
        if own_file or function:
            named.append((file, function or None))
    return named


def missing_tests(text: str) -> list[tuple[str, str | None]]:
    """Those that do not exist."""
    return [
        (file, function)
        for file, function in named_tests(text)
        if not (ROOT / "tests" / file).is_file()
        or (function and f"def {function}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8"))
    ]


def test_definitions_name_tests_that_exist():
    text = (DOCS / "definitions.md").read_text(encoding="utf-8")
    assert len(named_tests(text)) > 30
    assert missing_tests(text) == []


def test_a_test_that_does_not_exist_is_noticed():
    text = "`analysis/test_spectrum.py::test_errors`, `::test_nothing`, `analysis/test_nowhere.py`"
    assert missing_tests(text) == [
        ("analysis/test_spectrum.py", "test_nothing"),
        ("analysis/test_nowhere.py", None),
    ]


def test_the_page_of_reproductions_is_current():
    written = runpy.run_path(str(DOCS / "reproductions.py"))["page"]()
    current = (DOCS / "reproductions.md").read_text(encoding="utf-8")
    assert current == written, "run: python docs/reproductions.py"
