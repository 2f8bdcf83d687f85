"""Progress measures: what a network does at each checkpoint of its training."""

from importlib import import_module

from mechgrok.progress.compute import ProgressRecorder, progress_measures
from mechgrok.progress.registry import MEASURES, Measure, measure
from mechgrok.progress.snapshot import Snapshot
from mechgrok.progress.table import ProgressTable

__all__ = [
    "MEASURES",
    "Measure",
    "ProgressRecorder",
    "ProgressTable",
    "Snapshot",
    "measure",
    "progress_measures",
]

for _subject in ("losses", "circuit", "neurons", "weights"):
    import_module(
        f"mechgrok.progress.{_subject}"
    )  # enters its measures in the registry, in the tables' order
