"""Facts not shown by weights, resolved in one place: from caller, author's settings, buffers or published code."""

from collections.abc import Mapping
from typing import Any

from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.settings import check_representable, said
from mechgrok.models.layouts.stored_network import StoredNetwork

ASK: dict[str, str] = {
    "n_heads": "the number of attention heads",
    "act_fn": "the activation function",
    "attention_dir": "whether attention is causal",
    "norm_position": "whether norms stand before or after the sublayers",
    "normalization": "which norms, if any, it has",
    "final_norm": "whether there is a norm before the unembedding",
    "norm_eps": "the eps of its RMSNorm",
    "positions": "whether there are positions, which can be computed without a tensor",
    "attention_rate": "its attention rate",
}
EXAMPLES: dict[str, str] = {
    "n_heads": "n_heads=4",
    "act_fn": "act_fn='relu'",
    "attention_dir": "attention_dir='causal' or 'bidirectional'",
    "norm_position": "norm_position='pre' or 'post'",
    "normalization": "normalization=None, 'LN', 'RMS', or without weights 'LNPre', 'RMSPre'",
    "final_norm": "final_norm=True or False",
    "norm_eps": "norm_eps=1e-6",
    "positions": "positions='none'",
    "attention_rate": "attention_rate=..., with 0 for the pizza and 1 for the plain softmax",
}
_NOTHING = object()


class Facts:
    """The facts about one file, each with its origin; unknown facts are collected and requested together.

    Sources, in order: the caller, the author's configuration, what is seen in the file, the published code that
    wrote it, the layout's assumptions. A configuration that contradicts what is seen is refused.
    """

    def __init__(self, stored: StoredNetwork, kind: str = "ModelConfig") -> None:
        self.stored, self.kind = stored, kind
        self.values: dict[str, Any] = {}
        self.notes: list[str] = []
        self.missing: list[str] = []
        check_representable(stored.settings)

    def find(
        self,
        field: str,
        *,
        seen: Any = _NOTHING,
        where: str = "its tensors",
        by_layout: Any = _NOTHING,
        granted: Any = _NOTHING,
        why: str = "",
    ) -> Any:
        """A fact, or None if no source gives it, which `refuse_if_missing` then reports.

        Args:
            seen: value shown by the file itself, with its place in `where`.
            by_layout: value that the layout fixes by definition, whatever a configuration says.
            granted: value assumed if no source says otherwise, with the justification in `why`.

        Raises:
            RefusedError: two sources contradict each other; the configuration needs something unsupported.
        """
        if field in self.values or field in self.missing:
            return self.values.get(field)
        known, fixed = self.stored.known, self.stored.fixed
        if field in known:
            return self._note(field, known[field], "config=")
        if by_layout is not _NOTHING:
            return self._note(field, by_layout, "fixed by this layout")
        told = said(self.stored.settings, field)
        if told is not None:
            value, key = told
            if seen is not _NOTHING and value != seen:
                raise RefusedError(
                    f"its configuration says {key}, that is {field}={value!r}, but {where} says {seen!r}: which of "
                    f"them holds? Say config={self.kind}({field}=...)"
                )
            return self._note(field, value, f"the author's {key}")
        if seen is not _NOTHING:
            return self._note(field, seen, where)
        if field in fixed:
            return self._note(field, fixed[field], self.stored.author)
        if granted is not _NOTHING:
            return self._note(field, granted, f"taken for granted: {why}" if why else "taken for granted")
        self.missing.append(field)
        return None

    def _note(self, field: str, value: Any, origin: str) -> Any:
        self.values[field] = value
        if origin != "its tensors":
            self.notes.append(f"{field}={value!r} ({origin})")
        return value

    def refuse_if_missing(self) -> None:
        """Request everything that is unknown, in one message.

        Raises:
            RefusedError: something is missing.
        """
        if not self.missing:
            return
        what = [ASK[field] for field in self.missing]
        listed = what[0] if len(what) == 1 else f"{', '.join(what[:-1])} and {what[-1]}"
        example = ", ".join(EXAMPLES[field] for field in self.missing)
        verb = "is" if len(what) == 1 else "are"
        raise RefusedError(
            f"{listed} {verb} not in the tensors: say config={self.kind}({example}), or put "
            f"{', '.join(self.missing)} into a config.json beside the file"
        )


def compare_sizes(settings: Mapping[str, Any], known: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Check that a configuration describes this file at all.

    Raises:
        RefusedError: its width or number of layers differs from the tensors'.
    """
    for field, size in sizes.items():
        told = said(settings, field)
        if told is not None and field not in known and told[0] != size:
            raise RefusedError(
                f"its configuration says {told[1]}={told[0]!r}, but the tensors say {size}: is it that of another "
                f"file? If the tensors are right, say config=ModelConfig({field}={size})"
            )
