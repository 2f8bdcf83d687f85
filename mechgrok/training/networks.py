"""Fresh networks with the sizes of a task."""

from mechgrok.config import ModelConfig
from mechgrok.models.transformer import HookedTransformer
from mechgrok.tasks import Task


def build_model(task: Task, config: ModelConfig | None = None, *, seed: int = 0) -> HookedTransformer:
    """A fresh network with the sizes of a task.

    Args:
        config: the architecture; default that of Nanda et al. 2023.
        seed: of the initial weights.

    >>> from mechgrok import modular_task
    >>> build_model(modular_task("add", 7), ModelConfig(d_model=16)).W_E.shape
    torch.Size([8, 16])
    """
    config = config or ModelConfig()
    model = HookedTransformer(
        config.for_sizes(d_vocab=task.d_vocab, n_classes=task.n_classes, n_ctx=task.n_ctx), seed=seed
    )
    model.task = task
    return model
