"""Two-dimensional arrays on disk, of every format."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from fastem.sources.files import File, damage_named, found
from fastem.sources.formats import ARRAYS, format_of, is_array
from fastem.sources.numeric import REAL
from fastem.sources.reader import Piece, Reader, Several

MUST_STAY = "The data must stay the same during a fit."


class ArrayFile:
    """An array in a file.

    Parameters
    ----------
    path : path or list of paths
        A .npy file, a Zarr array or group, or an HDF5 file; or the address of one, like ``"s3://bucket/rows.zarr"``. A
        list, a pattern or a folder stands for several, one after another.
    name : str, optional
        The array inside a Zarr group or HDF5 file; not needed if there is only one.
    weight : int, optional
        The column of the weights, counted from 0; the others are the features.
    """

    def __init__(self, path: Any, name: str | None = None, *, weight: int | None = None):
        self.path, self.name, self.weight = path, name, weight

    def reader(self) -> Reader:
        """Raises OSError or ValueError if there is no such array of numbers."""
        readers = [ArrayReader(file, self.name, self.weight) for file in found(self.path, is_array)]
        return readers[0] if len(readers) == 1 else Several(readers)


class StoredArray(Protocol):
    """An array in a file, as a format gives it.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    chunk_rows : int
        Rows that are decoded together.
    """

    shape: tuple[int, ...]
    dtype: Any
    chunk_rows: int

    def read(self, first: int, last: int) -> np.ndarray:
        """Rows from number `first` to before `last`, (last - first, n_columns)."""
        ...


class ArrayReader(Reader):
    """The rows of a stored array."""

    def __init__(self, file: File, name: str | None = None, weight: int | None = None):
        self.file, self.name, self.weight = file, str(file), weight
        with damage_named(self.name):
            self.array: StoredArray = format_of(ARRAYS, file).opened(file, name)
            self._check()
        self.n_columns = self.array.shape[1]
        self.n_features = self.n_columns
        if weight is not None:
            self._leave_out(weight)

    def _check(self) -> None:
        shape, dtype = self.array.shape, self.array.dtype
        if len(shape) != 2 or dtype.kind not in REAL:
            raise ValueError(f"{self.name}: {dtype} of shape {shape}, expected real numbers in rows and columns")
        if min(shape) <= 0:
            raise ValueError(f"{self.name}: shape {shape} holds no numbers")

    def _leave_out(self, weight: int) -> None:
        if not 0 <= weight < self.n_columns:
            raise ValueError(f"{self.name}: no column {weight}, the columns are 0 to {self.n_columns - 1}")
        if self.n_columns == 1:
            raise ValueError(f"{self.name}: no column is left beside the weights")
        self.n_features, self.weighted = self.n_columns - 1, f"column {weight}"

    def stamp(self) -> Any:
        return self.file.stamp()

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        stamp, chunk = self.stamp(), self.array.chunk_rows
        step = max(n_rows // chunk, 1) * chunk if chunk <= 4 * n_rows else n_rows  # a chunk is decoded as a whole
        for first in range(0, self.array.shape[0], step):
            if self.stamp() != stamp:
                raise ValueError(f"{self.name}: changed while it was read. {MUST_STAY}")
            with damage_named(self.name):
                rows = self.array.read(first, min(first + step, self.array.shape[0]))
            yield self._piece(rows, first)

    def _piece(self, rows: np.ndarray, first: int) -> Piece:
        if self.weight is None:
            return Piece(rows, None, self.name, first)
        weights = rows[:, self.weight].astype(np.float64)
        return Piece(np.delete(rows, self.weight, axis=1), weights, self.name, first)
