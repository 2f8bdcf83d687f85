"""Train a network on a task, step by step, and write the run to disk."""

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
"""Called with the step and the network; see `train`."""


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

    If a folder already holds the same run, it is continued: a finished run is opened, an interrupted run
    resumes bit for bit from its newest state, and a run that ended after fewer steps is lengthened. A lengthened run
    has the weights of a run that was as long from the beginning; its old end remains a checkpoint and an evaluation,
    from which an adaptive schedule measures on. Ctrl-C finishes the step, saves, and raises
    `KeyboardInterrupt`.

    Args:
        task: the task to learn.
        recipe: name of a recipe, or a configuration.
        model: an architecture to replace the recipe's.
        seed: determines the initial weights and the split.
        steps: a number of steps to replace the recipe's.
        out: folder to write to; None means a temporary one that lives as long as the returned object.
        split: train inputs; None draws them by the recipe's rule, fraction and the seed.
        start: a network, or weights by name, from which the new network copies the weights of `parts`; None draws
            all weights. `frozen=("embed",)` among the changes keeps a part at its starting weights.
        parts: the parts to copy, such as ("embed",) or ("blocks",); None copies everything in `start`.
        network: makes a user-defined network, instead of `model`: `lambda task: mg.wrap(MyMLP(), task, ...)`. It is
            trained by automatic differentiation. The folder holds its weights but not its code: the same function
            is needed to resume the run, and to open it with `load_run(path, network=...)`. Modules that draw random
            numbers in the forward pass, such as dropout, are not resumed bit for bit.
        callback: called as callback(step, model) with every checkpoint, once it is on disk; it may read the
            network but must not change it.
        device: device to train on; None means the CPU.
        compile: whether to compile networks that are trained by automatic differentiation, with `torch.compile`. Like
            the device, it is chosen for a machine and not stored with the run: it changes results only by rounding.
        tracker: receives every evaluation as it arrives: "tensorboard", "wandb" (offline) or "mlflow", each of which
            needs the package of that name, or an object with a method `log(step, values)`.
        progress: whether to show a progress bar on standard error.
        changes: other fields of `TrainConfig` to replace, as in `lr=3e-3`.

    Raises:
        ConfigError: an unknown recipe, option or part, starting weights of different shapes, a split of another task,
            a folder that holds something else, a run that diverges, an unavailable device or compiler, or too little
            memory.
        TaskError: the task does not fit the network.
        CheckpointError: the folder cannot be written, its disk is too full, the run in it is damaged, or another
            process is training it.

    Nothing is written before all of this is checked, except divergence.

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
    """Resume an interrupted run from its newest state; a finished one is left unchanged.

    `callback` is called with new checkpoints, and `tracker` receives new evaluations; `device` and `compile` are as in
    `train`.

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
    """A run between two steps: the weights, the optimiser and the number of updates taken."""

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
        """Computes the gradients of an update, and outputs."""
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
        """The logits under the current weights, for all inputs of the task."""
        return self.gradients.logits(None)

    def optimizer_state(self) -> dict[str, Tensor]:
        """Everything that the next update depends on besides the weights."""
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
        if stored is None and any(steps):  # only step 0 can be recomputed
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
        _ = self.run.parameter_groups  # rewritten below: another run's are refused, not replaced
        self.run.write_config()  # with more steps, if the run is lengthened
        self.run.remove_partial()
        self.run.forget_after(self.step if stored else -1)
        self.run.write_parameter_groups(self.updater.groups)

    def _load(self, step: int, state: dict[str, Tensor]) -> None:
        check_state(state, self.assembly.state_at(step), self.run.path / STATE)
        weights, optimizer = parted_state(state)
        self.step = step
        self.model.load_state_dict(weights)
        self.updater.load({name: tensor.to(self.assembly.device) for name, tensor in optimizer.items()})
