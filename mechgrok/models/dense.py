"""HookedDense: a feed-forward network on features, or on tokens as vectors or numbers, with TransformerLens's names."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformer_lens.hook_points import HookPoint

from mechgrok.config import DenseConfig
from mechgrok.errors import ActivationError, shown
from mechgrok.models.hooked import HookedNetwork, check_tokens
from mechgrok.models.mlp import MLPBlock
from mechgrok.models.transformer import ACTIVATIONS, Unembed, parameter


class DenseLayer(nn.Module):
    """One hidden layer."""

    def __init__(self, cfg: DenseConfig, d_in: int) -> None:
        super().__init__()
        self.W_in = parameter(d_in, cfg.d_mlp)
        self.b_in = parameter(cfg.d_mlp) if cfg.mlp_bias else None
        self.act = ACTIVATIONS[cfg.act_fn]
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_mlp"]:
        pre = x @ self.W_in
        return self.hook_post(self.act(self.hook_pre(pre if self.b_in is None else pre + self.b_in)))


class HookedDense(HookedNetwork):
    """Feed-forward network that reads all inputs at once.

    Takes features [batch, *features] or tokens [batch, n_ctx], and returns outputs with a position axis of length 1.
    Hooks: `hook_mlp_in` [batch, 1, inputs], `blocks.i.mlp.hook_pre` and `hook_post` of hidden layer i,
    `unembed.hook_out`. Weights: `blocks.i.mlp.W_in`, `b_in`; `unembed.W_U`, `b_U`.

    Args:
        cfg: the architecture; its inputs and d_vocab_out must be set.
        seed: determines the initial weights; None leaves all weights 0, to be loaded.

    Raises:
        ConfigError: a size is still open.
        ActivationError: a forward pass with invalid inputs.

    >>> import torch
    >>> model = HookedDense(DenseConfig(features=(30,), d_vocab_out=2, d_mlp=8), seed=0)
    >>> model(torch.ones(5, 30)).shape
    torch.Size([5, 1, 2])
    """

    def __init__(self, cfg: DenseConfig, seed: int | None = None) -> None:
        super().__init__(cfg)
        self.hook_mlp_in = HookPoint()
        widths = [cfg.d_embed, *[cfg.d_mlp] * (cfg.n_layers - 1)]
        self.blocks = nn.ModuleList(MLPBlock(DenseLayer(cfg, d_in)) for d_in in widths)
        self.unembed = Unembed(cfg.d_mlp, cfg.d_vocab_out, bias=cfg.unembed_bias)
        self.ready(seed)

    def forward(self, inputs: Tensor) -> Float[Tensor, "batch one d_vocab_out"]:
        """Outputs for each input, [batch, 1, d_vocab_out]."""
        x = self.hook_mlp_in(self._flat(inputs)[:, None])
        for block in self.blocks:
            x = block.mlp(x)  # pyright: ignore[reportCallIssue]
        return self.unembed(x)

    @property
    def W_U(self) -> Float[Tensor, "d_mlp d_vocab_out"]:
        """The unembedding."""
        return self.unembed.W_U

    @property
    def b_U(self) -> Float[Tensor, " d_vocab_out"] | None:
        """The bias of the outputs."""
        return self.unembed.b_U

    def neuron_logit_map(self) -> Float[Tensor, "d_mlp d_vocab_out"]:
        """The map from the neurons of the last hidden layer to the outputs."""
        return self.unembed.W_U

    def _flat(self, inputs: Tensor) -> Float[Tensor, "batch inputs"]:
        cfg = self.cfg
        if cfg.features:
            if inputs.shape[1:] != cfg.features or not inputs.is_floating_point():
                raise ActivationError(
                    f"the network reads features [batch, {', '.join(map(str, cfg.features))}]; got {shown(inputs)}"
                )
            return inputs.flatten(1).to(self.unembed.W_U.dtype)
        check_tokens(inputs, cfg.d_vocab)
        if inputs.shape[1] != cfg.n_ctx:
            raise ActivationError(f"the network reads {cfg.n_ctx} tokens, got {inputs.shape[1]}")
        values = inputs if cfg.inputs == "number" else functional.one_hot(inputs, cfg.d_vocab)
        return values.flatten(1).to(self.unembed.W_U.dtype)
