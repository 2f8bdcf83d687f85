"""Cost of a training step by modulus, width and fraction of the data, compared with the usual loop.

    python tests/benchmarks/bench_cost.py [--rounds 5] [--json FILE]

Addition with the network of Nanda et al. 2023 at p = 113, d_model = 128 and 30% of the pairs, varying one of the three
at a time. Both steps run in one process, in alternation, as in bench_step.py.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench_step import fast_step, milliseconds, usual_step

from mechgrok import ModelConfig
from mechgrok.training.subnormals import flushed_subnormals

VARIED: dict[str, tuple[int | float, ...]] = {
    "p": (53, 113, 251, 401),
    "d_model": (32, 64, 128, 256),
    "fraction": (0.1, 0.3, 0.5, 0.8),
}
USUAL: dict[str, int | float] = {"p": 113, "d_model": 128, "fraction": 0.3}


def settings() -> Iterator[tuple[str, dict[str, int | float]]]:
    """Which value is varied, and all three."""
    for name, values in VARIED.items():
        for value in values:
            yield name, USUAL | {name: value}


@flushed_subnormals()
def measure(p: int, d_model: int, fraction: float, rounds: int) -> dict[str, float]:
    """Median milliseconds of both steps, and their ratio."""
    config = ModelConfig(d_model=d_model)
    fast, usual = fast_step(p, fraction, config), usual_step(p, fraction, config)
    milliseconds(fast, 3), milliseconds(usual, 1)
    ours, theirs = [], []
    for _ in range(rounds):
        ours += milliseconds(fast, 5)
        theirs += milliseconds(usual, 1)
    return {"ours_ms": median(ours), "usual_ms": median(theirs), "ratio": median(theirs) / median(ours)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(
        f"{'varied':>10} {'p':>5} {'d_model':>8} {'fraction':>9} {'ours (ms)':>10} {'usual (ms)':>11} {'ratio':>6}"
    )
    for varied, setting in settings():
        figures = measure(
            int(setting["p"]), int(setting["d_model"]), float(setting["fraction"]), options.rounds
        )
        rows.append({"varied": varied, **setting, **figures})
        print(
            f"{varied:>10} {setting['p']:>5} {setting['d_model']:>8} {setting['fraction']:>9} "
            f"{figures['ours_ms']:>10.1f} {figures['usual_ms']:>11.1f} {figures['ratio']:>6.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
