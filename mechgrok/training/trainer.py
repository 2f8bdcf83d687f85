"""Training a network on a task, step by step, onto the disk."""

from pathlib import Path
from typing import Any

from torch import Tensor

from mechgrok.analysis.losses import cross_entropy
from mechgrok.analysis.spectrum import sum_squared_weights
from mechgrok.config import NetworkConfig, RunConfig, TrainConfig
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.runs import HistoryRow, Run, create_run
from mechgrok.tasks import Split, Task
from mechgrok.training.batches import MiniBatchStep
from mechgrok.training.display import Report, progress_bar
from mechgrok.training.interrupts import deferred_interrupt
from mechgrok.training.networks import build_model
from mechgrok.training.objectives import Objective, make_objective
from mechgrok.training.optimizers import STATE_SEPARATOR, Updater
from mechgrok.training.recipes import find_recipe
from mechgrok.training.schedules import checkpoint_due
from mechgrok.training.settling import over
from mechgrok.training.step import AutogradStep, TrainingStep, make_step, prepare_process


def train(
    task: Task,
    recipe: str | TrainConfig = "fast",
    *,
    model: NetworkConfig | None = None,
    seed: int = 0,
    steps: int | None = None,
    out: str | Path | None = None,
    split: Split | None = None,
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
        progress: show a progress bar on standard error.
        changes: other fields of `TrainConfig` to replace, as in `lr=3e-3`.

    Raises:
        ConfigError: an unknown recipe or option, a folder that holds something else, a training that diverges.
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
    split = split or task.split(config.fraction, seed, config.split_rule)
    run = create_run(out, RunConfig(task=task.spec, train=config, seed=seed), split)
    resume(run, progress=progress)
    return run


def resume(run: Run, *, progress: bool = True) -> Run:
    """Go on with an interrupted run from its newest state; a finished one stays as it is.

    >>> from mechgrok import ModelConfig, modular_task
    >>> run = train(modular_task("add", 5), steps=3, model=ModelConfig(d_model=16), progress=False)
    >>> resume(run).steps
    (0, 3)
    """
    if not _finished(run):
        training = Training(run)
        name = f"{run.task.name} {run.config.train.recipe}"
        with progress_bar(name, run.config.train.steps, start=training.step, enabled=progress) as report:
            training.go(report)
    return run


def _finished(run: Run) -> bool:
    """Whether the newest checkpoint is the end, so that nothing is left to do."""
    history, steps = run.history, run.steps
    return (
        bool(steps and history)
        and history[-1]["step"] == steps[-1]
        and over(steps[-1], history, run.config.train)
    )


class Training:
    """A training between two steps: the weights, the optimiser and the number of updates taken."""

    def __init__(self, run: Run) -> None:
        prepare_process()
        self.run, self.config = run, run.config.train
        self.model = build_model(run.task, self.config.model, seed=run.config.seed)
        self.updater = Updater(self.model, self.config)
        self.step = 0
        self._restore()
        self.history = run.history
        self.kept = list(run.steps)
        self.gradients = self._make_gradients()

    def go(self, report: Report) -> None:
        """Train to the end.

        Raises:
            KeyboardInterrupt: Ctrl-C; the state is saved.
        """
        with deferred_interrupt() as interrupted:
            while True:
                if self.step % self.config.eval_every == 0 or self.step == self.config.steps:
                    self._evaluate(report)
                done = over(self.step, self.history, self.config)
                if done or checkpoint_due(self.step, self.kept, self.history, self.config):
                    self._keep()
                if done:
                    return
                if interrupted():
                    self._save_state()
                    raise KeyboardInterrupt(
                        f"stopped at step {self.step}; the same call goes on from {self.run.path}"
                    )
                self.gradients()
                self.updater(self.step)
                self.step += 1

    def _make_gradients(self) -> TrainingStep:
        run, objective = self.run, _objective(self.config)
        if self.config.batch_size:
            step = AutogradStep(self.model, run.task, run.split.train, objective)
            return MiniBatchStep(step, self.config.batch_size, run.config.seed, self.step)
        return make_step(self.model, run.task, run.split.train, objective)

    def _evaluate(self, report: Report) -> None:
        if not self.history or (self.history[-1]["step"] or 0) < self.step:
            row = {"step": self.step, **self._measures()}
            self.history.append(row)
            self.run.append_history(row)
        report(self.history[-1])

    def _measures(self) -> HistoryRow:
        task = self.run.task
        logits = self.gradients.logits(None)[:, : task.n_classes].cpu()
        losses = cross_entropy(logits, task.labels)
        right = (logits.argmax(1) == task.labels).double()
        if not losses.isfinite().all():
            raise ConfigError(
                f"the training diverged: the loss is not finite at step {self.step}. Lower the learning "
                f"rate (lr is {self.config.lr}) or take a longer warm-up (warmup is {self.config.warmup}), "
                f"in another folder than {self.run.path}"
            )
        masks = {"train": self.run.split.train, "test": self.run.split.test}
        return {
            **{f"loss_{name}": _mean(losses, mask) for name, mask in masks.items()},
            **{f"accuracy_{name}": _mean(right, mask) for name, mask in masks.items()},
            "sum_squared_weights": sum_squared_weights(self.model),
        }

    def _keep(self) -> None:
        if self.step not in self.kept:
            self.run.write_checkpoint(self.step, self.model)
            self.kept.append(self.step)
        self._save_state()

    def _save_state(self) -> None:
        weights = {f"weight{STATE_SEPARATOR}{n}": w for n, w in self.model.named_parameters()}
        self.run.write_state(self.step, weights | self.updater.state())

    def _restore(self) -> None:
        stored = self.run.read_state()
        if stored is None and any(self.run.steps):
            raise CheckpointError(
                f"{self.run.path} has checkpoints up to step {self.run.steps[-1]}, but not the optimiser's state to "
                "go on from; train again in another folder"
            )
        self.step, tensors = stored or (0, {})
        self.run.forget_after(self.step if stored else -1)
        weights = {k.split(STATE_SEPARATOR, 1)[1]: t for k, t in tensors.items() if k.startswith("weight")}
        if weights:
            self.model.load_state_dict(weights)
        self.updater.load({k: t for k, t in tensors.items() if not k.startswith("weight")})


def _objective(config: TrainConfig) -> Objective:
    return make_objective(
        config.objective, dtype=config.loss_dtype, naive=config.naive_loss, scale=config.loss_scale
    )


def _mean(values: Tensor, mask: Tensor) -> float | None:
    return values[mask].mean().item() if mask.any() else None
