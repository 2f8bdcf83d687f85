"""A task of your own: defined here, trained, resumed in a second process, measured and reported.

    python examples/a_task_of_your_own.py [FOLDER]

On the command line, `--import` makes the same task available:

    mechgrok analyze FOLDER/run --import examples/a_task_of_your_own.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import mechgrok as mg


class Majority(mg.FiniteTask, kind="majority"):
    """Whether more than half of some bits are 1."""

    n_bits: int = 7

    def all_inputs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All vectors of bits, and their answers."""
        bits = torch.cartesian_prod(*[torch.arange(2)] * self.n_bits)
        return bits, (bits.sum(1) > self.n_bits / 2).long()

    def make_structure(self) -> mg.Frame:
        """Functions of bits are sums of products of signs: the Walsh basis."""
        return mg.function_frame(mg.walsh_basis(self.n_bits), self.labels, 2, self.name)


def main(folder: Path, steps: int) -> mg.Run:
    """Train for some steps; a run already in the folder is resumed."""
    network = mg.ModelConfig(d_model=32)
    return mg.train(
        Majority(n_bits=7), steps=steps, model=network, fraction=0.6, out=folder / "run", progress=False
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    if len(sys.argv) > 2:  # the second process
        main(folder, 400)
        sys.exit()
    main(folder, 200)
    subprocess.run([sys.executable, __file__, str(folder), "go on"], check=True)

    run = mg.load_run(folder / "run")
    print(run.history[-1])
    print(mg.progress_measures(run, ["loss_test", "accuracy_test"], progress=False))
    print(mg.summarize(run).verdict)
    print(mg.write_report(folder / "report.html", run))
