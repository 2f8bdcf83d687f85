"""A run as shown on the page: its network at many checkpoints, and the numbers next to the slider."""

from collections.abc import Sequence
from dataclasses import dataclass

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.losses import full_loss, task_score
from mechgrok.measures.summary import Summary
from mechgrok.report.film import Film, choose_steps
from mechgrok.report.parts import SliderSteps
from mechgrok.report.portrait import Picture, Portrait, choose_portrait, film_of, most_frames
from mechgrok.runs import Run
from mechgrok.tasks import Split
from mechgrok.wording import number, percent


@dataclass(frozen=True)
class FilmedTraining:
    """The checkpoints of a run, drawn.

    Attributes:
        films: the portrait's figures.
        checkpoints: the range of the slider; None if there is only one checkpoint.
    """

    portrait: Portrait
    films: dict[str, Film]
    checkpoints: SliderSteps | None


def film_training(run: Run, last: ActivationGrid, summary: Summary, steps: Sequence[int]) -> FilmedTraining:
    """Draw a run at up to 40 checkpoints.

    Args:
        last: the network at the newest of the steps.
        summary: the summary of that network.
        steps: steps of the checkpoints that may be shown.
    """
    order = None if summary.keys.no_group else last.task.frame.order
    steps = choose_steps(steps, run.history, most_frames(order))
    portrait = choose_portrait(last, summary, len(steps))
    pictures: list[Picture] = []
    values: list[dict[str, str]] = []
    for step in steps:
        grid = last if step == steps[-1] else run.grid(step)
        pictures.append(portrait.draw(grid))
        values.append(_results(grid, run.split))
    facts = tuple(values[-1])
    shown = SliderSteps(steps, facts, tuple(tuple(v.values()) for v in values))
    return FilmedTraining(portrait, film_of(pictures), shown if len(steps) > 1 else None)


def _results(grid: ActivationGrid, split: Split) -> dict[str, str]:
    parts = {"train": split.train, "test": split.test}
    present = {name: mask for name, mask in parts.items() if mask.any()}
    losses = {f"{name} loss": number(full_loss(grid, mask)) for name, mask in present.items()}
    score, shown = grid.task.score, percent if grid.task.score == "accuracy" else number
    return losses | {f"{name} {score}": shown(task_score(grid, mask)) for name, mask in present.items()}
