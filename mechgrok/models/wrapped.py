"""WrappedNetwork: a user-defined module behind TransformerLens's hooks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from mechgrok.errors import ActivationError, CheckpointError, shown
from mechgrok.models.hooked import Hooked
from mechgrok.models.taps import Tap
from mechgrok.models.weight_roles import Weight
from mechgrok.signature import Classes, Signature, Tokens

LOGITS = "unembed.hook_out"
EMBED = "hook_embed"

Inputs = Callable[[Tensor], Any]
Readout = int | Callable[[Any], Tensor]


@dataclass(frozen=True)
class WrappedConfig:
    """Sizes of a wrapped network, under TransformerLens's names; 0 for unspecified parts, () for no features."""

    d_vocab_out: int
    d_vocab: int = 0
    n_ctx: int = 0
    features: tuple[int, ...] = ()
    n_layers: int = 1
    d_model: int = 0
    d_mlp: int = 0

    @staticmethod
    def of(signature: Signature, **others: int) -> "WrappedConfig":
        """The sizes of a task, and further ones."""
        inputs = signature.inputs
        taken: Any = (
            {"d_vocab": inputs.d_vocab, "n_ctx": inputs.n_ctx}
            if isinstance(inputs, Tokens)
            else {"features": inputs.shape}
        )
        return WrappedConfig(**{"d_vocab_out": signature.d_out, **taken, **others})


class WrappedNetwork(Hooked):
    """A user-defined module behind TransformerLens's hooks; made by `wrap`.

    Takes the inputs of the task and returns outputs [batch, 1, d_vocab_out], at the read-out position only; for a task
    that scores positions other than the last, [batch, pos, d_vocab_out]. The module itself is left unchanged: hooks
    are attached to it while it runs, and its parameters keep their names.

    Attributes:
        module: the module.
        cfg: sizes.
        task: the task that it learns, written as it reads it.
        layout: the assumptions made, in readable form.
        taps, weights: the places of activations and weights in the module, by the names of hooks and weights.
        calls, seen: number of times that each hook ran in the last pass, and the shape that it saw.
    """

    def __init__(
        self,
        module: nn.Module,
        task: Any,
        taps: Mapping[str, tuple[Tap, ...]],
        weights: Mapping[str, Weight],
        inputs: Inputs | None,
        readout: Readout | None,
    ) -> None:
        super().__init__()
        self.module, self.task = module, task
        self.taps, self.weights, self._inputs, self._readout = dict(taps), dict(weights), inputs, readout
        self.calls: dict[str, int] = {}
        self.seen: dict[str, torch.Size] = {}
        for name in (*taps, LOGITS):
            _plant(self, name)
        self.setup()
        self.cfg = WrappedConfig.of(task.signature, n_layers=n_layers(taps))
        self.embeds_apart = len(taps.get(EMBED, ())) > 1
        self.layout = ""

    @property
    def reads_last(self) -> bool:
        """Whether one position is read, by default the last; otherwise the task determines the positions."""
        return isinstance(self._readout, int) or self.task.signature.reads_last

    @property
    def readout_position(self) -> int:
        """The position at which activations are read, if they have several."""
        return self._readout if isinstance(self._readout, int) else -1

    def forward(self, inputs: Tensor) -> Float[Tensor, "batch pos d_vocab_out"]:
        """Outputs at the read-out position, [batch, 1, d_vocab_out]; at all if others than the last are scored."""
        with self._tapped(len(inputs)):
            given = inputs if self._inputs is None else self._inputs(inputs)
            output = self.module(*given) if isinstance(given, tuple) else self.module(given)
        return self.hook_dict[LOGITS](self._outputs(output, len(inputs)))

    def with_weights(self, weights: Mapping[str, Tensor]) -> "WrappedNetwork":
        """The same network with other weights, as a state dict of the module names them; this one is left unchanged.

        Raises:
            CheckpointError: names or shapes do not match the module's.
        """
        other = deepcopy(self)
        own = other.module.state_dict()
        lacking, foreign = own.keys() - weights.keys(), weights.keys() - own.keys()
        shapes = [name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape]
        for problem, names in (
            ("lacks", lacking),
            ("has the unknown", foreign),
            ("has in other shapes", shapes),
        ):
            if names:
                listed = ", ".join(sorted(names)[:8]) + (", ..." if len(names) > 8 else "")
                whose = type(self.module).__name__
                raise CheckpointError(
                    f"these are not the weights of the wrapped {whose}: the file {problem} {listed}"
                )
        # In the precision of the file: a float32 module would round weights that were saved in float64.
        kinds = {weight.dtype for weight in weights.values() if weight.is_floating_point()}
        if len(kinds) == 1:
            other.module.to(kinds.pop())
        other.module.load_state_dict(dict(weights))
        return other

    # Parameters keep the names that the module gives them, also in states and files.
    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """The module's own parameters."""
        return self.module.named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own state dict."""
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load the module's state dict."""
        return self.module.load_state_dict(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("weights", {}):
            weight = self.weight(name)
            return (
                weight[None] if name in ("W_in", "W_out") else weight
            )  # stacked over layers, as in TransformerLens
        return super().__getattr__(name)

    def neuron_logit_map(self) -> Float[Tensor, "d_mlp d_vocab_out"]:
        """The map from the neurons to the logits: W_L if given, otherwise W_out @ W_U."""
        if "W_L" not in self.weights and {"W_out", "W_U"} <= self.weights.keys():
            return self.weight("W_out") @ self.weight("W_U")
        return self.weight("W_L")

    def weight(self, name: str) -> Tensor:
        """The current value of one of the weights specified to `wrap`.

        Raises:
            ActivationError: it was not specified.
        """
        if name not in self.weights:
            raise ActivationError(f"the network has no {name}. {self.how_to_give(name)}")
        return self.weights[name](self.module)

    def how_to_give(self, name: object) -> str:
        """Explain how to specify a missing hook or weight to `wrap`."""
        if isinstance(name, str) and name.startswith("W_"):
            return f"wrap(module, task, weights={{{name!r}: 'path.of.the.weight'}}) names it"
        return f"wrap(module, task, hooks={{{name!r}: 'path.of.the.module'}}) names it"

    @contextmanager
    def _tapped(self, batch: int) -> Iterator[None]:
        """The module with its parts connected to the hook points."""
        self.calls = {}
        with ExitStack() as stack:
            for name, taps in self.taps.items():
                for tap in taps:
                    handle = tap.attach(
                        self.module, lambda x, name=name, tap=tap: self._pass(name, tap, x, batch)
                    )
                    stack.callback(handle.remove)
            yield

    def _pass(self, name: str, tap: Tap, x: Any, batch: int) -> Tensor:
        """An activation through its hook point, with TransformerLens's axes, and back."""
        self.calls[name] = self.calls.get(name, 0) + 1
        turned, back = tap.as_activation(
            x, batch, attention=name.endswith(("hook_pattern", "hook_attn_scores"))
        )
        self.seen[name] = turned.shape
        return back(self.hook_dict[name](turned))

    def _outputs(self, output: Any, batch: int) -> Float[Tensor, "batch pos d_out"]:
        if callable(self._readout):
            outputs = self._readout(output)
        else:
            first = output[0] if isinstance(output, tuple | list) and output else output
            outputs = getattr(output, "logits", first)
            if self.reads_last and isinstance(outputs, Tensor) and outputs.ndim == 3:
                outputs = outputs[:, self.readout_position]
        fitting = (batch,) if self.reads_last else (batch, self.cfg.n_ctx)
        if not isinstance(outputs, Tensor) or outputs.shape[:-1] != fitting:
            wanted = (
                "[batch, classes] or [batch, pos, classes]" if self.reads_last else "[batch, pos, classes]"
            )
            made = "[batch, classes]" if self.reads_last else f"[batch, {self.cfg.n_ctx}, classes]"
            raise ActivationError(
                f"the logits of {batch} inputs are {wanted}; the module gave "
                f"{shown(outputs)}. wrap(..., readout=lambda output: ...) makes logits {made} of it"
            )
        return outputs[:, None] if self.reads_last else outputs

    def __repr__(self) -> str:
        given = "classes" if isinstance(self.task.signature.outputs, Classes) else "values"
        parts = [f"{type(self.module).__name__}: {what_is_read(self.task)} -> {self.cfg.d_vocab_out} {given}"]
        parts += [f"hooks {', '.join(self.taps)}"] if self.taps else []
        parts += [f"weights {', '.join(self.weights)}"] if self.weights else []
        return f"WrappedNetwork({'; '.join(parts)})"


def what_is_read(task: Any) -> str:
    """The inputs of a task in a few words: how operands are written, or sizes."""
    inputs = task.signature.inputs
    if hasattr(task, "slots"):
        return " ".join(task.slots)
    return f"{inputs.n_ctx} tokens" if isinstance(inputs, Tokens) else f"features {list(inputs.shape)}"


def n_layers(names: Iterable[str]) -> int:
    """The number of blocks implied by the names of hooks, at least 1."""
    numbers = [name.split(".")[1] for name in map(str, names) if name.startswith("blocks.")]
    return 1 + max([0, *(int(number) for number in numbers if number.isdecimal())])


def _plant(network: nn.Module, name: str) -> None:
    """Add a hook point under a dotted name, in modules that hold nothing else."""
    *places, last = name.split(".")
    for place in places:
        if place not in network._modules:
            network.add_module(place, nn.Module())
        network = network.get_submodule(place)
    network.add_module(last, HookPoint())
