"""The README's blocks run, and the targets of its links exist."""

import re
from pathlib import Path

import pytest
from markdown import run_page

import mechgrok

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def test_the_blocks_run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run_page(README)
    printed = capsys.readouterr().out
    assert "KeyFrequencies(3: 50.0%, 10: 50.0%; by logits)" in printed
    assert "The network computes a+b" in printed


def test_a_block_that_fails_is_noticed_with_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as failure:
        run_page(page)
    assert failure.traceback[-1].lineno + 1 == 10
    page.write_text("no code\n")
    with pytest.raises(ValueError, match="has no python blocks"):
        run_page(page)


def test_links_lead_to_files():
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert len(links) > 3
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_commands_that_it_names_exist():
    text = README.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake (\w+)", text)):
        assert f"\n{target}: " in makefile, target
    for script in re.findall(r"\.venv/bin/python (\S+\.py)", text):
        assert (ROOT / script).is_file(), script


def test_the_citation_is_of_this_version():
    assert f"\nversion: {mechgrok.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
