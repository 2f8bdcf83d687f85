"""A network on two inputs with other answers, and how far a run on the one gets towards the answer to the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, fit_task, infer_task
from mechgrok.errors import ConfigError, UndefinedMetricError, shown
from mechgrok.models.protocol import Hook
from mechgrok.models.readout import outputs_everywhere, run_at_readout

LEAST = 1e-6
"""Logit differences that differ by this share of the logits, or less, are the same."""


@dataclass(frozen=True, eq=False)
class TwoInputs:
    """A clean and a corrupted input of a network.

    Attributes:
        clean, corrupted: [1, pos].
        answers: the network's own answers to them at the last position.
        clean_value, corrupted_value: in either run the logit of the first answer less that of the second.
    """

    model: Any
    clean: Int[Tensor, "1 pos"]
    corrupted: Int[Tensor, "1 pos"]
    answers: tuple[int, int]
    clean_value: float
    corrupted_value: float

    def share(self, value: float) -> float:
        """How far a logit difference is on the way from that of the corrupted run to that of the clean one."""
        return (value - self.corrupted_value) / (self.clean_value - self.corrupted_value)

    def recovered(self, hooks: Sequence[Hook]) -> float:
        """The share that some hooks bring back in a run on the corrupted input."""
        return self.share(self.run_corrupted(hooks)[0])

    def run_corrupted(
        self, hooks: Sequence[Hook], names: Sequence[str] = ()
    ) -> tuple[float, dict[str, Float[Tensor, "1 *rest"]]]:
        """The logit difference of the corrupted input under some hooks, and the activations of others."""
        logits, kept = _run(self.model, self.corrupted, names, hooks)
        return (logits[self.answers[0]] - logits[self.answers[1]]).item(), kept

    def clean_at(self, names: Sequence[str]) -> dict[str, Float[Tensor, "1 *rest"]]:
        """Activations of the clean run at all positions."""
        return _run(self.model, self.clean, names)[1]

    def corrupted_at(self, names: Sequence[str]) -> dict[str, Float[Tensor, "1 *rest"]]:
        """Those of the corrupted run."""
        return _run(self.model, self.corrupted, names)[1]


def two_inputs(model: Any, source: Any, clean: Any, corrupted: Any) -> TwoInputs:
    """Two inputs, given as tokens or as rows of the task, with the network's answers to them.

    Raises:
        ConfigError: they are no inputs, or not of the same length.
        UndefinedMetricError: the network gives both the same answer.
    """
    first, second = (
        _tokens(model, source, name, given) for name, given in (("clean", clean), ("corrupted", corrupted))
    )
    if first.shape != second.shape:
        raise ConfigError(
            f"both inputs have the same length; got {first.shape[1]} and {second.shape[1]} tokens"
        )
    logits = [_run(model, tokens)[0] for tokens in (first, second)]
    answers = tuple(int(x.argmax()) for x in logits)
    values = [(x[answers[0]] - x[answers[1]]).item() for x in logits]
    if answers[0] == answers[1] or abs(values[0] - values[1]) <= LEAST * logits[0].abs().max():
        raise UndefinedMetricError(
            f"the network answers {answers[0]} to both inputs, so that there is no difference of logits to bring back; "
            "take inputs with different answers"
        )
    return TwoInputs(model, first, second, answers, *values)  # pyright: ignore[reportArgumentType]


def _tokens(model: Any, source: Any, name: str, given: Any) -> Int[Tensor, "1 pos"]:
    if isinstance(given, int) and not isinstance(given, bool):
        task = (
            source.task
            if isinstance(source, ActivationGrid)
            else getattr(model, "task", None) or infer_task(model)
        )
        inputs = fit_task(model, task).examples.inputs
        if not 0 <= given < len(inputs):
            raise ConfigError(
                f"{name} is a row from 0 to {len(inputs) - 1} of the inputs of {task.name}; got {given}"
            )
        return inputs[given][None]
    try:
        tokens = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        tokens = torch.empty(0)
    d_vocab, n_ctx = getattr(model.cfg, "d_vocab", 0), getattr(model.cfg, "n_ctx", 0)
    whole = tokens.ndim == 1 and 0 < len(tokens) <= n_ctx and tokens.dtype == torch.long
    if not whole or int(tokens.min()) < 0 or int(tokens.max()) >= d_vocab:
        raise ConfigError(
            f"{name} is an input: the number of a row of the task, or its tokens, up to {n_ctx} whole numbers from 0 "
            f"to {d_vocab - 1}; got {shown(given)}"
        )
    return tokens[None]


def _run(
    model: Any, tokens: Tensor, names: Sequence[str] = (), hooks: Sequence[Hook] = ()
) -> tuple[Float[Tensor, " classes"], dict[str, Tensor]]:
    """Logits at the last position in float64, and activations as they are after the hooks."""
    kept: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: Any, name: str) -> None:
        kept[name] = activation.detach().clone()

    keeping: list[Hook] = [(name, lambda x, hook, name=name: keep(x, hook, name)) for name in names]
    # A network with one answer gives it in place of the positions.
    run = outputs_everywhere if "blocks.0.attn.hook_z" in model.hook_dict else run_at_readout
    logits = run(model, tokens, [*hooks, *keeping])
    return logits.flatten(0, -2)[-1].double().cpu(), kept
