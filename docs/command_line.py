"""Writes docs/command-line.md: prose and examples from here, options from the commands themselves.

    python docs/command_line.py

A test fails if the page differs from this script's output, and runs the examples.
"""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

from mechgrok.cli.commands import COMMANDS
from mechgrok.cli.usage import Command, Option, options

PAGE = Path(__file__).with_name("command-line.md")
HEAD = """\
# The command line

`mechgrok COMMAND --help` explains a command, and `mechgrok --version` prints the version. Results go to standard
output; progress, file locations and errors go to standard error. The exit code is 0, or 1 for an explained error,
2 for wrong usage, 130 after Ctrl-C. In a clone set up by `make`, `mechgrok` is `.venv/bin/mechgrok`, or
`mechgrok` itself after `source .venv/bin/activate`.

If standard error is not a terminal, as in the log of a batch job, training prints a
line every tenth of its steps or every half minute, instead of a bar; `--quiet` prints none.

Commands do not load torch until they have parsed their arguments, so that help, lists and usage errors appear at
once. [Performance](performance.md#the-command-line) has the timings.

## Configurations

Every field of `TrainConfig`, and of the network's `ModelConfig` or `MLPConfig`, is an option of `train`, named
after the field with dashes: `--lr 3e-3`, `--d-model 64`, `--stop-when-settled` and `--no-stop-when-settled`.
Several values follow one another: `--betas 0.9 0.99`. `--kind mlp` takes the other kind of network. What is not
given is as in the recipe. `analyze`, `explain`, `report`, `compare`, `measures` and `figures` have the fields of the
network, for what the tensors of a file cannot tell.

`--config FILE` reads the same fields from JSON, YAML or TOML; those of the network are below `model`. An option on
the command line overrides the file, the file overrides the recipe, and a field that does not exist is an error.

```toml
recipe = "fast"
lr = 3e-3
weight_decay = 0.5

[model]
d_model = 64
n_heads = 2
```

## Examples

Train with a configuration file, and look at the result:

```bash
mechgrok train add 13 --config small.toml --steps 60 --out runs/add13 --quiet
mechgrok analyze runs/add13
mechgrok analyze runs/add13 --step 50 --json
mechgrok report runs/add13 --out add13.html
```

State what a network computes as a formula, with the share of the inputs that it settles, a control, and
interventions whose outcome was predicted:

```bash
mechgrok explain add113 --out add113.html
```

Several seeds, each in its own process, in the folders `runs/seeds/fast-seed0` and so on:

```bash
mechgrok train add 13 --steps 40 --seeds 0,1 --out runs/seeds --quiet
```

Numbers and figures for other programs:

```bash
mechgrok measures runs/add13 --out add13.csv --only loss_test restricted_loss --quiet
mechgrok figures runs/add13 --out figures --formats json
```

SVG, PNG and PDF, as in `--formats svg pdf`, are drawn by kaleido, which comes with the extra `mechgrok[png]`, and a
Chrome or Chromium.

What is available, and published results:

```bash
mechgrok list
mechgrok list recipes
mechgrok reproduce --list
```

Somebody else's file, whose tensors do not tell everything:

```text
mechgrok analyze their_model.pth --task add --p 113 --sequence a b = --n-heads 4 --act-fn relu
mechgrok measures their_checkpoints --task add --p 113 --n-heads 4 --act-fn relu --out measures.csv
```

## Arguments and options
"""


def page() -> str:
    """The text of the page."""
    return "\n".join(
        [HEAD, *(line for name, command in COMMANDS.items() for line in _section(name, command))]
    )


def _section(name: str, command: Command) -> Iterator[str]:
    taken = list(options(command))
    arguments = " ".join(option.forms[0] for option in taken if not option.forms[0].startswith("-"))
    yield from (f"### mechgrok {name}", "", f"`mechgrok {name} {arguments}".rstrip() + "`", "")
    yield from (cleandoc(command.__doc__ or "").partition("\nArgs:")[0].strip(), "")
    yield from ("| argument or option | values | meaning |", "|---|---|---|")
    yield from (_row(option) for option in taken)
    yield ""


def _row(option: Option) -> str:
    forms = ", ".join(f"`{form}`" for form in option.forms)
    return f"| {forms} | {option.values} | {option.meaning.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
