"""Prieto, Barsbey, Mediano and Birdal 2025, Grokking at the edge of numerical stability (arXiv 2501.04697)."""

from collections.abc import Iterator

from mechgrok.analysis.curves import first_step
from mechgrok.config import MLPConfig, TrainConfig
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import Run
from mechgrok.tasks import modular_task

SETUP = TrainConfig(
    recipe="prieto",
    model=MLPConfig(
        inputs="one_hot", embeddings="separate", d_mlp=200, n_layers=2, mlp_bias=False, init="fan_in"
    ),
    fraction=0.4,
    lr=1e-2,
    betas=(0.9, 0.99),
    eps=1e-25,
    weight_decay=0.0,
    warmup=0,
    stop_when_settled=False,
)
"""Two hidden layers of 200 on one-hot operands, 40% of the pairs mod 113, no weight decay."""


def _run(seed: int, **changes: object) -> Run:
    config = SETUP.replace(**changes)
    return train_kept(modular_task("add", 113), config, seed=seed, checkpoint_every=config.steps)


def stability(full: bool) -> Iterator[Row]:
    """The same network with four losses and optimisers."""
    for seed in range(3 if full else 1):
        collapsed = _run(seed, naive_loss=True, loss_dtype="float32", lr=5e-4, steps=20_000 if full else 4000)
        last = collapsed.history[-1]
        yield Row(f"float32: train accuracy, seed {seed}", 1, last["accuracy_train"], 0.999)
        yield Row(f"float32: test accuracy, seed {seed}", None, last["accuracy_test"], None, 0.5)
        orthogonal = _run(seed, gradient="orthograd", steps=300)
        yield Row(
            f"OrthoGrad: step of 99% test accuracy, seed {seed}",
            300, first_step(orthogonal.history, "accuracy_test", at_least=0.99), None, 300,
        )  # fmt: skip
        size = {"fraction": 0.4, "steps": 100_000} if full else {"fraction": 0.7, "steps": 8000}
        stable = _run(seed, objective="stablemax", betas=(0.9, 0.999), eval_every=100, **size)
        reached = first_step(stable.history, "accuracy_test", at_least=0.95)
        yield Row(f"StableMax: step of 95% test accuracy, seed {seed}", None, reached, None, size["steps"])
