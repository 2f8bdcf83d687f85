"""Many seeds as one network with stacked weights: what a GPU needs to be busy with networks as small as these."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.config import CustomConfig, TrainConfig
from mechgrok.models.networks import Network
from mechgrok.runs import Run
from mechgrok.training.assembly import Assembly, objective_of
from mechgrok.training.display import Report, progress_bar
from mechgrok.training.locks import only_here
from mechgrok.training.loop import Loop
from mechgrok.training.optimizers import Updater
from mechgrok.training.settling import finished
from mechgrok.training.stacked import StackedStep, member_state, stack_states, stack_weights
from mechgrok.training.trainer import Training

Failures = dict[Path, Exception]
"""What ended the training in a folder."""


def why_not_batched(config: TrainConfig) -> str | None:
    """Why trainings of this configuration cannot be batched; None if they can.

    What acts on each weight alone acts on stacked weights as it is. What takes a network's weights together, as
    a matrix or by their length, does not.

    >>> why_not_batched(TrainConfig(gradient="grokfast_ema")), why_not_batched(TrainConfig(optimizer="muon"))
    (None, 'Muon takes each weight as one matrix')
    """
    if config.optimizer == "muon":
        return "Muon takes each weight as one matrix"
    if config.gradient == "orthograd":
        return "OrthoGrad takes the length of each weight"
    if isinstance(config.model, CustomConfig):
        return "the network is the user's own"
    if config.batch_size:
        return "mini-batches are drawn for each seed"
    return None


def train_batched(
    runs: Sequence[Run], *, device: str | torch.device | None = None, progress: bool = True
) -> Failures:
    """Go on with runs of one task and configuration, which differ in seed and split, as one batched network.

    Every run becomes what it would have become alone, but for rounding. Runs that have been interrupted at different
    steps are batched by their steps; finished ones stay as they are.

    Returns:
        The errors of those that failed; the others are kept.

    Raises:
        KeyboardInterrupt: Ctrl-C; all are saved.
    """
    failures: Failures = {}
    with ExitStack() as locks:
        opened = sorted(_open(runs, device, failures, locks), key=_step)
        for step, members in groupby(opened, key=_step):
            batch = Batch(list(members), failures)
            name = f"{len(batch.members)} networks {batch.config.recipe}"
            with progress_bar(name, batch.config.steps, start=step, enabled=progress) as report:
                batch.go(report)
    return failures


class BatchMember(Training):
    """A training that a batch takes the updates of, once it has joined one.

    Attributes:
        batch, number: where its optimiser's state and its logits are found.
    """

    batch: "Batch | None" = None
    number: int = 0

    def logits(self) -> Float[Tensor, "inputs d_vocab_out"]:
        return super().logits() if self.batch is None else self.batch.gradients.logits(self.number)

    def optimizer_state(self) -> dict[str, Tensor]:
        if self.batch is None:
            return super().optimizer_state()
        return member_state(self.batch.updater.state(), self.number)


class Batch(Loop):
    """Trainings at the same step, which take their updates together.

    Each evaluates and keeps its own network, whose weights are views of the stacked ones. Members that have come
    to their end, or have failed, leave.

    Args:
        members: of the same task and configuration.
        failures: takes the errors of members.
    """

    def __init__(self, members: Sequence[BatchMember], failures: Failures) -> None:
        self.members, self.failures = list(members), failures
        self.config, self.step = members[0].config, members[0].step
        self.path = members[0].run.path.parent
        self._stack()

    def visit(self, report: Report) -> bool:
        staying = [member for member in self.members if not self._leaves(member, report)]
        if staying and len(staying) < len(self.members):
            self.members = staying
            self._stack()
        return not staying

    def update(self) -> None:
        self.gradients()
        self.updater(self.step)
        self.step += 1
        for member in self.members:
            member.step = self.step

    def save_state(self) -> None:
        for member in self.members:
            member.save_state()

    def _leaves(self, member: BatchMember, report: Report) -> bool:
        try:
            return member.visit(report)
        except Exception as error:
            # Raised, it would end all the others.
            self.failures[member.run.path] = error
            return True

    def _stack(self) -> None:
        states = [member.optimizer_state() for member in self.members]
        runs = [member.run for member in self.members]
        network = stack_weights([cast(Network, member.model) for member in self.members])
        self.updater = Updater(network, self.config)
        self.updater.load(stack_states(states))
        masks = [run.split.train for run in runs]
        self.gradients = StackedStep(network, runs[0].task, masks, objective_of(self.config))
        for number, member in enumerate(self.members):
            member.batch, member.number = self, number


def _step(member: BatchMember) -> int:
    return member.step


def _open(
    runs: Sequence[Run], device: str | torch.device | None, failures: Failures, locks: ExitStack
) -> Iterator[BatchMember]:
    for run in runs:
        try:
            if not finished(run):
                locks.enter_context(only_here(run))
                yield BatchMember(run, Assembly(run, device=device))
        except Exception as error:
            failures[run.path] = error
