"""Tables of numbers on disk: .csv and .npy files become rows, column names and weights."""

import csv
import math
import os
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

Names = tuple[str, ...] | None

ROWS_AT_A_TIME = 1 << 16


class Table(NamedTuple):
    """Rows of numbers with the names of their columns (None if the file has none) and, if asked for, their weights."""

    names: Names
    rows: NDArray[Any]
    weights: NDArray[np.float64] | None

    @property
    def headings(self) -> tuple[str, ...]:
        """The names, or numbers counted from 1 in their place."""
        return self.names or tuple(f"column {c + 1}" for c in range(self.rows.shape[1]))


def read_table(path: str | os.PathLike[str], weights: str | None = None) -> Table:
    """Read a table of finite numbers.

    Parameters
    ----------
    path : path
        A comma-separated .csv in UTF-8, with or without a line of column names, or a two-dimensional .npy. The latter
        is mapped read-only, not loaded.
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
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}, expected .csv or .npy")
    names, values = READERS[path.suffix.lower()](path)
    if weights is None:
        return Table(names, values, None)
    column = _find_column(path, names, values.shape[1], weights)
    if values.shape[1] == 1:
        raise ValueError(f"{path}: no column is left beside the weights")
    kept = None if names is None else names[:column] + names[column + 1 :]
    return Table(kept, _without_column(values, column), _checked_weights(path, values[:, column]))


# CSV ------------------------------------------------------------------------------------------------------------------


class _Head(NamedTuple):
    names: Names
    width: int  # cells in the first line that is not blank
    n_lines: int  # lines before the first row


def _read_csv(path: Path) -> tuple[Names, NDArray[np.float64]]:
    try:
        head = _read_head(path)
        values = _load_csv(path, head)
    except (csv.Error, UnicodeDecodeError):
        raise ValueError(f"{path}: not a text file in UTF-8") from None
    if values.shape[1] != head.width or _first_not_finite(values) is not None:
        _raise_first_defect(path, head)
    return head.names, values


def _open(path: Path) -> TextIO:
    return open(path, newline="", encoding="utf-8-sig")


def _read_head(path: Path) -> _Head:
    """Look at the first line: it names the columns if none of its cells is a number."""
    with _open(path) as file:
        reader = csv.reader(file)
        lines = (cells for cells in reader if cells)
        first = next(lines, None)
        if first is None:
            raise ValueError(f"{path}: the file is empty")
        if any(_is_number(cell) for cell in first):
            return _Head(None, len(first), 0)
        n_lines = reader.line_num
        if next(lines, None) is None:
            raise ValueError(f"{path}: no rows after the column names")
    return _Head(_checked_names(path, first), len(first), n_lines)


def _checked_names(path: Path, cells: list[str]) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    for c, name in enumerate(names):
        if not name:
            # What pandas and R write for a row index, which must not become a feature unseen.
            raise ValueError(f"{path}: column {c + 1} has no name; write the file without a row index")
        if name in names[:c]:
            raise ValueError(f"{path}: two columns are called {name!r}")
    return names


def _load_csv(path: Path, head: _Head) -> NDArray[np.float64]:
    try:
        return np.loadtxt(
            path, delimiter=",", quotechar='"', comments=None, skiprows=head.n_lines, ndmin=2, encoding="utf-8-sig"
        )
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        _raise_first_defect(path, head, str(error))


def _raise_first_defect(path: Path, head: _Head, otherwise: str = "not a table of numbers") -> NoReturn:
    """Read the file once more, slowly, for the line and the column that the fast reader cannot name."""
    with _open(path) as file:
        reader = csv.reader(islice(file, head.n_lines, None))
        for cells in filter(None, reader):
            defect = _defect(cells, head)
            if defect:
                raise ValueError(f"{path}: line {head.n_lines + reader.line_num}{defect}")
    raise ValueError(f"{path}: {otherwise}")


def _defect(cells: list[str], head: _Head) -> str | None:
    if len(cells) != head.width:
        return f" has {len(cells)} columns instead of {head.width}"
    for c, cell in enumerate(cells):
        if not cell.strip():
            return f", {_place(head.names, c)}: the cell is empty"
        if not _is_number(cell):
            return f", {_place(head.names, c)}: {cell!r} is not a number"
        if not math.isfinite(float(cell)):
            return f", {_place(head.names, c)}: {cell.strip()} is not finite"
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


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


def _place(names: Names, column: int) -> str:
    return f"column {column + 1}" if names is None else f"column {names[column]!r}"
