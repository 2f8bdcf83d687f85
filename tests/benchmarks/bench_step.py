"""Time and memory of a training step against the usual loop with TransformerLens's own class.

    python tests/benchmarks/bench_step.py [--p 113] [--fraction 0.3] [--rounds 20] [--threads 2] [--at-least 6]
                                          [--json FILE]

Both train the same network on the same inputs in one process, in alternation (A B A B), so that other load on the
machine affects both. The usual loop: forward at all positions, log_softmax in float64 at the last, backward, AdamW.
Peak memory is measured in a separate process for each, above its use before the first step. With `--at-least` the
script exits with 1 if ours is not faster by this factor.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from mechgrok import ModelConfig, build_model, modular_task
from mechgrok.models.transformer_lens import to_transformer_lens
from mechgrok.tasks import Task
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import make_step
from mechgrok.training.subnormals import flushed_subnormals

ADAMW = {"lr": 1e-3, "weight_decay": 1.0, "betas": (0.9, 0.98)}
PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "addmm_": 1, "addbmm": 1}
"""Operators that are matrix products where their factors are dense, and the position of their first factor."""

Step = Callable[[], object]


def fast_step(p: int, fraction: float, config: ModelConfig | None = None) -> Step:
    """Our step and update."""
    task = modular_task("add", p)
    model = build_model(task, config or ModelConfig(), seed=0)
    return with_update(make_step(model, task, task.data(task.split(fraction)), CrossEntropy()), model)


def usual_step(p: int, fraction: float, config: ModelConfig | None = None) -> Step:
    """The loop that the papers' notebooks run, with the installed TransformerLens."""
    task = modular_task("add", p)
    native = to_transformer_lens(build_model(task, config or ModelConfig(), seed=0))
    return usual_loop(native, task, fraction)


def with_update(step: Step, model: nn.Module) -> Step:
    """One of our steps, and the update."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True, **ADAMW)

    def run() -> None:
        step()
        optimizer.step()

    return run


def usual_loop(model: nn.Module, task: Task, fraction: float) -> Step:
    """Forward, log_softmax in float64 at the last position, backward, AdamW."""
    train = task.split(fraction).train
    tokens, labels = task.tokens[train], task.labels[train]
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)

    def run() -> None:
        log_p = functional.log_softmax(model(tokens)[:, -1].double(), dim=-1)
        loss = -log_p.gather(1, labels[:, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run


class RecordProducts(TorchDispatchMode):
    """Keeps the factors of every dense matrix product that is run under it."""

    def __init__(self) -> None:
        super().__init__()
        self.factors: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        first = PRODUCTS.get(func.overloadpacket.__name__)
        if first is not None and args[first].layout is torch.strided:
            self.factors.append((args[first], args[first + 1]))
        return func(*args, **(kwargs or {}))


def bare_products(step: Step) -> Step:
    """The matrix products of a step, of the same shapes, precision and memory layout, and nothing else."""
    with RecordProducts() as record:
        step()
    calls = [(a.detach(), b.detach(), torch.matmul(a.detach(), b.detach())) for a, b in record.factors]

    def run() -> None:
        for a, b, out in calls:
            torch.matmul(a, b, out=out)

    return run


def milliseconds(run: Step, times: int) -> list[float]:
    """Duration of each of a few runs."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        durations.append(1e3 * (time.perf_counter() - start))
    return durations


def peak_memory(kind: str, p: int, fraction: float) -> float:
    """Peak resident memory of a few steps in a process of its own, in MiB above that before the first."""
    command = [sys.executable, __file__, "--memory", kind, "--p", str(p), "--fraction", str(fraction)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _report_memory(kind: str, p: int, fraction: float) -> None:
    step = KINDS[kind](p, fraction)
    before = _memory_kib("VmRSS")
    milliseconds(step, 3)
    sys.stdout.write(f"{(_memory_kib('VmHWM') - before) / 1024:.1f}\n")


def _memory_kib(field: str) -> int:
    """Linux alone: getrusage's peak would be inherited from the parent process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE).group(1))


KINDS: dict[str, Callable[[int, float], Step]] = {"fast": fast_step, "usual": usual_step}


@flushed_subnormals()
def measure(p: int, fraction: float, rounds: int) -> dict[str, object]:
    """All figures, as JSON values; times in milliseconds, memory in MiB."""
    fast, usual = fast_step(p, fraction), usual_step(p, fraction)
    products = bare_products(fast)
    runs = {"fast": (fast, 5), "usual": (usual, 1), "products": (products, 5)}
    for run, _ in runs.values():
        milliseconds(run, 3)
    durations: dict[str, list[list[float]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, times) in runs.items():
            durations[name].append(milliseconds(run, times))
    flat = {name: [t for turn in turns for t in turn] for name, turns in durations.items()}
    per_round = [median(u) / median(f) for u, f in zip(durations["usual"], durations["fast"], strict=True)]
    return {
        "p": p,
        "fraction": fraction,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformer_lens": version("transformer-lens"),
        "median_ms": {name: median(times) for name, times in flat.items()},
        "fastest_ms": {name: min(times) for name, times in flat.items()},
        "ratio_of_medians": median(flat["usual"]) / median(flat["fast"]),
        "ratio_of_fastest": min(flat["usual"]) / min(flat["fast"]),
        "median_of_ratios": median(per_round),
        "share_of_products": min(flat["products"]) / min(flat["fast"]),
        "peak_memory_mib": {kind: peak_memory(kind, p, fraction) for kind in KINDS},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--p", type=int, default=113)
    parser.add_argument("--fraction", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--at-least", type=float, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", choices=list(KINDS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.memory:
        _report_memory(arguments.memory, arguments.p, arguments.fraction)
        return
    measured = measure(arguments.p, arguments.fraction, arguments.rounds)
    figures = json.dumps(measured, indent=2)
    sys.stdout.write(figures + "\n")
    if arguments.json:
        arguments.json.write_text(figures + "\n")
    if measured["ratio_of_medians"] < arguments.at_least:
        sys.exit(f"{measured['ratio_of_medians']:.2f} times faster, and not {arguments.at_least:g}")


if __name__ == "__main__":
    main()
