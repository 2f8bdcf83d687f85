"""Time of a training step in this checkout compared with another one, in alternation.

    python tests/benchmarks/bench_against.py OTHER_CHECKOUT [--rounds 8] [--threads 2] [--at-most 1.03] [--json FILE]

Each round runs each checkout in a separate process (A B A B), so that other load on the machine affects
both. With `--at-most` the script exits with 1 if ours takes longer by more than this factor.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[2]
STEP = """
import sys
import torch
sys.path.insert(0, sys.argv[1])
from bench_step import fast_step, milliseconds
from mechgrok.training.subnormals import flushed_subnormals
torch.set_num_threads(int(sys.argv[2]))
with flushed_subnormals():
    step = fast_step(113, 0.3)
    milliseconds(step, 10)
    print(*milliseconds(step, 60))
"""


def durations(checkout: Path, threads: int) -> list[float]:
    """Milliseconds of each step in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "PYTHONSAFEPATH": "1",
    }  # not the present folder's
    command = [sys.executable, "-c", STEP, str(checkout / "tests/benchmarks"), str(threads)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return [float(word) for word in output.split()]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--at-most", type=float)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    ours, others = [], []
    for _ in range(arguments.rounds):
        ours.append(durations(HERE, arguments.threads))
        others.append(durations(arguments.other.resolve(), arguments.threads))
    measured = {
        "ours_ms": median(t for times in ours for t in times),
        "others_ms": median(t for times in others for t in times),
        "fastest_ms": [min(map(min, ours)), min(map(min, others))],
        "median_of_ratios": median(median(a) / median(b) for a, b in zip(ours, others, strict=True)),
    }
    measured["ratio_of_medians"] = measured["ours_ms"] / measured["others_ms"]
    figures = json.dumps(measured, indent=2)
    sys.stdout.write(figures + "\n")
    if arguments.json:
        arguments.json.write_text(figures + "\n")
    if arguments.at_most and measured["ratio_of_medians"] > arguments.at_most:
        sys.exit(f"{measured['ratio_of_medians']:.3f} times as long, and not {arguments.at_most:g}")


if __name__ == "__main__":
    main()
