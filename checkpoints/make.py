"""Recreate the runs in this folder, and the index with their hashes and expected measures.

    python checkpoints/make.py add113-fast [--work FOLDER]

Trains in a separate folder, which a second call resumes, keeps a selection of the checkpoints (mostly where the loss
changes) without the optimiser's state, and enters the run in index.json. Training is identical bit for bit only on the
same processor and torch version; elsewhere the result is a different network of the same kind.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mechgrok as mg
from mechgrok.report.film import choose_steps
from mechgrok.runs import CHECKPOINTS, CONFIG, GROUPS, HISTORY, SPLIT
from mechgrok.shipped import INDEX, file_digest
from mechgrok.storage import write_json

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Shipped:
    """How a run is made, and how many of its checkpoints are kept."""

    description: str
    operation: str
    p: int
    recipe: str
    most: int
    seed: int = 0
    changes: dict[str, Any] = field(default_factory=dict)


SHIPPED = {
    "add113": Shipped(
        "addition mod 113 with the set-up of Nanda et al. 2023: memorised early, grokked late",
        "add", 113, "nanda", 36, changes={"checkpoint_every": 100},
    ),
    "add113-fast": Shipped("addition mod 113, grokked in a few hundred steps", "add", 113, "fast", 8),
    # Longer than until it has settled: the neurons become pure only then.
    "mul113": Shipped(
        "multiplication mod 113: addition of the discrete logarithms", "mul", 113, "fast", 8,
        changes={"steps": 2000, "stop_when_settled": False},
    ),
    "clock59": Shipped("addition mod 59 with full attention, as Model B of Zhong et al. 2023", "add", 59, "clock", 5,
        changes={"steps": 8000, "checkpoint_every": 200},
    ),
    "pizza59": Shipped("addition mod 59 with attention rate 0, as Model A of Zhong et al. 2023", "add", 59, "pizza", 5,
        changes={"steps": 8000, "checkpoint_every": 200},
    ),
}  # fmt: skip


def make(name: str, work: Path) -> None:
    """Train, choose, copy, and enter in the index."""
    shipped = SHIPPED[name]
    task = mg.modular_task(shipped.operation, shipped.p)
    run = mg.train(task, shipped.recipe, seed=shipped.seed, out=work, **shipped.changes)
    steps = choose_steps(run.steps, run.history, most=shipped.most)
    kept = [CONFIG, SPLIT, GROUPS, HISTORY, *(f"{CHECKPOINTS}/{run.checkpoint(step).name}" for step in steps)]
    target = HERE / name
    shutil.rmtree(target, ignore_errors=True)
    for file in kept:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(work / file, target / file)
    entry = {
        "description": shipped.description,
        "command": f"python checkpoints/make.py {name}",
        "files": {file: file_digest(target / file) for file in kept},
        "expected": mg.summarize(run.grid(), run.split).values,
    }
    index = HERE / INDEX
    entries = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    write_json(index, dict(sorted({**entries, name: entry}.items())))
    print(f"{target}: {len(steps)} of {len(run.steps)} checkpoints, steps {', '.join(map(str, steps))}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=SHIPPED)
    parser.add_argument("--work", type=Path, help="folder to train in; a temporary one if left out")
    options = parser.parse_args()
    if options.work:
        make(options.name, options.work)
        return
    with tempfile.TemporaryDirectory() as folder:
        make(options.name, Path(folder) / options.name)


if __name__ == "__main__":
    main()
