"""HookedTransformer: the small transformer of the grokking papers, with TransformerLens's names."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformer_lens.hook_points import HookPoint

from mechgrok.config import Activation, ModelConfig
from mechgrok.errors import ActivationError
from mechgrok.models.hooked import HookedNetwork, check_tokens

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "square": torch.square,
}


def parameter(*shape: int) -> nn.Parameter:
    """A weight of zeros, to be drawn or loaded."""
    return nn.Parameter(torch.zeros(shape))


class Embed(nn.Module):
    """Token embedding."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.W_E = parameter(cfg.d_vocab, cfg.d_model)

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        # Not W_E[tokens], whose gradient is summed by threads in arbitrary order.
        return functional.embedding(tokens, self.W_E)


class PosEmbed(nn.Module):
    """Learned positional embedding."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.W_pos = parameter(cfg.n_ctx, cfg.d_model)

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return self.W_pos[: tokens.shape[1]].expand(len(tokens), -1, -1)


class Norm(nn.Module):
    """The norm of the configuration over d_model: LayerNorm or RMSNorm, with weights or without.

    Without weights it is the same function with w = 1 and b = 0.
    """

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.centred, self.eps = cfg.normalization in ("LN", "LNPre"), cfg.norm_eps
        self.w = parameter(cfg.d_model) if cfg.normalization in ("LN", "RMS") else None
        self.b = parameter(cfg.d_model) if cfg.normalization == "LN" else None
        self.hook_scale, self.hook_normalized = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        x = x - x.mean(-1, keepdim=True) if self.centred else x
        scale = self.hook_scale((x.square().mean(-1, keepdim=True) + self.eps).sqrt())
        x = self.hook_normalized(x / scale)
        x = x if self.w is None else x * self.w
        return x if self.b is None else x + self.b


def norm_or_nothing(cfg: ModelConfig, *, wanted: bool = True) -> nn.Module:
    """The norm of the configuration; the identity if there is none, or if none is wanted."""
    return Norm(cfg) if cfg.normalization and wanted else nn.Identity()


class Attention(nn.Module):
    """Multi-head attention, with the attention rate of Zhong et al. 2023."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.cfg = cfg
        for name in ("Q", "K", "V"):
            setattr(self, f"W_{name}", parameter(cfg.n_heads, cfg.d_model, cfg.d_head))
            setattr(self, f"b_{name}", parameter(cfg.n_heads, cfg.d_head) if cfg.attn_bias else None)
        self.W_O = parameter(cfg.n_heads, cfg.d_head, cfg.d_model)
        self.b_O = parameter(cfg.d_model) if cfg.attn_bias else None
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()
        self.hook_attn_scores, self.hook_pattern, self.hook_z = HookPoint(), HookPoint(), HookPoint()

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], queries: slice
    ) -> Float[Tensor, "batch query d_model"]:
        """Attend from the given positions to all positions visible to them."""
        q = self.hook_q(self._heads(x[:, queries], "Q"))
        k = self.hook_k(self._heads(x, "K"))
        v = self.hook_v(self._heads(x, "V"))
        scores = einsum(q, k, "b q h e, b k h e -> b h q k") / math.sqrt(self.cfg.d_head)
        if self.cfg.attention_dir == "causal":
            n = x.shape[1]
            future = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)[queries]
            scores = scores.masked_fill(future, -torch.inf)
        pattern = self.hook_attn_scores(scores).softmax(dim=-1)
        rate = self.cfg.attention_rate
        pattern = self.hook_pattern(pattern if rate == 1 else rate * pattern + (1 - rate))
        z = self.hook_z(einsum(pattern, v, "b h q k, b k h e -> b q h e"))
        out = einsum(z, self.W_O, "b q h e, h e d -> b q d")
        return out if self.b_O is None else out + self.b_O

    def _heads(self, x: Tensor, name: str) -> Tensor:
        out = einsum(x, getattr(self, f"W_{name}"), "b s d, h d e -> b s h e")
        bias = getattr(self, f"b_{name}")
        return out if bias is None else out + bias


class MLP(nn.Module):
    """One hidden layer, whose neurons may be gated; a bias of gated neurons is added after the gate."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.W_gate = parameter(cfg.d_model, cfg.d_mlp) if cfg.gated_mlp else None
        self.W_in, self.W_out = parameter(cfg.d_model, cfg.d_mlp), parameter(cfg.d_mlp, cfg.d_model)
        self.b_in = parameter(cfg.d_mlp) if cfg.mlp_bias else None
        self.b_out = parameter(cfg.d_model) if cfg.mlp_bias else None
        self.act = ACTIVATIONS[cfg.act_fn]
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()
        if cfg.gated_mlp:
            self.hook_pre_linear = HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        post = self.act(self._pre(x)) if self.W_gate is None else self._gated(x, self.W_gate)
        out = self.hook_post(post) @ self.W_out
        return out if self.b_out is None else out + self.b_out

    def _pre(self, x: Tensor) -> Tensor:
        pre = x @ self.W_in
        return self.hook_pre(pre if self.b_in is None else pre + self.b_in)

    def _gated(self, x: Tensor, W_gate: Tensor) -> Tensor:
        post = self.act(self.hook_pre(x @ W_gate)) * self.hook_pre_linear(x @ self.W_in)
        return post if self.b_in is None else post + self.b_in


class TransformerBlock(nn.Module):
    """Attention, then the MLP, each added to the residual stream; norms before each, or after each sum."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.post_norm = cfg.normalization is not None and cfg.norm_position == "post"
        self.ln1 = norm_or_nothing(cfg)
        self.attn = Attention(cfg)
        self.hook_resid_pre, self.hook_attn_out, self.hook_resid_post = (HookPoint() for _ in range(3))
        if not cfg.attn_only:
            self.ln2 = norm_or_nothing(cfg)
            self.mlp = MLP(cfg)
            self.hook_resid_mid, self.hook_mlp_out = HookPoint(), HookPoint()
        else:
            self.mlp = None
        if self.post_norm:
            self.hook_normalized_resid_post = HookPoint()

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], queries: slice
    ) -> Float[Tensor, "batch query d_model"]:
        x = self.hook_resid_pre(x)
        return self._post(x, queries) if self.post_norm else self._pre(x, queries)

    def _pre(self, x: Tensor, queries: slice) -> Tensor:
        x = x[:, queries] + self.hook_attn_out(self.attn(self.ln1(x), queries))
        if self.mlp is not None:
            x = self.hook_resid_mid(x)
            x = x + self.hook_mlp_out(self.mlp(self.ln2(x)))
        return self.hook_resid_post(x)

    def _post(self, x: Tensor, queries: slice) -> Tensor:
        """The hooks on the residual stream see the sums, as in TransformerLens's BertBlock."""
        x, last = x[:, queries] + self.hook_attn_out(self.attn(x, queries)), self.ln1
        if self.mlp is not None:
            x, last = self.ln1(self.hook_resid_mid(x)), self.ln2
            x = x + self.hook_mlp_out(self.mlp(x))
        return self.hook_normalized_resid_post(last(self.hook_resid_post(x)))


class Unembed(nn.Module):
    """Read-out of the residual stream as logits."""

    def __init__(self, d_in: int, d_vocab_out: int, *, bias: bool) -> None:
        super().__init__()
        self.W_U = parameter(d_in, d_vocab_out)
        self.b_U = parameter(d_vocab_out) if bias else None
        self.hook_out = HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_vocab_out"]:
        logits = x @ self.W_U
        return self.hook_out(logits if self.b_U is None else logits + self.b_U)


class HookedTransformer(HookedNetwork):
    """A transformer with TransformerLens's parameter names, shapes and hook names.

    Differs from the class of that name in TransformerLens up to 3.x in what the papers need: biases can be absent, and
    it supports the attention rate, the papers' initial weights, no positions, and a forward pass that computes the
    last layer only at the read-out position.

    Args:
        cfg: the architecture; d_vocab, d_vocab_out and n_ctx must be set.
        seed: determines the initial weights; None leaves all weights 0, to be loaded.

    Raises:
        ConfigError: a size is still open.

    >>> from mechgrok.config import ModelConfig
    >>> model = HookedTransformer(ModelConfig(d_vocab=8, d_vocab_out=7, n_ctx=3, d_model=16), seed=0)
    >>> tokens = torch.tensor([[2, 3, 7]])
    >>> model(tokens).shape, model(tokens, readout_only=True).shape
    (torch.Size([1, 3, 7]), torch.Size([1, 1, 7]))
    """

    can_read_out_only = True

    def __init__(self, cfg: ModelConfig, seed: int | None = None) -> None:
        super().__init__(cfg)
        self.embed = Embed(cfg)
        self.hook_embed = HookPoint()
        if cfg.positions == "learned":
            self.pos_embed = PosEmbed(cfg)
            self.hook_pos_embed = HookPoint()
        self.blocks = nn.ModuleList(TransformerBlock(cfg) for _ in range(cfg.n_layers))
        self.ln_final = norm_or_nothing(cfg, wanted=cfg.final_norm)
        self.unembed = Unembed(cfg.d_model, cfg.d_vocab_out, bias=cfg.unembed_bias)
        self.ready(seed)

    def forward(
        self, tokens: Int[Tensor, "batch pos"], *, readout_only: bool = False
    ) -> Float[Tensor, "batch _ d_vocab_out"]:
        """Logits at all positions, or, with `readout_only`, only at the last one (a position axis of length 1).

        With `readout_only` the last layer's queries, MLP and everything after them are computed, and passed
        to hooks, for that position only.
        """
        check_tokens(tokens, self.cfg.d_vocab)
        if self.cfg.positions == "learned" and tokens.shape[-1] > self.cfg.n_ctx:
            raise ActivationError(
                f"the network reads at most n_ctx = {self.cfg.n_ctx} tokens, got {tokens.shape[-1]}"
            )
        x = self.hook_embed(self.embed(tokens))
        if self.cfg.positions == "learned":
            x = x + self.hook_pos_embed(self.pos_embed(tokens))
        for block in self.blocks:
            last = block is self.blocks[-1]
            x = block(x, slice(-1, None) if last and readout_only else slice(None))
        return self.unembed(self.ln_final(x))

    def __getattr__(self, name: str) -> Any:
        # W_E, W_U, b_U and, stacked over the layers, W_Q ... b_out, as TransformerLens has them.
        if name in _SINGLE:
            return getattr(getattr(self, _SINGLE[name]), name)
        if name in _STACKED:
            parts = [getattr(block, _STACKED[name]) for block in self.blocks]
            if any(getattr(part, name, None) is None for part in parts):
                raise AttributeError(f"the network has no {name}; it was built without")
            return torch.stack([getattr(part, name) for part in parts])
        return super().__getattr__(name)


_SINGLE = {"W_E": "embed", "W_pos": "pos_embed", "W_U": "unembed", "b_U": "unembed"}
_STACKED = dict.fromkeys(("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"), "attn") | dict.fromkeys(
    ("W_gate", "W_in", "W_out", "b_in", "b_out"), "mlp"
)
