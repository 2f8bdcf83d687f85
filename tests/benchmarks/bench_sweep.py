"""Networks per minute: a sweep, another checkout's `train_many`, and a loop of TransformerLens's own class.

    python tests/benchmarks/bench_sweep.py OTHER_CHECKOUT [--p 31] [--width 32] [--fraction 0.6] [--members 64]
                                           [--steps 500] [--json FILE]

Each runs in a process of its own, after the other, on all processors. The other checkout trains eight members, and the
loop one, both scaled up.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]
OURS = """
import json, resource, sys, tempfile, time
import mechgrok as mg
p, width, fraction, members, steps = json.loads(sys.argv[1])
task = mg.modular_task("add", p, sequence=("a", "b", "="))
if __name__ == "__main__":
    runs = mg.vary(task=task, d_model=width, fraction=fraction, steps=steps, seed=range(members),
                   stop_when_settled=False)
    with tempfile.TemporaryDirectory() as out:
        begin = time.perf_counter()
        found = mg.sweep(runs, out=out)
        seconds = time.perf_counter() - begin
    assert not found.failed, found.failed
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps([seconds / members, memory]))
"""
OTHERS = """
import json, resource, sys, tempfile, time
import mechgrok as mg
p, width, fraction, members, steps = json.loads(sys.argv[1])
task = mg.modular_task("add", p)
if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as out:
        begin = time.perf_counter()
        mg.train_many(task, "fast", seeds=range(8), out=out, progress=False, fraction=fraction, steps=steps,
                      model=mg.ModelConfig(d_model=width), stop_when_settled=False)
        seconds = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps([seconds / 8, memory]))
"""
LOOP = """
import json, sys, time
import mechgrok as mg
from bench_step import usual_step
p, width, fraction, members, steps = json.loads(sys.argv[1])
step = usual_step(p, fraction, mg.ModelConfig(d_model=width))
step()
begin = time.perf_counter()
for _ in range(steps):
    step()
print(json.dumps([time.perf_counter() - begin, 0.0]))
"""


def seconds_per_member(checkout: Path, script: str, about: list[float]) -> tuple[float, float]:
    """Seconds for a member, and MiB of the largest process that trained."""
    paths = os.pathsep.join(map(str, (checkout, HERE / "tests/benchmarks")))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", script, json.dumps(about)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--p", type=int, default=31)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--fraction", type=float, default=0.6)
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    about = [arguments.p, arguments.width, arguments.fraction, arguments.members, arguments.steps]
    ours, memory = seconds_per_member(HERE, OURS, about)
    others, _ = seconds_per_member(arguments.other.resolve(), OTHERS, about)
    loop, _ = seconds_per_member(HERE, LOOP, about)
    result = {
        "seconds_per_member": {"sweep": ours, "other": others, "loop": loop},
        "times_other": others / ours,
        "times_loop": loop / ours,
        "mib_of_a_process": memory,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
