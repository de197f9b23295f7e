"""Rows for pictures: a sample to draw as points, or counts on a grid of all of them, in one pass over any source."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from fastem.sources import Block
from fastem.sources.sampling import Sampler

POINTS = 5_000  # rows up to which each is a point
BINS = 150  # of an image of more rows, each way
PIECE = 2**16  # rows that are counted at a time


class Shown(NamedTuple):
    """What a picture shows of the rows of a source, in some features.

    Attributes
    ----------
    n_rows : int
    n_outside : int
        Of them outside of the frame.
    n_incomplete : int
        Of them without a number in a feature that is shown.
    sample : ndarray of shape (n, d)
        At most POINTS rows, at random.
    counts : list of ndarray of shape (BINS,)
        Weights of the rows on the grid of each feature.
    images : dict of (int, int) to ndarray of shape (BINS, BINS)
        Of each pair of features.
    edges : list of ndarray of shape (BINS + 1,)
    weighted : bool
    """

    n_rows: int
    n_outside: int
    n_incomplete: int
    sample: np.ndarray
    counts: list[np.ndarray]
    images: dict[tuple[int, int], np.ndarray]
    edges: list[np.ndarray]
    weighted: bool

    @property
    def by_points(self) -> bool:
        """Whether all rows are in the sample, and count alike."""
        return len(self.sample) + self.n_incomplete == self.n_rows and not self.weighted

    @property
    def caption(self) -> str:
        """What is shown."""
        kind = f"{self.n_rows:,} rows" if self.by_points else f"image of {self.n_rows:,} rows"
        outside = f", {self.n_outside:,} outside of the frame" if self.n_outside else ""
        return kind + outside + (f", {self.n_incomplete:,} with a gap" if self.n_incomplete else "")


def sample_of(estimator: Any, X: Any, sample_weight: Any = None, size: int = POINTS) -> tuple[np.ndarray, int]:
    """At most `size` random rows of positive weight (n, D), and how many rows there are."""
    sampler, n_rows = Sampler(0, size), 0
    for rows, weights in estimator._source(X, sample_weight).blocks():
        sampler.add(np.asarray(rows), weights)
        n_rows += len(rows)
    return sampler.sample(size).rows, n_rows


def show(estimator: Any, X: Any, sample_weight: Any, features: list[int], frames: list[tuple[float, float]]) -> Shown:
    """One pass over the rows, of which `features` are seen within `frames`."""
    sampler, n_rows, n_outside, n_incomplete, weighted = Sampler(0, POINTS), 0, 0, 0, False
    edges = [np.linspace(*frame, BINS + 1) for frame in frames]
    counts = [np.zeros(BINS) for _ in features]
    images = {pair: np.zeros((BINS, BINS)) for pair in combinations(range(len(features)), 2)}
    for piece, its_weights in _pieces(estimator._source(X, sample_weight).blocks(), features):
        complete = ~np.isnan(piece).any(axis=1)
        rows, weights = piece[complete], None if its_weights is None else its_weights[complete]
        sampler.add(rows, weights)
        n_rows, weighted = n_rows + len(piece), weighted or weights is not None
        n_incomplete += len(piece) - len(rows)
        n_outside += int(np.count_nonzero(_outside(rows, frames)))
        for j, edge in enumerate(edges):
            counts[j] += np.histogram(rows[:, j], bins=edge, weights=weights)[0]
        for (i, j), image in images.items():
            image += np.histogram2d(rows[:, i], rows[:, j], bins=(edges[i], edges[j]), weights=weights)[0]
    return Shown(n_rows, n_outside, n_incomplete, sampler.sample(POINTS).rows, counts, images, edges, weighted)


def _pieces(blocks: Iterable[Block], features: list[int]) -> Iterator[Block]:
    for rows, weights in blocks:
        for first in range(0, len(rows), PIECE):
            part = slice(first, first + PIECE)
            yield Block(np.asarray(rows[part, features], dtype=np.float64), None if weights is None else weights[part])


def _outside(rows: np.ndarray, frames: list[tuple[float, float]]) -> np.ndarray:
    low, high = np.array(frames).T
    return ((rows < low) | (rows > high)).any(axis=1)
