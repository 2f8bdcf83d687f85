"""Progress measures and phases on the page of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from mechgrok.analysis.phases import Phase, Phases
from mechgrok.measures.summary import Summary
from mechgrok.plots.phases import SHADES, shade
from mechgrok.plots.progress import PANELS, progress_figure
from mechgrok.plots.theme import layout_of
from mechgrok.progress import ProgressTable, progress_measures
from mechgrok.report.film import choose_steps
from mechgrok.report.parts import Band, FigureGroup, Panel, Section, SliderSteps, Table, with_position
from mechgrok.runs import Run
from mechgrok.wording import in_words

EDGE = 0.01
MOST_MEASURED = 100
"""Maximum number of checkpoints measured; if there are more, they are chosen as for the slider."""


@dataclass(frozen=True)
class MeasuresOfRun:
    """The measures over the steps of a run with several checkpoints.

    Attributes:
        checkpoints: the slider's checkpoints, with the phases.
        axis: both ends of every step axis; otherwise it would follow the line.
    """

    table: ProgressTable
    checkpoints: SliderSteps
    axis: tuple[float, float]

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
        seen = in_words(len(self.table), "checkpoint")
        lead = f"What the analyses say at {seen}, with the keys of the last one throughout."
        return (
            Section(
                "phases", "Phases of the training", _phases_lead(self.table.phases), table=_phases(self.table)
            ),
            Section(
                "measures",
                "Progress measures",
                lead,
                (FigureGroup(panels, caption, columns=3),),
                missing=tuple(_undefined(self.table)),
            ),
        )

    def on(self, curves: Mapping[str, go.Figure]) -> dict[str, go.Figure]:
        """Figures over the steps with the phases and the line that the slider moves."""
        step, phases = self.checkpoints.steps[-1], self.table.phases
        drawn = {}
        for place, figure in curves.items():
            shaded = shade(go.Figure(figure), phases, labels=False)
            drawn[place] = with_position(shaded, step).update_xaxes(range=self.axis)
        return drawn


def measure_run(run: Run, summary: Summary, checkpoints: SliderSteps, steps: Sequence[int]) -> MeasuresOfRun:
    """Compute the progress measures of a run at some of its steps, with the keys of its newest network."""
    steps = choose_steps(steps, run.history, MOST_MEASURED)
    table = progress_measures(run, keys=summary.values["key_frequencies"], steps=steps, progress=False)
    checkpoints = replace(checkpoints, phases=tuple(_bands(table.phases, checkpoints.steps)))
    return MeasuresOfRun(table, checkpoints, _axis([*run.steps, *(row["step"] or 0 for row in run.history)]))


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


def _bands(phases: Phases, steps: tuple[int, ...]) -> Iterator[Band]:
    """The phases next to the slider, on which the checkpoints are equally spaced."""
    places = np.linspace(0, 1, len(steps))
    for phase in phases:
        if phase.start is not None:
            last = phases.last if phase.end is None else phase.end.step
            start, end = np.interp([phase.start.step, last], steps, places).tolist()
            yield Band(phase.name, start, end, SHADES[phase.name])
