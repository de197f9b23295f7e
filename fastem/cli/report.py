"""How a fitted mixture looks in a terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from fastem.cli.data import Data

NARROW, WIDE = 24, 13  # characters that the first two columns and each column of means take
WIDTH_OF_A_PIPE = 120


def print_fit(model: Any, data: Data, seconds: float) -> None:
    """Print what a fit has found and what it took."""
    # No markup: a column may well be called "[m/s]".
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_PIPE
    n_shown = max(1, (console.width - NARROW) // WIDE)
    console.print(_components(model, data.headings[:n_shown]))
    n_hidden = len(data.headings) - n_shown
    if n_hidden > 0:
        console.print(f"  ... and the means of {n_hidden} more columns\n")
    console.print(_summary(model, data, seconds))


def _components(model: Any, headings: tuple[str, ...]) -> Grid:
    grid = Grid(title="Gaussian mixture", title_justify="left", box=box.SIMPLE)
    for heading in ("component", "weight", *headings):
        grid.add_column(heading, justify="right", overflow="fold")
    for k, (weight, mean) in enumerate(zip(model.weights_, model.means_, strict=True)):
        grid.add_row(str(k), f"{weight:.6f}", *(f"{value:.6g}" for value in mean[: len(headings)]))
    return grid


def _summary(model: Any, data: Data, seconds: float) -> Grid:
    total = model.n_samples_seen_
    grid = Grid.grid(padding=(0, 2))
    for name, value in (
        ("rows", f"of total weight {total:g}" if data.weighted else f"{total:.0f}"),
        ("covariance", model.covariance_type),
        ("log-likelihood", f"{model.log_likelihood_ * total:.10g}"),
        ("BIC", f"{model.bic(data.rows):.10g}"),
        ("iterations", f"{model.n_iter_}"),
        ("converged", "yes" if model.converged_ else "no"),
        ("seconds", f"{seconds:.3f}"),
    ):
        grid.add_row(f"  {name}", value)
    return grid
