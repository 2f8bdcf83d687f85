"""The registry of numbers: what each one is, in which unit, what it ignores; and the summary of one network in them."""

from importlib import import_module

from mechgrok.measures.invariances import INVARIANCES
from mechgrok.measures.references import Reference
from mechgrok.measures.registry import MEASURES, Measure, measure
from mechgrok.measures.snapshot import Snapshot

__all__ = ["INVARIANCES", "MEASURES", "Measure", "Reference", "Snapshot", "measure"]

for _subject in ("losses", "circuit", "neurons", "mechanism", "weights", "heads"):
    import_module(
        f"mechgrok.measures.{_subject}"
    )  # enters its measures in the registry, in the tables' order
