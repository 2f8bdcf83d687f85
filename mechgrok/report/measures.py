"""Progress measures and phases on the page of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from mechgrok.analysis.phase_changes import PhaseChanges
from mechgrok.analysis.phases import Phase, Phases
from mechgrok.measures.summary import Summary
from mechgrok.measures.summary_sequences import NOTHING
from mechgrok.plots.phase_changes import SHADE, shade_changes
from mechgrok.plots.phases import SHADES, shade
from mechgrok.plots.progress import PANELS, progress_figure
from mechgrok.plots.theme import layout_of
from mechgrok.progress import ProgressTable, progress_measures
from mechgrok.report.film import choose_steps
from mechgrok.report.parts import Band, FigureGroup, Panel, Section, SliderSteps, Table, with_position
from mechgrok.report.phase_changes import phase_change_section, phase_changes_of
from mechgrok.runs import Run
from mechgrok.wording import in_words

EDGE = 0.01
MOST_MEASURED = 100
"""Number of checkpoints that are measured; if there are more, they are chosen as for the slider."""


@dataclass(frozen=True)
class MeasuresOfRun:
    """The measures over the steps of a run with several checkpoints.

    Attributes:
        checkpoints: the slider's, with the phases, or, where there are none, the phase changes of the test loss.
        changes: phase changes of several curves, the test loss first, of a task with several answers or sequences.
        axis: both ends of every axis over steps; left to itself it would follow the line.
    """

    table: ProgressTable
    checkpoints: SliderSteps
    axis: tuple[float, float]
    changes: tuple[PhaseChanges, ...] | None = None

    @property
    def sections(self) -> tuple[Section, ...]:
        """The phases, and the measures as figures."""
        drawn = self.on(_figures(self.table))
        panels = tuple(
            Panel(f"measure-{i}", figure, "measure", title) for i, (title, figure) in enumerate(drawn.items())
        )
        caption = (
            "Shaded are the phases, in the colours of the bar above; the line is at the step shown. A dark bar at the "
            "foot marks the steps between which the boundary of a phase may lie."
        )
        if not _are_there(self.table.phases):
            caption = "Shaded are the phase changes of the test loss; the line is at the step shown."
        seen = in_words(len(self.table), "checkpoint")
        lead = f"What the analyses say at {seen}, with the keys of the last one throughout."
        changes = () if self.changes is None else (phase_change_section(self.changes),)
        return (
            *changes,
            *self._phases_section(),
            Section(
                "measures",
                "Progress measures",
                lead,
                (FigureGroup(panels, caption, columns=3),),
                missing=tuple(_undefined(self.table)),
            ),
        )

    def _phases_section(self) -> tuple[Section, ...]:
        """The phases of a training; with unlimited data there are none, but phase changes."""
        phases = self.table.phases
        if self.changes and not _are_there(phases):
            return ()
        return (Section("phases", "Phases of the training", _phases_lead(phases), table=_phases(self.table)),)

    def on(self, curves: Mapping[str, go.Figure]) -> dict[str, go.Figure]:
        """Figures over the steps with the phases and the line that the slider moves."""
        step, phases = self.checkpoints.steps[-1], self.table.phases
        drawn = {}
        for place, figure in curves.items():
            shaded = shade(go.Figure(figure), phases, labels=False)
            if self.changes and not _are_there(phases):
                shaded = shade_changes(shaded, self.changes[0])
            drawn[place] = with_position(shaded, step).update_xaxes(range=self.axis)
        return drawn


def measure_run(run: Run, summary: Summary, checkpoints: SliderSteps, steps: Sequence[int]) -> MeasuresOfRun:
    """Compute the progress measures of a run at some of its steps, with the keys of its newest network."""
    steps = choose_steps(steps, run.history, MOST_MEASURED)
    table = progress_measures(run, keys=summary.values["key_frequencies"], steps=steps, progress=False)
    changes = None if summary.sequence is NOTHING else phase_changes_of(run, table)
    bands = [*_bands(table.phases, checkpoints.steps)]
    if changes and not bands:
        bands = [*_bands_of_changes(changes[0], checkpoints.steps)]
    checkpoints = replace(checkpoints, phases=tuple(bands))
    axis = _axis([*run.steps, *(row["step"] or 0 for row in run.history)])
    return MeasuresOfRun(table, checkpoints, axis, changes)


def _axis(steps: Sequence[int | float]) -> tuple[float, float]:
    """All steps, with some room on both sides so that the line stays visible."""
    first, last = min(steps), max(steps)
    return first - EDGE * (last - first), last + EDGE * (last - first)


def _figures(table: ProgressTable) -> dict[str, go.Figure]:
    """A figure for each panel that has a value, by its title; the page sets the title itself."""
    drawn = {}
    for panel in PANELS:
        own = [name for name in (*panel.measures.values(), panel.parts) if name in table.measures]
        if any(_is_defined(table, name) for name in own):
            figure = progress_figure(table, measures=own, phases=False, columns=1)
            layout_of(figure).annotations = ()
            drawn[panel.title] = figure
    return drawn


def _is_defined(table: ProgressTable, measure: str) -> bool:
    return len(table.undefined.get(measure, ())) < len(table)


def _undefined(table: ProgressTable) -> Iterator[str]:
    """Measures that are undefined at every step, one line per reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reasons in table.undefined.items():
        if not _is_defined(table, name):
            by_reason.setdefault(reasons[table.steps[-1]], []).append(name)
    for reason, names in by_reason.items():
        yield f"Left out: {', '.join(names)}, because {reason}."


def _phases_lead(phases: Phases) -> str:
    missing = [phase.name for phase in phases if phase.start is None]
    if not missing:
        return "First the network memorises, then a circuit grows beside the memory, then the memory is cleaned up."
    return f"Not every training has all three; this one has no {' and no '.join(missing)} of its own."


def _phases(table: ProgressTable) -> Table:
    return (("phase", "from step", "to step", ""), *map(_phase_row, table.phases))


def _phase_row(phase: Phase) -> tuple[str, ...]:
    if phase.start is None:
        return phase.name, "–", "–", phase.reason
    ends = [
        "–"
        if b is None
        else f"{b.step:,}" + (f" ({b.earliest:,} to {b.latest:,})" if b.earliest < b.latest else "")
        for b in (phase.start, phase.end)
    ]
    return phase.name, *ends, phase.reason


def _are_there(phases: Phases) -> bool:
    return any(phase.start is not None for phase in phases)


def _bands_of_changes(changes: PhaseChanges, steps: tuple[int, ...]) -> Iterator[Band]:
    """The same for phase changes."""
    places = np.linspace(0, 1, len(steps))
    for change in changes:
        start, end = np.interp([change.start, change.end], steps, places).tolist()
        yield Band("phase change", start, end, SHADE)


def _bands(phases: Phases, steps: tuple[int, ...]) -> Iterator[Band]:
    """The phases next to the slider, on which the checkpoints are equally spaced."""
    places = np.linspace(0, 1, len(steps))
    for phase in phases:
        if phase.start is not None:
            last = phases.last if phase.end is None else phase.end.step
            start, end = np.interp([phase.start.step, last], steps, places).tolist()
            yield Band(phase.name, start, end, SHADES[phase.name])
