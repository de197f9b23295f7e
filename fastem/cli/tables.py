"""Tables of numbers on disk: .csv and .npy files become rows, column names and weights."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastem.sources import csv_files
from fastem.sources.array_files import ArrayFile
from fastem.sources.dispatch import ARRAYS
from fastem.sources.files import PARQUET
from fastem.sources.tables import Table as StreamedTable

Names = tuple[str, ...] | None

ROWS_AT_A_TIME = 1 << 16


class Table(NamedTuple):
    """Rows of numbers with the names of their columns (None if the file has none) and, if asked for, their weights.

    Rows that are read anew in every pass are a `fastem.Table` or `fastem.ArrayFile`, which knows the weights itself.
    """

    names: Names
    rows: Any
    weights: NDArray[np.float64] | None
    width: int

    @property
    def headings(self) -> tuple[str, ...]:
        """The names, or numbers counted from 1 in their place."""
        return self.names or tuple(f"column {c + 1}" for c in range(self.width))


def read_table(path: str | os.PathLike[str], weights: str | None = None) -> Table:
    """Read a table of finite numbers.

    Parameters
    ----------
    path : path
        A comma-separated .csv in UTF-8, with or without a line of column names, which is loaded; a two-dimensional
        .npy, which is mapped read-only; a Parquet file or folder, Zarr array or HDF5 file, which is read anew in every
        pass.
    weights : str, optional
        The column that holds the weights of the rows: its name, or its number counted from 1.

    Returns
    -------
    Table
        The rows without the column of weights. A column of weights at either end of a .npy leaves the rest mapped; one
        in the middle costs a copy in memory.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not such a table; the message names the file, the place in it and what is wrong there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READERS and (suffix in PARQUET | ARRAYS or path.is_dir()):
        return _streamed(path, weights)
    if suffix not in READERS:
        known = ", ".join(sorted({*READERS, *PARQUET, *ARRAYS}))
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}, expected {known}")
    names, values = READERS[suffix](path)
    if weights is None:
        return Table(names, values, None, values.shape[1])
    column = _find_column(path, names, values.shape[1], weights)
    if values.shape[1] == 1:
        raise ValueError(f"{path}: no column is left beside the weights")
    kept = None if names is None else names[:column] + names[column + 1 :]
    rows = _without_column(values, column)
    return Table(kept, rows, _checked_weights(path, values[:, column]), rows.shape[1])


def _streamed(path: Path, weights: str | None) -> Table:
    if path.suffix.lower() in ARRAYS:
        if weights is not None:
            raise ValueError(f"{path}: an array has no column {weights!r}")
        array = ArrayFile(path)
        return Table(None, array, None, array.reader().n_features)
    table = StreamedTable(path, weight=weights)
    reader = table.reader()
    return Table(reader.names, table, None, reader.n_features)


# CSV ------------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> tuple[Names, NDArray[np.float64]]:
    head = csv_files.read_head(path)
    rows = list(csv_files.read_rows(path, head, range(head.width), ROWS_AT_A_TIME))
    if not rows:
        raise ValueError(f"{path}: no rows")
    return head.names, np.concatenate(rows)


# NPY ------------------------------------------------------------------------------------------------------------------


def _read_npy(path: Path) -> tuple[Names, NDArray[Any]]:
    try:
        # Never unpickles, and unlike numpy.load does not take a zip archive or a pickle for an array.
        values = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise ValueError(f"{path}: not an array that can be mapped: {error}") from None
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise ValueError(f"{path}: {values.dtype} of shape {values.shape}, expected real numbers in rows and columns")
    if values.size == 0:
        raise ValueError(f"{path}: shape {values.shape} holds no numbers")
    place = _first_not_finite(values)
    if place is not None:
        row, column = place
        raise ValueError(f"{path}: row {row + 1}, column {column + 1}: {values[place]} is not finite")
    return None, values


READERS = {".csv": _read_csv, ".npy": _read_npy}


# rows and columns -----------------------------------------------------------------------------------------------------


def _first_not_finite(values: NDArray[Any]) -> tuple[int, int] | None:
    if values.dtype.kind != "f":
        return None
    for first in range(0, len(values), ROWS_AT_A_TIME):
        finite = np.isfinite(values[first : first + ROWS_AT_A_TIME])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            return first + int(row), int(column)
    return None


def _find_column(path: Path, names: Names, width: int, wanted: str) -> int:
    if names is not None and wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= width:
        return int(wanted) - 1
    known = f"1 to {width}" if names is None else ", ".join(names)
    raise ValueError(f"{path}: no column {wanted!r}, the columns are {known}")


def _without_column(values: NDArray[Any], column: int) -> NDArray[Any]:
    if column == 0:
        return values[:, 1:]
    if column == values.shape[1] - 1:
        return values[:, :-1]
    return np.delete(values, column, axis=1)


def _checked_weights(path: Path, column: NDArray[Any]) -> NDArray[np.float64]:
    weights = np.array(column, dtype=np.float64)
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ValueError(f"{path}: the weight of row {row + 1} is negative ({weights[row]:g})")
    if not weights.any():
        raise ValueError(f"{path}: all weights are zero")
    return weights
