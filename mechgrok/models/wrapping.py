"""wrap: turn any torch module into a hooked network by identifying its parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mechgrok.door import door
from mechgrok.errors import ActivationError, ConfigError, TaskError, shown
from mechgrok.models.hook_names import SHORT_NAMES, hook_name
from mechgrok.models.protocol import device_of, evaluation_mode
from mechgrok.models.taps import find_taps
from mechgrok.models.weight_roles import as_weights
from mechgrok.models.wrapped import (
    EMBED,
    LOGITS,
    Inputs,
    Readout,
    WrappedConfig,
    WrappedNetwork,
    n_layers,
    what_is_read,
)
from mechgrok.signature import Classes


@door
def wrap(
    module: nn.Module,
    task: Any,
    *,
    hooks: Mapping[str, str | Sequence[str]] | None = None,
    weights: Mapping[str, str | Callable[[nn.Module], Tensor]] | None = None,
    inputs: Inputs | None = None,
    readout: Readout | None = None,
) -> WrappedNetwork:
    """Turn any torch module into a hooked network, for every analysis, for `train` and for reports.

    Only the logits are required. Any part that is specified can be cached, analysed and ablated; analyses that need a
    part that is not specified name the argument that specifies it.

    Args:
        module: the module; it is neither changed nor copied.
        task: what it learns. A task that leaves its sequence open is written `a b =` if the module accepts
            that, else `a b`.
        hooks: identifies activations, {"neurons": "layers.1", "embed": "embedding"}. The keys are
            TransformerLens's names, in full ("blocks.0.mlp.hook_post") or in short: embed, pos_embed, resid_pre,
            resid_mid, resid_post, attn_out, mlp_out, q, k, v, z, pattern, attn_scores, pre, post or neurons, each in
            the last layer. The values are paths of submodules, and denote their output; "path:input" denotes the
            submodule's input, and "path:1" the element 1 of a tuple that it returns. Activations are
            [batch, pos, ...] or, without positions, [batch, ...]; batch and pos may be swapped. Operands with
            separate embeddings have two paths: "embed": ["embed_a", "embed_b"].
        weights: identifies weights: "W_E" [tokens, d_model], "W_U" [d_model, classes], "W_out" [d_mlp, d_model],
            "W_in", "W_pos", and "W_L" [d_mlp, classes], the map from neurons to logits, which is W_out @ W_U if
            these two are given. The values are paths of parameters, or of a Linear or Embedding, or functions of
            the module. Weights of a Linear, which torch stores [out, in], are transposed, and so are others if
            their shape implies it.
        inputs: converts the tokens [batch, n_ctx], or features [batch, ...], into the module's arguments, a tuple if
            there are several, as in `lambda tokens: (tokens[:, 0], tokens[:, 1])`. None passes them on unchanged.
        readout: position at which [batch, pos, classes] and activations are read, default the last; or a function
            from the module's return value to logits [batch, classes]. For a task that scores several positions, the
            outputs are [batch, pos, classes].

    Returns:
        The network; its `layout` lists the assumptions made.

    Raises:
        ConfigError: an unknown name or path, or something that is not a module.
        ActivationError: an activation, weight or output of the wrong shape; a part that runs never, or several times.
        TaskError: the module does not accept the tokens of the task.

    >>> from mechgrok import modular_task, neuron_frequencies
    >>> class Sum(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embed, self.out = nn.Embedding(7, 16), nn.Linear(16, 7)
    ...     def forward(self, tokens):
    ...         return self.out(self.embed(tokens).sum(1).relu())
    >>> network = wrap(Sum(), modular_task("add", 7), hooks={"neurons": "out:input"}, weights={"W_E": "embed"})
    >>> network
    WrappedNetwork(Sum: a b -> 7 classes; hooks blocks.0.mlp.hook_post; weights W_E)
    >>> len(neuron_frequencies(network).fve)
    16
    """
    if not isinstance(module, nn.Module):
        raise ConfigError(f"wrap takes a torch.nn.Module first; got {shown(module)}")
    if not hasattr(task, "signature"):
        raise ConfigError(
            f"wrap takes the task second, as modular_task('add', 113) gives one; got {shown(task)}"
        )
    if isinstance(module, WrappedNetwork):
        raise ConfigError("the network is wrapped already; wrap its .module to point at other parts")
    if not isinstance(readout, int | None) and not callable(readout):
        raise ConfigError(f"readout is a position or a function of the module's output; got {shown(readout)}")
    if isinstance(readout, int) and task.signature.n_scored > 1:
        raise ConfigError(
            f"readout={readout} is one position, and {task.name} scores {task.signature.n_scored}; leave it out"
        )
    if not (inputs is None or callable(inputs)):
        raise ConfigError(f"inputs is a function from tokens to what the module takes; got {shown(inputs)}")
    taps = {name: find_taps(module, paths) for name, paths in _full_names(hooks).items()}
    network = _written(module, task, taps, weights, inputs, readout)
    network.layout = _layout(network)
    return network


def _full_names(hooks: Any) -> dict[str, Any]:
    """The hooks by full names; short names refer to the last layer named."""
    if not isinstance(hooks, Mapping | None):
        raise ConfigError(f"hooks are given by name, as in {{'neurons': 'layers.1'}}; got {shown(hooks)}")
    hooks = dict(hooks or {})
    last = n_layers(hooks) - 1
    full = {hook_name(name if "hook_" in str(name) else (name, last)): path for name, path in hooks.items()}
    unknown = [name for name, whole in zip(hooks, full, strict=False) if not _is_hook(whole)]
    if unknown or len(full) < len(hooks):
        raise ConfigError(
            f"hooks are called {', '.join(('neurons', *SHORT_NAMES))}, or by TransformerLens's names in full, "
            f"each once; got {', '.join(map(shown, unknown or hooks))}"
        )
    return full


def _is_hook(name: str) -> bool:
    short = name.rpartition("hook_")[2]
    return "hook_" in name and (not name.startswith("blocks.") or short in SHORT_NAMES) and name != LOGITS


def _written(
    module: nn.Module, task: Any, taps: Any, weights: Any, inputs: Inputs | None, readout: Readout | None
) -> WrappedNetwork:
    """The network of the task as the module reads it, after a trial run on some inputs."""
    tried, failures = [], []
    for way in _ways(task):
        network = WrappedNetwork(module, way, taps, {}, inputs, readout)
        try:
            tried.append((network, _try(network)))
        except (ActivationError, ConfigError):
            raise
        except Exception as error:  # from the user's own code, which may raise anything
            reason = str(error).partition("\n")[0][:200]
            failures.append(f"given {what_is_read(way)}, {type(error).__name__}: {reason}")
    if not tried:
        raise TaskError(
            f"the module does not take the inputs of {task.name}: {'; '.join(failures)}. inputs=lambda tokens: ... "
            "makes what it takes of them, sequence=... of the task says how operands are written"
        )
    (network, logits), (shorter, same) = tried[0], tried[-1]
    if torch.equal(logits, same):  # it does not use the "="
        network = shorter
    # A special token such as "=" need not have an embedding.
    network.weights = as_weights(module, weights, _least(network))
    _check_embedding(network)
    _check_position(network)
    return network


def _least(network: WrappedNetwork) -> WrappedConfig:
    """The sizes that weights must have: for tasks with operands, only the operands' tokens count."""
    return replace(network.cfg, d_vocab=getattr(network.task, "n_symbols", network.cfg.d_vocab))


def _ways(task: Any) -> list[Any]:
    """The possible ways to write a task for a module, the likeliest first."""
    if not task.is_open:
        return [task]
    operands = tuple(slot for slot in task.slots if slot != "=")
    return [task.with_sequence(*operands, "="), task.with_sequence(*operands)]


def _try(network: WrappedNetwork) -> Tensor:
    """Run a few inputs to find the sizes and any misfit; return their logits."""
    task, n = (
        network.task,
        11,
    )  # unlike the number of positions, so that the batch axis can be distinguished
    inputs = task.inputs[torch.arange(n) % task.n_inputs]
    with evaluation_mode(network), torch.no_grad(), torch.random.fork_rng(devices=[]):
        logits = network(inputs.to(device_of(network)))
    for name, taps in network.taps.items():
        paths, calls = " and ".join(tap.text for tap in taps), network.calls.get(name, 0)
        if not calls:
            raise ActivationError(
                f"the module never runs {paths}, which hooks names for {name}; leave it out"
            )
        if calls > len(taps) and name != EMBED:
            raise ActivationError(
                f"the module runs {paths} {calls} times in a pass, and {name} is one activation. "
                "Point at what reads it: 'path:input'"
            )
    if logits.shape[-1] < task.signature.d_out:
        what = "classes" if isinstance(task.signature.outputs, Classes) else "values"
        raise TaskError(
            f"the module gives {logits.shape[-1]} logits, {task.name} has {task.signature.d_out} {what}"
        )
    width = {name: shape[-1] for name, shape in network.seen.items()}
    streams = [
        size for name, size in width.items() if name.endswith(("hook_embed", "resid_pre", "resid_post"))
    ]
    neurons = f"blocks.{network.cfg.n_layers - 1}.mlp.hook_post"
    network.cfg = WrappedConfig.of(
        task.signature,
        d_vocab_out=logits.shape[-1],
        n_layers=network.cfg.n_layers,
        d_model=max([*streams, 0]),
        d_mlp=width.get(neurons, 0),
    )
    return logits


def _check_embedding(network: WrappedNetwork) -> None:
    """Check that `hook_embed` sees W_E of the tokens, as every edit of the embedding assumes."""
    if EMBED not in network.taps or "W_E" not in network.weights or network.embeds_apart:
        return
    W_E = network.weight("W_E").detach()
    n = min(network.task.n_inputs, 32)
    tokens = network.task.tokens[:n].to(W_E.device)
    embedded = torch.cat(_activations(network, EMBED, tokens), dim=1)
    distances = torch.cdist(embedded.flatten(0, 1).double(), W_E.double()).amin(1)
    if distances.max() > 1e-4 * W_E.norm(dim=1).max():
        raise ActivationError(
            "what hooks names for embed is not the rows of W_E that weights names: point at the output of the "
            "embedding itself, before positions or a factor are added; or leave one of the two out"
        )


def _check_position(network: WrappedNetwork) -> None:
    """Check that the logits depend only on the neurons at the position that is read."""
    name = f"blocks.{network.cfg.n_layers - 1}.mlp.hook_post"
    if network.seen.get(name, (0, 1))[1] == 1 or not network.reads_last:
        return
    device = device_of(network)
    inputs = network.task.inputs[: min(network.task.n_inputs, 8)].to(device)
    kept: list[Any] = []

    def watch(activation: Any, hook: Any) -> Any:
        kept.append(activation.detach().requires_grad_())
        return kept[0]

    with torch.enable_grad(), evaluation_mode(network):
        logits = network.run_with_hooks(inputs, fwd_hooks=[(name, watch)])
        (gradient,) = torch.autograd.grad(logits.square().sum(), kept[0])
    elsewhere = [
        position
        for position, size in enumerate(gradient.abs().amax((0, 2)).tolist())
        if size > 0 and position != network.readout_position % gradient.shape[1]
    ]
    if elsewhere:
        raise ActivationError(
            f"the logits depend on the neurons at the positions {elsewhere} too, and they are read at position "
            f"{network.readout_position}: name the position by readout=..., or point at what is left after the "
            "positions have been averaged"
        )


def _activations(network: WrappedNetwork, name: str, tokens: Any) -> list[Any]:
    """The activations at a hook in one pass, one for each time that it runs."""
    kept: list[Any] = []
    with torch.no_grad(), evaluation_mode(network):
        network.run_with_hooks(tokens, fwd_hooks=[(name, lambda x, hook: kept.append(x.detach()))])
    return kept


def _layout(network: WrappedNetwork) -> str:
    several = [name for name, shape in network.seen.items() if len(shape) > 2 and shape[1] > 1]
    where = (
        f", activations read at position {network.readout_position}" if several and network.reads_last else ""
    )
    turned = [f"{name} {weight.note}" for name, weight in network.weights.items() if weight.note]
    notes = "".join(f", {note}" for note in turned)
    return f"a wrapped {type(network.module).__name__} that reads {what_is_read(network.task)}{where}{notes}"
