"""Starting points on a sample that is held in memory.

The kernels are deterministic, call no BLAS and never hold a table of rows by clusters: labels depend on nothing but the
sample, its weights and the state of the random numbers.
"""

from typing import NamedTuple

import numpy as np

from fastem.engine.loop import Fit, run_em
from fastem.engine.stopping import Rest
from fastem.families.centers import Centers, Refilling
from fastem.kernels.clusters import lloyd as one_call
from fastem.kernels.clusters import plusplus
from fastem.sources.arrays import ArraySource

METHODS = ("kmeans", "k-means++", "random", "random_from_data")  # to make a partition
LLOYD_ITERATIONS = 10
SMALL_WORK = 4_000_000  # rows * clusters * features up to which one call of one thread beats passes with threads
SAME_SHARE = 0.97  # of the rows in which two partitions agree that lead EM to one basin


class Seeds(NamedTuple):
    """The rows that starts are made of."""

    rows: np.ndarray  # (n, D), float64
    weights: np.ndarray  # (n,), of mean one


def kmeans_plusplus(sample, weights, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
    """Choose rows far apart by greedy k-means++.

    Every centre is the best of 2 + log K rows drawn with probability proportional to weight times squared distance to
    the nearest centre so far. The random numbers are used as scikit-learn uses them.

    Parameters
    ----------
    sample : ndarray of shape (n, D), float64, C-ordered
    weights : ndarray of shape (n,), float64
        Rows of zero weight are never chosen.
    n_clusters : int
        At most the number of rows of positive weight.
    random_state : RandomState

    Returns
    -------
    ndarray of shape (n_clusters,)
        Indices of the chosen rows. When there are fewer distinct rows than clusters, equal ones are among them.
    """
    n_available = np.count_nonzero(weights)
    if n_available < n_clusters:
        raise ValueError(f"{n_clusters} clusters need as many rows of positive weight, got {n_available}.")
    n_candidates = 2 + int(np.log(n_clusters))
    uniforms = random_state.uniform(size=1 + (n_clusters - 1) * n_candidates)
    return plusplus.kmeans_plusplus(sample, weights, uniforms, n_clusters, n_candidates)


def canonical_order(sample: np.ndarray) -> np.ndarray:
    """An order of the rows (n, D) that depends on their values alone, equal ones side by side.

    Seeds drawn from rows in this order do not depend on the order of the data, nor on whether a row comes twice or
    weighs two. The key is a projection on a direction that no data has a reason to be orthogonal to.
    """
    direction = np.cos(np.arange(1.0, sample.shape[1] + 1.0))
    return np.argsort(np.einsum("nd,d->n", sample, direction), kind="stable")


def lloyd(sample, weights, centers, max_iter: int, tol: float = 1e-4):
    """Improve centres by Lloyd's iterations.

    A cluster that loses all its rows gets the row farthest from its centre.

    Parameters
    ----------
    sample : ndarray of shape (n, D), float64, C-ordered
    weights : ndarray of shape (n,), float64
    centers : ndarray of shape (K, D), float64, C-ordered
    max_iter : int
    tol : float, default=1e-4
        Stop when the squared moves of the centres sum to this or less, in units of the (scaled) sample.

    Returns
    -------
    centers : ndarray of shape (K, D)
    labels : ndarray of shape (n,)
        The nearest of these centres.
    inertia : float
        The sum of weights times squared distances to it.
    n_iter : int
    """
    if sample.size * len(centers) <= SMALL_WORK:
        return one_call.lloyd(sample, weights, centers, max_iter, tol)
    source = ArraySource(sample, weights)
    fit = run_em(Fit(Centers.of(centers), Rest(tol), e_step=Refilling()), source, max_iter=max_iter)
    if fit.interrupted:
        raise KeyboardInterrupt
    found, labels = fit.model.measured(source), np.empty(len(sample), dtype=np.int32)
    found.assign(sample, labels=labels)
    return found.means, labels.astype(np.int64), found.inertia, fit.n_iter


def kmeans(sample, weights, n_clusters: int, random_state: np.random.RandomState, max_iter: int) -> np.ndarray:
    """Labels (n,) by k-means++ and Lloyd's iterations; the parameters are those of the two."""
    indices = kmeans_plusplus(sample, weights, n_clusters, random_state)
    return lloyd(sample, weights, sample[indices], max_iter)[1]


def partition(method: str, sample, weights, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
    """Labels (n,), or responsibilities (n, n_clusters) that are random, by one of METHODS; the rest as in `lloyd`."""
    if method == "random":
        shares = random_state.uniform(size=(len(sample), n_clusters))
        return shares / shares.sum(axis=1, keepdims=True)
    if method == "kmeans":
        return kmeans(sample, weights, n_clusters, random_state, LLOYD_ITERATIONS)
    if method == "k-means++":
        indices = kmeans_plusplus(sample, weights, n_clusters, random_state)
    else:
        indices = random_state.choice(len(sample), size=n_clusters, replace=False)
    return lloyd(sample, weights, sample[indices], 0)[1]


def same_partition(a: np.ndarray, b: np.ndarray, n_clusters: int) -> bool:
    """Whether two label vectors differ in the names of the clusters and in few rows only."""
    table = np.bincount(a * n_clusters + b, minlength=n_clusters**2).reshape(n_clusters, n_clusters)
    one_to_one = np.unique(table.argmax(axis=1)).size == n_clusters
    return bool(one_to_one and table.max(axis=1).sum() >= SAME_SHARE * len(a))


def mean_row(rows: np.ndarray, weights: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The mean (D,) of the numbers that are not missing, zero of a feature without any."""
    present = weights @ ~missing
    return weights @ np.where(missing, 0.0, rows) / np.where(present > 0, present, 1.0)


def standardised(rows: np.ndarray, weights: np.ndarray, *, together: bool = False) -> np.ndarray:
    """Rows (n, D) about their mean, each feature in units of its deviation, or all `together` in those of the greatest.

    The first does not depend on the units of the features, the second keeps their proportions. Numbers that are
    missing lie at the mean.
    """
    missing = np.isnan(rows)
    if missing.any():
        rows = np.where(missing, mean_row(rows, weights, missing), rows)
    centred = rows - np.einsum("n,nd->d", weights, rows) / weights.sum()
    deviations = np.sqrt(np.einsum("n,nd,nd->d", weights, centred, centred) / weights.sum())
    units = deviations.max() if together else deviations
    return centred / np.where(units > 0, units, 1.0)
