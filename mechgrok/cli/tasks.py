"""The task that a command line names."""

from typing import TYPE_CHECKING

from mechgrok.errors import ConfigError, TaskError
from mechgrok.spelling import closest

if TYPE_CHECKING:
    from mechgrok.tasks import Task


def named_task(operation: str, p: int | None, default: int | None = None) -> "Task":
    """A group by its name, with a capital letter as in S5 or Z2xS3, or an operation mod p.

    Args:
        default: the modulus of an operation that is given none.

    Raises:
        ConfigError: a modulus for a group, none at all for an operation.
        TaskError: an unknown group, an operation that does not parse, a modulus that is none.

    >>> named_task("S3", None), named_task("mul", 7)
    (Task(S3: a b = -> 6 classes, 36 inputs), Task(mul7: a b = -> 7 classes, 49 inputs))
    """
    from mechgrok.tasks import group_task, modular_task
    from mechgrok.tasks.modular import NAMED

    if operation[:1].isupper():
        if p is not None:
            raise ConfigError(f"{operation} stands for a group, which has no modulus; leave {p} out")
        return group_task(operation)
    modulus = default if p is None else p
    if modulus is None:
        raise ConfigError(
            f"the operation {operation!r} needs its modulus, as in --task add --p 113; a group, as S5, needs none"
        )
    try:
        return modular_task(operation, modulus)
    except TaskError as error:
        near = closest(operation, NAMED) if operation.isalpha() and "did you mean" not in str(error) else []
        if near:
            raise TaskError(f"{error}. Did you mean {' or '.join(near)}?") from None
        raise
