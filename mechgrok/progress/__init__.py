"""Progress measures: what a network does at each checkpoint of its training."""

from mechgrok.progress.compute import ProgressRecorder, progress_measures
from mechgrok.progress.embedding_course import EmbeddingCourse, embedding_course
from mechgrok.progress.table import ProgressTable

__all__ = ["EmbeddingCourse", "ProgressRecorder", "ProgressTable", "embedding_course", "progress_measures"]
