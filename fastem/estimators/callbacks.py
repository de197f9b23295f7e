"""scikit-learn's callbacks (`set_callbacks`, since 1.9): a task for each start, below it one for each iteration."""

from collections.abc import Callable
from copy import copy
from typing import Any

from fastem.engine.loop import Fit
from fastem.estimators.problem import Problem

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


class Tasks:
    """The tasks of one call of `fit`; nothing happens if the estimator has no callbacks.

    Parameters
    ----------
    problem : Problem
    max_iter : int
        How many iterations a start may have.
    data : dict
        X, y and metadata for the callbacks.
    """

    def __init__(self, problem: Problem, max_iter: int, **data: Any):
        self.problem, self.estimator, self.max_iter, self.data = problem, problem.estimator, max_iter, data
        self.root: Any = None
        self.start: Any = None
        if getattr(self.estimator, "_skl_callbacks", None) or hasattr(self.estimator, "_parent_callback_ctx"):
            self.root = self.estimator._init_callback_context(max_subtasks=problem.n_starts)
            self.root.call_on_fit_task_begin(estimator=self.estimator, **data)

    @property
    def watched(self) -> bool:
        return self.root is not None

    def begin_start(self) -> None:
        if self.watched:
            self.start = self.root.subcontext(task_name="start", max_subtasks=self.max_iter)
            self.start.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def iteration(self, fit: Fit) -> bool:
        """Report an iteration; True if a callback wants no more of them."""
        if not self.watched:
            return False
        task = self.start.subcontext(task_name="iteration")
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return self._end(task, fit)

    def end_start(self, fit: Fit) -> None:
        if self.watched:
            self._end(self.start, fit)

    def end(self, fit: Fit) -> None:
        if self.watched:
            self._end(self.root, fit)

    def _end(self, task: Any, fit: Fit) -> bool:
        def attributes() -> dict[str, Any]:
            fitted = copy(self.estimator)
            self.problem.show(fitted, fit)
            return {name: value for name, value in vars(fitted).items() if name.endswith("_")}

        return task.call_on_fit_task_end(estimator=self.estimator, reconstruction_attributes=attributes, **self.data)
