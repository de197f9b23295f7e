"""Rows that a function of the user makes."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastem.sources.numeric import all_text, array_of_numbers, as_frame, checked_names, rows_in_order
from fastem.sources.reader import Piece, Reader


class Chunks(Reader):
    """Rows from a function that starts to deliver them anew whenever it is called.

    Parameters
    ----------
    factory : callable
        Called without arguments before every pass; returns a fresh iterator of arrays or data frames of shape
        (n, n_features), n of any size, or of pairs of such rows and their weights, (n,). All passes must get the same
        rows. They are copied, so the same array may be filled again for the next ones.
    n_features : int
        Number of features.

    Raises
    ------
    TypeError
        If `factory` is an iterator itself: EM reads the data in every iteration, an iterator is exhausted after one.

    Examples
    --------
    >>> import numpy as np
    >>> from fastem import Chunks, GaussianMixture
    >>> def months():
    ...     for month in range(12):
    ...         yield np.random.default_rng(month).normal(size=(1000, 2))
    >>> GaussianMixture(random_state=0).fit(Chunks(months, n_features=2)).n_features_in_
    2
    """

    def __init__(self, factory: Callable[[], Iterable[Any]], *, n_features: int):
        if not callable(factory):
            raise TypeError(one_shot(factory))
        if n_features < 1:
            raise ValueError(f"n_features must be positive, got {n_features}.")
        self.factory, self.n_features = factory, int(n_features)
        self.name = getattr(factory, "__name__", type(factory).__name__)
        self._last: Any = None
        self._labels: list[str] | None = None  # of the columns of the first frame

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        chunks = self.factory()
        if isinstance(chunks, Iterator) and chunks is self._last:
            raise ValueError(
                f"{self.name} returned the iterator of the last pass again, which is exhausted. EM reads the data in "
                "every iteration: the factory must start a fresh iterator whenever it is called."
            )
        self._last = chunks
        if not isinstance(chunks, Iterable):
            raise TypeError(f"{self.name} returned a {type(chunks).__name__}, expected an iterator of arrays.")
        for number, chunk in enumerate(chunks):
            where = f"{self.name}, chunk {number}"
            if isinstance(chunk, tuple) and len(chunk) != 2:
                raise ValueError(f"{where}: {len(chunk)} things, expected rows, or a pair of rows and their weights")
            given, weights = chunk if isinstance(chunk, tuple) else (chunk, None)
            rows = self._rows(given, where)
            weights = None if weights is None else array_of_numbers(weights, f"{where}, weights")
            if rows.ndim != 2 or (weights is not None and weights.shape != (len(rows),)):
                yield Piece(rows, weights, where, 0)  # to be refused
                continue
            for first in range(0, len(rows), n_rows):
                part = slice(first, first + n_rows)
                yield Piece(
                    rows[part].copy("K"), None if weights is None else weights[part].astype(np.float64), where, first
                )

    def _rows(self, chunk: Any, where: str) -> np.ndarray:
        """A chunk as an array; the columns of frames are put in the order of the first one."""
        frame = as_frame(chunk)
        if frame is None:
            return array_of_numbers(chunk, where)
        if self._labels is None:
            self._labels = checked_names(frame.columns, where)
            self.names = tuple(self._labels) if all_text(frame.columns) else None
        return rows_in_order(frame, self._labels, where)


def one_shot(iterator: Any) -> str:
    """What to say of an iterator in place of data."""
    return (
        f"A {type(iterator).__name__} can be read once, but EM reads the data in every iteration. Wrap a function that "
        "starts a fresh iterator: fastem.Chunks(lambda: make_chunks(), n_features=...)."
    )
