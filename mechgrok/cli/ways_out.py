"""Remedies in error messages, as typed in the shell: errors name Python arguments, the shell has options."""

import re

CONFIGURED = re.compile(r"config=\w+Config\(((?:[^()'\"]|'[^']*'|\"[^\"]*\")*)\)")
"""Fields of a network, such as config=ModelConfig(act_fn='relu', attention_dir='causal' or 'bidirectional')."""
ARGUMENTS = {
    r"task=modular_task\(\.\.\.\)": "--task and --p",
    r"modular_task\(\.\.\., sequence=\.\.\.\)": "--sequence",
    r"task=\.\.\.": "--task",
    r"layout=\.\.\.": "--layout",
    r"config=\.\.\.": "--config",
    r"rename=\{\.\.\.\}": "--rename OLD=NEW",
}
"""Other arguments of functions, and the corresponding options."""


def in_shell(text: str) -> str:
    """The text of an error with options in place of arguments.

    >>> in_shell("say config=ModelConfig(act_fn='relu', normalization=None, 'LN')")
    'say --act-fn relu, --normalization none, LN'
    >>> in_shell("Say so with task=modular_task(...)")
    'Say so with --task and --p'
    """
    typed = CONFIGURED.sub(_fields_as_options, text)
    for argument, option in ARGUMENTS.items():
        typed = re.sub(argument, option, typed)
    return typed


def _fields_as_options(match: re.Match[str]) -> str:
    options = re.sub(r"(\w+)=", lambda field: f"--{field[1].replace('_', '-')} ", match[1])
    return re.sub(r"\bNone\b", "none", options.replace("'", "")).replace("...", "VALUE")
