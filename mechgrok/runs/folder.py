"""The files of a run: how each is written, and later read or refused.

    config.json                          everything that determines the run, and its seal
    split.safetensors                    mask of the train inputs
    start.safetensors                    weights copied from another network, if any
    groups.json                          which parameters an optimiser updates, with which settings
    history.jsonl                        one row per evaluation
    checkpoints/step_00000000.safetensors
    state.safetensors                    weights and optimiser to resume from: those of the newest checkpoint, or
                                         of the later step at which Ctrl-C was pressed
    lock                                 empty; held by the training process

Files appear whole or not at all, except that history.jsonl grows line by line; a reader drops a truncated last
line. Each file carries a digest of itself and the name of its run (`mechgrok.runs.seals`). A damaged or changed
file, or a file from another run, raises a `CheckpointError` that names the file. Runs that predate seals are read
as they are; the runs shipped with mechgrok are compared with its index.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from mechgrok.config import RunConfig
from mechgrok.errors import CheckpointError
from mechgrok.models.files import read_tensors, write_model
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.readable import Records
from mechgrok.runs.history import HistoryRow, append_row, last_digest, read_history, rewrite
from mechgrok.runs.seals import Seal, damaged, new_seal, parse_json, read_file, sealed, unseal
from mechgrok.shipped import check_shipped
from mechgrok.storage import DIGEST_KEY, find_partial, write_json, write_tensors
from mechgrok.tasks import Split

CONFIG, SPLIT, START, GROUPS, HISTORY, STATE, CHECKPOINTS, LOCK = (
    "config.json",
    "split.safetensors",
    "start.safetensors",
    "groups.json",
    "history.jsonl",
    "state.safetensors",
    "checkpoints",
    "lock",
)
STEP = re.compile(r"step_(\d{8,})\.safetensors")
"""Names of checkpoints; other files in the folder are not checkpoints."""
ANY_STEP = "step_*.safetensors"
OF_SAFETENSORS = ".tmp*"
"""Temporary files of the safetensors library, to which earlier versions left the writing."""


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A folder with the files of a run.

    Attributes:
        path: the folder.
        config: everything that determines the run.
    """

    path: Path
    config: RunConfig

    @cached_property
    def seal(self) -> Seal | None:
        """The seal that all files of the run must agree with; None for a run without seals.

        Raises:
            CheckpointError: the configuration is damaged.
        """
        return read_config(self.path / CONFIG)[1] if (self.path / CONFIG).exists() else None

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps with a checkpoint, in ascending order."""
        names = [STEP.fullmatch(file.name) for file in (self.path / CHECKPOINTS).glob("step_*")]
        return tuple(sorted(int(name[1]) for name in names if name))

    @property
    def history(self) -> Records[HistoryRow]:
        """One row per evaluation, by name: step, loss and accuracy on train and test, squared weights.

        A list, with `.frame()` for pandas. Losses are the objective's, cross-entropies in nats; test values
        are None if all inputs are train inputs.

        Raises:
            CheckpointError: a line is damaged, edited, missing, duplicated or misplaced.
        """
        file, name = self.path / HISTORY, self._name
        followed = [] if name is None else self._followed()  # before the lines, since more may be appended
        if name is None:
            check_shipped(file)
        history = read_history(file, name, self.config.train.eval_every)
        for origin, link in followed:
            if link not in (name, *history.digests):
                raise damaged(file, f"lines are missing or changed on which {origin.name} follows")
        return Records(history.rows)

    def weights(self, step: int) -> dict[str, Tensor]:
        """The tensors of a checkpoint, under the names of its network."""
        return self._read(self.checkpoint(step), self._said(step))[0]

    def checkpoint(self, step: int) -> Path:
        """File of the checkpoint at a step, whether it exists or not."""
        return self.path / CHECKPOINTS / f"step_{step:08d}.safetensors"

    def check_checkpoint(self, file: Path) -> None:
        """Check that a checkpoint file belongs to this run and to the step in its name.

        Raises:
            CheckpointError: it does not.
        """
        name = STEP.fullmatch(file.name)
        self._read(file, self._said(int(name[1]) if name else None))

    def write_checkpoint(self, step: int, model: HookedNetwork | WrappedNetwork) -> None:
        """Write the weights at a step."""
        write_model(model, self.checkpoint(step), self._said(step) | self._link())

    def write_state(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write everything needed to resume from a step."""
        if (self.path / HISTORY).exists():
            with (self.path / HISTORY).open("rb") as file:
                os.fsync(file.fileno())  # the state refers to its lines
        write_tensors(self.path / STATE, tensors, {"step": str(step)} | self._said(step) | self._link())

    def read_state(self) -> tuple[int, dict[str, Tensor]] | None:
        """The step to resume from and its tensors; None for a run that has none yet."""
        file = self.path / STATE
        if not file.exists():
            return None
        tensors, header = self._read(file, self._said())
        if not (header.get("step", "").isdecimal() and len(header["step"]) < 16):
            raise damaged(file, f"its header has no step, but {header}")
        return int(header["step"]), tensors

    @property
    def parameter_groups(self) -> dict[str, dict[str, Any]]:
        """The `settings` of each optimiser and the `parameters` that it updates; empty until training begins.

        Raises:
            CheckpointError: the file is damaged, or belongs to another run.
        """
        file = self.path / GROUPS
        if not file.exists():
            return {}
        check_shipped(file)
        groups = parse_json(file, read_file(file))
        if not isinstance(groups, dict):
            raise damaged(file, f"it holds {groups!r}, no parameters of optimisers")
        groups, said = unseal(groups, file)
        if self._name is not None and said.get("run") != self._name:
            raise damaged(file, "it belongs to another run, or to none")
        return groups

    def write_parameter_groups(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        """Record which parameters are trained, and how."""
        write_json(self.path / GROUPS, groups if self._name is None else sealed(groups, run=self._name))

    def write_split(self, split: Split) -> None:
        """Record which inputs are trained on."""
        header = {"fraction": str(split.fraction), "seed": str(split.seed), "rule": split.rule}
        write_tensors(self.path / SPLIT, {"train": split.train}, header)

    def write_config(self) -> None:
        """Record what determines the run. This makes a folder a run, so it is written after all files it refers to."""
        values = self.config.to_json()
        if not (self.path / CONFIG).exists():
            seal = new_seal(values, read_tensors(self.path / SPLIT)[1][DIGEST_KEY])
            self.__dict__["seal"] = seal  # the class is frozen; a value cached earlier has no seal
        seal = self.seal
        write_json(
            self.path / CONFIG, values if seal is None else sealed(values, run=seal.run, split=seal.split)
        )

    def append_history(self, row: HistoryRow) -> None:
        """Add the row of one evaluation."""
        try:
            append_row(self.path / HISTORY, row, self._name)
        except OSError as error:
            raise CheckpointError(f"cannot write {self.path / HISTORY}: {error}") from error

    def forget_after(self, step: int) -> None:
        """Drop history and checkpoints of later steps, which a resumed run will recompute.

        Checkpoints are removed first, newest to oldest, so that none refers to lines that are gone.
        """
        kept = [row for row in self.history if (row["step"] or 0) <= step]
        for later in reversed(self.steps):
            if later > step:
                self.checkpoint(later).unlink()
        rewrite(self.path / HISTORY, kept, self._name)

    def partial(self) -> list[Path]:
        """Files left half-written by a killed process, or being written right now."""
        written = {
            self.path: (CONFIG, SPLIT, START, GROUPS, HISTORY, STATE),
            self.path / CHECKPOINTS: (ANY_STEP,),
        }
        found = [
            file for folder, names in written.items() for name in names for file in find_partial(folder, name)
        ]
        return found + [file for folder in written for file in folder.glob(OF_SAFETENSORS)]

    def remove_partial(self) -> None:
        """Remove files left half-written by a killed process."""
        for file in self.partial():
            file.unlink(missing_ok=True)

    @property
    def _name(self) -> str | None:
        """The name of the run in its files; None for a run without seals."""
        return None if self.seal is None else self.seal.run

    def _said(self, step: int | None = None) -> dict[str, str]:
        """The header of a checkpoint or state of this run."""
        if self._name is None:
            return {}
        return {"run": self._name} | ({} if step is None else {"step": str(step)})

    def _link(self) -> dict[str, str]:
        """The line of the history that a file follows."""
        return {} if self._name is None else {"history": last_digest(self.path / HISTORY, self._name)}

    def _read(self, file: Path, said: Mapping[str, str] | None) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and header of a file of this run."""
        if not file.exists():
            raise damaged(file, "it is missing")
        if self.seal is None:
            check_shipped(file)
            return read_tensors(file)
        tensors, header = read_tensors(file)
        if DIGEST_KEY not in header:
            raise damaged(file, "it has no digest, as the files of this run have")
        for name, text in (said or {}).items():
            if header.get(name) != text:
                raise damaged(
                    file, f"it is not of this run, or of another step: its {name} is {header.get(name)}"
                )
        return tensors, header

    def _followed(self) -> list[tuple[Path, str]]:
        """The newest checkpoint and the state, each with the line of the history that it follows."""
        files = [self.checkpoint(self.steps[-1])] if self.steps else []
        if (self.path / STATE).exists():
            files.append(self.path / STATE)
        headers = [(file, header) for file in files if (header := _header(file))]
        for file, header in headers:
            if header.get("run") != self._name:
                raise damaged(file, "it is not of this run")
        return [(file, header.get("history", "")) for file, header in headers]


def read_config(file: Path) -> tuple[RunConfig, Seal | None]:
    """The configuration of a run, and its seal.

    Raises:
        ConfigError: it is from another version, or damaged.
        CheckpointError: it is damaged.
    """
    values = parse_json(file, read_file(file))
    if not isinstance(values, dict):
        raise damaged(file, "it is no JSON object")
    config = RunConfig(**{name: value for name, value in values.items() if name != "seal"})
    _, said = unseal(values, file)
    if not said:
        check_shipped(file)
        return config, None
    return config, Seal(said["run"], said["split"])


def _header(file: Path) -> dict[str, str]:
    """The header of a safetensors file; empty if unreadable, which is reported by the code that needs its tensors."""
    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return {}
