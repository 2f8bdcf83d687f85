"""Which inputs a feed-forward network listens to, by the weights of its first layer."""

from jaxtyping import Float
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source
from mechgrok.activations.sources import as_network
from mechgrok.door import door
from mechgrok.errors import UndefinedMetricError


@door
def input_norms(source: Source) -> Float[Tensor, " inputs"]:
    """Norm of the weights from each input to the first hidden layer of a `HookedDense`, [inputs].

    An input is a feature, or the token at a position. Where tokens enter as one-hot vectors, what a position can tell
    is in how their weights differ: it is the norm of all weights of the position less their mean over the tokens.

    Raises:
        UndefinedMetricError: a network of another kind.

    Source: Pearce et al. 2023, where the weights of distracting digits go to 0.

    >>> import mechgrok as mg
    >>> model = mg.HookedDense(mg.DenseConfig(features=(3,), d_vocab_out=2, d_mlp=4))
    >>> model.blocks[0].mlp.W_in.data[0] = 1.0
    >>> input_norms(model).tolist()
    [2.0, 0.0, 0.0]
    """
    model = source.model if isinstance(source, ActivationGrid) else as_network(source)
    if getattr(model.cfg, "kind", "") != "dense":
        raise UndefinedMetricError(
            "inputs have weights of their own in a feed-forward network on all of its inputs, as mg.DenseConfig() "
            f"describes one; got a {type(model).__name__}"
        )
    weights = dict(model.named_parameters())["blocks.0.mlp.W_in"].detach().cpu().double()
    cfg = model.cfg
    if cfg.features or cfg.inputs == "number":
        return weights.norm(dim=1)
    by_token = weights.unflatten(0, (cfg.n_ctx, cfg.d_vocab))
    return (by_token - by_token.mean(1, keepdim=True)).flatten(1).norm(dim=1)
