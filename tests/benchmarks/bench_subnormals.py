"""The cost of subnormal floats in a training step once the network has memorised.

    python tests/benchmarks/bench_subnormals.py [--run add113] [--rounds 10] [--json FILE]

The loss and gradient at several checkpoints of a run, with and without flushing subnormals to zero, in alternation.
"""

import argparse
import json
from pathlib import Path
from statistics import median

from bench_step import Step, milliseconds

import mechgrok as mg
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import make_step
from mechgrok.training.subnormals import flushed_subnormals

CHECKPOINTS = 5


def measure(step: Step, rounds: int) -> dict[str, float]:
    """Median milliseconds."""
    with_them, flushed = [], []
    milliseconds(step, 3)
    for _ in range(rounds):
        with_them += milliseconds(step, 3)
        with flushed_subnormals():
            flushed += milliseconds(step, 3)
    return {"with_ms": median(with_them), "flushed_ms": median(flushed)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", default="add113")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    run, rows = mg.load_run(options.run), []
    for number in range(CHECKPOINTS):
        at = run.steps[number * (len(run.steps) - 1) // (CHECKPOINTS - 1)]
        step = make_step(run.model(at), run.task, run.task.data(run.split), CrossEntropy())
        rows.append({"step": at, **measure(step, options.rounds)})
        print("  ".join(f"{name}: {value:.4g}" for name, value in rows[-1].items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
