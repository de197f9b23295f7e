"""Lloyd's iterations over a source: k-means by passes that keep nothing of the rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fastem.families.centers import Centers, ClusterStatistics
from fastem.search import seeding
from fastem.sources import Source


class LloydFit(NamedTuple):
    """The end of a run.

    Attributes
    ----------
    centers : Centers
    inertia : float
    counts : ndarray of shape (K,)
        Weights of the clusters.
    n_iter : int
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    centers: Centers
    inertia: float
    counts: np.ndarray
    n_iter: int
    interrupted: bool = False


class LloydState(NamedTuple):
    """All that a run remembers between two iterations."""

    centers: Centers
    moved: float  # sum of the squared moves of the centres that led here
    n_iter: int


def run_lloyd(
    centers: Centers,
    source: Source,
    *,
    tol: float,
    max_iter: int,
    after_iteration: Callable[[int, Centers], Any] = lambda iteration, centers: None,
    state: LloydState | None = None,
    keep: Callable[[LloydState], None] | None = None,
) -> LloydFit:
    """Alternate assignment and means until the centres rest.

    Parameters
    ----------
    centers : Centers
        The start.
    source : Source
    tol : float
        Stop when the squared moves of the centres sum to this or less. Sums are made in a fixed order, so that centres
        whose clusters did not change move by exactly nothing: zero runs to the local minimum.
    max_iter : int
        Greatest number of iterations; each is one pass over the source.
    after_iteration : callable
        Called with the number of the iteration (from 1) and the new centres. If it returns true, the run ends.
    state : LloydState or None
        That of a run of the same arguments, which goes on from there.
    keep : callable or None
        Called with the state after every iteration.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes before the first iteration has ended, or `keep` can continue the run. Else what has been reached
        is returned.
    """
    centers, moved, n_iter = LloydState(centers, np.inf, 0) if state is None else state
    statistics = centers.e_step(source)
    reached = centers, statistics, n_iter
    interrupted = stopped = False
    try:
        while n_iter < max_iter and moved > tol and not stopped:
            new = _filled(centers, centers.m_step(statistics), statistics, source)
            moved = float(((new.means - centers.means) ** 2).sum())
            n_iter += 1
            if moved:
                statistics = new.e_step(source)
            centers = new
            reached = centers, statistics, n_iter
            if keep is not None:
                keep(LloydState(centers, moved, n_iter))
            stopped = bool(after_iteration(n_iter, centers))
    except KeyboardInterrupt:
        if keep is not None or reached[2] == 0:
            raise
        interrupted = True
    centers, statistics, n_iter = reached
    return LloydFit(centers, statistics.inertia, statistics.counts, n_iter, interrupted)


def run_lloyd_in_memory(
    centers: Centers, rows: np.ndarray, weights: np.ndarray, *, tol: float, max_iter: int
) -> LloydFit:
    """The same for rows (n, D) about the origin of the centres: one thread, one call, not a pass an iteration."""
    start = centers.means - centers.origin
    moved, labels, inertia, n_iter = seeding.lloyd(rows, weights, start, max_iter, tol)
    counts = np.bincount(labels, weights, len(start))
    return LloydFit(replace(centers, means=centers.origin + moved), inertia, counts, n_iter)


def _filled(old: Centers, new: Centers, statistics: ClusterStatistics, source: Source) -> Centers:
    """Move the centres of empty clusters to the rows farthest from their centres."""
    empty = np.flatnonzero(statistics.counts == 0)
    if not empty.size:
        return new
    rows = old.farthest(source, empty.size)
    means = new.means.copy()
    means[empty[: len(rows)]] = rows
    return replace(new, means=means)


def mean_variance(source: Source, mean: np.ndarray) -> float:
    """The variance of a feature, averaged over the features, in one pass; `mean` (D,) is near that of the data."""
    statistics = Centers.of(mean[None]).e_step(source)
    shift = statistics.sums[0] / statistics.counts[0]
    return float((statistics.inertia / statistics.counts[0] - (shift**2).sum()) / mean.size)
