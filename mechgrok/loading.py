"""Open a network, however it is stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mechgrok.config import NetworkConfig
from mechgrok.door import door
from mechgrok.errors import CheckpointError, ConfigError
from mechgrok.models.files import read_model
from mechgrok.models.formats import file_in_folder
from mechgrok.models.hooked import HookedNetwork
from mechgrok.models.layouts import model_from_tensors
from mechgrok.runs import load_run, run_of
from mechgrok.shipped import folder_or_shipped, no_such_run
from mechgrok.tasks import Task


@door
def load_model(
    path: str | Path | Mapping[str, Tensor],
    step: int | None = None,
    task: Task | None = None,
    config: NetworkConfig | None = None,
    *,
    layout: str | None = None,
    rename: Mapping[str, str] | None = None,
    key: str | None = None,
) -> HookedNetwork:
    """Load the network from a run folder, from a file, ours or other people's, or from a state dict.

    Args:
        path: folder of a run, or the name of one that ships with mechgrok (`shipped_runs`), or a file with named
            tensors: .safetensors, .npz, or written by torch.save, or a folder with such a file as written by
            Hugging Face's save_pretrained; or the named tensors themselves. A checkpoint inside a run's folder
            has that run's task.
        step: for a run, the checkpoint; for a file with the weights of several steps, the step. None means the
            newest.
        task: what the network computes, if that is not stored with it and cannot be inferred.
        config: fields that are set in it override what the tensors suggest, for facts that shapes cannot tell.
        layout: how the tensors are named and laid out; None detects it.
        rename: other names for tensors of a file, by their names there; see `model_from_tensors`.
        key: if a file holds weights in several places, the path of keys to the intended ones: "ema.model".

    Returns:
        The network; `model.layout` states what the file was recognised as, and the facts that its tensors do not
        tell.

    Raises:
        CheckpointError: there is nothing, or nothing readable; a checkpoint from a run other than the one it is
            in; the text states the reason.
        ConfigError: `layout` or `rename` name something that does not exist; one of `config`, `layout`, `rename`
            and `key` was given for a run, whose network is known.

    >>> import mechgrok as mg
    >>> network = mg.cosine_network(5, {2: 1.0})
    >>> said = mg.ModelConfig(act_fn="square", attention_dir="bidirectional", attention_rate=0.0,
    ...                      positions="none", normalization=None)
    >>> mg.load_model(network.state_dict(), config=said).cfg.act_fn
    'square'
    """
    if isinstance(path, Mapping):
        if not (step is None and key is None):
            raise CheckpointError(f"step={step} and key={key!r} are for files; a state dict was given")
        model = model_from_tensors(_copied(path), layout=layout, config=config, rename=rename)
    else:
        model = _stored(folder_or_shipped(path), step, config, layout, rename, key)
    if task is not None:
        model.task = task
    return model


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors, which do not change with the network that they come from."""
    wrong = [
        name for name, tensor in state.items() if not isinstance(name, str) or not isinstance(tensor, Tensor)
    ]
    if wrong or not state:
        shown = f"{wrong[0]!r} is none" if wrong else "it is empty"
        raise CheckpointError(f"a state dict holds tensors by their names; {shown}")
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _stored(
    path: Path,
    step: int | None,
    config: NetworkConfig | None,
    layout: str | None,
    rename: Mapping[str, str] | None,
    key: str | None,
) -> Any:
    if not path.exists() and not path.suffix and path.name == str(path):  # not a file, but the name of a run
        raise no_such_run(path)
    if path.is_dir() and (file := file_in_folder(path)) is not None:
        path = file
    said = {"config": config, "layout": layout, "rename": rename, "key": key}
    if path.is_dir():
        given = [name for name, value in said.items() if value is not None]
        if given:
            raise ConfigError(f"{path} is a run, which knows its own network; leave {', '.join(given)} out")
        return load_run(path).model(step)
    run = run_of(path)
    if run is not None:
        run.check_checkpoint(path)
    model = read_model(path, step=step, **said)
    model.task = model.task if run is None else run.task
    return model
