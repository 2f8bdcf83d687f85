"""Atomic writing: readers see the old file or the new one, and nothing is left behind."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from mechgrok import storage
from mechgrok.errors import CheckpointError
from mechgrok.storage import DIGEST_KEY, check_writable, find_partial, write_json, write_tensors, write_text


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


WRITERS = {
    "text": lambda path: write_text(path, "neu é\n"),
    "json": lambda path: write_json(path, {"a": [1, 2.5, None]}),
    "tensors": lambda path: write_tensors(path, {"w": torch.ones(3)}),
}
every_writer = pytest.mark.parametrize("write", list(WRITERS.values()), ids=list(WRITERS))


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "t.txt", "∘ é\n")
    assert (tmp_path / "t.txt").read_bytes() == "∘ é\n".encode()


def test_json_comes_back(tmp_path):
    values = {"a": [1, 2.5, None], "b": {"c": "∘"}}
    write_json(tmp_path / "v.json", values)
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8")) == values


def test_tensors_come_back_with_their_header(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    tensors = {
        "whole": base,
        "transposed": base.T,
        "shared": base,
        "mask": base > 3,
        "number": torch.tensor(7),
    }
    write_tensors(tmp_path / "t.safetensors", tensors, {"note": "x"})
    with safe_open(tmp_path / "t.safetensors", framework="pt") as file:
        assert file.metadata().keys() == {"note", DIGEST_KEY}
        assert file.metadata()["note"] == "x"
        assert sorted(file.keys()) == sorted(tensors)
        for name, tensor in tensors.items():
            assert torch.equal(file.get_tensor(name), tensor)
            assert file.get_tensor(name).dtype == tensor.dtype


def test_tensors_with_gradients_are_written_as_values(tmp_path):
    write_tensors(tmp_path / "t.safetensors", {"w": torch.nn.Parameter(torch.ones(2))})
    with safe_open(tmp_path / "t.safetensors", framework="pt") as file:
        assert file.get_tensor("w").tolist() == [1, 1]


@every_writer
def test_folders_are_made_and_nothing_else_is_left(tmp_path, write):
    write(tmp_path / "a" / "b" / "file.x")
    assert entries(tmp_path / "a" / "b") == ["file.x"]
    assert (tmp_path / "a" / "b" / "file.x").stat().st_mode & 0o777 == 0o644


@every_writer
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError("no space left on device"), RuntimeError("odd")])
def test_failing_write_leaves_the_old_file_alone(tmp_path, monkeypatch, write, step, failure):
    path = tmp_path / "file.x"
    path.write_text("old")

    def fail(*_):
        raise failure

    monkeypatch.setattr(storage.os, step, fail)
    with pytest.raises(CheckpointError, match=rf"cannot write .*file\.x'?: {failure}"):
        write(path)
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["file.x"]


@every_writer
def test_interrupt_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, write):
    path = tmp_path / "file.x"
    path.write_text("old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(path)
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["file.x"]


def test_failure_inside_the_writer_leaves_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "t.safetensors"
    path.write_text("old")

    def half(self, content):
        self.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(storage.Path, "write_bytes", half)
    with pytest.raises(CheckpointError, match="disk full"):
        write_tensors(path, {"w": torch.ones(3)})
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["t.safetensors"]


@every_writer
def test_parent_that_is_a_file(tmp_path, write):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(CheckpointError, match="cannot write"):
        write(tmp_path / "taken" / "file.x")
    assert (tmp_path / "taken").read_text() == "x"


@every_writer
def test_target_that_is_a_folder(tmp_path, write):
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        write(tmp_path / "folder")
    assert entries(tmp_path) == ["folder"]


def test_readers_never_see_half_a_file(tmp_path, monkeypatch):
    """At the moment of the rename the new file is complete on disk, and the old one still in place."""
    path, seen = tmp_path / "file.x", []
    path.write_text("old")
    rename = storage.os.replace

    def observe(source, target):
        seen.append((Path(source).read_text(), Path(target).read_text(), Path(source).parent))
        rename(source, target)

    monkeypatch.setattr(storage.os, "replace", observe)
    write_text(path, "new")
    assert seen == [("new", "old", tmp_path)]
    assert path.read_text() == "new"


def test_what_can_be_written_is_known_before(tmp_path):
    check_writable(tmp_path / "new" / "file.json")
    assert entries(tmp_path / "new") == []
    (tmp_path / "taken").write_text("x")
    for path in (tmp_path, tmp_path / "taken" / "file.json"):
        with pytest.raises(CheckpointError, match="cannot write"):
            check_writable(path)


def test_what_a_kill_leaves_is_removed(tmp_path, monkeypatch):
    path = tmp_path / "file.x"
    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "replace", lambda *_: None)
        patch.setattr(storage.Path, "unlink", lambda *_, **__: None)
        write_text(path, "half")
    (tmp_path / ".file.x").write_text("the user's own")
    assert len(entries(tmp_path)) == 2
    (left,) = find_partial(tmp_path, "file.x")
    assert left.name != ".file.x"
    assert left.read_text() == "half"


def test_equal_content_gives_equal_files_whatever_the_order(tmp_path):
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.bool), "c": torch.arange(5)}
    header = {name: name * 3 for name in ("rule", "seed", "fraction", "step")}
    for number in range(8):
        names = sorted(tensors, reverse=bool(number % 2))
        ordered = dict(sorted(header.items(), reverse=bool(number % 2)))
        write_tensors(tmp_path / f"{number}", {name: tensors[name] for name in names}, ordered)
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1


@every_writer
def test_the_umask_counts_for_new_files_and_old_ones_keep_their_permissions(tmp_path, write):
    before = os.umask(0o077)
    try:
        write(tmp_path / "new.x")
    finally:
        os.umask(before)
    assert (tmp_path / "new.x").stat().st_mode & 0o777 == 0o600
    (tmp_path / "old.x").touch()
    (tmp_path / "old.x").chmod(0o640)
    write(tmp_path / "old.x")
    assert (tmp_path / "old.x").stat().st_mode & 0o777 == 0o640


@every_writer
def test_a_link_is_followed(tmp_path, write):
    (tmp_path / "far").mkdir()
    for name in ("there.x", "not_yet.x"):
        (tmp_path / name).symlink_to(tmp_path / "far" / name)
    (tmp_path / "far" / "there.x").write_text("old")
    for name in ("there.x", "not_yet.x"):
        check_writable(tmp_path / name)
        write(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "far" / name).stat().st_size > 3
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(CheckpointError, match=r"cannot write .*circle"):
        write(tmp_path / "circle")


def test_a_device_or_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert entries(tmp_path) == ["pipe"]
    write_text(Path(os.devnull), "nothing")
    assert Path(os.devnull).is_char_device()
