"""The interface that the analyses require of a network, and the few differences between networks.

Our models, a `HookedTransformer` of TransformerLens 3.9 and a `TransformerBridge` of TransformerLens 4 all
satisfy it: they share hook names and the properties `W_E`, `W_out`, `W_U`. Nothing here imports any of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mechgrok.errors import ActivationError, shown
from mechgrok.spelling import closest, listed

Hook = tuple[str, Callable[..., Any]]

_SWITCHES = {
    "hook_result": "use_attn_result",
    "hook_attn_in": "use_attn_in",
    "hook_mlp_in": "use_hook_mlp_in",
    **dict.fromkeys(("hook_q_input", "hook_k_input", "hook_v_input"), "use_split_qkv_input"),
}
"""Options of TransformerLens without which a hook exists but never runs, by the last part of its name."""


@runtime_checkable
class HookedModel(Protocol):
    """A network with TransformerLens hooks."""

    cfg: Any

    @property
    def hook_dict(self) -> Mapping[str, Any]: ...

    def run_with_hooks(self, *args: Any, fwd_hooks: Any = ..., **kwargs: Any) -> Any: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def check_hook_names(model: HookedModel, names: Sequence[str]) -> None:
    """Refuse hooks that cannot give what their names say; TransformerLens by itself ignores some of these silently.

    Raises:
        ActivationError: a name is unknown (the message lists the closest ones); the hook is switched off; the
            network passes something else to it.
    """
    for name in names:
        if not isinstance(name, str) or name not in model.hook_dict:
            raise unknown_hook(name, model.hook_dict, "the network", how_to_give(model, name))
        switch = _SWITCHES.get(name.rsplit(".", 1)[-1])
        if switch and not getattr(model.cfg, switch, True):
            raise ActivationError(
                f"the hook {name!r} is switched off; model.set_{switch}(True) turns it on, if the network can"
            )
        if name.endswith("hook_attn_scores") and _reports_pattern_as_scores(model, name):
            raise ActivationError(
                f"this network passes the attention pattern to {name!r}, not the scores before the softmax; "
                "take hook_pattern, or multiply hook_q and hook_k"
            )


def unknown_hook(name: object, known: Iterable[str], where: str, remedy: str = "") -> ActivationError:
    """The error for a hook that does not exist, with the closest names."""
    known = list(known)
    near = closest(name, known, likeness=0.4)
    question = f"did you mean {', '.join(near)}?" if near else f"it has {listed(sorted(known))}"
    return ActivationError(f"{where} has no hook {shown(name)}; {question}{remedy}")


def how_to_give(model: object, name: object) -> str:
    """A wrapped network's hint about a part that was not specified; empty for other networks."""
    said = getattr(model, "how_to_give", None)
    return "" if said is None else f". {said(name)}"


def _reports_pattern_as_scores(model: Any, name: str) -> bool:
    """Whether this is a `TransformerBridge` around an attention module whose softmax cannot be hooked."""
    attention = model.blocks[int(name.split(".")[1])].attn
    return getattr(getattr(attention, "original_component", None), "accepts_pattern_fn", False)


def neuron_hook(model: HookedModel) -> str:
    """Name of the hook on the activations of the last hidden layer.

    Raises:
        ActivationError: the network has no MLP.
    """
    own = getattr(model, "neuron_hook", None)
    name = own or f"blocks.{getattr(model.cfg, 'n_layers', 1) - 1}.mlp.hook_post"
    if name not in model.hook_dict:
        raise ActivationError(
            f"the network has no neurons: there is no hook {name!r}{how_to_give(model, name)}"
        )
    return name


def pre_activation_hook(model: HookedModel) -> str:
    """Name of the hook on the input to the activation function of the last hidden layer.

    Raises:
        ActivationError: the network has no MLP, or does not expose it.
    """
    name = neuron_hook(model).removesuffix("hook_post") + "hook_pre"
    if name not in model.hook_dict:
        raise ActivationError(
            f"the network does not show its pre-activations: there is no hook {name!r}{how_to_give(model, name)}"
        )
    return name


def token_embedding(model: HookedModel) -> Float[Tensor, "d_vocab d_model"]:
    """The embedding matrix, on the CPU."""
    return _weight(model, "W_E")


def neuron_logit_map(model: HookedModel, n_classes: int) -> Float[Tensor, "d_mlp classes"]:
    """W_L = W_out @ W_U, the map from the neurons of the last hidden layer to the logits; on the CPU.

    The product ignores a final LayerNorm.
    """
    own = getattr(model, "neuron_logit_map", None)
    if own is not None:
        return own().detach().cpu()[:, :n_classes]
    neuron_hook(model)
    return _weight(model, "W_out")[-1] @ _weight(model, "W_U")[:, :n_classes]


def _weight(model: HookedModel, name: str) -> Tensor:
    weight = getattr(model, name, None)
    if weight is None:
        raise ActivationError(f"the network has no {name}{how_to_give(model, name)}")
    return weight.detach().cpu()


def embeds_operands_apart(model: HookedModel) -> bool:
    """Whether the two operands have separate embeddings."""
    return hasattr(model, "embed_b") or getattr(model, "embeds_apart", False)


def all_weights(model: HookedModel) -> dict[str, Tensor]:
    """All parameters by name, including the bias b_U of the logits, not a parameter in a `TransformerBridge`."""
    weights: dict[str, Tensor] = {name: weight.detach() for name, weight in model.named_parameters()}
    bias = getattr(model, "b_U", None)
    if isinstance(bias, Tensor) and not any(name.endswith("b_U") for name in weights):
        weights["unembed.b_U"] = bias.detach()
    return weights


def device_of(model: HookedModel) -> torch.device:
    """The device of the network's weights."""
    return next((weight.device for _, weight in model.named_parameters()), torch.device("cpu"))


_TURNS: WeakKeyDictionary[Any, RLock] = WeakKeyDictionary()  # pyright: ignore[reportInvalidTypeForm]
_OPENING = Lock()


@contextmanager
def one_at_a_time(model: Any) -> Iterator[None]:
    """Lock out other threads temporarily: a network's hooks and mode belong to the thread that runs it."""
    with _OPENING:
        turn = _TURNS.setdefault(model, RLock())
    with turn:
        yield


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Temporarily switch off dropout and the like, while no other thread runs the network."""
    with one_at_a_time(model):
        yield from _evaluation_mode(model)


def _evaluation_mode(model: Any) -> Iterator[None]:
    # Each part separately: the user may have frozen some of them in evaluation mode.
    modes = [(module, module.training) for module in model.modules()]
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        # A TransformerBridge keeps its original network outside its modules; only train() reaches it.
        model.train(was_training)
        for module, mode in modes:
            module.training = mode


def is_plain(model: HookedModel) -> bool:
    """Whether all weights share one precision, float32 or float64, and one device, with no hooks attached."""
    kinds = {(w.dtype, w.device) for _, w in model.named_parameters()}
    return (
        len(kinds) == 1
        and kinds.pop()[0] in (torch.float32, torch.float64)
        and not any(hook.fwd_hooks or hook.bwd_hooks for hook in model.hook_dict.values())
    )
