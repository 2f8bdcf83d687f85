"""Seals that tie the files of a run together: each carries its own digest, and the name of the run that wrote it.

The name is a digest of everything that determines the run. It is created with the run and stays when more steps
are trained. Since every file carries its own seal, written together with it, the files of a run never disagree.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechgrok.errors import CheckpointError
from mechgrok.storage import json_digest

SEAL = "seal"
"""Key of the seal in a JSON file of a run."""
LARGEST = 2**63
"""Integers in a run are smaller than this."""


@dataclass(frozen=True)
class Seal:
    """What the configuration records about the other files.

    Attributes:
        run: name of the run, as recorded in all its files.
        split: digest of the file with the split.
    """

    run: str
    split: str


def new_seal(config: Mapping[str, Any], split: str) -> Seal:
    """The seal of a run, from its configuration as JSON without the number of steps, and the digest of its split."""
    train = {name: value for name, value in config["train"].items() if name != "steps"}
    return Seal(json_digest([{**config, "train": train}, split]), split)


def sealed(values: Mapping[str, Any], **said: str) -> dict[str, Any]:
    """A JSON object with a seal: the given statements, and the digest of everything."""
    return {**values, SEAL: {**said, "sha256": json_digest([values, said])}}


def unseal(values: dict[str, Any], file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """A sealed object without its seal, and the statements of the seal; none for an object without one.

    Raises:
        CheckpointError: the object is not the one that was sealed.
    """
    if SEAL not in values:
        return values, {}
    rest = {name: value for name, value in values.items() if name != SEAL}
    seal = values[SEAL]
    said = {name: text for name, text in seal.items() if name != "sha256"} if isinstance(seal, dict) else {}
    if seal != {**said, "sha256": json_digest([rest, said])}:
        raise damaged(file, "its content is not what was written")
    return rest, said


def parse_json(file: Path, text: bytes, where: str = "") -> Any:
    """Parse the JSON in a file of a run; NaN, infinities and integers beyond 64 bits are not accepted.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:  # from JSON and UTF-8 alike
        raise damaged(file, f"{where}{error}") from None


def read_file(file: Path) -> bytes:
    """The bytes of a file of a run.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise damaged(file, f"it cannot be read: {error}") from None


def damaged(file: Path, why: str) -> CheckpointError:
    """The error for a file of a run that cannot be used."""
    why = why if len(why) <= 400 else f"{why[:400]}..."
    return CheckpointError(
        f"{file} is damaged: {why}. Put back a copy of it, or train again in another folder"
    )


def _whole(text: str) -> int:
    value = int(text)
    if abs(value) >= LARGEST:
        raise ValueError(f"the number {text[:30]}... is too large")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:30]} is no finite number")
    return value
