"""CPU time of the command line, compared with another checkout, in alternation.

    python tests/benchmarks/bench_shell.py PATH_OF_THE_OTHER_CHECKOUT [RUNS]

Prints, for each command, the median user and system times of the processes, ours and the other's, and the ratio.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parents[2]
COMMANDS = {
    "--help": (0,),
    "--version": (0,),
    "trian": (2,),
    "train --help": (0,),
    "analyze --help": (0,),
    "report --help": (0,),
    "reproduce --list": (0,),
    "list": (0, 2),  # the other checkout may not have it yet
    "analyze add113": (0,),
}


def cpu_seconds(checkout: Path, command: str, codes: tuple[int, ...]) -> float:
    """User and system time of one process that runs a command."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their bytecode on the disk
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "mechgrok.cli", *command.split()],
        cwd=checkout, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in codes:
        raise SystemExit(f"{checkout}: mechgrok {command} ended with {done.returncode}: {done.stderr[-500:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(other: Path, runs: int) -> None:
    print(f"| command | ours (s) | {other.name} (s) | ratio |\n|---|---|---|---|")
    for command, codes in COMMANDS.items():
        for checkout in (HERE, other):  # files into the cache, bytecode on the disk
            cpu_seconds(checkout, command, codes)
        pairs = [(cpu_seconds(HERE, command, codes), cpu_seconds(other, command, codes)) for _ in range(runs)]
        ours, theirs = (median(side) for side in zip(*pairs, strict=True))
        print(f"| `{command}` | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
