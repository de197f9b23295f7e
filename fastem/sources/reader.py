"""What a kind of data must be able to do to become a source."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np


class Piece(NamedTuple):
    """Rows as a reader finds them.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features)
        Of any real dtype.
    weights : ndarray of shape (n,) or None
    where : str
        The file, or whatever else the user would look for them in.
    first : int
        The number of the first row in there.
    """

    rows: np.ndarray
    weights: np.ndarray | None
    where: str
    first: int


class Reader(ABC):
    """One kind of data, read from the beginning whenever it is asked.

    Attributes
    ----------
    name : str
        For messages.
    n_features : int
    names : tuple of str or None
        Of the columns; those of chunks are known when the first has come.
    weighted : str or None
        What the weights are called that come with the rows, if any do for certain.
    mapped : bool
        Whether the operating system reads ahead already.
    """

    name: str
    n_features: int
    names: tuple[str, ...] | None = None
    weighted: str | None = None
    mapped: bool = False

    @abstractmethod
    def pieces(self, n_rows: int) -> Iterator[Piece]:
        """All rows in order, about `n_rows` at a time."""

    def allow_gaps(self) -> None:
        """From now on, what stands for a missing number in a text becomes NaN, as it does in all other data."""
        return

    def stamp(self) -> Any:
        """Something that changes when the data do, without reading them."""
        return None


class Several(Reader):
    """Readers one after another."""

    def __init__(self, readers: Sequence[Reader]):
        self.readers, self.name = readers, readers[0].name
        self.n_features, self.weighted = readers[0].n_features, readers[0].weighted
        for reader in readers:
            if reader.n_features != self.n_features:
                raise ValueError(f"{reader.name}: {reader.n_features} columns, but {self.name} has {self.n_features}")

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        for reader in self.readers:
            yield from reader.pieces(n_rows)

    def stamp(self) -> Any:
        return [reader.stamp() for reader in self.readers]
