"""Training a network on a task, step by step, onto the disk."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechgrok.analysis.losses import cross_entropy
from mechgrok.analysis.spectrum import sum_squared_weights
from mechgrok.config import NetworkConfig, RunConfig, StartConfig, TrainConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.networks import Network
from mechgrok.runs import HistoryRow, Run, create_run, written_for
from mechgrok.tasks import Split, Task
from mechgrok.training.batches import MiniBatchStep
from mechgrok.training.devices import find_device
from mechgrok.training.display import Report, progress_bar
from mechgrok.training.loop import Loop
from mechgrok.training.networks import build_model
from mechgrok.training.objectives import Objective, make_objective
from mechgrok.training.optimizers import STATE_SEPARATOR, Updater
from mechgrok.training.parts import Weights, parameters_of, start_config, starting_weights, take_over
from mechgrok.training.recipes import find_recipe
from mechgrok.training.schedules import checkpoint_due
from mechgrok.training.settling import over
from mechgrok.training.step import AutogradStep, TrainingStep, make_step, prepare_process

Callback = Callable[[int, Network], None]
"""Told the step and the network; see `train`."""


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
    callback: Callback | None = None,
    device: str | torch.device | None = None,
    compile: bool = False,
    progress: bool = True,
    **changes: Any,
) -> Run:
    """Train a network until it has grokked and settled, or for a number of steps.

    A folder that already holds the same run is gone on with: a finished one is opened, an interrupted one
    continues bit for bit from its newest state, also to more steps than before. Ctrl-C finishes the step,
    saves, and raises `KeyboardInterrupt`.

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
        callback: called as callback(step, model) with every checkpoint, once it is on the disk; it may read the
            network and must not change it.
        device: where to train; None is the CPU.
        compile: compile networks that are trained by automatic differentiation, with `torch.compile`. Like the
            device it is chosen for a machine and not stored with the run: it changes results by rounding alone.
        progress: show a progress bar on standard error.
        changes: other fields of `TrainConfig` to replace, as in `lr=3e-3`.

    Raises:
        ConfigError: an unknown recipe, option or part, weights of other shapes to start from, a folder that holds
            something else, a training that diverges, a device or compiler that is not there.
        CheckpointError: the folder cannot be written.

    >>> from mechgrok import ModelConfig, modular_task
    >>> run = train(modular_task("add", 5), steps=20, model=ModelConfig(d_model=16), progress=False)
    >>> run.steps, run.history[-1]["step"]
    ((0, 20), 20)
    """
    if not isinstance(task, Task):
        raise ConfigError(f"train needs a task, as modular_task('add', 113) gives one; got {task!r}")
    changes |= {} if model is None else {"model": model}
    changes |= {} if steps is None else {"steps": steps}
    config = find_recipe(recipe).replace(**changes)
    find_device(device)
    run = begin(task, config, seed=seed, out=out, split=split, start=start, parts=parts)
    return resume(run, callback=callback, device=device, compile=compile, progress=progress)


def begin(
    task: Task,
    config: TrainConfig,
    *,
    seed: int,
    out: str | Path | None,
    split: Split | None = None,
    start: Weights | None = None,
    parts: Sequence[str] | None = None,
) -> Run:
    """The run of a training, for `resume`: a new one without a step yet, or what the folder holds of it."""
    split = split or task.split(config.fraction, seed, config.split_rule)
    taken, origin = _taken_over(task, config, start, parts)
    return create_run(out, RunConfig(task=task.spec, train=config, seed=seed, start=origin), split, taken)


def _taken_over(
    task: Task, config: TrainConfig, start: Weights | None, parts: Sequence[str] | None
) -> tuple[dict[str, Tensor], StartConfig | None]:
    """The weights to start from and what is noted about them; checks all parts before anything is written."""
    network = build_model(written_for(task, config), config.model)
    parameters_of(network, config.frozen)
    if start is None:
        if parts is not None:
            raise ConfigError(f"parts={tuple(parts)} needs start=..., the network that they are taken from")
        return {}, None
    weights = starting_weights(network, start, parts)
    return weights, start_config(start, weights)


def resume(
    run: Run,
    *,
    callback: Callback | None = None,
    device: str | torch.device | None = None,
    compile: bool = False,
    progress: bool = True,
) -> Run:
    """Go on with an interrupted run from its newest state; a finished one stays as it is.

    `callback` is called with the checkpoints that are new; `device` and `compile` are those of `train`.

    >>> from mechgrok import ModelConfig, modular_task
    >>> run = train(modular_task("add", 5), steps=3, model=ModelConfig(d_model=16), progress=False)
    >>> resume(run).steps
    (0, 3)
    """
    if not finished(run):
        training = Training(run, callback, device=device, compile=compile)
        name = f"{run.task.name} {run.config.train.recipe}"
        with progress_bar(name, run.config.train.steps, start=training.step, enabled=progress) as report:
            training.go(report)
    return run


def finished(run: Run) -> bool:
    """Whether the newest checkpoint is the end, so that nothing is left to do."""
    history, steps = run.history, run.steps
    return (
        bool(steps and history)
        and history[-1]["step"] == steps[-1]
        and over(steps[-1], history, run.config.train)
    )


class Training(Loop):
    """A training between two steps: the weights, the optimiser and the number of updates taken."""

    def __init__(
        self,
        run: Run,
        callback: Callback | None = None,
        *,
        device: str | torch.device | None = None,
        compile: bool = False,
    ) -> None:
        prepare_process()
        self.run, self.config, self.callback, self.compile = run, run.config.train, callback, compile
        self.path, self.device = run.path, find_device(device)
        self.model = build_model(run.task, self.config.model, seed=run.config.seed).to(self.device)
        take_over(self.model, run.start)
        self.updater = Updater(self.model, self.config)
        self.step = 0
        self._restore()
        self.history = run.history
        self.kept = list(run.steps)

    @cached_property
    def gradients(self) -> TrainingStep:
        """Gives the gradients of the next update, and logits."""
        run, objective = self.run, objective_of(self.config)
        if self.config.batch_size:
            step = AutogradStep(self.model, run.task, run.split.train, objective, compile=self.compile)
            return MiniBatchStep(step, self.config.batch_size, run.config.seed, self.step)
        return make_step(self.model, run.task, run.split.train, objective, compile=self.compile)

    def visit(self, report: Report) -> bool:
        if self.step % self.config.eval_every == 0 or self.step == self.config.steps:
            self._evaluate(report)
        done = over(self.step, self.history, self.config)
        if done or checkpoint_due(self.step, self.kept, self.history, self.config):
            self._keep()
        return done

    def update(self) -> None:
        self.gradients()
        self.updater(self.step)
        self.step += 1

    def save_state(self) -> None:
        weights = {f"weight{STATE_SEPARATOR}{n}": w for n, w in self.model.named_parameters()}
        self.run.write_state(self.step, weights | self.optimizer_state())

    def logits(self) -> Float[Tensor, "inputs d_vocab_out"]:
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
        report(self.history[-1])

    def _measures(self) -> HistoryRow:
        logits = self.logits()[:, : self.run.task.n_classes]
        labels = self.run.task.labels.to(self.device)
        losses = cross_entropy(logits, labels)
        right = (logits.argmax(1) == labels).double()
        if not losses.isfinite().all():
            raise ConfigError(
                f"the training diverged: the loss is not finite at step {self.step}. Lower the learning "
                f"rate (lr is {self.config.lr}) or take a longer warm-up (warmup is {self.config.warmup}), "
                f"in another folder than {self.run.path}"
            )
        train = self.run.split.train.to(self.device)
        masks = {"train": train, "test": ~train}
        return {
            **{f"loss_{name}": _mean(losses, mask) for name, mask in masks.items()},
            **{f"accuracy_{name}": _mean(right, mask) for name, mask in masks.items()},
            "sum_squared_weights": sum_squared_weights(self.model),
        }

    def _keep(self) -> None:
        new = self.step not in self.kept
        if new:
            self.run.write_checkpoint(self.step, self.model)
            self.kept.append(self.step)
        self.save_state()
        if new and self.callback:
            self.callback(self.step, self.model)

    def _restore(self) -> None:
        stored = self.run.read_state()
        if stored is None and any(self.run.steps):
            raise CheckpointError(
                f"{self.run.path} has checkpoints up to step {self.run.steps[-1]}, but not the optimiser's state to "
                "go on from; train again in another folder"
            )
        if stored is None:
            self.run.write_parameter_groups(self.updater.groups)
        self.step, tensors = stored or (0, {})
        tensors = {name: tensor.to(self.device) for name, tensor in tensors.items()}
        self.run.forget_after(self.step if stored else -1)
        weights = {k.split(STATE_SEPARATOR, 1)[1]: t for k, t in tensors.items() if k.startswith("weight")}
        if weights:
            self.model.load_state_dict(weights)
        self.updater.load({k: t for k, t in tensors.items() if not k.startswith("weight")})


def objective_of(config: TrainConfig) -> Objective:
    """What a configuration minimises."""
    return make_objective(
        config.objective, dtype=config.loss_dtype, naive=config.naive_loss, scale=config.loss_scale
    )


def _mean(values: Tensor, mask: Tensor) -> float | None:
    return values[mask].mean().item() if mask.any() else None
