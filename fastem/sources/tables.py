"""Tables of named columns: files, data frames and Arrow data, with features, weights and labels chosen."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np

from fastem.sources.columns import Columns, Layout, check_present
from fastem.sources.files import damage_named, found, is_path
from fastem.sources.formats import TABLES, format_of, is_table, unknown
from fastem.sources.frames import frame_columns
from fastem.sources.numeric import stacked
from fastem.sources.reader import Piece, Reader

LABEL_ROWS = 2**20  # of a run of labels


class Table:
    """A table of which some columns are features, and perhaps one the weights of the rows, one their known components.

    Parameters
    ----------
    data : path, list of paths, or data frame
        Paths of .csv or .tsv files (.gz too) or Parquet files, folders or patterns like ``"logs/*.parquet"``; several
        files are one after another, and folders ``key=value/`` have a column ``key``. Also addresses like
        ``"s3://bucket/rows.parquet"`` (``fastem[remote]``). Or a frame of pandas, polars, pyarrow or another library
        that narwhals knows, or a pyarrow data set.
    columns : list of str or int, optional
        The features, in this order, by their labels. By default all columns but `weight`, `label` and an index of
        pandas.
    weight : str or int, optional
        The column of the weights.
    separator : str, optional
        What separates the columns of a text file: by default a comma in .csv and a tab in .tsv.
    decimal : str, default='.'
        The decimal mark in a text file.
    header : bool, optional
        Whether the first line of a text file names the columns. By default it does if none of its cells is a number;
        where numbers may be names, a warning says what it was taken for.
    label : str or int, optional
        The column of the components of rows where they are known, whole numbers, else -1: `fit` of a mixture keeps to
        them. It reads them once, into four bytes a row; no other method looks at them.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastem import GaussianMixture, Table
    >>> frame = pd.DataFrame({"length": [1.0, 2.0, 4.0], "count": [2, 1, 1]})
    >>> GaussianMixture().fit(Table(frame, weight="count")).means_
    array([[2.]])
    """

    def __init__(
        self,
        data: Any,
        columns: Sequence[str | int] | None = None,
        weight: str | int | None = None,
        *,
        separator: str | None = None,
        decimal: str = ".",
        header: bool | None = None,
        label: str | int | None = None,
    ):
        if isinstance(columns, str):
            raise TypeError(f"columns must be a list of columns, got the text {columns!r}.")
        self.data = data
        self.weight = None if weight is None else str(weight)
        self.columns = None if columns is None else [str(column) for column in columns]
        self.label = None if label is None else str(label)
        self.layout = Layout(separator, decimal, header)

    def labels(self) -> list[str]:
        """The labels of all columns as text: those of a text file without names are their numbers from 1."""
        return _columns_of(self.data, self.layout).names

    def reader(self) -> Reader:
        """Raises OSError, ValueError or TypeError if there is no such table."""
        return TableReader(_columns_of(self.data, self.layout), self.columns, self.weight, self.label)

    def with_label(self, label: str) -> "Table":
        """The same table with a column of known components."""
        if self.label not in (None, label):
            raise ValueError(f"labels twice, as column {label!r} and as column {self.label!r}")
        table = copy(self)
        table.label = label
        return table

    def read_label(self) -> np.ndarray:
        """The column of the known components, (n_rows,), as it is."""
        table = _columns_of(self.data, self.layout)
        check_present(table.name, [str(self.label)], table.names)
        runs = [columns[0].copy() for columns, _, _ in table.read([str(self.label)], LABEL_ROWS)]
        return np.concatenate(runs) if runs else np.empty(0)


class TableReader(Reader):
    """A table with its columns chosen."""

    def __init__(self, table: Columns, columns: list[str] | None, weight: str | None, label: str | None):
        self.table, self.weight, self.name = table, weight, table.name
        others = [name for name in (weight, label) if name is not None]
        check_present(table.name, [*(columns or []), *others], table.names)
        chosen = [name for name in table.features if name not in others] if columns is None else columns
        if not chosen:
            raise ValueError(f"{table.name}: no column is left beside the {'weights' if label is None else 'labels'}")
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"{table.name}: a column is chosen twice: {', '.join(chosen)}")
        self.names = tuple(chosen) if table.named else None
        self.weighted = None if weight is None else f"column {weight!r}"
        self.n_features, self._chosen = len(chosen), chosen

    def allow_gaps(self) -> None:
        self.table.allow_gaps()

    def stamp(self) -> Any:
        return self.table.stamp()

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        wanted = self._chosen if self.weight is None else [*self._chosen, self.weight]
        for columns, where, first in self.table.read(wanted, n_rows):
            weights = None if self.weight is None else columns[-1].astype(np.float64)
            yield Piece(stacked(columns[: self.n_features]), weights, where, first)


def _columns_of(data: Any, layout: Layout) -> Columns:
    if not (is_path(data) or (isinstance(data, list | tuple) and data and is_path(data[0]))):
        if layout != Layout():
            raise ValueError("separator, decimal and header are for text files")
        return frame_columns(data)
    files = found(data, is_table)
    formats = {TABLES.get(file.suffix) for file in files}
    if len(formats) > 1:
        odd = next((file for file in files if file.suffix not in TABLES), None)
        if odd is not None:
            raise unknown(odd, TABLES)
        kinds = ", ".join(sorted({file.suffix for file in files}))
        raise ValueError(f"{files[0]} and the others are of different kinds: {kinds}")
    with damage_named(str(files[0])):
        return format_of(TABLES, files[0]).opened(files, layout)
