"""A phase diagram: at which learning rates and weight decays a small network comprehends, groks, memorises, or neither.

The toy of Liu et al. 2022 (arXiv 2205.10343): sums of two numbers below 10, of which 45 of the 55 unordered pairs are
trained on. Each number is embedded as one number, by Adam at a fixed rate without decay; a decoder with two hidden
layers takes the sum of two embeddings, and the learning rate and the decay that vary. It regresses to one vector for
each sum. Theirs are random and have 30 entries, ours are one-hot; their hidden layers are 200 wide, ours 64; they
train for 100,000 steps, and count as grokking what generalises 1000 steps later than it fits, as is done here.

    python examples/phases_of_learning.py [--points 20] [--steps 8000] [--out DIR]
"""

import argparse
import time
from typing import Any

import numpy as np
import torch

import mechgrok as mg

EMBEDDING_LR = 1e-3


class Sums(mg.FiniteTask, kind="sums"):
    """a + b of two numbers below n, every pair once."""

    n: int = 10

    def all_inputs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pairs, and their sums."""
        pairs = torch.combinations(torch.arange(self.n), with_replacement=True)
        return pairs, pairs.sum(1)


class Steady(torch.optim.Adam):
    """Adam at a rate that no configuration changes."""

    def step(self, closure: Any = None) -> Any:
        """One update."""
        for group in self.param_groups:
            group["lr"] = EMBEDDING_LR
        return super().step(closure)


@mg.OPTIMIZERS.add("steady-embedding", elementwise=True, takes=lambda name: name.startswith("embed"))
def steady_embedding(weights: Any, config: mg.TrainConfig, weight_decay: float) -> Steady:
    """The embedding by `Steady`, beside AdamW for everything else."""
    return Steady(weights.values(), betas=config.betas, eps=config.eps, fused=True)


@mg.MLP_INITS.add("small-embedding")
def small_embedding(path: str, shape: torch.Size, cfg: Any, generator: torch.Generator) -> torch.Tensor:
    """Embeddings uniform within 1/2, and layers as torch.nn.Linear draws their weights."""
    uniform = 2 * torch.rand(shape, generator=generator) - 1
    if path.startswith("embed"):
        return uniform / 2
    return uniform * (shape[0] if len(shape) > 1 else cfg.d_mlp) ** -0.5


def main(points: int, steps: int, out: str, workers: int | None) -> mg.Sweep:
    """Train every point, and draw the phases."""
    runs = mg.vary(
        task=Sums(),
        model=mg.MLPConfig(d_embed=1, d_mlp=64, n_layers=2, act_fn="tanh", init="small-embedding"),
        objective="mse",
        optimizer="steady-embedding",
        betas=(0.9, 0.999),
        fraction=45.5 / 55,
        lr=mg.log_grid(1e-4, 1e-2, points),
        weight_decay=np.linspace(0, 10, points),
        steps=steps,
        eval_every=50,
    )
    sweep = mg.sweep(runs, out=out, keep="none", workers=workers)
    sweep.figure(x="lr", y="weight_decay", value="kind").write_html(f"{out}/phases.html")
    return sweep


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--points", type=int, default=20, help="values of the learning rate, and of the decay"
    )
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--out", default="sweeps/phases")
    parser.add_argument("--workers", type=int, help="processes; by default one for each processor")
    begin = time.perf_counter()
    print(main(**vars(parser.parse_args())))
    print(f"{time.perf_counter() - begin:.0f} s")
