"""The bootstrap: standard errors from refits, as a check of those from the curvature."""

import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from fastem.estimators.annotations import Data, Seed
from fastem.estimators.gaussian_mixture import GaussianMixture
from fastem.inference.errors import InferenceWarning, StandardErrors
from fastem.inference.gradient import model_and_source
from fastem.inference.layout import Layout
from fastem.registry import warn
from fastem.sources import Source

KINDS = ("parametric", "weighted")
GAP = 1e-3  # nats of the whole log-likelihood that a refit may stay short of its optimum
MOST_ITERATIONS = 10_000  # of a refit


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Parameters of the refits, B of them.

    Attributes
    ----------
    weights : ndarray of shape (B, K)
    means : ndarray of shape (B, K, D)
    covariances : ndarray
        (B, ...) with the shape of `covariances_`.
    errors : StandardErrors
        Their standard deviations and their covariance.
    n_failed : int
        Refits that are left out: they did not converge, or lost or collapsed a component.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    errors: StandardErrors
    n_failed: int


def bootstrap(
    model: GaussianMixture,
    X: Data,
    n_boot: int = 200,
    kind: Literal["parametric", "weighted"] = "parametric",
    *,
    sample_weight: ArrayLike | None = None,
    random_state: Seed = None,
) -> Bootstrap:
    """Fit a Gaussian mixture again and again, to rows that might have come instead.

    Every refit begins at the parameters of the model, so that its components keep their order, and converges to 1e-3
    nats of the log-likelihood of all rows whatever `tol` the model has.

    Parameters
    ----------
    model : GaussianMixture
        Fitted to X.
    X : array-like, path or other source of shape (n_samples, n_features)
        'parametric' looks at the number of rows only.
    n_boot : int, default=200
        Number B of refits.
    kind : {'parametric', 'weighted'}, default='parametric'
        'parametric': rows drawn from the mixture, as many as X has, counted by their weights; held in memory. It checks
        'louis'. 'weighted': the rows of X with random weights, exponential ones with the mean one (the Bayesian
        bootstrap, Rubin 1981), or gamma distributed ones with the mean w for rows of weight w; one number a row is held
        in memory. It checks 'sandwich'.
    sample_weight : array-like of shape (n_samples,), default=None
        The weights it was fitted with: frequencies.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    bootstrap : Bootstrap

    Raises
    ------
    TypeError
        If the model is no `GaussianMixture`.
    ValueError
        If X, the weights, the kind or `n_boot` are invalid, the model was fitted with another `e_step` than 'soft', a
        component has the weight zero, or fewer than two refits succeed.

    Warns
    -----
    InferenceWarning
        If refits failed.
    """
    _check(n_boot, kind)
    theta, source = model_and_source(model, X, sample_weight)
    if model.e_step != "soft":
        raise ValueError(f"The refits maximise the likelihood; e_step={model.e_step!r} does not.")
    if not (theta.weights > 0).all():
        raise ValueError("Components of weight zero cannot begin a refit: fit with fewer components.")
    generator = check_random_state(random_state)
    frequencies = _frequencies(source)
    total = float(frequencies.sum())
    estimator = _refitted(model, total)
    layout, replicates = Layout.of(theta), []
    for _ in range(n_boot):
        if kind == "parametric":
            succeeded = _succeeds(estimator, theta.sample(max(1, round(total)), generator)[0], None)
        else:
            succeeded = _succeeds(estimator, X, generator.gamma(frequencies))
        if succeeded:
            replicates.append(layout.pack(estimator.weights_, estimator.means_, estimator.covariances_))
    return _summary(layout, np.array(replicates), int(n_boot), model, kind)


def _check(n_boot: Any, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}.")
    if not isinstance(n_boot, Integral) or n_boot < 2:
        raise ValueError(f"n_boot must be an integer, at least 2, got {n_boot!r}.")


def _frequencies(source: Source) -> np.ndarray:
    """The weights of all rows, wherever they come from."""
    return np.concatenate(
        [np.ones(len(block.rows)) if block.weights is None else block.weights for block in source.blocks()]
    )


def _refitted(model: GaussianMixture, total: float) -> GaussianMixture:
    """An estimator that begins at the parameters of the model."""
    return clone(model).set_params(
        weights_init=model.weights_,
        means_init=model.means_,
        precisions_init=model.precisions_,
        init_params="kmeans",
        tol=min(model.tol, GAP / total),
        stopping="gap",
        acceleration="squarem",
        max_iter=max(model.max_iter, MOST_ITERATIONS),
        n_init=1,
        learning_method="batch",
        warm_start=False,
        verbose=0,
        checkpoint=None,
    )


def _succeeds(estimator: GaussianMixture, rows: Any, weights: np.ndarray | None) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            estimator.fit(rows, sample_weight=weights)
        except ConvergenceWarning:
            return False
    return True


def _summary(layout: Layout, replicates: np.ndarray, n_boot: int, model: GaussianMixture, kind: str) -> Bootstrap:
    n_failed = n_boot - len(replicates)
    if len(replicates) < 2:
        raise ValueError(f"{n_failed} of {n_boot} refits did not converge, or collapsed: there is nothing to compare.")
    if n_failed:
        warn(
            f"{n_failed} of {n_boot} refits did not converge, or collapsed, and are left out: the standard errors are "
            "too small.",
            InferenceWarning,
        )
    covariance = np.cov(replicates, rowvar=False).reshape(layout.size, layout.size)
    estimates = layout.pack(model.weights_, model.means_, model.covariances_)
    parts = zip(*(layout.unpack(replicate) for replicate in replicates), strict=True)
    weights, means, covariances = (np.stack(part) for part in parts)
    errors = StandardErrors.of(layout, estimates, covariance, f"{kind} bootstrap")
    return Bootstrap(weights, means, covariances, errors, n_failed)
