"""From a network to its activations: the door of all analyses."""

from collections.abc import Sequence

from mechgrok.activations.fitting import fit_task, infer_task
from mechgrok.activations.forward import run_grid
from mechgrok.activations.grid import ActivationGrid
from mechgrok.activations.sources import ORDER, Source, as_network
from mechgrok.door import door
from mechgrok.errors import ActivationError, shown
from mechgrok.models.hook_names import Key, hook_name
from mechgrok.models.protocol import HookedModel, check_hook_names, neuron_hook
from mechgrok.tasks import Task


@door
def cache_grid(model: Source, task: Task | None = None, names: Sequence[Key] | None = None) -> ActivationGrid:
    """Run a network on all inputs of a task and keep the asked activations at the read-out position.

    Args:
        model: a mechgrok network, a `HookedTransformer` of TransformerLens 3.9, a `TransformerBridge` of
            TransformerLens 4, or any other module after `wrap`; a run, of which the newest network is taken; or the
            name or file of one of these.
        task: what to run; None takes the task that the network was trained on, or infers it.
        names: hooks to keep; None keeps the neurons of the last hidden layer, where there are any.
            Logits are always kept. Short names such as ("z", 0) do as well.

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
    if names is None:
        try:
            names = [neuron_hook(model)]
        except ActivationError:
            names = []
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ActivationError(
            f"names is a list of hook names, also if it is only one: [...]; got {shown(names)}"
        )
    names = tuple(dict.fromkeys(_full_name(model, name) for name in names))
    check_hook_names(model, names)
    task = fit_task(model, task or getattr(model, "task", None) or infer_task(model))
    return run_grid(model, task, names)


def _full_name(model: HookedModel, name: Key) -> str:
    known = isinstance(name, str) and name in model.hook_dict
    return name if known else hook_name(name, getattr(model.cfg, "n_layers", 1))  # pyright: ignore[reportReturnType]


def as_grid(source: Source, names: Sequence[str] | None = None) -> ActivationGrid:
    """The grid itself, or the one cached from a network: the door through which all analyses take what they are given.

    Args:
        source: a grid, a network, a run, or the name or file of one.

    Raises:
        ActivationError: it is something else; the text says what, and what can be made of it.
        CheckpointError: a name or file that cannot be opened.
    """
    return source if isinstance(source, ActivationGrid) else cache_grid(source, names=names)
