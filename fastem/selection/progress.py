"""What `select` shows on a terminal while models are fitted."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def followed(results: Iterable[T], total: int) -> Iterator[T]:
    """The same results, with a bar on stderr for as long as they come: nothing where that is no terminal."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:  # the lines that `verbose` prints are enough
        yield from results
        return
    console = Console(stderr=True)
    columns = TextColumn("models"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(results, total=total)
