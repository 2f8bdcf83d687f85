"""What the analyses need of a network, and the few places where networks differ.

Our models, a `HookedTransformer` of TransformerLens 3.9 and a `TransformerBridge` of TransformerLens 4 all
fit: they share hook names and the properties `W_E`, `W_out`, `W_U`. Nothing here imports any of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechgrok.errors import ActivationError

Hook = tuple[str, Callable[..., Any]]


@runtime_checkable
class HookedModel(Protocol):
    """A network with TransformerLens hooks."""

    cfg: Any
    hook_dict: Mapping[str, Any]

    def run_with_hooks(self, *args: Any, fwd_hooks: Any = ..., **kwargs: Any) -> Any: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def check_hook_names(model: HookedModel, names: Sequence[str]) -> None:
    """Refuse a name that the network has no hook for; TransformerLens alone ignores some of these.

    Raises:
        ActivationError: a name is unknown; the text lists the closest ones.
    """
    from difflib import get_close_matches

    for name in names:
        if name not in model.hook_dict:
            near = get_close_matches(name, model.hook_dict, n=3, cutoff=0.4)
            known = near or sorted(model.hook_dict)
            raise ActivationError(f"the network has no hook {name!r}; did you mean {', '.join(known)}?")


def neuron_hook(model: HookedModel) -> str:
    """Name of the hook on the activations of the last hidden layer.

    Raises:
        ActivationError: the network has no MLP.
    """
    own = getattr(model, "neuron_hook", None)
    name = own or f"blocks.{model.cfg.n_layers - 1}.mlp.hook_post"
    if name not in model.hook_dict:
        raise ActivationError(f"the network has no neurons: there is no hook {name!r}")
    return name


def token_embedding(model: HookedModel) -> Float[Tensor, "d_vocab d_model"]:
    """The embedding matrix, on the CPU."""
    return _weight(model, "W_E")


def neuron_logit_map(model: HookedModel, n_classes: int) -> Float[Tensor, "d_mlp classes"]:
    """W_L = W_out @ W_U, how each neuron of the last hidden layer writes to the logits; on the CPU.

    A final LayerNorm is left out of the product.
    """
    own = getattr(model, "neuron_logit_map", None)
    if own is not None:
        return own().detach().cpu()[:, :n_classes]
    neuron_hook(model)
    return _weight(model, "W_out")[-1] @ _weight(model, "W_U")[:, :n_classes]


def _weight(model: HookedModel, name: str) -> Tensor:
    return getattr(model, name).detach().cpu()


def run_at_readout(
    model: HookedModel, tokens: Int[Tensor, "batch n_ctx"], hooks: Sequence[Hook] = ()
) -> Float[Tensor, "batch d_vocab_out"]:
    """Logits at the last position under the given hooks, without gradients and without side effects."""
    fast = {"readout_only": True} if getattr(model, "can_read_out_only", False) else {}
    with torch.no_grad(), evaluation_mode(model):
        logits = model.run_with_hooks(tokens.to(device_of(model)), fwd_hooks=list(hooks), **fast)
    return logits[:, -1]


def device_of(model: HookedModel) -> torch.device:
    """Where the weights of the network are."""
    return next(iter(model.named_parameters()))[1].device


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Dropout and the like off for a while."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
