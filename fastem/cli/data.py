"""DATA of a command: what the library reads, with the column of weights by name or by its number from 1."""

from pathlib import Path
from typing import NamedTuple

from fastem.sources.array_files import ArrayFile
from fastem.sources.files import found
from fastem.sources.formats import ARRAYS, has_rows
from fastem.sources.tables import Table


class Data(NamedTuple):
    """What DATA stands for.

    Attributes
    ----------
    rows : Table or ArrayFile
        What the estimators take.
    headings : tuple of str
        The names of the features, or their numbers from 1 in place of names.
    weighted : bool
    """

    rows: Table | ArrayFile
    headings: tuple[str, ...]
    weighted: bool


def data_of(path: Path | str, weights: str | None, separator: str | None, decimal: str) -> Data:
    """Open DATA.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it holds no table of numbers, or no column `weights`; the message names the file.
    """
    if all(file.suffix in ARRAYS for file in found(path, has_rows)):
        rows: Table | ArrayFile = ArrayFile(path)
        if weights is not None:
            rows = ArrayFile(path, weight=_number(path, weights, rows.reader().n_features))
    else:
        rows = Table(path, separator=separator, decimal=decimal)
        if weights is not None:
            rows = Table(path, weight=_label(rows, weights), separator=separator, decimal=decimal)
    reader = rows.reader()
    headings = reader.names or tuple(f"column {c + 1}" for c in range(reader.n_features))
    return Data(rows, headings, weights is not None)


def _label(table: Table, wanted: str) -> str:
    """The label of a column that is given by it, or by its number from 1."""
    labels = table.labels()
    if wanted not in labels and wanted.isdecimal() and 1 <= int(wanted) <= len(labels):
        return labels[int(wanted) - 1]
    return wanted


def _number(path: Path | str, wanted: str, n_columns: int) -> int:
    """The number from 0 of a column that is given by its number from 1."""
    if wanted.isdecimal() and 1 <= int(wanted) <= n_columns:
        return int(wanted) - 1
    raise ValueError(f"{path}: no column {wanted!r}, the columns are 1 to {n_columns}")
