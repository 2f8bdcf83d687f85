"""The section on attention heads by their weights: which tokens each is drawn to, and what it writes of them."""

from collections.abc import Iterator

from mechgrok.activations import ActivationGrid
from mechgrok.analysis.head_circuits import HeadCircuits, head_circuits
from mechgrok.errors import ActivationError, TaskError, UndefinedMetricError
from mechgrok.plots.attention import patterns_by_head
from mechgrok.plots.head_circuits import MOST_TOKENS, ov_circuit, ov_spectrum, qk_circuit
from mechgrok.report.parts import FigureGroup, Panel, Section, Table
from mechgrok.wording import number

MOST_HEADS = 8
"""Heads that are drawn; of more, those of the last layers."""


def head_circuit_sections(grid: ActivationGrid) -> Iterator[Section]:
    """Nothing for networks without attention, and for activations without a network."""
    if grid.source is None:
        return
    try:
        circuits = head_circuits(grid)
    except (ActivationError, UndefinedMetricError):  # no attention; heads that share their keys and values
        return
    heads = [(i, j) for i in range(circuits.n_layers) for j in range(circuits.n_heads)]
    shown = heads[-MOST_HEADS:]
    small = len(circuits.tokens) <= MOST_TOKENS
    yield Section(
        "circuits",
        "What heads attend to and write",
        "The QK circuit of a head says how strongly it is drawn to each token, its OV circuit what it writes if it "
        "attends to that token alone. Both are products of weights, without positions and without what earlier layers "
        "wrote.",
        tuple(_groups(grid, circuits, shown)) if small else (),
        _table(circuits),
        () if small else (f"Circuits over {len(circuits.tokens):,} tokens are not drawn.",),
    )


def _groups(
    grid: ActivationGrid, circuits: HeadCircuits, shown: list[tuple[int, int]]
) -> Iterator[FigureGroup]:
    patterns = _patterns(grid, shown)
    if patterns:
        caption = "Attention of the position that answers to the first operand, over b (across) and a (up)."
        yield FigureGroup(patterns, caption, columns=_columns(circuits))
    asked = (
        "of the token that asks for the answer"
        if circuits.query is not None
        else "of each token as the query"
    )
    qk = tuple(Panel(f"qk-L{i}H{j}", qk_circuit(circuits, i, j), "map", f"L{i}H{j}, QK") for i, j in shown)
    yield FigureGroup(
        qk, f"QK circuits: the attention scores {asked} to each token.", columns=_columns(circuits)
    )
    if circuits.cyclic:
        draw, caption = (
            ov_spectrum,
            "OV circuits: the norm of each frequency (across) in what is written to the {}.",
        )
    else:
        draw, caption = (
            ov_circuit,
            "OV circuits: what is written of each token (down) to the {} (across); blue is negative.",
        )
    ov = tuple(Panel(f"ov-L{i}H{j}", draw(circuits, i, j), "map", f"L{i}H{j}, OV") for i, j in shown)
    yield FigureGroup(ov, caption.format(circuits.writes), columns=_columns(circuits))


def _patterns(grid: ActivationGrid, shown: list[tuple[int, int]]) -> tuple[Panel, ...]:
    """None where there are not two operands."""
    try:
        drawn = {layer: patterns_by_head(grid, layer) for layer in {i for i, _ in shown}}
    except (ActivationError, TaskError, UndefinedMetricError):
        return ()
    return tuple(Panel(f"pattern-L{i}H{j}", drawn[i][j], "map", f"L{i}H{j}") for i, j in shown)


def _columns(circuits: HeadCircuits) -> int:
    return min(circuits.n_heads, 4)


def _table(circuits: HeadCircuits) -> Table:
    rows = [
        (f"L{row['layer']}H{row['head']}", number(row["qk_spread"]), number(row["ov_spread"]))
        for row in circuits.records()
    ]
    return (("head", "spread of its scores", "spread of what it writes"), *rows)
