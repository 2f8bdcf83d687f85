"""Progress measures: what a network does at each checkpoint of its training."""

from mechgrok.progress.compute import ProgressRecorder, progress_measures
from mechgrok.progress.table import ProgressTable

__all__ = ["ProgressRecorder", "ProgressTable", "progress_measures"]
