"""A network in a few lines: its kind, its sizes and the shape of every weight."""

from typing import Any

from torch import nn

from mechgrok.readable import html_table


class Described(nn.Module):
    """A network that prints its sizes instead of its hook points."""

    def __repr__(self) -> str:
        lines = [_heading(self), *(f"  {row['name']}: {row['value']}" for row in _weights(self))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(_heading(self), _weights(self))


def _heading(model: nn.Module) -> str:
    count = sum(weight.numel() for weight in model.parameters())
    return f"{type(model).__name__}({_sizes(model)}: {count:,} parameters)"


def _sizes(model: Any) -> str:
    names = ("n_layers", "d_model", "n_heads", "d_head", "d_embed", "d_mlp", "act_fn")
    return ", ".join(f"{name}={getattr(model.cfg, name)}" for name in names if hasattr(model.cfg, name))


def _weights(model: nn.Module) -> list[dict[str, str]]:
    return [
        {"name": name, "value": " x ".join(map(str, weight.shape))}
        for name, weight in model.named_parameters()
    ]
