"""What a fit shows on a terminal while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fastem.kernels.compilation import announce


@contextmanager
def watched(model: Any, console: Console | None = None) -> Iterator[None]:
    """Show passes, rows per second and the log-likelihood per row on stderr; nothing if that is no terminal."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    announce(lambda: console.print("compiling, once on this machine"))
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        try:
            model.set_callbacks(_Passes(progress))
        except ImportError:  # an earlier scikit-learn has no callbacks
            yield
            return
        try:
            yield
        finally:
            model.set_callbacks()


class _Passes:
    """A callback of scikit-learn."""

    def __init__(self, progress: Progress):
        self.progress, self.passes = progress, 0
        self.task = progress.add_task("looking for a start")
        self.last = perf_counter()

    def setup(self, estimator: Any, context: Any) -> None: ...

    def teardown(self, estimator: Any, context: Any) -> None: ...

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        if context.task_name == "start":
            self.last = perf_counter()

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, metadata: Any = None, fitted_estimator: Any = None
    ) -> None:
        if context.task_name != "iteration":
            return
        now = perf_counter()
        self.passes += 1
        rate = metadata["n_samples"] / max(now - self.last, 1e-9)
        self.last = now
        self.progress.update(
            self.task,
            description=f"pass {self.passes}, {rate:,.0f} rows/s, {fitted_estimator.lower_bound_:.6f} nats per row",
        )
