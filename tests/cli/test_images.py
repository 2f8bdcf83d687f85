"""Figures as images: drawn by kaleido in a browser, if both are available."""

import re
import struct
from importlib.util import find_spec

import pytest
from browser import find_browser

import mechgrok as mg
from mechgrok import cli
from mechgrok.models.files import write_model

BEGINS = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<svg", "pdf": b"%PDF-"}


@pytest.fixture
def planted(tmp_path):
    file = tmp_path / "planted.safetensors"
    write_model(mg.cosine_network(7, {2: 20.0}), file)
    return file


@pytest.fixture
def kaleido():
    if find_spec("kaleido") is None:
        pytest.skip("kaleido is not installed; it comes with the extra mechgrok[png]")


@pytest.fixture
def browser(kaleido, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", find_browser())


@pytest.mark.filterwarnings("default")  # kaleido leaves pipes to the garbage collector
def test_images_of_each_kind_are_written_whole(planted, tmp_path, browser, capsys):
    folder = tmp_path / "figures"
    assert cli.main(["figures", str(planted), "--out", str(folder), "--formats", "png", "svg", "pdf"]) == 0
    files = sorted(folder.iterdir())
    assert {file.suffix for file in files} == {".png", ".svg", ".pdf"}
    assert len(files) == 3 * len({file.stem for file in files})
    assert f"{len(files)} files of figures" in capsys.readouterr().err
    for file in files:
        assert file.read_bytes().startswith(BEGINS[file.suffix[1:]]), file
    assert "share (%)" in (folder / "keys.svg").read_text(encoding="utf-8")
    size = re.search(r'width="(\d+)" height="(\d+)"', (folder / "keys.svg").read_text(encoding="utf-8"))
    assert size is not None
    pixels = struct.unpack(">II", (folder / "keys.png").read_bytes()[16:24])
    assert pixels == tuple(2 * int(side) for side in size.groups())


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("program", ["/nowhere/chrome", "/bin/false"])
def test_without_a_browser_there_is_one_message_and_no_file(
    planted, tmp_path, kaleido, program, monkeypatch, capsys
):
    monkeypatch.setenv("BROWSER_PATH", program)
    folder = tmp_path / "figures"
    assert cli.main(["figures", str(planted), "--out", str(folder), "--formats", "svg"]) == 1
    told = capsys.readouterr().err
    assert "--formats html json needs no browser" in told
    assert len(told) < 1000
    assert not folder.exists() or not list(folder.iterdir())
