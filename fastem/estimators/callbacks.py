"""scikit-learn's callbacks (`set_callbacks`, since 1.9): a task for each start, below it one for each iteration."""

from collections.abc import Callable
from copy import copy
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # an earlier scikit-learn

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Says what is missing."""

        def set_callbacks(self, *callbacks: Any) -> Any:
            raise ImportError("callbacks need scikit-learn 1.9 or later")

    def with_callbacks(method: Callable) -> Callable:
        return method


__all__ = ["CallbackSupportMixin", "Tasks", "with_callbacks"]

Keep = Callable[[Any, Any], None]  # writes the parameters of a model on an estimator


class Tasks:
    """The tasks of one call of `fit`; nothing happens if the estimator has no callbacks.

    Parameters
    ----------
    estimator : estimator
    n_starts, max_iter : int
        How many tasks there may be.
    keep : callable
        Writes the parameters of a model on an estimator.
    data : dict
        X, y and metadata for the callbacks.
    """

    def __init__(self, estimator: Any, n_starts: int, max_iter: int, keep: Keep, **data: Any):
        self.estimator, self.max_iter, self.keep, self.data = estimator, max_iter, keep, data
        self.root: Any = None
        self.start: Any = None
        if getattr(estimator, "_skl_callbacks", None) or hasattr(estimator, "_parent_callback_ctx"):
            self.root = estimator._init_callback_context(max_subtasks=n_starts)
            self.root.call_on_fit_task_begin(estimator=estimator, **data)

    def begin_start(self) -> None:
        if self.root is not None:
            self.start = self.root.subcontext(task_name="start", max_subtasks=self.max_iter)
            self.start.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def iteration(self, model: Any, **attributes: Any) -> bool:
        """Report an iteration that made `model` and more attributes; True if a callback wants no more of them."""
        if self.start is None:
            return False
        task = self.start.subcontext(task_name="iteration")
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return self._end(task, model, **attributes)

    def end_start(self, model: Any) -> None:
        if self.start is not None:
            self._end(self.start, model)

    def end(self, model: Any) -> None:
        if self.root is not None:
            self._end(self.root, model)

    def _end(self, task: Any, model: Any, **more: Any) -> bool:
        def attributes() -> dict[str, Any]:
            fitted = copy(self.estimator)
            self.keep(fitted, model)
            return {**{name: value for name, value in vars(fitted).items() if name.endswith("_")}, **more}

        return task.call_on_fit_task_end(estimator=self.estimator, reconstruction_attributes=attributes, **self.data)
