"""Training runs on disk: the folder of a run, its history, and the digests that tie its files together."""

from mechgrok.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    GROUPS,
    HISTORY,
    LOCK,
    SPLIT,
    START,
    STATE,
)
from mechgrok.runs.history import MEASURES, HistoryRow
from mechgrok.runs.opening import load_run, run_of
from mechgrok.runs.readable import readable_steps
from mechgrok.runs.run import Run, read_by, written_for

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "GROUPS",
    "HISTORY",
    "LOCK",
    "MEASURES",
    "SPLIT",
    "START",
    "STATE",
    "HistoryRow",
    "Run",
    "load_run",
    "read_by",
    "readable_steps",
    "run_of",
    "written_for",
]
