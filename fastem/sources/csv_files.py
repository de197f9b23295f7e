"""Comma-separated files: the line of names, runs of rows, and where the first defect is."""

import csv
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

Names = tuple[str, ...] | None

MOST_LINES = 2**16  # at a time: as text they take several times their size as numbers


class Head(NamedTuple):
    names: Names
    width: int  # cells in the first line that is not blank
    n_lines: int  # lines before the first row


def _open(path: Path) -> TextIO:
    return open(path, newline="", encoding="utf-8-sig")


def read_head(path: Path) -> Head:
    """Look at the first line: it names the columns if none of its cells is a number."""
    try:
        return _head(path)
    except (csv.Error, UnicodeDecodeError):
        raise ValueError(f"{path}: not a text file in UTF-8") from None


def _head(path: Path) -> Head:
    with _open(path) as file:
        reader = csv.reader(file)
        lines = (cells for cells in reader if cells)
        first = next(lines, None)
        if first is None:
            raise ValueError(f"{path}: the file is empty")
        if any(_is_number(cell) for cell in first):
            return Head(None, len(first), 0)
        n_lines = reader.line_num
        if next(lines, None) is None:
            raise ValueError(f"{path}: no rows after the column names")
    return Head(_checked_names(path, first), len(first), n_lines)


def _checked_names(path: Path, cells: list[str]) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    for c, name in enumerate(names):
        if not name:
            # What pandas and R write for a row index, which must not become a feature unseen.
            raise ValueError(f"{path}: column {c + 1} has no name; write the file without a row index")
        if name in names[:c]:
            raise ValueError(f"{path}: two columns are called {name!r}")
    return names


def read_rows(path: Path, head: Head, columns: Sequence[int], n_rows: int) -> Iterator[NDArray[np.float64]]:
    """The columns with these numbers of all rows, (n, len(columns)), n up to `n_rows`.

    Raises
    ------
    ValueError
        If something is not a finite number; the message names the file, the line and the column.
    """
    try:
        with _open(path) as file:
            lines = islice(file, head.n_lines, None)
            while True:
                some = list(islice(lines, min(n_rows, MOST_LINES)))
                if not some:
                    return
                values = _parsed(path, head, columns, some)
                if len(values):
                    yield values
    except (csv.Error, UnicodeDecodeError):
        raise ValueError(f"{path}: not a text file in UTF-8") from None


def _parsed(path: Path, head: Head, columns: Sequence[int], lines: list[str]) -> NDArray[np.float64]:
    if not any(line.strip() for line in lines):
        return np.empty((0, len(columns)))
    try:
        values = np.loadtxt(lines, delimiter=",", quotechar='"', comments=None, ndmin=2, usecols=columns)
    except ValueError as error:
        raise_first_defect(path, head, columns, str(error))
    if not np.isfinite(values).all() or any(line.count(",") != head.width - 1 for line in lines if line.strip()):
        raise_first_defect(path, head, columns)
    return values


def raise_first_defect(
    path: Path, head: Head, columns: Sequence[int], otherwise: str = "not a table of numbers"
) -> NoReturn:
    """Read the file once more, slowly, for the line and the column that the fast reader cannot name."""
    with _open(path) as file:
        reader = csv.reader(islice(file, head.n_lines, None))
        for cells in filter(None, reader):
            defect = _defect(cells, head, columns)
            if defect:
                raise ValueError(f"{path}: line {head.n_lines + reader.line_num}{defect}")
    raise ValueError(f"{path}: {otherwise}")


def _defect(cells: list[str], head: Head, columns: Sequence[int]) -> str | None:
    if len(cells) != head.width:
        return f" has {len(cells)} columns instead of {head.width}"
    for c in columns:
        cell = cells[c]
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


def _place(names: Names, column: int) -> str:
    return f"column {column + 1}" if names is None else f"column {names[column]!r}"
