"""HookedMLP: feed-forward networks on two operands, with TransformerLens's names."""

from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformer_lens.hook_points import HookPoint

from mechgrok.config import MLPConfig
from mechgrok.errors import ActivationError, ConfigError
from mechgrok.models.hooked import HookedNetwork, check_tokens
from mechgrok.models.transformer import ACTIVATIONS, parameter

OPERANDS = 2


class OperandEmbed(nn.Module):
    """Embedding of one operand, or of both if they share it."""

    def __init__(self, cfg: MLPConfig) -> None:
        super().__init__()
        self.W_E = parameter(cfg.d_vocab, cfg.d_embed)


class HiddenLayer(nn.Module):
    """One hidden layer; without a matrix if the embedding itself writes to the neurons."""

    def __init__(self, cfg: MLPConfig, d_in: int, *, biases: int = 1) -> None:
        super().__init__()
        self.W_in = parameter(d_in, cfg.d_mlp) if d_in else None
        self.b_in = parameter(cfg.d_mlp) if cfg.mlp_bias else None
        self.biases = biases
        self.act = ACTIVATIONS[cfg.act_fn]
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_mlp"]:
        pre = x if self.W_in is None else x @ self.W_in
        pre = self.hook_pre(pre if self.b_in is None else pre + self.biases * self.b_in)
        return self.hook_post(self.act(pre))


class MLPBlock(nn.Module):
    """A hidden layer under its name in a transformer: blocks.i.mlp."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.mlp = layer


class Readout(nn.Module):
    """From the last hidden layer to the logits, by one matrix or by two."""

    def __init__(self, cfg: MLPConfig) -> None:
        super().__init__()
        factored = cfg.readout != "direct"
        d_in = cfg.d_embed if factored else cfg.d_mlp
        self.W_out = parameter(cfg.d_mlp, cfg.d_embed) if factored else None
        self.W_U = None if cfg.readout == "tied" else parameter(d_in, cfg.d_vocab_out)
        self.b_U = parameter(cfg.d_vocab_out) if cfg.unembed_bias else None
        self.hook_out = HookPoint()


class HookedMLP(HookedNetwork):
    """Embedding (or one-hot) and feed-forward network on two operands.

    Takes the tokens [a, b] and returns logits with a position axis of length 1, so that the answer is at the last
    position as in a transformer. Hooks: `hook_embed` [batch, 2, d_embed], `hook_mlp_in` (the combined operands),
    `blocks.i.mlp.hook_pre` and `hook_post` of hidden layer i, `unembed.hook_out`, the last three with a position
    axis of length 1. Weights: `embed.W_E` and, if the operands have separate embeddings, `embed_b.W_E`;
    `blocks.i.mlp.W_in`, `b_in`; `unembed.W_U`, `b_U`, and a factored read-out's `unembed.W_out`.

    Args:
        cfg: the architecture; d_vocab and d_vocab_out must be set.
        seed: determines the initial weights; None leaves all weights 0, to be loaded.

    Raises:
        ConfigError: a size is still open, or a tied embedding is the read-out of something other than its tokens.
        ActivationError: a forward pass with a number of tokens other than two.

    >>> from mechgrok.config import MLPConfig
    >>> model = HookedMLP(MLPConfig(d_vocab=7, d_vocab_out=7, d_embed=4, d_mlp=8), seed=0)
    >>> model(torch.tensor([[2, 3]])).shape
    torch.Size([1, 1, 7])
    """

    def __init__(self, cfg: MLPConfig, seed: int | None = None) -> None:
        super().__init__(cfg)
        if cfg.readout == "tied" and cfg.d_vocab != cfg.d_vocab_out:
            raise ConfigError(
                f"readout='tied' gives a logit for each of the {cfg.d_vocab} tokens, "
                f"got d_vocab_out={cfg.d_vocab_out}"
            )
        self.embed = OperandEmbed(cfg)
        if cfg.embeddings == "separate":
            self.embed_b = OperandEmbed(cfg)
        self.hook_embed, self.hook_mlp_in = HookPoint(), HookPoint()
        self.blocks = nn.ModuleList(MLPBlock(layer) for layer in _hidden_layers(cfg))
        self.unembed = Readout(cfg)
        self.ready(seed)

    def forward(self, tokens: Int[Tensor, "batch operand"]) -> Float[Tensor, "batch one d_vocab_out"]:
        """Logits for each pair of operands, [batch, 1, d_vocab_out]."""
        check_tokens(tokens, self.cfg.d_vocab)
        if tokens.shape[1] != OPERANDS:
            raise ActivationError(f"an MLP reads the two operands, got {tokens.shape[1]} tokens")
        operands = [
            functional.embedding(tokens[:, i], matrix) for i, matrix in enumerate(self.operand_embeddings)
        ]
        x = self.hook_embed(torch.stack(operands, dim=1))
        combined = x.flatten(1) if self.cfg.combine == "concat" else x.sum(dim=1)
        x = self.hook_mlp_in(combined[:, None])
        for layer in self.layers:
            x = layer(x)
        logits = x @ self.neuron_logit_map()
        b_U = self.unembed.b_U
        return self.unembed.hook_out(logits if b_U is None else logits + b_U)

    @property
    def layers(self) -> list[HiddenLayer]:
        """The hidden layers, in order."""
        return [cast(HiddenLayer, block.mlp) for block in self.blocks]

    @property
    def operand_embeddings(self) -> tuple[Tensor, Tensor]:
        """The embedding matrix of each operand, [d_vocab, d_embed]; the same matrix twice if it is shared."""
        second = self.embed_b if self.cfg.embeddings == "separate" else self.embed
        return self.embed.W_E, second.W_E

    def operand_maps(self) -> tuple[Tensor, Tensor]:
        """The contribution of each operand's tokens to the first hidden layer, [d_vocab, d_mlp] for a and for b."""
        first, second = self.operand_embeddings
        W_in = self.layers[0].W_in
        if W_in is None:
            return first, second
        if self.cfg.combine == "sum":
            return first @ W_in, second @ W_in
        return first @ W_in[: self.cfg.d_embed], second @ W_in[self.cfg.d_embed :]

    def neuron_logit_map(self) -> Float[Tensor, "d_mlp d_vocab_out"]:
        """The map from the neurons of the last hidden layer to the logits."""
        W_out, W_U = self.unembed.W_out, self.W_U
        return W_U if W_out is None else W_out @ W_U

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_embed"]:
        """The embedding of the first operand's tokens; of both operands' if it is shared."""
        return self.embed.W_E

    @property
    def W_U(self) -> Float[Tensor, "_ d_vocab_out"]:
        """The unembedding; if tied, the transposed embedding."""
        return self.embed.W_E.T if self.unembed.W_U is None else self.unembed.W_U


def _hidden_layers(cfg: MLPConfig) -> list[HiddenLayer]:
    width = {"sum": 1, "concat": OPERANDS}[cfg.combine] * cfg.d_embed
    biases = OPERANDS if cfg.bias_per_operand else 1
    first = HiddenLayer(cfg, 0 if cfg.inputs == "one_hot" else width, biases=biases)
    return [first, *(HiddenLayer(cfg, cfg.d_mlp) for _ in range(cfg.n_layers - 1))]
