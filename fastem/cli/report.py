"""How a fitted mixture looks in a terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from fastem.cli.data import Data
from fastem.estimators.summary import Summary

NARROW, WIDE = 24, 13  # characters that the first two columns and each column of means take
WIDTH_OF_A_PIPE = 120


def print_fit(model: Any, data: Data, seconds: float) -> None:
    """Print what a fit has found and what it took."""
    # No markup: a column may well be called "[m/s]".
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_PIPE
    n_shown = max(1, (console.width - NARROW) // WIDE)
    summary = model.summary()
    console.print(_components(summary, data.headings[:n_shown]))
    n_hidden = len(data.headings) - n_shown
    if n_hidden > 0:
        console.print(f"  ... and the means of {n_hidden} more columns\n")
    console.print(_facts(summary, seconds, weighted=data.weighted))


def _components(summary: Summary, headings: tuple[str, ...]) -> Grid:
    grid = Grid(title=summary.title, title_justify="left", box=box.SIMPLE)
    for heading in ("component", "weight", *headings):
        grid.add_column(heading, justify="right", overflow="fold")
    for row in summary.rows(len(headings)):
        grid.add_row(*row)
    return grid


def _facts(summary: Summary, seconds: float, *, weighted: bool) -> Grid:
    grid = Grid.grid(padding=(0, 2))
    facts = summary.facts | {"seconds": f"{seconds:.3f}"}
    if weighted:
        facts["rows"] = f"of total weight {facts['rows']}"
    for name, value in facts.items():
        grid.add_row(f"  {name}", value)
    return grid
