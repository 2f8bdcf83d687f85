"""Commands that write measures and figures: `measures` and `figures`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from mechgrok.cli.foreign import AboutFile
from mechgrok.cli.options import FileOptions
from mechgrok.cli.printing import check_report, tell
from mechgrok.cli.usage import Flag, Maybe, Several
from mechgrok.errors import ConfigError
from mechgrok.wording import in_words

Format = Literal["html", "json", "svg", "png", "pdf"]
About = Annotated[FileOptions, arg(name="")]  # pyright: ignore[reportInvalidTypeForm]


def measures(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    *,
    out: Path,
    only: Several[str] = (),
    steps: Several[int] = (),
    quiet: Flag = False,
    options: About,
) -> None:
    """Write the progress measures of a run at every checkpoint to a table.

    After an interruption the same command resumes: checkpoints already in the table are not measured again.

    Args:
        run: folder of a run, the name of one shipped with mechgrok, or a folder of checkpoint files.
        out: the table, a file ending in .csv or .parquet.
        only: names of measures; by default the usual ones. `mechgrok list measures` shows all.
        steps: checkpoints to measure; by default all readable ones.
        quiet: show no progress.
    """
    check_report(out, "--out", "measures.csv")
    about = AboutFile(options)
    from mechgrok.progress import progress_measures
    from mechgrok.progress.sources import run_or_files
    from mechgrok.runs import Run

    source = run_or_files(run)
    if isinstance(source, Run):
        about.check_unused()
    progress_measures(
        source, list(only) or None, steps=list(steps) or None, out=out, progress=not quiet, task=about.task(),
        **about.reading,
    )  # fmt: skip
    tell("Measures", out)


def figures(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    *,
    out: Path,
    formats: tuple[Format, ...] = ("html", "json"),
    step: Maybe[int] = None,
    options: About,
) -> None:
    """Draw the figures of a run or of a network in a file, each to a separate file.

    Args:
        run: folder of a run, the name of one shipped with mechgrok, or a file with a network.
        out: folder for the figures; created if it does not exist.
        formats: html and json (plotly's) always work; svg, png and pdf need the extra `mechgrok[png]` and a
            Chrome or Chromium.
        step: checkpoint of a run; by default the newest readable one.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out needs a folder for the figures; {out} is a file")
    from mechgrok.cli.drawing import check_browser, draw_all, write_figures

    formats = tuple(dict.fromkeys(formats))
    check_browser(formats)
    found = AboutFile(options).open(run, step)
    count = write_figures(draw_all(found, step), out, formats)
    tell(in_words(count, "file") + " of figures", out)
