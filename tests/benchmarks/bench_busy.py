"""A training step on an idle machine, and on one where another process computes all the time.

    python tests/benchmarks/bench_busy.py [--p 113] [--seconds 6] [--json FILE]

With two threads, which wait for each other for OpenMP's default time (GOMP_SPINCOUNT) and for mechgrok's,
and with one. Each in a separate process, since the setting is read once.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OF_THE_LIBRARY, OURS = "300000", "5000"
SETTINGS = {
    "two threads, as they come": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": OF_THE_LIBRARY},
    "two threads, as set": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": OURS},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
STEPS = """
import sys, time
from statistics import median
sys.path.insert(0, sys.argv[3])
from bench_step import fast_step, milliseconds
step, end, durations = fast_step(int(sys.argv[1]), 0.3), time.perf_counter() + float(sys.argv[2]), []
milliseconds(step, 3)
while time.perf_counter() < end:
    durations += milliseconds(step, 1)
print(median(durations))
"""


@contextmanager
def another_process() -> Iterator[None]:
    """One that keeps a processor busy, in a session of its own, as from another terminal."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def measure(setting: dict[str, str], p: int, seconds: float) -> float:
    """Median milliseconds of a step."""
    command = [sys.executable, "-c", STEPS, str(p), str(seconds), str(Path(__file__).parent)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | setting)
    return float(said.stdout)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--p", type=int, default=113)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for name, setting in SETTINGS.items():
        idle = measure(setting, options.p, options.seconds)
        with another_process():
            busy = measure(setting, options.p, options.seconds)
        rows.append({"setting": name, "idle_ms": idle, "busy_ms": busy})
        print(f"{name:>26}: {idle:.1f} ms alone, {busy:.1f} ms beside another process")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
