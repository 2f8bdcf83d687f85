"""The start of a run, up to its first step: everything is checked before the folder is written."""

from collections.abc import Sequence
from pathlib import Path

import torch

from mechgrok.config import RunConfig, TrainConfig, check_seed
from mechgrok.errors import ConfigError, shown
from mechgrok.models.own import Factory
from mechgrok.runs import Run, written_for
from mechgrok.tasks import Split, Task
from mechgrok.training.assembly import Assembly
from mechgrok.training.disk_space import bytes_needed
from mechgrok.training.folders import Plan, as_folder, check_room, create_run, find_run
from mechgrok.training.locks import tidy
from mechgrok.training.memory_needed import check_training_memory
from mechgrok.training.networks import fresh_network
from mechgrok.training.parameters import Weights, start_config, starting_weights
from mechgrok.training.stopping import finished


def begin(task: Task, config: TrainConfig, *, seed: int, out: str | Path | None) -> Run:
    """The run to pass to `resume`: a new one without steps, or the one in the folder."""
    return prepare(make_plan(task, config, seed), out)[0]


def make_plan(
    task: Task,
    config: TrainConfig,
    seed: int,
    split: Split | None = None,
    start: Weights | None = None,
    parts: Sequence[str] | None = None,
    network: Factory | None = None,
) -> Plan:
    """Everything that determines a run; arguments and errors as in `train`."""
    seed = check_seed(seed)
    _check_precision()
    if not (split is None or isinstance(split, Split)):
        raise ConfigError(f"a split is what task.split(fraction) gives; got {shown(split)}")
    split = split or task.split(config.fraction, seed, config.split_rule)
    if len(split.train) != task.n_inputs or (task.is_finite and not split.train.any()):
        raise ConfigError(
            f"the split is one of {len(split.train)} inputs and trains on {int(split.train.sum())}; the task "
            f"{task.name} has {task.n_inputs} inputs. task.split(fraction) gives one that fits"
        )
    follows_from = RunConfig(task=task.spec, train=config, seed=seed, threads=torch.get_num_threads())
    if start is None:
        if parts is not None:
            raise ConfigError(f"parts={parts!r} needs start=..., the network that they are taken from")
        return Plan(follows_from, split, network=network)
    weights = starting_weights(fresh_network(written_for(task, config), config, seed, network), start, parts)
    return Plan(follows_from.replace(start=start_config(start, weights)), split, weights, network)


def prepare(
    plan: Plan,
    out: str | Path | None,
    device: str | torch.device | None = None,
    compile: bool = False,
) -> tuple[Run, Assembly | None]:
    """The run of a plan in a folder, created if necessary, and its assembly: None for a finished run."""
    out = as_folder(out)
    run = find_run(out, plan)
    if run is not None and finished(run):
        tidy(run)
        return run, None
    assembly = assemble(run or plan, out, device, compile)
    return run or create_run(out, plan), assembly


def assemble(
    plan: Plan | Run, path: str | Path | None, device: str | torch.device | None, compile: bool
) -> Assembly:
    """The parts of a run, after checking that they are valid and that memory and disk have room."""
    _check_precision()
    check_training_memory(plan.task, plan.config.train, device)
    assembly = Assembly(plan, device=device, compile=compile)
    _ = assembly.gradients
    check_room(path, bytes_needed(assembly))
    return assembly


def _check_precision() -> None:
    """A run does not record torch's default precision, so it must not depend on it."""
    if torch.get_default_dtype() != torch.float32:
        raise ConfigError(
            f"networks are trained in float32, and torch's default is {torch.get_default_dtype()}, in which another "
            "network would be drawn. Call torch.set_default_dtype(torch.float32) before the training"
        )
