"""CPU time and memory of analyses of one grokked network, compared with another checkout, in alternation.

    python tests/benchmarks/bench_analyses.py OTHER_CHECKOUT [--rounds 5] [--threads 1] [--json FILE] [--check]

The network is from the run `add113` (p = 113, one layer, 512 neurons). Each round measures each checkout in a
separate process (A B A B), so that other load on the machine affects both: user and system time of each
analysis, and the peak memory of the process in each. With `--check` the script exits with 1 if an analysis
does not gain what it should, or takes more memory.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[2]
AT_LEAST = {
    "cache_grid": 2.5,
    "neuron_frequencies": 10,
    "restricted_loss of each of six keys": 10,
    "excluded_loss of each of six keys": 3,
}
"""How many times less CPU time an analysis takes than it did when each had a slow form beside the fast one."""
MEASURED = """
import json, resource, sys, time
import torch
import mechgrok as mg

torch.set_num_threads(int(sys.argv[1]))
run = mg.load_run("add113")
model, task, train = run.model(), run.task, run.split.train
grid = mg.cache_grid(model, task)
found = mg.find_key_frequencies(grid)
shares = dict(zip(found.labels, found.power.tolist()))
keys = sorted(shares, key=shares.get)[-6:]

def several(model):
    found = mg.find_key_frequencies(model)
    mg.restricted_loss(model, found), mg.excluded_loss(model, found, train), mg.neuron_frequencies(model)

ANALYSES = {
    "cache_grid": lambda: mg.cache_grid(model, task),
    "neuron_frequencies": lambda: mg.neuron_frequencies(grid),
    "restricted_loss of each of six keys": lambda: [mg.restricted_loss(grid, [key]) for key in keys],
    "excluded_loss of each of six keys": lambda: [mg.excluded_loss(grid, [key], train) for key in keys],
    "four analyses of one network": lambda: several(model),
}
if len(sys.argv) > 2:
    ANALYSES[sys.argv[2]]()
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    raise SystemExit
seconds = {}
for name, analysis in ANALYSES.items():
    analysis()
    seconds[name] = []
    for _ in range(5):
        start = time.process_time()
        analysis()
        seconds[name].append(time.process_time() - start)
print(json.dumps({name: sorted(times)[2] for name, times in seconds.items()}))
"""


def measured(checkout: Path, threads: int, analysis: str | None = None):
    """CPU seconds of each analysis; of one alone the memory of its process, in MiB."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": str(threads),
    }
    command = [sys.executable, "-c", MEASURED, str(threads), *([analysis] if analysis else [])]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=checkout)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    sides, threads = (HERE, arguments.other.resolve()), arguments.threads
    rounds = [[measured(side, threads) for side in sides] for _ in range(arguments.rounds)]
    rows, short = {}, []
    for name in rounds[0][0]:
        ours, others = ([side[name] for side in taken] for taken in zip(*rounds, strict=True))
        memory = [min(measured(side, threads, name) for _ in range(2)) for side in sides]
        ratio = median(theirs / mine for mine, theirs in zip(ours, others, strict=True))
        rows[name] = {
            "ours_ms": 1000 * median(ours),
            "others_ms": 1000 * median(others),
            "median_of_ratios": ratio,
            "peak_memory_mib": memory,
        }
        line = f"| {name} | {1000 * median(ours):.1f} | {1000 * median(others):.1f} | {ratio:.1f} "
        sys.stdout.write(line + f"| {memory[0]:.0f} | {memory[1]:.0f} |\n")
        if ratio < AT_LEAST.get(name, 1) or memory[0] > memory[1]:
            short.append(name)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    if arguments.check and short:
        sys.exit(f"less is gained than should be, or more memory taken, by {', '.join(short)}")


if __name__ == "__main__":
    main()
