"""Taps: the place of an activation in a user's module, and the order of its axes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mechgrok.errors import ActivationError, ConfigError, shown
from mechgrok.spelling import closest, listed

INPUT = "input"

Back = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Tap:
    """One submodule's output, input, or element of the tuple that it returns.

    Attributes:
        path: path of the submodule; "" for the module itself.
        part: None for the output, "input" for the first argument, or the index of an element.
    """

    path: str
    part: str | int | None = None

    @property
    def text(self) -> str:
        """The tap as the user wrote it."""
        return self.path if self.part is None else f"{self.path}:{self.part}"

    def attach(self, module: nn.Module, pass_on: Callable[[Any], Tensor]) -> Any:
        """Pass the activation through a function until the returned handle is removed."""
        submodule = module.get_submodule(self.path)
        if self.part == INPUT:
            return submodule.register_forward_pre_hook(
                lambda _, arguments: (pass_on(arguments[0] if arguments else None), *arguments[1:])
            )
        return submodule.register_forward_hook(lambda _, __, output: self._replaced(output, pass_on))

    def as_activation(self, x: Any, batch: int, *, attention: bool) -> tuple[Tensor, Back]:
        """The activation as [batch, pos, ...], or [batch, head, query, key], and the function that reverses this.

        Raises:
            ActivationError: it is not a tensor, or lacks the expected batch axis.
        """
        if not isinstance(x, Tensor) or x.ndim < 2:
            raise ActivationError(
                f"{self.text} is no activation [batch, ...]: it is {shown(x)}. 'path:input' is what a submodule reads, "
                "'path:1' the element 1 of a tuple that it returns"
            )
        if x.shape[0] == batch:
            if attention and x.ndim == 3:  # averaged over the heads
                return x[:, None], lambda turned: turned[:, 0]
            if x.ndim == 2:
                return x[:, None], lambda turned: turned[:, 0]
            return x, lambda turned: turned
        if x.ndim > 2 and x.shape[1] == batch:
            return x.transpose(0, 1), lambda turned: turned.transpose(0, 1)
        raise ActivationError(
            f"{self.text} has the shape {tuple(x.shape)} for {batch} inputs; activations are [batch, ...], "
            "[batch, pos, ...] or [pos, batch, ...]"
        )

    def _replaced(self, output: Any, pass_on: Callable[[Any], Tensor]) -> Any:
        if not isinstance(self.part, int):
            return pass_on(output)
        if not isinstance(output, tuple | list) or self.part >= len(output):
            raise ActivationError(
                f"{self.text}: {self.path} returns {shown(output)}, no tuple with such an element"
            )
        elements = list(output)
        elements[self.part] = pass_on(elements[self.part])
        return type(output)(elements) if type(output) in (tuple, list) else tuple(elements)


def find_taps(module: nn.Module, paths: str | Sequence[str]) -> tuple[Tap, ...]:
    """The taps specified by the user, such as "layers.1", "layers.2:input" or "attention:1".

    Raises:
        ConfigError: a path that the module does not have; the message lists the closest ones.

    >>> find_taps(nn.Sequential(nn.Linear(2, 2)), "0:input")
    (Tap(path='0', part='input'),)
    """
    texts = [paths] if isinstance(paths, str) else paths
    if not isinstance(texts, list | tuple) or not texts:
        raise ConfigError(
            f"a hook is given as the path of a submodule, or a list of these; got {shown(paths)}"
        )
    return tuple(_tap(module, text) for text in texts)


def _tap(module: nn.Module, text: Any) -> Tap:
    path, _, part = str(text).partition(":")
    known = [name for name, _ in module.named_modules() if name]
    if path not in known:
        raise no_such_path("submodule", path, known)
    if part and part != INPUT and not part.isdecimal():
        raise ConfigError(
            f"{text!r}: after the colon comes 'input' or the number of an element; got {part!r}"
        )
    return Tap(path, int(part) if part.isdecimal() else part or None)


def no_such_path(what: str, path: object, known: Sequence[str]) -> ConfigError:
    """The error for a path that does not exist, with the closest ones."""
    near = closest(path, known, likeness=0.4)
    question = f"did you mean {', '.join(near)}?" if near else f"it has {listed(known)}"
    return ConfigError(f"the module has no {what} {shown(path)}; {question}")
