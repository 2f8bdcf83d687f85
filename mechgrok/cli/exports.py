"""Commands that write what is measured and drawn: `measures` and `figures`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from mechgrok.cli.printing import check_report, tell
from mechgrok.cli.usage import Flag, Maybe, Several
from mechgrok.errors import ConfigError

Format = Literal["html", "json", "svg", "png", "pdf"]
NEEDS_KALEIDO: tuple[Format, ...] = ("svg", "png", "pdf")


def measures(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    *,
    out: Path,
    only: Several[str] = (),
    steps: Several[int] = (),
    quiet: Flag = False,
) -> None:
    """Write the progress measures of a run at every checkpoint to a table.

    Stopped, the same command goes on: checkpoints that are in the table already are not measured again.

    Args:
        run: folder of a run, the name of one that comes with mechgrok, or a folder of checkpoint files.
        out: the table, a file that ends in .csv or .parquet.
        only: names of measures; by default the usual ones. `mechgrok list measures` shows all.
        steps: checkpoints to measure at; by default all.
        quiet: show no progress.
    """
    check_report(out, "--out", "measures.csv")
    from mechgrok.progress import progress_measures

    progress_measures(run, list(only) or None, steps=list(steps) or None, out=out, progress=not quiet)
    tell("Measures", out)


def figures(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    *,
    out: Path,
    formats: tuple[Format, ...] = ("html", "json"),
    step: Maybe[int] = None,
) -> None:
    """Draw the figures of a run or of a network in a file, each to a file of its own.

    Args:
        run: folder of a run, the name of one that comes with mechgrok, or a file with a network.
        out: folder for the figures; made if it is not there.
        formats: html and json (plotly's) always work; svg, png and pdf need the extra `mechgrok[png]` and a
            Chrome or Chromium.
        step: checkpoint of a run; by default the newest.
    """
    check_formats(formats)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out needs a folder for the figures; {out} is a file")
    from mechgrok.cli.drawing import draw_all, write_figure

    written = 0
    for name, figure in draw_all(run, step):
        for ending in formats:
            write_figure(figure, out / f"{name}.{ending}")
            written += 1
    tell(f"{written} figures", out)


def check_formats(formats: tuple[Format, ...]) -> None:
    """Before the work, not after it.

    Raises:
        ConfigError: a format that needs what is not installed.
    """
    from importlib.util import find_spec

    wanted = [ending for ending in formats if ending in NEEDS_KALEIDO]
    if wanted and find_spec("kaleido") is None:
        raise ConfigError(
            f"{', '.join(wanted)} are drawn by kaleido, which is not installed: pip install 'mechgrok[png]'; "
            "--formats html json needs nothing"
        )
