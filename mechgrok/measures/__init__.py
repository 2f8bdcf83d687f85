"""The registry of numbers: what each one is, its unit, and what it ignores; and the summary of a network in them."""

from importlib import import_module

from mechgrok.measures.invariances import INVARIANCES
from mechgrok.measures.references import Reference
from mechgrok.measures.registry import MEASURES, Measure, measure
from mechgrok.measures.snapshot import Snapshot

__all__ = ["INVARIANCES", "MEASURES", "Measure", "Reference", "Snapshot", "measure"]

for _subject in ("losses", "circuit", "neurons", "weights", "heads"):
    import_module(f"mechgrok.measures.{_subject}")  # registers its measures, in the tables' order
