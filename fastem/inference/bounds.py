"""EM as coordinate ascent: lower bound, KL divergence and free energy of any distribution over the components.

For every q(Z) and every theta, ln p(X | theta) = L(q, theta) + KL(q || p(Z | X, theta)), where the lower bound is
L(q, theta) = sum_Z q(Z) ln(p(X, Z | theta) / q(Z)). The E-step raises L in q, the M-step in theta (Neal and Hinton
1998).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from fastem.em.estimator import EM
from fastem.em.user_models import blocks_of, check_methods
from fastem.estimators.annotations import Data
from fastem.estimators.base_mixture import BaseMixture
from fastem.estimators.missing_values import COMPLETE
from fastem.estimators.noise import NoiseMixin
from fastem.estimators.validation import validated_source
from fastem.sources import Source

UNDERFLOW = 1e-290  # responsibilities below have lost digits: their logarithms are computed in another way

Array = NDArray[np.float64]


def lower_bound(
    model: Any, X: Data, responsibilities: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """L(q, theta) = E_q ln p(X, Z | theta) - E_q ln q(Z) per unit weight, in nats.

    By Jensen's inequality it is at most the mean log-likelihood; both are equal if q is the posterior. With q the
    posterior at parameters theta_i, it is the bound B(theta, theta_i) that the M-step maximises.

    Parameters
    ----------
    model : mixture or Model
        theta: a fitted mixture, or a model for `fastem.EM` with a method ``log_joint(rows)`` that returns ln p(x_n, k |
        theta) of shape (n, K), or a fitted `fastem.EM` of such a model.
    X : array-like of shape (n_samples, n_features)
    responsibilities : array-like of shape (n_samples, n_components), default=None
        q: the probabilities of the components for each row. None stands for the posterior.
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    lower_bound : float
        Minus infinity if q gives probability to what is impossible.

    Raises
    ------
    ValueError
        If X, the weights or the responsibilities are invalid: negative, or not summing to one in every row.
    TypeError
        If the model cannot say what is asked of it.
    """
    return _expectations(model, X, responsibilities, sample_weight).lower_bound


def kl_gap(model: Any, X: Data, responsibilities: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """KL(q || p(Z | X, theta)) = E_q ln q(Z) - E_q ln p(Z | X, theta) per unit weight, in nats.

    What the lower bound falls short of the log-likelihood by. Never negative beyond rounding, and zero only if q is the
    posterior, as right after an exact E-step. Not symmetric in its arguments.

    Parameters
    ----------
    model, X, responsibilities, sample_weight
        As of `lower_bound`, where the errors are described too.

    Returns
    -------
    kl_gap : float
        Infinite if q gives probability to what is impossible; NaN if a row is, so that it has no posterior.
    """
    return _expectations(model, X, responsibilities, sample_weight).kl_gap


def free_energy(
    model: Any, X: Data, responsibilities: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """F(q, theta) = -L(q, theta) per unit weight, in nats: what EM minimises, with the sign of statistical physics.

    The mean energy E_q[-ln p(X, Z | theta)] less the entropy of q, at temperature one.

    Parameters
    ----------
    model, X, responsibilities, sample_weight
        As of `lower_bound`, where the errors are described too.

    Returns
    -------
    free_energy : float
    """
    return -lower_bound(model, X, responsibilities, sample_weight)


class Expectations(NamedTuple):
    """Both terms of the identity, per unit weight."""

    lower_bound: float
    kl_gap: float


def _expectations(model: Any, X: Any, responsibilities: Any, sample_weight: Any) -> Expectations:
    source, logarithms = _opened(model, X, sample_weight)
    q = None if responsibilities is None else _checked(responsibilities)
    sums, weight = np.zeros(2), 0.0
    first = 0
    for block in blocks_of(source.blocks()):
        weights, rows = block.weights, slice(first, first + len(block.rows))
        log_joint, log_posterior = logarithms(block.rows)
        part = _exponential(log_posterior) if q is None else _part(q, rows, log_joint.shape[1])
        for i, of_rows in enumerate((-_divergences(part, log_joint), _divergences(part, log_posterior))):
            sums[i] += weights @ np.where(weights > 0, of_rows, 0.0)
        weight += weights.sum()
        first = rows.stop
    if q is not None and first < len(q):
        raise ValueError(f"responsibilities has {len(q)} rows, but X has {first}.")
    return Expectations(*(float(value) for value in sums / weight))


def _divergences(q: Array, log_p: Array) -> Array:
    """E_q (ln q - ln p) for each row, (n,); nothing is lost where q is zero."""
    possible = q > 0
    terms = np.log(np.where(possible, q, 1.0)) - np.where(possible, log_p, 0.0)
    return (q * terms).sum(axis=1)


def _exponential(log_posterior: Array) -> Array:
    """The posterior; where there is none, an even distribution: the bound is minus infinity for any."""
    return np.where(np.isnan(log_posterior), 1.0 / log_posterior.shape[1], np.exp(log_posterior))


def _checked(responsibilities: Any) -> Array:
    q = check_array(responsibilities, dtype=np.float64, input_name="responsibilities")
    if (q < 0).any() or not np.allclose(q.sum(axis=1), 1.0, atol=1e-6):
        raise ValueError("responsibilities must be non-negative and sum to one in every row.")
    return q


def _part(q: Array, rows: slice, n_components: int) -> Array:
    if q.shape[1] != n_components:
        raise ValueError(f"responsibilities has {q.shape[1]} columns, but the model {n_components} components.")
    if len(q) < rows.stop:
        raise ValueError(f"responsibilities has {len(q)} rows, but X has more.")
    return q[rows]


Logarithms = Callable[[Array], tuple[Array, Array]]  # ln p(x_n, k) and ln p(k | x_n) of rows, both (n, K)


def _opened(model: Any, X: Any, sample_weight: Any) -> tuple[Source, Logarithms]:
    if isinstance(model, BaseMixture | EM):
        check_is_fitted(model)
    if isinstance(model, BaseMixture):
        source = model._source(X, sample_weight, nan_refusal=COMPLETE.format(name="A bound"))
        theta = model._without_noise("A bound") if isinstance(model, NoiseMixin) else model._model()
        return source, partial(_of_mixture, theta)
    em = model if isinstance(model, EM) else EM(model)
    theta = em.model_ if model is em else em.model
    check_methods(theta, "The model", ("log_joint",))
    return validated_source(em, X, sample_weight, reset=model is not em), partial(_of_user_model, theta)


def _of_mixture(model: Any, rows: Array) -> tuple[Array, Array]:
    log_density, posterior = np.empty(len(rows)), np.empty((len(rows), model.n_components))
    model.evaluate(rows, log_density=log_density, responsibilities=posterior)
    with np.errstate(divide="ignore"):
        log_posterior, log_weights = np.log(posterior), np.log(model.weights)
    impossible = log_density == -np.inf
    log_posterior[impossible] = np.nan
    lost = (posterior < UNDERFLOW) & ~impossible[:, None]
    for k in np.flatnonzero(lost.any(axis=0) & (model.weights > 0)):
        mine = lost[:, k]
        alone = replace(model, weights=np.eye(model.n_components)[k])
        conditional = np.empty(mine.sum())
        alone.evaluate(rows[mine], log_density=conditional)
        log_posterior[mine, k] = log_weights[k] + conditional - log_density[mine]
    log_joint = np.where(impossible[:, None], -np.inf, log_density[:, None] + log_posterior)
    return log_joint, log_posterior


def _of_user_model(model: Any, rows: Array) -> tuple[Array, Array]:
    log_joint = np.asarray(model.log_joint(rows), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return log_joint, log_joint - logsumexp(log_joint, axis=1, keepdims=True)
