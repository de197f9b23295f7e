"""scikit-learn's callbacks (`set_callbacks`, since 1.9): a task for each start, below it one for each iteration."""

from copy import copy
from typing import Any

from fastem.engine.loop import Fit
from fastem.estimators.problem import Problem
from fastem.estimators.scikit_learn import Method

try:
    from sklearn import callback
except ImportError:  # an earlier scikit-learn
    callback = None


class WithoutCallbacks:
    """Says what is missing."""

    def set_callbacks(self, *callbacks: Any) -> Any:
        raise ImportError("callbacks need scikit-learn 1.9 or later")


CallbackSupportMixin: Any = WithoutCallbacks if callback is None else callback.CallbackSupportMixin


def with_callbacks(method: Method) -> Method:
    """scikit-learn's decorator of `fit`, where there is one."""
    return method if callback is None else callback.with_callbacks(method)


__all__ = ["CallbackSupportMixin", "Tasks", "with_callbacks"]


class Tasks:
    """The tasks of one call of `fit`, as callbacks are told of them and `verbose` prints them.

    Parameters
    ----------
    problem : Problem
    data : dict
        X, y and metadata for the callbacks.
    """

    def __init__(self, problem: Problem, **data: Any):
        self.problem, self.estimator, self.report, self.data = problem, problem.estimator, problem.report(), data
        self.root: Any = None
        self.start: Any = None
        if getattr(self.estimator, "_skl_callbacks", None) or hasattr(self.estimator, "_parent_callback_ctx"):
            self.root = self.estimator._init_callback_context(max_subtasks=problem.n_starts)
            self.root.call_on_fit_task_begin(estimator=self.estimator, **data)

    @property
    def followed(self) -> bool:
        """Whether anybody wants to know of iterations."""
        return self.root is not None or self.report is not None

    def begin_start(self, number: int) -> None:
        if self.root is not None:
            self.start = self.root.subcontext(task_name="start", max_subtasks=self.estimator.max_iter)
            self.start.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        if self.report is not None:
            self.report.begin(number)

    def iteration(self, fit: Fit, change: float) -> bool:
        """Tell of an iteration; True if a callback wants no more of them."""
        if self.report is not None:
            self.report.iteration(fit, change)
        if self.root is None:
            return False
        task = self.start.subcontext(task_name="iteration")
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return self._end(task, fit)

    def end_start(self, number: int, fit: Fit) -> None:
        self._end(self.start, fit)
        if self.report is not None:
            self.report.end(number, fit)

    def end(self, fit: Fit) -> None:
        self._end(self.root, fit)

    def _end(self, task: Any, fit: Fit) -> bool:
        def attributes() -> dict[str, Any]:
            fitted = copy(self.estimator)
            self.problem.show(fitted, fit)
            return {name: value for name, value in vars(fitted).items() if name.endswith("_")}

        if task is None:
            return False
        return task.call_on_fit_task_end(estimator=self.estimator, reconstruction_attributes=attributes, **self.data)
