"""Activation patching and path patching between two inputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechgrok.activations import ActivationGrid, Source
from mechgrok.activations.sources import as_network
from mechgrok.analysis.two_inputs import two_inputs
from mechgrok.door import door
from mechgrok.drawable import Drawable
from mechgrok.errors import ActivationError, ConfigError, shown
from mechgrok.models.hook_names import hook_name
from mechgrok.models.protocol import Hook, check_hook_names

Input = Int[Tensor, " pos"] | Sequence[int] | int
SITES = ("resid_pre", "attn_out", "mlp_out", "z")
BY_HEAD = ("q", "k", "v", "z", "pattern", "attn_scores", "result")
HEAD_FIRST = ("pattern", "attn_scores")
"""Activations [batch, head, query, key]; the others are [batch, pos, head, d_head]."""
LOGITS = "logits"


@dataclass(frozen=True, eq=False)
class ActivationPatching(Drawable):
    """How much of the clean input's answer comes back when one activation of it is put into the run of another input.

    Attributes:
        by_position: by site, [layers, positions], for activations of the whole stream at one position.
        by_head: by site, [layers, heads], for those of one head at all positions.
        clean, corrupted: the logit difference in either run: the answer to the clean input less that to the corrupted
            one. A value of the tables is the share of the way from the second to the first: 0 where patching does
            nothing, 1 where it restores the answer; it can leave 0..1.
        answers: the two answers.
    """

    by_position: dict[str, Float[Tensor, "layers positions"]]
    by_head: dict[str, Float[Tensor, "layers heads"]]
    clean: float
    corrupted: float
    answers: tuple[int, int]

    def records(self) -> list[dict[str, Any]]:
        """One row for each activation."""
        tables = [(self.by_position, "position"), (self.by_head, "head")]
        return [
            {"site": site, "layer": layer, "at": f"{what} {i}", "recovered": value}
            for found, what in tables
            for site, table in found.items()
            for layer, values in enumerate(table.tolist())
            for i, value in enumerate(values)
        ]

    def __repr__(self) -> str:
        most = sorted(self.records(), key=lambda row: -row["recovered"])[:4]
        said = ", ".join(f"{row['site']} {row['layer']} {row['at']} {row['recovered']:z.2f}" for row in most)
        values = f"logit difference {self.corrupted:z.3g} -> {self.clean:z.3g}"
        return f"ActivationPatching({values}; most recovered: {said})"


@door
def patch_activations(
    source: Source, clean: Input, corrupted: Input, sites: Sequence[str] = SITES
) -> ActivationPatching:
    """Run a network on a corrupted input, with one activation at a time from its run on a clean input.

    What brings back the answer to the clean input carries what the two inputs differ in.

    Args:
        source: a network, or a grid with its network.
        clean, corrupted: the two inputs, as tokens, or as their row numbers among the inputs of the task. They have as
            many tokens and other answers: the network's own at the last position.
        sites: activations, by TransformerLens's short names: resid_pre, resid_mid, resid_post, attn_out, mlp_out, pre
            and post are patched at one position at a time, q, k, v, z and pattern one head at a time. Those that the
            network does not have are left out of the four by default.

    Raises:
        ConfigError: inputs that are none; an unknown site.
        UndefinedMetricError: both inputs have the same answer.
        ActivationError: hooks that the network does not have.

    Source: Vig et al. 2020, Meng et al. 2022 (causal tracing); denoising, in the words of Heimersheim and Nanda 2024.

    >>> import mechgrok as mg
    >>> network = mg.induction_network(d_vocab=6, n_ctx=8)
    >>> found = patch_activations(network, [1, 2, 3, 1], [1, 4, 3, 1])
    >>> found.answers, [[round(x, 2) for x in layer] for layer in found.by_head["z"].tolist()]
    ((2, 4), [[0.0, 0.0], [0.0, 1.0]])
    """
    model: Any = source.model if isinstance(source, ActivationGrid) else as_network(source)
    both = two_inputs(model, source, clean, corrupted)
    found = {site: _layers(model, site) for site in _sites(model, sites)}
    by_position, by_head = {}, {}
    for site, names in found.items():
        cache, table = both.clean_at(names), by_head if site in BY_HEAD else by_position
        table[site] = torch.tensor([
            [both.recovered([(name, put)]) for put in _patches(site, cache[name], model)] for name in names
        ], dtype=torch.float64)  # fmt: skip
    return ActivationPatching(by_position, by_head, both.clean_value, both.corrupted_value, both.answers)


def _sites(model: Any, sites: Sequence[str]) -> list[str]:
    known = {*SITES, *BY_HEAD, "resid_mid", "resid_post", "pre", "post"}
    if isinstance(sites, str) or not isinstance(sites, Sequence) or not sites:
        raise ConfigError(f"sites is a list of names, also of a single one; got {shown(sites)}")
    for site in sites:
        if site not in known:
            raise ConfigError(f"a site is one of {', '.join(sorted(known))}; got {shown(site)}")
    if sites is SITES:
        sites = [site for site in SITES if hook_name((site, 0)) in model.hook_dict]
        if not sites:
            raise ActivationError(
                "the network has no residual stream and no heads; name the sites, such as pre or post"
            )
    return list(sites)


def _layers(model: Any, site: str) -> list[str]:
    names = [hook_name((site, layer)) for layer in range(getattr(model.cfg, "n_layers", 1))]
    check_hook_names(model, names)
    return names


def _patches(site: str, clean: Tensor, model: Any) -> Iterator[Any]:
    """Hook functions that put one position, or one head, of the clean run into another one."""
    axis = 1 if site not in BY_HEAD or site in HEAD_FIRST else 2
    for i in range(clean.shape[axis]):
        yield partial(_patch, clean=clean, axis=axis, index=i)


def _patch(activation: Tensor, hook: Any, *, clean: Tensor, axis: int, index: int) -> Tensor:
    edited = activation.clone()
    edited.select(axis, index).copy_(clean.select(axis, index))
    return edited


@dataclass(frozen=True, eq=False)
class PathPatching(Drawable):
    """How much of the clean input's answer comes back along single paths from a sender to a receiver.

    Attributes:
        recovered: [senders, receivers], the share of the logit difference as in `ActivationPatching`; 0 where the
            receiver does not come after the sender, so that there is no path.
        senders: heads "L0H0" and MLPs "L0 mlp".
        receivers: "logits", and the queries, keys and values of heads, "L1H0 q".
        clean, corrupted, answers: as in `ActivationPatching`.
    """

    recovered: Float[Tensor, "senders receivers"]
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    clean: float
    corrupted: float
    answers: tuple[int, int]

    def path(self, sender: str, receiver: str) -> float:
        """The share along one path.

        Raises:
            ConfigError: there is no such sender or receiver.
        """
        for name, known in ((sender, self.senders), (receiver, self.receivers)):
            if name not in known:
                raise ConfigError(f"{shown(name)} is none of {', '.join(known)}")
        return self.recovered[self.senders.index(sender), self.receivers.index(receiver)].item()

    def records(self) -> list[dict[str, Any]]:
        """One row per path."""
        return [
            {"sender": sender, "receiver": receiver, "recovered": self.path(sender, receiver)}
            for sender in self.senders
            for receiver in self.receivers
        ]

    def __repr__(self) -> str:
        most = sorted(self.records(), key=lambda row: -row["recovered"])[:4]
        said = ", ".join(f"{row['sender']} to {row['receiver']} {row['recovered']:z.2f}" for row in most)
        return f"PathPatching(logit difference {self.corrupted:z.3g} -> {self.clean:z.3g}; most recovered: {said})"


@door
def patch_paths(source: Source, clean: Input, corrupted: Input) -> PathPatching:
    """Patch the direct path from each head and MLP to the logits, and to queries, keys and values of later heads.

    The network is run on the corrupted input with the sender's activation from the clean one, while all other heads and
    MLPs stay as they are on the corrupted input; what the receiver reads then is put into a run on the corrupted input,
    in which all that follows is computed anew.

    Args:
        source: a network, or a grid with its network.
        clean, corrupted: as in `patch_activations`.

    Raises:
        ConfigError: inputs that are none.
        UndefinedMetricError: both inputs have the same answer.
        ActivationError: the network has no heads.

    Source: Wang et al. 2022 (arXiv 2211.00593), Goldowsky-Dill et al. 2023; here the MLPs are held fixed too.

    >>> import mechgrok as mg
    >>> network = mg.induction_network(d_vocab=6, n_ctx=8)
    >>> found = patch_paths(network, [1, 2, 3, 1], [4, 2, 3, 1])
    >>> found.answers, round(found.path("L0H0", "L1H1 k"), 2), round(found.path("L0H0", "logits"), 2)
    ((2, 1), 1.0, 0.0)
    """
    model: Any = source.model if isinstance(source, ActivationGrid) else as_network(source)
    n_layers = getattr(model.cfg, "n_layers", 1)
    z = [hook_name(("z", layer)) for layer in range(n_layers)]
    if z[0] not in model.hook_dict:
        raise ActivationError("paths are between heads, MLPs and logits, and the network has no heads")
    mlps = [name for layer in range(n_layers) if (name := hook_name(("mlp_out", layer))) in model.hook_dict]
    both = two_inputs(model, source, clean, corrupted)
    there, here = both.clean_at([*z, *mlps]), both.corrupted_at([*z, *mlps])
    senders = [
        (f"L{layer}H{head}", layer, z[layer], head)
        for layer in range(n_layers)
        for head in range(model.cfg.n_heads)
    ]
    senders += [(f"L{int(name.split('.')[1])} mlp", int(name.split(".")[1]), name, None) for name in mlps]
    senders.sort(key=lambda sender: (sender[1], sender[3] is None))
    receivers = [(LOGITS, n_layers, "", 0)] + [
        (f"L{layer}H{head} {part}", layer, hook_name((part, layer)), head)
        for layer in range(1, n_layers)
        for head in range(model.cfg.n_heads)
        for part in ("q", "k", "v")
    ]
    read = list(dict.fromkeys(hook for _, _, hook, _ in receivers if hook))
    table = torch.zeros(len(senders), len(receivers), dtype=torch.float64)
    for i, (_, layer, hook, head) in enumerate(senders):
        fixed = {name: value.clone() for name, value in here.items()}
        sent = fixed[hook] if head is None else fixed[hook][:, :, head]
        sent.copy_(there[hook] if head is None else there[hook][:, :, head])
        freeze: list[Hook] = [(name, partial(_put, value=value)) for name, value in fixed.items()]
        direct, received = both.run_corrupted(freeze, read)
        for j, (name, after, site, to) in enumerate(receivers):
            if name == LOGITS:
                table[i, j] = both.share(direct)
            elif after > layer:
                put = partial(_patch, clean=received[site], axis=2, index=to)
                table[i, j] = both.recovered([(site, put)])
    names = tuple(name for name, *_ in senders), tuple(name for name, *_ in receivers)
    return PathPatching(table, *names, both.clean_value, both.corrupted_value, both.answers)


def _put(activation: Tensor, hook: Any, *, value: Tensor) -> Tensor:
    return value
