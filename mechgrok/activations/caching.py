"""From a network to its activations: the entry point of all analyses."""

from collections.abc import Sequence

from mechgrok.activations.fitting import fit_task, infer_task
from mechgrok.activations.forward import run_grid
from mechgrok.activations.grid import ActivationGrid
from mechgrok.activations.recent import RECENT, can_be_remembered
from mechgrok.activations.sources import ORDER, Source, as_network
from mechgrok.door import door
from mechgrok.errors import ActivationError, shown
from mechgrok.models.hook_names import Key, hook_name
from mechgrok.models.protocol import HookedModel, check_hook_names, neuron_hook
from mechgrok.models.unaltered import NetworkState
from mechgrok.tasks import Task


@door
def cache_grid(model: Source, task: Task | None = None, names: Sequence[Key] | None = None) -> ActivationGrid:
    """Run a network on all inputs of a task and keep the requested activations at the read-out position.

    Args:
        model: a mechgrok network, a `HookedTransformer` from TransformerLens 3.9, a `TransformerBridge` from
            TransformerLens 4, or any other module after `wrap`; a run, whose newest network is used; or the name
            or file of one of these.
        task: what to run; None uses the task that the network was trained on, or infers it.
        names: hooks to keep; None keeps the neurons of the last hidden layer, if there are any. Logits are always
            kept. Short names such as ("z", 0) also work.

    Raises:
        ActivationError: an unknown hook name; logits that are not finite.
        TaskError: the task does not fit the network, or none can be inferred.

    >>> from mechgrok import ModelConfig, build_model, modular_task
    >>> task = modular_task("add", 7)
    >>> grid = cache_grid(build_model(task, ModelConfig(d_model=16), seed=0), task)
    >>> grid.logits.shape, grid["blocks.0.mlp.hook_post"].shape
    (torch.Size([49, 7]), torch.Size([49, 64]))
    """
    if task is not None and not isinstance(task, Task):
        raise ActivationError(f"the task is what modular_task and the like give; got {shown(task)}. {ORDER}")
    model = as_network(model)
    names = _hooks(model, names)
    return run_grid(model, _task(model, task), names)


def _task(model: HookedModel, task: Task | None = None) -> Task:
    return fit_task(model, task or getattr(model, "task", None) or infer_task(model))


def _hooks(model: HookedModel, names: Sequence[Key] | None) -> tuple[str, ...]:
    """The requested hooks, each once and by its full name."""
    if names is None:
        return _neurons(model)
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ActivationError(
            f"names is a list of hook names, also if it is only one: [...]; got {shown(names)}"
        )
    full = tuple(dict.fromkeys(_full_name(model, name) for name in names))
    check_hook_names(model, full)
    return full


def _neurons(model: HookedModel) -> tuple[str, ...]:
    """The hook on the neurons, if the network has any."""
    try:
        return (neuron_hook(model),)
    except ActivationError:
        return ()


def _full_name(model: HookedModel, name: Key) -> str:
    known = isinstance(name, str) and name in model.hook_dict
    return name if known else hook_name(name, getattr(model.cfg, "n_layers", 1))  # pyright: ignore[reportReturnType]


def as_grid(source: Source, names: Sequence[str] | None = None) -> ActivationGrid:
    """The grid itself, or the one cached from a network: all analyses pass their input through this function.

    Consecutive analyses of one network share one run of it as long as nothing about the network changes: its
    weights are compared with those of the cached run. This applies to mechgrok's own networks without hooks;
    others are run each time.

    Args:
        source: a grid, a network, a run, or the name or file of one.

    Raises:
        ActivationError: it is something else; the text states what it is, and what can be done with it.
        CheckpointError: a name or file that cannot be opened.
    """
    if isinstance(source, ActivationGrid):
        return source
    model = as_network(source)
    asked = _hooks(model, names)
    found = RECENT.find(model, asked)
    if found is not None:
        return found
    task = _task(model)
    if not can_be_remembered(model, task):
        return run_grid(model, task, asked)
    state = NetworkState.of(model)
    # With the neurons, since the next analysis may need them.
    grid = run_grid(model, task, tuple(dict.fromkeys((*asked, *_neurons(model)))))
    RECENT.remember(grid, state)
    return grid
