"""Training a network on a task, step by step, onto the disk."""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.spectrum import sum_squared_weights
from mechgrok.config import NetworkConfig, TrainChanges, TrainConfig
from mechgrok.door import door
from mechgrok.errors import CheckpointError, ConfigError, shown
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.own import Factory
from mechgrok.models.wrapped import WrappedNetwork
from mechgrok.runs import STATE, HistoryRow, Run
from mechgrok.tasks import Split, Task
from mechgrok.training.assembly import Assembly
from mechgrok.training.checkpoint_times import Spacing, checkpoint_due
from mechgrok.training.devices import find_device
from mechgrok.training.evaluation import evaluate
from mechgrok.training.locks import only_here, tidy
from mechgrok.training.loop import Loop
from mechgrok.training.networks import suited, with_own_network
from mechgrok.training.parameters import Weights
from mechgrok.training.progress_bars import Report, progress_bar
from mechgrok.training.recipes import find_recipe
from mechgrok.training.starting import assemble, make_plan, prepare
from mechgrok.training.step import TrainingStep
from mechgrok.training.stopping import finished, over
from mechgrok.training.stored_state import check_state, joined_state, parted_state
from mechgrok.training.trackers import Tracker, check_tracker, tracking

Callback = Callable[[int, HookedNetwork | WrappedNetwork], None]
"""Told the step and the network; see `train`."""


@door
def train(
    task: Task,
    recipe: str | TrainConfig = "fast",
    *,
    model: NetworkConfig | None = None,
    seed: int = 0,
    steps: int | None = None,
    out: str | Path | None = None,
    split: Split | None = None,
    start: Weights | None = None,
    parts: Sequence[str] | None = None,
    network: Factory | None = None,
    callback: Callback | None = None,
    device: str | torch.device | None = None,
    compile: bool = False,
    tracker: str | Tracker | None = None,
    progress: bool = True,
    **changes: Unpack[TrainChanges],
) -> Run:
    """Train a network until it has grokked and settled, or for a number of steps.

    A folder that already holds the same run is gone on with: a finished one is opened, an interrupted one
    continues bit for bit from its newest state, and one that ended after fewer steps is lengthened. What is
    lengthened has the weights of a training that was as long from the beginning; its old end stays a checkpoint and
    an evaluation, from which an adaptive schedule measures on. Ctrl-C finishes the step, saves, and raises
    `KeyboardInterrupt`.

    Args:
        task: what to learn.
        recipe: name of a recipe, or a configuration.
        model: another architecture than the recipe's.
        seed: of the initial weights and of the split.
        steps: another number of steps than the recipe's.
        out: folder to write to; None takes a temporary one that lives as long as the returned object.
        split: train inputs; None draws them by the recipe's rule, fraction and the seed.
        start: a network, or weights by name, from which the new network takes over those of `parts`; None draws
            all weights. `frozen=("embed",)` among the changes keeps a part as it began.
        parts: what is taken over, such as ("embed",) or ("blocks",); None takes all of `start`.
        network: makes a network of the user's own, in place of `model`: `lambda task: mg.wrap(MyMLP(), task, ...)`. It
            is trained by automatic differentiation. The folder holds its weights and not its code: the same
            function goes on with it, and opens it again by `load_run(path, network=...)`. What draws random numbers in
            its pass, as dropout does, is not resumed bit for bit.
        callback: called as callback(step, model) with every checkpoint, once it is on the disk; it may read the
            network and must not change it.
        device: where to train; None is the CPU.
        compile: compile networks that are trained by automatic differentiation, with `torch.compile`. Like the
            device it is chosen for a machine and not stored with the run: it changes results by rounding alone.
        tracker: what is told every evaluation as it comes: "tensorboard", "wandb" (offline) or "mlflow", each of which
            needs the package of that name, or an object with a method `log(step, values)`.
        progress: show a progress bar on standard error.
        changes: other fields of `TrainConfig` to replace, as in `lr=3e-3`.

    Raises:
        ConfigError: an unknown recipe, option or part, weights of other shapes to start from, a split of another
            task, a folder that holds something else, a training that diverges, a device or compiler that is not there,
            or too little memory.
        TaskError: the task does not fit the network.
        CheckpointError: the folder cannot be written, its disk is too full, the run in it is damaged, or another
            process trains it.

    Nothing is written before all of this is known, but for a training that diverges.

    >>> from mechgrok import ModelConfig, modular_task
    >>> run = train(modular_task("add", 5), steps=20, model=ModelConfig(d_model=16), progress=False)
    >>> run.steps, run.history[-1]["step"]
    ((0, 20), 20)
    """
    if not isinstance(task, Task):
        raise ConfigError(f"train needs a task, as modular_task('add', 113) gives one; got {shown(task)}")
    if not (callback is None or callable(callback)):
        raise ConfigError(f"callback is called as callback(step, model); got {shown(callback)}")
    given = {name: value for name, value in (("model", model), ("steps", steps)) if value is not None}
    config = suited(find_recipe(recipe).replace(**changes, **given), task)
    if network is not None:
        config = with_own_network(task, config, seed, network, model)
    find_device(device)
    check_tracker(tracker)
    plan = make_plan(task, config, seed, split, start, parts, network)
    run, assembly = prepare(plan, out, device, compile)
    return run if assembly is None else _go(run, assembly, callback, tracker, progress)


@door
def resume(
    run: Run,
    *,
    callback: Callback | None = None,
    device: str | torch.device | None = None,
    compile: bool = False,
    tracker: str | Tracker | None = None,
    progress: bool = True,
) -> Run:
    """Go on with an interrupted run from its newest state; a finished one stays as it is.

    `callback` is called with the checkpoints that are new, `tracker` told the evaluations that are new; `device` and
    `compile` are those of `train`.

    >>> from mechgrok import ModelConfig, modular_task
    >>> run = train(modular_task("add", 5), steps=3, model=ModelConfig(d_model=16), progress=False)
    >>> resume(run).steps
    (0, 3)
    """
    if finished(run):
        tidy(run)
        return run
    check_tracker(tracker)
    return _go(run, assemble(run, run.path, device, compile), callback, tracker, progress)


def _go(
    run: Run, assembly: Assembly, callback: Callback | None, tracker: str | Tracker | None, progress: bool
) -> Run:
    name = f"{run.task.name} {run.config.train.recipe}"
    with only_here(run), tracking(tracker, run) as tells:
        training = Training(run, assembly, callback, tells)
        with progress_bar(name, run.config.train.steps, start=training.step, enabled=progress) as report:
            training.go(report)
    return run


class Training(Loop):
    """A training between two steps: the weights, the optimiser and the number of updates taken."""

    def __init__(
        self,
        run: Run,
        assembly: Assembly,
        callback: Callback | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        self.run, self.config, self.assembly, self.callback = run, run.config.train, assembly, callback
        self.tracker = tracker
        self.path = None if run.temporary else run.path
        self.threads, self.spacing = run.config.threads, Spacing()
        self.model, self.updater = assembly.model, assembly.updater
        self.step = 0
        self._restore()
        self.history = run.history
        self.kept = list(run.steps)

    @cached_property
    def gradients(self) -> TrainingStep:
        """Gives the gradients of an update, and outputs."""
        return self.assembly.gradients

    def visit(self, report: Report) -> bool:
        if self.step % self.config.eval_every == 0 or self.step == self.config.steps:
            self._evaluate(report)
        done = over(self.step, self.history, self.config, self.run.task)
        due = checkpoint_due(self.step, self.kept, self.history, self.config)
        if done or (due and self.spacing.is_over()):
            self._keep()
        return done

    def update(self) -> None:
        self.gradients(self.step)
        self.updater(self.step)
        self.step += 1

    def save_state(self) -> None:
        self.run.write_state(self.step, joined_state(self.model, self.optimizer_state()))

    def logits(self) -> Float[Tensor, "inputs *scored d_out"]:
        """Of the present weights, for all inputs of the task."""
        return self.gradients.logits(None)

    def optimizer_state(self) -> dict[str, Tensor]:
        """All that the next update depends on besides the weights."""
        return self.updater.state()

    def _evaluate(self, report: Report) -> None:
        if not self.history or (self.history[-1]["step"] or 0) < self.step:
            row = {"step": self.step, **self._measures()}
            self.history.append(row)
            self.run.append_history(row)
            if self.tracker is not None:
                self.tracker.log(self.step, {n: v for n, v in row.items() if n != "step" and v is not None})
        report(self.history[-1])

    def _measures(self) -> HistoryRow:
        data, signature = self.assembly.data, self.run.task.signature
        row = evaluate(
            self.logits(),
            data.examples,
            data.parts,
            signature,
            self.assembly.objective,
            self.config.objective,
        )
        if not all(value is None or isfinite(value) for value in row.values()):
            raise self._diverged("the loss is not finite")
        return {**row, "sum_squared_weights": sum_squared_weights(self.model)}

    def _keep(self) -> None:
        new = self.step not in self.kept
        if new:
            if not all(weight.isfinite().all() for weight in self.model.parameters()):
                raise self._diverged("the weights are not finite")
            self.run.write_checkpoint(self.step, self.model)
            self.kept.append(self.step)
        self.save_state()
        if new and self.callback:
            self.callback(self.step, self.model)

    def _diverged(self, how: str) -> ConfigError:
        elsewhere = "" if self.run.temporary else f", in another folder than {self.run.path}"
        return ConfigError(
            f"the training diverged: {how} at step {self.step}. Lower the learning rate (lr is {self.config.lr}) or "
            f"take a longer warm-up (warmup is {self.config.warmup}){elsewhere}"
        )

    def _restore(self) -> None:
        stored, steps = self.run.read_state(), self.run.steps
        if stored is None and any(steps):  # step 0 alone can be made again
            raise CheckpointError(
                f"{self.run.path} has checkpoints up to step {steps[-1]}, but not the optimiser's state to "
                "go on from; train again in another folder"
            )
        if stored is not None:
            self._load(*stored)
            if not self.run.history:
                raise CheckpointError(
                    f"{self.run.path} has a state at step {self.step}, but its history is gone; train again in another "
                    "folder"
                )
        _ = self.run.parameter_groups  # written anew below: those of another run are refused, not replaced
        self.run.write_config()  # with more steps, where the run is lengthened
        self.run.remove_partial()
        self.run.forget_after(self.step if stored else -1)
        self.run.write_parameter_groups(self.updater.groups)

    def _load(self, step: int, state: dict[str, Tensor]) -> None:
        check_state(state, self.assembly.state_at(step), self.run.path / STATE)
        weights, optimizer = parted_state(state)
        self.step = step
        self.model.load_state_dict(weights)
        self.updater.load({name: tensor.to(self.assembly.device) for name, tensor in optimizer.items()})
