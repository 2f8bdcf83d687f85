"""Time from nothing to a grokked network: interpreter start, imports, task, training.

    python tests/benchmarks/bench_grok.py [--recipes fast nanda] [--seed 0] [--p 113] [--json FILE]

Each recipe runs in a separate process until its test loss is below 0.02; by then the test accuracy is above 99%, and
the step at which this happened is also printed.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

TEST_LOSS = 0.02
TRAINING = """
import sys
import mechgrok as mg
from mechgrok.analysis.curves import first_step
recipe, seed, p, loss = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
task = mg.modular_task("add", p)
run = mg.train(task, recipe, seed=seed, stop_test_loss=loss, stop_when_settled=False, progress=False)
print(run.steps[-1], run.history[-1]["accuracy_test"], first_step(run.history, "accuracy_test", at_least=0.99))
"""


def measure(recipe: str, seed: int, p: int) -> dict[str, object]:
    """Seconds, and how far the network came."""
    command = [sys.executable, "-c", TRAINING, recipe, str(seed), str(p), str(TEST_LOSS)]
    started = time.perf_counter()
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    seconds = time.perf_counter() - started
    return {
        "recipe": recipe,
        "seconds": round(seconds, 1),
        "steps": int(answer[0]),
        "test_accuracy": float(answer[1]),
        "step_of_99%": answer[2],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipes", nargs="+", default=["fast", "nanda"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--p", type=int, default=113)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [measure(recipe, options.seed, options.p) for recipe in options.recipes]
    for row in rows:
        print("  ".join(f"{name}: {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
