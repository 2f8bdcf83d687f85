"""Damaged files: any change to a number is refused, with an error of ours, and never accepted silently."""

import json
import random
import shutil
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import mechgrok as mg
from mechgrok.models.files import read_tensors

TASK = mg.modular_task("add", 7)
OPTIONS = {"model": mg.ModelConfig(d_model=8, n_heads=2), "fraction": 0.6, "progress": False}
OPTIONS |= {"steps": 12, "eval_every": 2, "checkpoint_every": 6, "stop_when_settled": False}
FILES = (
    "config.json",
    "groups.json",
    "history.jsonl",
    "split.safetensors",
    "state.safetensors",
    "checkpoints/step_00000000.safetensors",
    "checkpoints/step_00000006.safetensors",
    "checkpoints/step_00000012.safetensors",
)


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    """One to three bits."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def zero_a_range(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    length = min(rng.randrange(1, 400), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def move_a_range(content: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(content)) for _ in range(2))
    return content[:a] + content[b:] + content[a:b]


BYTES = (flip_bits, zero_a_range, truncate, move_a_range)


def parts(content: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def a_tensor(header: dict, rng: random.Random) -> str:
    return rng.choice([name for name in header if name != "__metadata__"])


def flip_data(content: bytes, rng: random.Random) -> bytes:
    """In the numbers alone, with the header sound."""
    header, data = parts(content)
    return joined(header, flip_bits(data, rng))


def zero_data(content: bytes, rng: random.Random) -> bytes:
    header, data = parts(content)
    return joined(header, zero_a_range(data, rng))


def swap_offsets(content: bytes, rng: random.Random) -> bytes:
    """Two tensors of one size, if there are such, take each other's numbers."""
    header, data = parts(content)
    sizes = {name: np.subtract(*entry["data_offsets"]) for name, entry in header.items() if name[0] != "_"}
    first = a_tensor(header, rng)
    second = rng.choice([name for name in sizes if sizes[name] == sizes[first]])
    one, other = header[first]["data_offsets"], header[second]["data_offsets"]
    header[first]["data_offsets"], header[second]["data_offsets"] = other, one
    return joined(header, data)


def change_dtype(content: bytes, rng: random.Random) -> bytes:
    """Of the same width, so that the header stays sound."""
    header, data = parts(content)
    same_width = {"F32": ["I32", "U32"], "BOOL": ["U8", "I8"], "I64": ["U64", "F64"]}
    name = a_tensor(header, rng)
    header[name]["dtype"] = rng.choice(same_width[header[name]["dtype"]])
    return joined(header, data)


def not_finite(content: bytes, rng: random.Random) -> bytes:
    header, data = parts(content)
    start = 4 * rng.randrange(max(len(data) // 4, 1))
    value = struct.pack("<f", rng.choice([float("nan"), float("inf"), float("-inf")]))
    return joined(header, data[:start] + value + data[start + 4 :])


def change_the_header(content: bytes, rng: random.Random) -> bytes:
    """A fact in the header: a size that is huge, another step, another fraction, the name of another run."""
    header, data = parts(content)
    said = header["__metadata__"]
    name = rng.choice(list(said))
    if name == "mechgrok_config":
        config = json.loads(said[name])
        field = rng.choice([key for key, value in config.items() if isinstance(value, int)])
        said[name] = json.dumps(config | {field: rng.choice([0, 2, 3, 500, 10**8, 2**63, 10**40])})
    else:
        said[name] = rng.choice(["", "0", "6", "13", "0.25", "randperm", said[name][::-1]])
    return joined(header, data)


def drop_the_digest(content: bytes, rng: random.Random) -> bytes:
    header, data = parts(content)
    del header["__metadata__"]["mechgrok_sha256"]
    return flip_data(joined(header, data), rng)


TENSORS = (flip_data, zero_data, swap_offsets, change_dtype, not_finite, change_the_header, drop_the_digest)


def change_lines(content: bytes, rng: random.Random) -> bytes:
    """Of the history: a line dropped, doubled, or swapped with another."""
    lines = content.splitlines(keepends=True)
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case _:
            lines[at], lines[other] = lines[other], lines[at]
    return b"".join(lines)


def change_a_number(content: bytes, rng: random.Random) -> bytes:
    """Somewhere in JSON, from a digit on to something else."""
    digits = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
    at = rng.choice(digits)
    new = rng.choice([b"3", b"7", b"-1", b"1e400", b"9" * 30, b"9" * 5000, b"NaN", b"null", b"[" * 3000])
    return content[:at] + new + content[at + 1 :]


TEXT = (change_a_number, change_a_number)
KINDS = {
    ".safetensors": BYTES + TENSORS * 2,
    ".json": BYTES + TEXT,
    ".jsonl": BYTES + TEXT + (change_lines,) * 3,
}


def everything(run: mg.Run) -> dict:
    """All that anybody takes from a run, as plain values."""
    return {
        "config": run.config.to_json(),
        "history": run.history,
        "split": (run.split.train.tolist(), run.split.fraction, run.split.seed, run.split.rule),
        "groups": run.parameter_groups,
        "steps": run.steps,
        "state": plain(run.read_state()[1]) | {"step": run.read_state()[0]},
        "models": {step: plain(dict(run.model(step).named_parameters())) for step in run.steps},
        "architecture": [run.model(step).cfg.to_json() for step in run.steps],
    }


def plain(tensors: dict) -> dict:
    return {name: (str(tensor.dtype), tensor.tolist()) for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> mg.Run:
    return mg.train(TASK, out=tmp_path_factory.mktemp("whole") / "run", **OPTIONS)


def test_a_damaged_run_is_read_as_it_was_or_refused(whole, tmp_path):
    """1,040 damaged files; a space in JSON that is gone, say, changes nothing and is read."""
    expected, run = everything(whole), tmp_path / "run"
    shutil.copytree(whole.path, run)
    outcomes: Counter[str] = Counter()
    for number in range(130 * len(FILES)):
        rng = random.Random(number)
        file = FILES[number % len(FILES)]
        damage = rng.choice(KINDS[Path(file).suffix])
        content = (whole.path / file).read_bytes()
        changed = damage(content, rng)
        (run / file).write_bytes(changed)
        where = f"{number}: {damage.__name__} of {file}"
        try:
            found = everything(mg.load_run(run))
        except mg.MechgrokError as error:
            text = str(error)
            outcomes["refused" if str(run) in text and len(text) < 1000 else f"{where}: {text[:1000]}"] += 1
        else:
            assert found == expected, where
            outcomes["unchanged" if changed == content else "read"] += 1
        (run / file).write_bytes(content)
    assert everything(mg.load_run(run)) == expected
    assert outcomes.keys() <= {"refused", "read", "unchanged"}, outcomes
    assert outcomes["refused"] > 850, outcomes
    assert outcomes["read"] < 60, outcomes


def test_a_damaged_network_of_ours_is_read_as_it_was_or_refused(tmp_path):
    path = mg.save_model(mg.build_model(TASK, OPTIONS["model"], seed=0), tmp_path / "m.safetensors")
    content, expected = path.read_bytes(), plain(dict(mg.load_model(path).named_parameters()))
    refused = 0
    for number in range(300):
        rng = random.Random(number)
        damage = rng.choice([kind for kind in BYTES + TENSORS if kind is not drop_the_digest])
        path.write_bytes(damage(content, rng))
        try:
            found = mg.load_model(path)
        except mg.MechgrokError:
            refused += 1
        else:
            assert plain(dict(found.named_parameters())) == expected, (number, damage)
    assert refused > 250


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "npz"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:.*weights that are not finite")
def test_a_damaged_file_of_another_author_is_read_or_refused_and_never_crashes(kind, tmp_path):
    """Without a digest a flipped bit of a weight cannot be told; the shapes and the header can."""
    model = mg.build_model(TASK, OPTIONS["model"], seed=0)
    state, said = model.state_dict(), mg.ModelConfig(act_fn="relu", attention_dir="causal")
    path = tmp_path / "theirs"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "npz":
        np.savez(path.with_suffix(".npz"), **{name: weight.numpy() for name, weight in state.items()})
        path = path.with_suffix(".npz")
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    content, refused = path.read_bytes(), 0
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    for number in range(150):
        rng = random.Random(number)
        path.write_bytes(rng.choice(BYTES)(content, rng))
        try:
            found = mg.load_model(path, config=said)
        except mg.MechgrokError:
            refused += 1
        else:
            assert {name: weight.shape for name, weight in found.named_parameters()} == shapes
    assert refused > 50


def transplanted(whole: mg.Run, folder: Path, file: str, changes: dict, source: str | None = None) -> mg.Run:
    """The run with one file from another training, which differs by the changes."""
    other = mg.train(TASK, out=folder / "other", **{**OPTIONS, **changes})
    shutil.copytree(whole.path, folder / "run")
    shutil.copy(other.path / (source or file), folder / "run" / file)
    return mg.load_run(folder / "run")


LAST = "checkpoints/step_00000012.safetensors"
GELU = {"model": OPTIONS["model"].replace(act_fn="gelu")}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("state.safetensors", {"seed": 1}),
        ("state.safetensors", {"lr": 0.5}),
        ("split.safetensors", {"seed": 1}),
        ("split.safetensors", {"fraction": 0.5}),
        ("history.jsonl", {"seed": 1}),
        ("groups.json", {"lr": 0.5}),
        (LAST, {"seed": 1}),
        (LAST, GELU),
        (LAST, {"split": TASK.split(0.6, seed=9)}),
        ("state.safetensors", {"split": TASK.split(0.6, seed=9)}),
    ],
)
def test_a_file_of_another_run_is_refused(whole, tmp_path, file, changes):
    run = transplanted(whole, tmp_path, file, changes)
    with pytest.raises(mg.CheckpointError, match=rf"{file} is damaged: .*(run|follow)"):
        everything(run)


def test_a_checkpoint_of_another_step_is_refused(whole, tmp_path):
    run = transplanted(whole, tmp_path, LAST, {}, source="checkpoints/step_00000006.safetensors")
    for opened in (run.model, lambda: mg.load_model(run.path / LAST)):
        with pytest.raises(
            mg.CheckpointError, match="it is not of this run, or of another step: its step is 6"
        ):
            opened()


@pytest.mark.parametrize("changes", [{"seed": 1}, GELU], ids=str)
def test_a_checkpoint_of_another_run_is_refused_by_its_file_too(whole, tmp_path, changes):
    run = transplanted(whole, tmp_path, LAST, changes)
    with pytest.raises(mg.CheckpointError, match=r"step_00000012.* is damaged: it is not of this run"):
        mg.load_model(run.path / LAST)


def test_equal_trainings_give_equal_files(whole, tmp_path):
    again = mg.train(TASK, out=tmp_path / "again", **OPTIONS)
    for file in FILES:
        assert (again.path / file).read_bytes() == (whole.path / file).read_bytes(), file


@pytest.fixture
def unsealed(whole, tmp_path) -> mg.Run:
    """The run as it was written before there were seals."""
    shutil.copytree(whole.path, tmp_path / "old")
    for name in ("config.json", "groups.json"):
        values = json.loads((whole.path / name).read_text())
        del values["seal"]
        (tmp_path / "old" / name).write_text(json.dumps(values))
    for file in (tmp_path / "old").rglob("*.safetensors"):
        header = {
            k: v
            for k, v in read_tensors(file)[1].items()
            if k in ("mechgrok_config", "fraction", "rule", "seed")
        }
        step = {"step": "12"} if file.name == "state.safetensors" else {}
        save_file(load_file(file), file, header | step)
    rows = whole.history
    (tmp_path / "old" / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return mg.load_run(tmp_path / "old")


def test_a_run_without_seals_is_read_and_gone_on_with(whole, unsealed):
    assert unsealed.seal is None
    assert everything(unsealed) == everything(whole)
    longer = mg.train(TASK, out=unsealed.path, **OPTIONS | {"steps": 20})
    sealed = mg.train(TASK, **OPTIONS | {"steps": 20})
    assert longer.history == sealed.history
    assert longer.seal is None
    assert plain(longer.read_state()[1]) == plain(sealed.read_state()[1])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda lines: lines[:2] + lines[3:],
            "the evaluation of step 4 is missing; there is one every 2 steps",
        ),
        (lambda lines: lines[:3] + lines[2:], "line 4 is step 4 after step 4"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 2 is step 0 after step 2"),
    ],
    ids=["missing", "doubled", "swapped"],
)
def test_lines_of_a_history_without_digests_are_in_order_and_complete(unsealed, change, why):
    file = unsealed.path / "history.jsonl"
    file.write_text("".join(change(file.read_text().splitlines(keepends=True))))
    with pytest.raises(mg.CheckpointError, match=rf"history\.jsonl is damaged: {why}"):
        _ = unsealed.history
