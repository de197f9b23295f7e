"""The one dispatcher that finds the right source for data."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastem.sources.array_files import ArrayFile, MappedReader
from fastem.sources.arrays import ArraySource
from fastem.sources.chunks import Chunks, one_shot
from fastem.sources.files import PARQUET, expanded
from fastem.sources.reader import Piece, Reader
from fastem.sources.source import Source
from fastem.sources.stream import StreamSource
from fastem.sources.tables import Table

LARGE_MAP = 2**26  # bytes of a memory map from which its pages are given back behind the reader
ARRAYS = {".npy", ".zarr", ".h5", ".hdf5"}


def as_source(data: Any, sample_weight: Any = None, seed: int = 0, domain: Any = None) -> Source:
    """The source that reads `data`, whose sample is drawn with `seed`.

    Parameters
    ----------
    data : array, or anything that `reader_of` knows
        An array must be two-dimensional and checked already.
    sample_weight : array of shape (n_rows,) or None
    seed : int
    domain : callable or None
        See `fastem.estimators.validation`.
    """
    reader = reader_of(data)
    if reader is None:
        return ArraySource(data, sample_weight, seed)
    return StreamSource(reader, sample_weight, seed, domain)


def reader_of(data: Any) -> Reader | None:
    """How to read data that are not an array in memory; None if they are, or only scikit-learn knows.

    Raises
    ------
    TypeError
        If `data` can be read only once.
    """
    if isinstance(data, Chunks):
        return data
    if isinstance(data, Table | ArrayFile):
        return data.reader()
    if isinstance(data, np.memmap) and data.ndim == 2 and data.nbytes >= LARGE_MAP:
        return MappedReader(data, str(data.filename or "the memory map"))
    if isinstance(data, str | os.PathLike) or (isinstance(data, list | tuple) and data and _all_paths(data)):
        return _reader_of_paths(data)
    if type(data).__module__.split(".")[0] == "pyarrow":
        return Table(data).reader()
    if isinstance(data, Iterator):
        raise TypeError(one_shot(data))
    return None


def _all_paths(data: Any) -> bool:
    return all(isinstance(element, str | os.PathLike) for element in data)


def _reader_of_paths(data: Any) -> Reader:
    paths = expanded(data)
    suffixes = {path.suffix.lower() for path in paths}
    if suffixes <= ARRAYS:
        if len(paths) == 1:
            return ArrayFile(paths[0]).reader()
        return Several([ArrayFile(path).reader() for path in paths])
    if suffixes <= PARQUET or suffixes == {".csv"} or (len(paths) == 1 and paths[0].is_dir()):
        return Table(paths).reader()
    known = ARRAYS | PARQUET | {".csv"}
    wrong = next((path for path in paths if path.suffix.lower() not in known), None)
    if wrong is None:
        raise ValueError(f"{paths[0]} and the others are of different kinds: {', '.join(sorted(suffixes))}")
    raise ValueError(f"{wrong}: unknown suffix {wrong.suffix!r}, expected {', '.join(sorted(known))}")


class Several(Reader):
    """Arrays in several files, one after another."""

    def __init__(self, readers: list[Reader]):
        self.readers, self.name = readers, readers[0].name
        self.n_features = readers[0].n_features
        for reader in readers:
            if reader.n_features != self.n_features:
                raise ValueError(f"{reader.name}: {reader.n_features} columns, but {self.name} has {self.n_features}")

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        for reader in self.readers:
            yield from reader.pieces(n_rows)

    def stamp(self) -> Any:
        return [reader.stamp() for reader in self.readers]
