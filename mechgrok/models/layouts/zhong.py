"""The task as described by configurations in the released code of Zhong et al. 2023."""

import re

from mechgrok.errors import TaskError
from mechgrok.models.layouts.refusals import RefusedError
from mechgrok.models.layouts.stored_network import StoredNetwork
from mechgrok.tasks import Task, modular_task

ADDITION = "lambda x: (x[0]+x[1])%1"
"""The operation of their linear models, whose configurations do not name it."""


def task_of(stored: StoredNetwork, d_vocab: int) -> Task | None:
    """The task, with the tokens numbered as in their data set; None if it is not given or not one of ours.

    Args:
        d_vocab: number of tokens in the embedding.

    Raises:
        RefusedError: the task has a different number of tokens.
    """
    settings = stored.settings
    if "C" not in settings:
        return None
    p, separate, equals = settings["C"], settings.get("diff_vocab"), settings.get("eqn_sign")
    expected = p * (2 if separate else 1) + bool(equals)
    if d_vocab != expected:
        raise RefusedError(f"its configuration speaks of {expected} tokens, its embedding has {d_vocab}")
    # "lambda x: (x[0]+x[1])%59"; read, never evaluated.
    match = re.fullmatch(r"lambda x:\s*\((.+)\)\s*%\s*\d+", settings.get("funcs", ADDITION))
    if match is None:
        return None
    operation = match[1].replace("x[0]", "a").replace("x[1]", "b").replace("**", "^")
    sequence = ("a", "b'" if separate else "b", *(["="] if equals else []))
    try:
        return modular_task("add" if operation == "a+b" else operation, p, sequence=sequence)
    except TaskError:
        return None
