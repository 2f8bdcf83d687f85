"""Cost per checkpoint of the measures that the published notebook has too, against dense Fourier matrices.

"dense" computes the same numbers as the published notebook of Nanda et al. does: every measure separately runs the
network on all inputs, transforms with p x p matrices, projects on directions of length p^2 and multiplies with
cubes of p^3 cosines. "dense_one_pass" is the same with a single run of the network, shared by all measures. Both are
timed in alternation with ours in one process, from the file of a checkpoint to its numbers, which are compared.

    python tests/benchmarks/bench_progress.py [--p 113] [--rounds 5] [--threads N] [--json FILE]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from math import pi
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

import mechgrok as mg
from mechgrok.models.files import write_model
from mechgrok.progress.compute import measured

KEYS = (3, 7, 10, 14, 20)
FRACTION = 0.3
Numbers = dict[str, float]


class Dense:
    """The measures with dense matrices; what does not depend on the checkpoint is made beforehand."""

    def __init__(self, task: mg.Task, train: Tensor) -> None:
        self.p, self.task, self.train = task.n_symbols, task, train
        x = torch.arange(self.p).float()
        rows = [torch.ones(self.p) / self.p**0.5]
        for k in range(1, self.p // 2 + 1):
            rows += [f(2 * pi * k / self.p * x) * (2 / self.p) ** 0.5 for f in (torch.cos, torch.sin)]
        self.fourier = torch.stack(rows)
        self.cubes = {k: self._cube(k, x) for k in KEYS}

    def open(self, file: Path) -> "DenseNetwork":
        """The network of a checkpoint."""
        return DenseNetwork(mg.load_model(file, task=self.task), self)

    def _cube(self, k: int, x: Tensor) -> Tensor:
        cube = (2 * pi * k / self.p * (x[:, None, None] + x[:, None] - x)).cos()
        return (cube / cube.norm()).flatten(0, 1)


class DenseNetwork:
    """One checkpoint; `shared` keeps the activations of the first run."""

    def __init__(self, model: mg.HookedTransformer, setting: Dense) -> None:
        self.model, self.set, self.shared = model, setting, False

    @cached_property
    def _kept(self) -> tuple[Tensor, Tensor]:
        return self._run()

    def _run(self) -> tuple[Tensor, Tensor]:
        kept: list[Tensor] = []
        hooks = [("blocks.0.mlp.hook_post", lambda x, hook: kept.append(x[:, -1]))]
        with torch.no_grad():
            logits = self.model.run_with_hooks(self.set.task.tokens, fwd_hooks=hooks)[:, -1, : self.set.p]
        return logits, kept[0]

    def run(self) -> tuple[Tensor, Tensor]:
        """Logits and neurons over all inputs."""
        return self._kept if self.shared else self._run()

    def loss(self, logits: Tensor, mask: Tensor | None = None) -> float:
        """Cross-entropy in double precision."""
        log_p = logits.double().log_softmax(-1).gather(1, self.set.task.labels[:, None])[:, 0]
        return -(log_p if mask is None else log_p[mask]).mean().item()

    def accuracy(self, logits: Tensor, mask: Tensor | None = None) -> float:
        """Share of right answers."""
        right = logits.argmax(1) == self.set.task.labels
        return (right if mask is None else right[mask]).double().mean().item()

    def along(self, tensor: Tensor, k: int) -> Tensor:
        """The part of functions of the inputs along cos and sin of w_k (a + b)."""
        c, s = self.set.fourier[2 * k - 1], self.set.fourier[2 * k]
        cos_direction = ((torch.outer(c, c) - torch.outer(s, s)) / 2**0.5).flatten()
        sin_direction = ((torch.outer(s, c) + torch.outer(c, s)) / 2**0.5).flatten()
        return sum(d[:, None] @ (d[None, :] @ tensor) for d in (cos_direction, sin_direction))

    def restricted(self, logits: Tensor, keys: tuple[int, ...]) -> Tensor:
        """Logits at the keys alone, with the mean of the rest."""
        kept = sum(self.along(logits, k) for k in keys)
        return kept + (logits - kept).mean(0)

    def excluded(self, logits: Tensor, keys: tuple[int, ...]) -> Tensor:
        """Logits without the keys."""
        return logits - sum(self.along(logits, k) for k in keys)

    def losses(self) -> Numbers:
        """One run for each number, as for all below."""
        train, test = self.set.train, ~self.set.train
        return {
            "loss_train": self.loss(self.run()[0], train),
            "loss_test": self.loss(self.run()[0], test),
            "accuracy_train": self.accuracy(self.run()[0], train),
            "accuracy_test": self.accuracy(self.run()[0], test),
        }

    def margins(self) -> Numbers:
        """Right logit less the largest wrong one."""
        logits, _ = self.run()
        right = torch.nn.functional.one_hot(self.set.task.labels, self.set.p).bool()
        margins = (logits[right] - logits.masked_fill(right, -torch.inf).amax(1))[self.set.train]
        return {"margin_min": margins.min().item(), "margin_median": margins.median().item()}

    def ablations(self) -> Numbers:
        """Restricted and excluded; one run for the joint number and one for those per key, as in the notebook."""
        found = {}
        for part, mask in ((self.restricted, None), (self.excluded, self.set.train)):
            for what in (self.loss, self.accuracy):
                name = f"{part.__name__}_{what.__name__}"
                found[name] = what(part(self.run()[0], KEYS), mask)
                logits, _ = self.run()
                found |= {f"{name}_per_key[{k}]": what(part(logits, (k,)), mask) for k in KEYS}
        return found

    def explained(self) -> Numbers:
        """Shares of the logits along the cubes."""
        logits, _ = self.run()
        centred = logits - logits.mean(1, keepdim=True)
        total = centred.square().sum()
        shares = {k: ((cube * logits).sum().square() / total).item() for k, cube in self.set.cubes.items()}
        return {"logit_fve": sum(shares.values())} | {f"logit_fve_per_key[{k}]": s for k, s in shares.items()}

    def surface(self) -> Numbers:
        """Distance irrelevance."""
        logits, _ = self.run()
        p, (a, b) = self.set.p, self.set.task.operands.T
        surface = torch.zeros(p, p)
        surface[(a - b) % p, (a + b) % p] = logits.gather(1, self.set.task.labels[:, None])[:, 0]
        return {
            "distance_irrelevance": (surface.std(1, correction=0).mean() / surface.std(correction=0)).item()
        }

    def neurons(self) -> Numbers:
        """Frequencies of the neurons from the transform over both operands."""
        _, neurons = self.run()
        p, F = self.set.p, self.set.fourier
        centred = (neurons - neurons.mean(0)).view(p, p, -1)
        squares = torch.einsum("xyz,fx,gy->fgz", centred, F, F).square()
        per_frequency = []
        for k in range(1, p // 2 + 1):
            rows = [0, 2 * k - 1, 2 * k]
            per_frequency.append(squares[rows][:, rows].sum((0, 1)))
        share = torch.stack(per_frequency) / squares.sum((0, 1))
        decided = share.amax(0) >= 0.85
        response = torch.stack([neurons[self.set.task.labels == s].mean(0) for s in range(p)])
        power = (F @ response).square()[1:].view(p // 2, 2, -1).sum(1)
        counts = power.argmax(0).bincount(minlength=p // 2).sort(descending=True).values
        chance = len(KEYS) / (p // 2)
        synchronised = counts[: len(KEYS)].sum().item() / counts.sum().item()
        return {
            "neurons_decided": decided.double().mean().item(),
            "frequency_synchronisation": (synchronised - chance) / (1 - chance),
            **{f"neuron_clusters[{k}]": int((decided & (share.argmax(0) == k - 1)).sum()) for k in KEYS},
        }

    def weights(self) -> Numbers:
        """Spectra and sizes of the weights."""
        E = self.model.W_E[: self.set.p].detach()
        L = (self.model.W_out[0] @ self.model.W_U[:, : self.set.p]).T.detach()
        found = {"sum_squared_weights": sum(w.square().sum().item() for w in self.model.parameters())}
        for name, matrix in (("W_E", E), ("W_L", L)):
            pairs = (self.set.fourier @ matrix).norm(dim=1)[1:].view(-1, 2)
            norms = pairs.norm(dim=1).sort().values
            i = torch.arange(1, len(norms) + 1)
            found[f"gini_{name}"] = (
                ((2 * i - len(norms) - 1) * norms).sum() / (len(norms) * norms.sum())
            ).item()
            dense = (pairs > 0.5 * pairs.amax(0)).double().mean().item()
            found[f"fourier_frequency_density_{name}"] = dense
            found[f"fourier_coefficient_ratio_{name}"] = (pairs.amin(1) / pairs.amax(1)).mean().item()
        spectrum = torch.linalg.svdvals(E - E.mean(0)).square()
        found["effective_dimension"] = (spectrum.sum().square() / spectrum.square().sum()).item()
        return found

    def everything(self) -> Numbers:
        """All numbers."""
        parts = (
            self.losses,
            self.margins,
            self.ablations,
            self.explained,
            self.surface,
            self.neurons,
            self.weights,
        )
        return {name: value for part in parts for name, value in part().items()}


def network(task: mg.Task) -> mg.HookedTransformer:
    """A fresh network. It squares, which costs the same: the ReLUs of a fresh one are dead, or active for a
    single input, and then have a frequency by rounding alone."""
    return mg.build_model(task, mg.ModelConfig(act_fn="square"), seed=0)


def seconds(run: Callable[[], object]) -> float:
    """Duration of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def per_measure(file: Path, task: mg.Task, split: mg.Split) -> dict[str, float]:
    """Seconds for the forward pass and each measure in turn; what measures share counts for the first of them."""
    snapshot = mg.Snapshot(0, mg.load_model(file), task, split, KEYS)
    cost = {"forward pass": seconds(lambda: snapshot.logits)}
    for name, measure in mg.MEASURES.items():
        if measure.default:
            cost[name] = seconds(lambda measure=measure: measured(snapshot, [measure]))
    return cost


def check_agreement(table: mg.ProgressTable, dense: Numbers) -> int:
    """Both ways give the same numbers, or there is nothing to compare; returns how many."""
    compared = 0
    for name, value in dense.items():
        ours = table[name][0]
        if ours is None or abs(ours - value) > 1e-3 * max(abs(value), 1e-3):
            raise SystemExit(f"{name} is {ours} here and {value} with dense matrices")
        compared += 1
    return compared


def measure(p: int, rounds: int) -> dict[str, object]:
    """All figures, as JSON values; times in milliseconds per checkpoint."""
    task = mg.modular_task("add", p)
    split = task.split(FRACTION)
    dense = Dense(task, split.train)

    def dense_numbers(file: Path, shared: bool) -> Numbers:
        network = dense.open(file)
        network.shared = shared
        return network.everything()

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "0.safetensors"
        write_model(network(task), file)

        numbers = dense_numbers(file, shared=False)
        names = list(dict.fromkeys(name.partition("[")[0] for name in numbers))

        def ours() -> mg.ProgressTable:
            return mg.progress_measures([file], names, keys=KEYS, task=task, split=split, progress=False)

        compared = check_agreement(ours(), numbers)
        runs = {
            "ours": ours,
            "dense": lambda: dense_numbers(file, shared=False),
            "dense_one_pass": lambda: dense_numbers(file, shared=True),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        single: dict[str, list[float]] = {}
        for _ in range(rounds):
            for name, run in runs.items():
                times[name].append(1e3 * seconds(run))
            for name, cost in per_measure(file, task, split).items():
                single.setdefault(name, []).append(1e3 * cost)
    medians = {name: median(values) for name, values in times.items()}
    return {
        "p": p,
        "keys": len(KEYS),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numbers_compared": compared,
        "ms_per_checkpoint": medians,
        "seconds_for_100_checkpoints": medians["ours"] / 10,
        "dense_over_ours": medians["dense"] / medians["ours"],
        "dense_one_pass_over_ours": medians["dense_one_pass"] / medians["ours"],
        "ms_per_measure": {name: round(median(costs), 2) for name, costs in single.items()},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--p", type=int, default=113)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures = json.dumps(measure(arguments.p, arguments.rounds), indent=2)
    sys.stdout.write(figures + "\n")
    if arguments.json:
        arguments.json.write_text(figures + "\n")


if __name__ == "__main__":
    main()
