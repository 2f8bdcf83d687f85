"""Training in protocols: as in `mechgrok.train`, in the folder of the reproduction."""

from typing import Any

from mechgrok.config import TrainConfig
from mechgrok.experiments.kept import folder_for, weights_digest
from mechgrok.runs import Run
from mechgrok.storage import digest
from mechgrok.tasks import Split, Task
from mechgrok.training.recipes import find_recipe
from mechgrok.training.trainer import train


def train_kept(
    task: Task,
    recipe: str | TrainConfig,
    *,
    seed: int = 0,
    progress: bool = True,
    split: Split | None = None,
    start: Any = None,
    parts: tuple[str, ...] | None = None,
    **changes: Any,
) -> Run:
    """Train a network, or resume it if the reproduction keeps its runs."""
    config = find_recipe(recipe).replace(**changes)
    begun = weights_digest(None if start is None else dict(start.named_parameters()))
    drawn = () if split is None else (digest({"train": split.train}),)
    out = folder_for(
        f"{task.name}-{config.recipe}-seed{seed}", task.spec, config.to_json(), seed, begun, parts, *drawn
    )
    return train(task, config, seed=seed, out=out, progress=progress, split=split, start=start, parts=parts)
