"""What a pass needs to know of the data, and the one dispatcher that finds the right class for it."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np


class Block(NamedTuple):
    """Rows that follow each other.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features)
        float32 or float64 in native byte order, any strides, possibly read-only.
    weights : ndarray of shape (n,) or None
        float64; None stands for ones.
    """

    rows: np.ndarray
    weights: np.ndarray | None


class Source(Protocol):
    """Rows that can be read again and again, always in the same order, in blocks of any size."""

    n_rows: int
    n_features: int

    def blocks(self) -> Iterator[Block]:
        """All rows, in order. How they are cut into blocks never changes a result."""
        ...

    def sample(self, size: int, random_state: np.random.RandomState) -> Block:
        """`size` rows of positive weight in float64, drawn without replacement, in random order.

        All of them when there are no more.
        """
        ...


def as_source(data: Any, sample_weight: np.ndarray | None = None) -> Source:
    """The source that reads `data`: so far a two-dimensional array of any layout and real dtype."""
    from fastem.sources.arrays import ArraySource

    return ArraySource(data, sample_weight)
