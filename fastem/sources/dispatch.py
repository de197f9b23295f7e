"""The one dispatcher that finds the right source for data."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastem.sources.array_files import ArrayFile
from fastem.sources.arrays import ArraySource
from fastem.sources.chunks import Chunks, one_shot
from fastem.sources.clusters import Collection, DaskSource, is_collection
from fastem.sources.files import found, is_path
from fastem.sources.formats import ARRAYS, TABLES, has_rows, unknown
from fastem.sources.frames import is_data_set
from fastem.sources.memory_maps import MappedReader
from fastem.sources.reader import Reader
from fastem.sources.source import Source
from fastem.sources.stream import StreamSource
from fastem.sources.tables import Table
from fastem.sources.weights import Weights

LARGE_MAP = 2**26  # bytes of a memory map from which its pages are given back behind the reader


def as_source(data: Any, sample_weight: Any = None, seed: int = 0, **options: Any) -> Source:
    """The source that reads `data`, whose sample is drawn with `seed`.

    Parameters
    ----------
    data : array, or what `opened` gives or knows
        An array must be two-dimensional and checked already.
    sample_weight : array-like of shape (n_rows,), number or None
        For a Dask collection also one that is cut alike.
    seed : int
    **options
        Those of `StreamSource`.
    """
    reader = data if isinstance(data, Reader | Collection) else opened(data)
    if isinstance(reader, Collection) and is_collection(sample_weight):
        return DaskSource(reader, sample_weight, seed, **options)
    weights = None if sample_weight is None else Weights(sample_weight)
    if isinstance(reader, Collection):
        return DaskSource(reader, weights, seed, **options)
    if reader is not None:
        return StreamSource(reader, weights, seed, **options)
    if weights is not None:
        weights.check_length(len(data))
    return ArraySource(data, None if weights is None else weights.of_rows(0, len(data)), seed)


def opened(data: Any) -> Reader | Collection | None:
    """How to read data that are not in memory; None if they are, or only scikit-learn knows.

    Raises
    ------
    TypeError
        If `data` can be read only once.
    """
    if type(data) is np.ndarray:  # the rest takes as long as predicting ten rows
        return None
    if is_collection(data):
        return Collection(data)
    if isinstance(data, Chunks):
        return data
    if isinstance(data, Table | ArrayFile):
        return data.reader()
    if isinstance(data, np.memmap) and data.ndim == 2 and data.nbytes >= LARGE_MAP:
        return MappedReader(data)
    if is_path(data) or (isinstance(data, list | tuple) and data and all(map(is_path, data))):
        return _of_paths(data)
    if is_data_set(data) or _is_arrow_table(data):
        return Table(data).reader()
    if isinstance(data, Iterator) or hasattr(data, "read_next_batch"):
        raise TypeError(one_shot(data))
    return None


def _is_arrow_table(data: Any) -> bool:
    return type(data).__module__.startswith("pyarrow") and type(data).__name__ in ("Table", "RecordBatch")


def _of_paths(data: Any) -> Reader:
    files = found(data, has_rows)
    arrays = [file.suffix in ARRAYS for file in files]
    if all(arrays):
        return ArrayFile(data).reader()
    known = {*ARRAYS, *TABLES}
    wrong = next((file for file in files if file.suffix not in known), None)
    if wrong is not None:
        raise unknown(wrong, known)
    if any(arrays):
        kinds = ", ".join(sorted({file.suffix for file in files}))
        raise ValueError(f"{files[0]} and the others are of different kinds: {kinds}")
    return Table(data).reader()
