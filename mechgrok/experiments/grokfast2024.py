"""Lee, Kang, Kim and Lee 2024, Grokfast (arXiv 2405.20233)."""

from collections.abc import Iterator

from mechgrok.analysis.curves import first_step
from mechgrok.config import ModelConfig, TrainConfig
from mechgrok.experiments.reproduction import Row
from mechgrok.experiments.trainings import train_kept
from mechgrok.runs import Run
from mechgrok.tasks import modular_task

SETUP = TrainConfig(
    recipe="grokfast",
    model=ModelConfig(
        n_layers=2, act_fn="gelu", normalization="LN", attn_bias=True, output="vocabulary", init="tl"
    ),
    sequence=("a", "op", "b", "="),
    fraction=0.5,
    split_rule="randperm",
    optimizer="adam",
    lr=1e-3,
    betas=(0.9, 0.98),
    weight_decay=0.0,
    batch_size=512,
    stop_test_loss=0.02,
    stop_when_settled=False,
)
"""Two-layer decoder, batches of 512, Adam without weight decay."""


def _step_of_95(seed: int, **changes: object) -> int | float | None:
    config = SETUP.replace(**changes)
    run: Run = train_kept(modular_task("div", 97), config, seed=seed, checkpoint_every=config.steps)
    return first_step(run.history, "accuracy_test", at_least=0.95)


def acceleration(full: bool) -> Iterator[Row]:
    """Steps to 95% test accuracy with and without the filters."""
    budget = 100_000 if full else 5000
    ema = _step_of_95(0, gradient="grokfast_ema", weight_decay=0.005, steps=5000)
    yield Row("Grokfast-EMA: step of 95% test accuracy", 910, ema, None, 2500)
    ma = _step_of_95(
        0, gradient="grokfast_ma", grokfast_window=100, grokfast_lambda=5.0, weight_decay=0.01, steps=5000
    )
    yield Row("Grokfast-MA: step of 95% test accuracy", 790, ma, None, 2500)
    baseline = _step_of_95(0, steps=budget) or float(budget)
    yield Row(f"Adam: step of 95% test accuracy (at least; budget {budget})", 39_890, baseline, 4000)
    slowest = max(ema or budget, ma or budget)
    yield Row("how many times earlier (at least)", 43.8, baseline / slowest, 4)
