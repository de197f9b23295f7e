"""Where k-means begins: given centres, or rows of a bounded random sample."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array

from fastem.families.cached import cached_property
from fastem.families.centers import Centers
from fastem.search import seeding
from fastem.sources import Block, Source

SAMPLE_MEMORY = 2**25  # bytes that the rows for seeding may take
SAMPLE_ITERATIONS = 20  # Lloyd's iterations on them, when there are more rows than these
SAMPLE_STARTS = 3  # of them, the best of which goes on to all rows
FEW_CLUSTERS = 64  # up to which starts differ by more than they cost


class Sample(NamedTuple):
    """Rows for seeding: about their mean, in an order that does not depend on that of the data."""

    rows: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    complete: bool  # these are all

    @classmethod
    def of(cls, block: Block, size: int) -> "Sample":
        order = seeding.canonical_order(block.rows)
        weights = np.ones(len(order)) if block.weights is None else block.weights[order]
        rows = block.rows[order]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.einsum("n,nd->d", weights, rows) / weights.sum()
            rows -= mean
        return cls(rows, weights, mean, len(rows) < size)


@dataclass
class CenterSearch:
    """An endless supply of first centres for one data set.

    Parameters
    ----------
    source : Source
    n_clusters : int
    init : {'k-means++', 'random'}, array-like or callable
    random_state : RandomState
    """

    source: Source
    n_clusters: int
    init: Any
    random_state: np.random.RandomState

    @cached_property
    def sample(self) -> Sample:
        wanted = max(20_000, 256 * self.n_clusters)
        size = max(min(wanted, SAMPLE_MEMORY // (8 * self.source.n_features)), 8 * self.n_clusters)
        return Sample.of(self.source.sample(size), size)

    @cached_property
    def mean_variance(self) -> float:
        """The variance of a feature, averaged over the features; takes a pass if the sample is not complete.

        Raises
        ------
        ValueError
            If the inertia of a single cluster is no number: that of any other could be none either.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._mean_variance()
        if not np.isfinite(found):
            raise ValueError(
                "The squares of some features overflow, or sums of sample_weight: rescale them, or remove outliers."
            )
        return found

    def _mean_variance(self) -> float:
        sample = self.sample
        if sample.complete:
            squares = np.einsum("n,nd,nd->", sample.weights, sample.rows, sample.rows)
            return float(squares / (sample.weights.sum() * sample.mean.size))
        statistics = Centers.of(sample.mean[None]).e_step(self.source)
        shift = statistics.sums[0] / statistics.counts[0]
        return float((statistics.inertia / statistics.counts[0] - (shift**2).sum()) / sample.mean.size)

    def next(self) -> Centers:
        """The next start."""
        rows, weights, mean, _ = self.sample
        if not isinstance(self.init, str):
            centers = self.init
            if callable(centers):
                centers = centers(rows + mean, self.n_clusters, random_state=self.random_state)
            return Centers(self._checked(centers), mean)
        if self.init == "random":
            shares = weights / weights.sum()
            chosen = self.random_state.choice(len(rows), size=self.n_clusters, replace=False, p=shares)
        else:
            chosen = seeding.kmeans_plusplus(rows, weights, self.n_clusters, self.random_state)
        return Centers(mean + rows[chosen], mean)

    def improved(self, tol: float) -> Centers:
        """The next start; where Lloyd's iterations can begin on the sample, the best of some after them."""
        start = self.next()
        if self.sample.complete or not isinstance(self.init, str):
            return start
        n_starts = SAMPLE_STARTS if self.n_clusters <= FEW_CLUSTERS else 1
        starts = [start] + [self.next() for _ in range(n_starts - 1)]
        runs = [self.at_rest(start, tol, SAMPLE_ITERATIONS)[0] for start in starts]
        best = min(runs, key=lambda centers: centers.inertia)
        return replace(best, counts=None, inertia=np.nan)  # those of all rows are not known

    def at_rest(self, start: Centers, tol: float, max_iter: int) -> tuple[Centers, int]:
        """Lloyd's iterations on the sample: the centres and their number."""
        sample = self.sample
        about_mean, labels, inertia, n_iter = seeding.lloyd(
            sample.rows, sample.weights, start.means - start.origin, max_iter, tol
        )
        counts = np.bincount(labels, sample.weights, self.n_clusters)
        return replace(start, means=start.origin + about_mean, counts=counts, inertia=inertia), n_iter

    def _checked(self, centers: Any) -> np.ndarray:
        centers = check_array(centers, dtype=np.float64, input_name="init")
        shape = self.n_clusters, self.source.n_features
        if centers.shape != shape:
            raise ValueError(f"The initial centres should have the shape {shape}, got {centers.shape}.")
        return centers
