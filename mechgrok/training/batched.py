"""Many runs as one network with stacked weights, which keeps a processor busy despite the small networks."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.config import CustomConfig, TrainConfig
from mechgrok.fast.stacks import network_like, stack_weights
from mechgrok.models.hooked import HookedNetwork
from mechgrok.runs import Run
from mechgrok.training.assembly import Assembly
from mechgrok.training.locks import only_here
from mechgrok.training.loop import Loop
from mechgrok.training.progress_bars import Report, progress_bar
from mechgrok.training.stacked import make_stacked_step
from mechgrok.training.stacked_updates import StackedUpdater, update_settings
from mechgrok.training.stopping import finished
from mechgrok.training.trackers import Tracker, tracking
from mechgrok.training.trainer import Training
from mechgrok.training.updates import takes_weights_whole

Failures = dict[Path, Exception]
"""The error that ended the run in a folder."""


def why_not_batched(config: TrainConfig) -> str | None:
    """The reason why runs of this configuration cannot be batched; None if they can.

    Operations that act on each entry of a weight separately apply unchanged to stacked weights. Operations that combine
    the entries, as a matrix or by their norm, do not.

    >>> why_not_batched(TrainConfig(gradient="grokfast_ema")), why_not_batched(TrainConfig(optimizer="muon"))
    (None, "optimizer='muon' takes each weight as a whole")
    """
    whole = takes_weights_whole(config)
    if whole:
        return f"{whole} takes each weight as a whole"
    if isinstance(config.model, CustomConfig):
        return "the network is the user's own"
    if config.batch_size:
        return "mini-batches are drawn for each seed"
    return None


SHARED = (
    "sequence", "model", "objective", "loss_dtype", "naive_loss", "loss_scale", "batch_size", "eval_every",
)  # fmt: skip
"""Fields of a configuration in which the runs of a stack agree, besides their task."""


def stack_key(config: TrainConfig) -> str:
    """The common settings of runs that can be stacked, as text; the draw of initial weights is not part of it."""
    shared = {field: value for field, value in config.to_json().items() if field in SHARED}
    shared["model"].pop("init", None)
    return repr(shared)


def train_batched(
    runs: Sequence[Run],
    *,
    device: str | torch.device | None = None,
    tracker: str | Tracker | None = None,
    progress: bool = True,
) -> Failures:
    """Go on with runs of one architecture, which differ in seed, split, labels and updates, as one batched network.

    Every run turns out as it would have on its own, except for rounding. Members at different steps, because the
    processes were killed while saving them, keep their places in the batch, and wait there for the others: each update
    is computed as it would have been without the interruption, bit for bit.

    Returns:
        The errors of the runs that failed; the others are kept.

    Raises:
        KeyboardInterrupt: Ctrl-C; all runs are saved.
    """
    failures: Failures = {}
    with ExitStack() as contexts:
        places = [
            place for run in runs if (place := _open(run, device, tracker, failures, contexts)) is not None
        ]
        trained = sum(place.member is not None for place in places)
        if trained:
            batch = StackedTrainings(places, failures)
            name, steps = (
                f"{trained} networks {batch.config.recipe}",
                max(p.run.config.train.steps for p in places),
            )
            with progress_bar(name, steps, start=batch.step, enabled=progress) as report:
                batch.go(report)
    return failures


class BatchMember(Training):
    """A run whose updates are taken by a batch, once it has joined one.

    Attributes:
        batch, number: the place of its optimiser's state and its logits.
    """

    batch: "StackedTrainings | None" = None
    number: int = 0

    def logits(self) -> Float[Tensor, "inputs *scored d_out"]:
        return super().logits() if self.batch is None else self.batch.gradients.logits(self.number)

    def optimizer_state(self) -> dict[str, Tensor]:
        if self.batch is None:
            return super().optimizer_state()
        return self.batch.updater.state(self.number)


@dataclass(frozen=True, eq=False)
class Place:
    """The place of a run in the batch.

    Attributes:
        member: the run; None if it is finished.
        until: the step up to which the place is only held: the member's step to resume from, or a finished run's end.
    """

    run: Run
    member: BatchMember | None
    until: int


class StackedTrainings(Loop):
    """Runs that take their updates together.

    Each evaluates and saves its own network, whose weights are views of the stacked ones. Members that have reached
    their end, or have failed, leave. The last bits of a product of stacked matrices depend on the number of matrices
    and on the place of each, though not on the others' values. So the place of a run that is ahead is held, by a copy
    of another network, for as long as it took part in these steps.

    Args:
        places: runs of tasks with the same inputs and of one `stack_key`, one of them unfinished.
        failures: takes the errors of members.
    """

    def __init__(self, places: Sequence[Place], failures: Failures) -> None:
        # Neighbours with the same settings are updated together.
        self.places = sorted(places, key=lambda place: update_settings(place.run.config.train))
        self.failures = failures
        members = [place.member for place in places if place.member is not None]
        self.config, self.path = members[0].config, members[0].run.path.parent
        self.threads = members[0].run.config.threads
        self._go_to_next()

    @property
    def active(self) -> list[BatchMember]:
        """The members that have reached this step."""
        return [p.member for p in self.places if p.member is not None and p.until <= self.step]

    def visit(self, report: Report) -> bool:
        if any(member.batch is None for member in self.active):
            self._stack()
        left = {member for member in self.active if self._leaves(member, report)}
        staying = [place for place in self.places if place.member not in left and not self._is_over(place)]
        if all(place.member is None for place in staying):
            return True
        if len(staying) < len(self.places):
            self.places = staying
            if not self.active:
                self._go_to_next()
                return self.visit(report)
            self._stack()
        return False

    def update(self) -> None:
        self.gradients()
        self.updater(self.step)
        active = self.active
        self.step += 1
        for member in active:
            member.step = self.step

    def save_state(self) -> None:
        for member in self.active:
            member.save_state()

    def _is_over(self, place: Place) -> bool:
        return place.member is None and place.until <= self.step

    def _go_to_next(self) -> None:
        """Continue from the first step at which a member waits."""
        self.step = min(place.until for place in self.places if place.member is not None)
        self.places = [place for place in self.places if not self._is_over(place)]
        self._stack()

    def _leaves(self, member: BatchMember, report: Report) -> bool:
        try:
            return member.visit(report)
        except Exception as error:
            # Raising it would end all the others.
            self.failures[member.run.path] = error
            return True

    def _stack(self) -> None:
        active = self.active
        trained = [place.member if place.member in active else None for place in self.places]
        filler = active[0].optimizer_state()
        states = [filler if member is None else member.optimizer_state() for member in trained]
        models = [cast(HookedNetwork, (active[0] if member is None else member).model) for member in trained]
        models = [
            _copy(model) if member is None else model for model, member in zip(models, trained, strict=True)
        ]
        network = stack_weights(models)
        runs = [place.run for place in self.places]
        self.updater = StackedUpdater(network, [run.config.train for run in runs], states)
        masks = [run.split.train for run in runs]
        objective = active[0].assembly.objective
        self.gradients = make_stacked_step(models, network, [run.task for run in runs], masks, objective)
        for number, member in enumerate(trained):
            if member is not None:
                member.batch, member.number = self, number


def _copy(model: HookedNetwork) -> HookedNetwork:
    copy = network_like(model)
    copy.load_state_dict(model.state_dict())
    return copy


def _open(
    run: Run,
    device: str | torch.device | None,
    tracker: str | Tracker | None,
    failures: Failures,
    contexts: ExitStack,
) -> Place | None:
    try:
        if finished(run):
            return Place(run, None, run.steps[-1])
        contexts.enter_context(only_here(run))
        tells = contexts.enter_context(tracking(tracker, run))
        member = BatchMember(run, Assembly(run, device=device), tracker=tells)
        return Place(run, member, member.step)
    except Exception as error:
        failures[run.path] = error
        return None
