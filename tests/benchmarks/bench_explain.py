"""CPU time of explain, with all of its stages, against summarize, and the peak of its memory.

    python tests/benchmarks/bench_explain.py [--other CHECKOUT] [--network add113] [--repeats 3] [--p 251] [--at-most 3]

Each checkout runs in processes of its own with one thread; the least time of several repeats counts. With `--other`,
summarize is that of another checkout. With `--at-most` the script exits with 1 if explain takes more than so many
times as long. The memory is measured on a network built by hand for addition mod `--p`, in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]
TIME = """
import sys, time
import torch
import mechgrok as mg
torch.set_num_threads(1)
network, call = mg.load_model(sys.argv[1]), sys.argv[2]
def once():
    start = time.process_time()
    grid = mg.cache_grid(network)
    mg.explain(grid).stages if call == "explain" else mg.summarize(grid)
    return time.process_time() - start
print(min(once() for _ in range(int(sys.argv[3]))))
"""
MEMORY = """
import resource, sys
import torch
import mechgrok as mg
torch.set_num_threads(1)
p = int(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
mg.explain(mg.clock_transformer(p, {3: 9.0, p // 3: 6.0}).float()).stages
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)
"""


def printed(checkout: Path, program: str, *arguments: str) -> float:
    """The number that a program prints in a process of its own, with the package of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *arguments]
    return float(
        subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment, cwd=checkout
        ).stdout
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--other", type=Path, default=HERE)
    parser.add_argument("--network", default="add113")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--p", type=int, default=251)
    parser.add_argument("--at-most", type=float)
    options = parser.parse_args()
    timed = (options.network, "explain", str(options.repeats))
    measured = {
        "explain_s": printed(HERE, TIME, *timed),
        "summarize_s": printed(
            options.other.resolve(), TIME, options.network, "summarize", str(options.repeats)
        ),
        "explain_peak_mib": printed(HERE, MEMORY, str(options.p)),
    }
    measured["ratio"] = measured["explain_s"] / measured["summarize_s"]
    sys.stdout.write(json.dumps(measured, indent=2) + "\n")
    if options.at_most and measured["ratio"] > options.at_most:
        sys.exit(f"{measured['ratio']:.2f} times as long, and not {options.at_most:g}")


if __name__ == "__main__":
    main()
