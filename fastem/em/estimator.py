"""EM for any model: the loop of the built-in mixtures for models that users write."""

import os
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from fastem.em.user_models import (
    BLOCK_ROWS,
    Block,
    Model,
    Statistics,
    UserModel,
    check_methods,
    digest_of,
    layout_of,
    modules_of,
)
from fastem.engine.acceleration import Flat, accelerator
from fastem.engine.loop import Fit, LowerBoundWarning, run_em
from fastem.engine.stopping import RULES
from fastem.estimators.annotations import Data
from fastem.estimators.parameters import Estimator
from fastem.estimators.scikit_learn import Interval, StrOptions, fit_context
from fastem.estimators.validation import validated_source
from fastem.registry import warn
from fastem.sources import Source
from fastem.storage.checkpoint import Checkpoint, described

__all__ = ["BLOCK_ROWS", "EM", "Block", "Callback", "Flat", "LowerBoundWarning", "Model", "Statistics"]

Callback = Callable[[int, Any, float], None]


@dataclass(eq=False, repr=False)
class EM(Estimator):
    """Expectation-maximisation for a model of your own.

    The E-step finds the posterior q(Z) = p(Z | X, theta_old) of what is latent, the M-step maximises the expected
    complete log-likelihood Q(theta) = E_q ln p(X, Z | theta) (Dempster, Laird and Rubin 1977). A model is an object
    with

    - ``e_step(block) -> statistics``: what the M-step needs of a `Block` of rows, a NamedTuple or dataclass of sums
      over the rows, among them `lower_bound`, the sum of their ln p(x_n | theta);
    - ``m_step(statistics) -> model``: the new parameters, from the statistics of all rows.

    `fastem.em` holds these types for annotations, and `fastem.em.Model` says what else a model may have. Rows are
    cut into blocks of `fastem.em.BLOCK_ROWS` rows and the statistics added up field by field, so that memory does not
    grow with the rows and results are the same to the last bit however a source is cut into chunks.

    Parameters
    ----------
    model : Model
        Where to start; it is not changed.
    tol : float, default=1e-6
        What `stopping` compares; in nats per unit weight.
    max_iter : int, default=1000
        Greatest number of iterations, each one pass over the rows.
    stopping : {'gain', 'gap'}, default='gain'
        What `tol` bounds: the change of the lower bound in one iteration, or its estimated distance to the optimum
        (Aitken).
    acceleration : {'auto', 'squarem'} or None, default=None
        SQUAREM extrapolation (Varadhan and Roland 2008) once the gain per iteration is below 1e-3; 'auto' only while EM
        is slow. The model needs the methods of `fastem.em.Flat`: ``flatten(reference)``, its parameters as a vector
        that may be moved along straight lines, and ``unflatten(coordinates)``, the model there or None if there is
        none.
    callbacks : iterable of callables, default=()
        Called after every M-step with the number of the iteration (from 1), the new model, and the lower bound per unit
        weight at the parameters before the M-step. One that raises StopIteration ends the fit with the new model.
    checkpoint : path, default=None
        A file that holds the whole state of the fit, replaced in one step. If it exists, the fit goes on from there and
        ends with the same bits as one that was never stopped; `max_iter` may be another, nothing else. The model and
        its statistics must be NamedTuples or dataclasses of numbers, text and arrays, defined in a module.
    checkpoint_every : int, default=1
        Iterations between two writes.

    Attributes
    ----------
    model_ : Model
        The parameters after the last M-step.
    lower_bound_ : float
        The bound per unit weight before the last M-step: for an exact E-step the mean log-likelihood.
    lower_bounds_ : list of float
        The same for all iterations.
    converged_ : bool
    n_iter_ : int
    n_passes_ : int
        How often all rows were read, the survey of a stream included.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If the data have string column names.

    Examples
    --------
    Lifetimes of which some are only known to exceed a limit, with an exponential distribution: the rows are (time,
    whether it ended), the latent part is what came after.

    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> from fastem import EM
    >>> class Sums(NamedTuple):
    ...     lower_bound: float
    ...     count: float
    ...     time: float
    >>> class Lifetimes(NamedTuple):
    ...     rate: float
    ...     def e_step(self, block):
    ...         (time, ended), w = block.rows.T, block.weights
    ...         log_density = ended * np.log(self.rate) - self.rate * time
    ...         return Sums(w @ log_density, w.sum(), w @ (time + (1 - ended) / self.rate))
    ...     def m_step(self, sums):
    ...         return Lifetimes(sums.count / sums.time)
    >>> em = EM(Lifetimes(1.0), tol=1e-12).fit([[0.5, 1.0], [2.0, 1.0], [2.5, 0.0]])
    >>> round(em.model_.rate, 4)  # two that ended, by five units of time
    0.4
    """

    model: Model[Any]
    _: KW_ONLY
    tol: float = 1e-6
    max_iter: int = 1000
    stopping: str = "gain"
    acceleration: str | None = None
    callbacks: Iterable[Callback] = ()
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int = 1

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "model": "no_validation",
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "stopping": [StrOptions({"gain", "gap"})],
        "acceleration": [StrOptions({"auto", "squarem"}), None],
        "callbacks": "no_validation",
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
    }

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Improve the model until `tol` is reached.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Or files, chunks, tables and whatever else the mixtures take.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative; the `weights` of the blocks.

        Returns
        -------
        self : EM

        Raises
        ------
        TypeError
            If the model lacks a method, or its statistics are no record of numbers with a `lower_bound`.
        ValueError
            If X or the weights are invalid, or statistics are not finite, do not add up or ignore the weights; if the
            checkpoint is damaged, or that of a fit to other data or with other settings.
        OSError
            If the checkpoint cannot be written; the one before is left as it was.

        Warns
        -----
        LowerBoundWarning
            If the bound falls by more than rounding explains: a defect of the model.
        ConvergenceWarning
            If `max_iter` or Ctrl-C ended the fit. With a checkpoint, and before the end of the first iteration, Ctrl-C
            raises KeyboardInterrupt.
        """
        self._check_model()
        source = validated_source(self, X, sample_weight, reset=True)
        self._layout = layout_of(self.model, source)
        fit = self._run(UserModel(self.model, self._layout), source)
        self.model_ = fit.model.model
        self.lower_bounds_ = fit.lower_bounds
        self.lower_bound_ = fit.lower_bound
        self.converged_, self.n_iter_ = fit.converged, fit.n_iter
        self.n_passes_ = source.n_passes
        return self

    def _check_model(self) -> None:
        check_methods(self.model, "The model", ("e_step", "m_step"))
        if self.acceleration is not None:
            check_methods(self.model, f"acceleration={self.acceleration!r}: the model", ("flatten", "unflatten"))

    def _run(self, start: UserModel, source: Source) -> Fit[UserModel]:
        watch, checkpoint = _Watch(tuple(self.callbacks)), self._checkpoint(start, source)
        fit = Fit(start, RULES[self.stopping](self.tol), accelerator(self.acceleration))
        if checkpoint is not None:
            fit = checkpoint.state(Fit, lambda found: _check_run(found, fit)) or fit
            checkpoint.keep(fit, now=True)  # before the work: it tells whether the file can be written
        keep = None if checkpoint is None else checkpoint.keep
        try:
            run_em(fit, source, max_iter=self.max_iter, after_iteration=watch, keep=keep)
        finally:
            if checkpoint is not None:
                checkpoint.flush()
        if not (fit.converged or watch.stopped) and self.max_iter > 0:
            why = (
                f"Ctrl-C ended EM after {fit.n_iter} iterations."
                if fit.interrupted
                else f"EM did not converge in max_iter={self.max_iter} iterations. Increase max_iter or tol."
            )
            warn(why, ConvergenceWarning)
        return fit

    def _checkpoint(self, start: UserModel, source: Source) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        settings = {name: described(getattr(self, name)) for name in ("tol", "stopping", "acceleration")}
        settings["model"] = digest_of(self.model)
        checkpoint = Checkpoint(self.checkpoint, self.checkpoint_every, settings, modules_of(start))
        checkpoint.bind(source.fingerprint())
        return checkpoint

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def score(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """The lower bound of `model_` per unit weight: for an exact E-step the mean log-likelihood, in nats.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            With the log-prior of the model, if it has one.
        """
        check_is_fitted(self)
        source = validated_source(self, X, sample_weight)
        return UserModel(self.model_, self._layout).e_step(source).lower_bound


def _check_run(found: Fit, new: Fit) -> None:
    """Raise ValueError if a run from a file is of another kind than a new one."""
    kinds = [(type(run.model), type(run.model.model), type(run.stop), type(run.accelerate)) for run in (found, new)]
    if kinds[0] != kinds[1] or found.schedule is not None:
        raise ValueError("it is of another kind of fit")


class _Watch:
    """Tells the callbacks of every iteration; true if one of them stops the fit."""

    def __init__(self, callbacks: tuple[Callback, ...]):
        self.callbacks, self.stopped = callbacks, False

    def __call__(self, fit: Fit[UserModel], change: float) -> bool:
        for callback in self.callbacks:
            try:
                callback(fit.n_iter, fit.model.model, fit.lower_bound)
            except StopIteration:
                self.stopped = True
        return self.stopped
