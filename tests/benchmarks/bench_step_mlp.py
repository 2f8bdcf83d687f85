"""Time of a training step of feed-forward networks: hand-written, by autograd, and in an ordinary torch loop.

    python tests/benchmarks/bench_step_mlp.py [--p 113] [--fraction 0.3] [--rounds 20] [--threads 2] [--json FILE]

The architectures are from Zhong et al. 2023. All three train the same network on the same inputs in one
process, in alternation, so that other load on the machine affects each. The ordinary loop: forward, log_softmax in
float64, backward, AdamW. "products" are only the matrix products of the hand-written step.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

import torch
from bench_step import bare_products, milliseconds, usual_loop, with_update

from mechgrok import MLPConfig, build_model, modular_task
from mechgrok.fast.mlp_step import FastMLPStep
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import AutogradStep
from mechgrok.training.subnormals import flushed_subnormals

NETWORKS = {
    "alpha": MLPConfig(),
    "beta": MLPConfig(n_layers=2),
    "delta": MLPConfig(combine="concat", d_embed=128),
    "one-hot": MLPConfig(inputs="one_hot", act_fn="square"),
}


@flushed_subnormals()
def measure(config: MLPConfig, p: int, fraction: float, rounds: int) -> dict[str, object]:
    """The figures of one architecture; times in milliseconds, ratios to the step by hand."""
    task = modular_task("add", p, sequence=("a", "b"))
    fast, slow, plain = (build_model(task, config, seed=0) for _ in range(3))
    split = task.split(fraction)
    runs = {
        "fast": with_update(FastMLPStep(fast, task, split.train, CrossEntropy()), fast),
        "autograd": with_update(AutogradStep(slow, task.signature, task.data(split), CrossEntropy()), slow),
        "usual": usual_loop(plain, task, fraction),
    }
    runs["products"] = bare_products(runs["fast"])
    for run in runs.values():
        milliseconds(run, 3)
    durations: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            durations[name] += milliseconds(run, 3)
    medians = {name: median(times) for name, times in durations.items()}
    fastest = {name: min(times) for name, times in durations.items()}
    return {
        "median_ms": medians,
        "fastest_ms": fastest,
        "ratio_of_medians": {name: medians[name] / medians["fast"] for name in ("autograd", "usual")},
        "share_of_products": fastest["products"] / fastest["fast"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--p", type=int, default=113)
    parser.add_argument("--fraction", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures = {
        "p": arguments.p,
        "fraction": arguments.fraction,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    } | {
        name: measure(config, arguments.p, arguments.fraction, arguments.rounds)
        for name, config in NETWORKS.items()
    }
    text = json.dumps(figures, indent=2)
    sys.stdout.write(text + "\n")
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
