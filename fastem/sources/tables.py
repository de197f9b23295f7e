"""Named columns: .csv and Parquet files, Arrow tables and data sets, pandas and polars frames."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastem.sources import csv_files
from fastem.sources.files import PARQUET, expanded, missing, stamp_of
from fastem.sources.reader import Piece, Reader

Columns = list[np.ndarray]


BUFFER = 2**18  # bytes of a column that are read at a time, not the column of a whole row group


class Table:
    """A table of which some columns are features, and one perhaps the weights of the rows.

    Parameters
    ----------
    data : path, list of paths, pyarrow.Table, pyarrow.dataset.Dataset, pandas.DataFrame or polars.DataFrame
        Paths of .csv files (with or without a line of names) or Parquet files, a folder of the latter, or a pattern
        like ``"logs/*.parquet"``; several files are one after another.
    columns : list of str, optional
        The features, in this order. By default all columns but `weight`.
    weight : str, optional
        The column of the weights.
    """

    def __init__(self, data: Any, columns: Sequence[str] | None = None, weight: str | None = None):
        self.data, self.weight = data, weight
        self.columns = None if columns is None else list(columns)

    def reader(self) -> Reader:
        """Raises OSError, ValueError or TypeError if there is no such table."""
        return TableReader(_opened(self.data), self.columns, self.weight)


class TableReader(Reader):
    """A table with its columns chosen."""

    def __init__(self, tables: "_Tables", columns: list[str] | None, weight: str | None):
        self.tables, self.weight, self.name = tables, weight, tables.name
        for column in [*(columns or []), *([] if weight is None else [weight])]:
            if column not in tables.names:
                raise ValueError(f"{tables.name}: no column {column!r}, the columns are {', '.join(tables.names)}")
        chosen = [name for name in tables.names if name != weight] if columns is None else columns
        if not chosen:
            raise ValueError(f"{tables.name}: no column is left beside the weights")
        self.names = tuple(chosen) if tables.named else None
        self.n_features, self._chosen = len(chosen), chosen

    def stamp(self) -> Any:
        return self.tables.stamp()

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        wanted = self._chosen if self.weight is None else [*self._chosen, self.weight]
        for columns, where, first in self.tables.read(wanted, n_rows):
            for name, column in zip(wanted, columns, strict=True):
                if column.dtype.kind not in "biuf":
                    raise ValueError(f"{where}: column {name!r} holds {_kind(column)}, not numbers.")
            features = columns[: self.n_features]
            dtype = np.float32 if all(c.dtype == np.float32 for c in features) else np.float64
            rows = np.empty((self.n_features, len(columns[0])), dtype=dtype)
            for row, column in zip(rows, features, strict=True):
                row[:] = column
            weights = None if self.weight is None else columns[-1].astype(np.float64)
            yield Piece(rows.T, weights, where, first)


def _kind(column: np.ndarray) -> str:
    return {"O": "text or other objects", "U": "text", "S": "text", "T": "text", "M": "dates", "m": "durations"}.get(
        column.dtype.kind, str(column.dtype)
    )


# kinds of tables ------------------------------------------------------------------------------------------------------


class _Tables:
    """Columns by name, in runs of rows.

    Attributes
    ----------
    name : str
        For messages.
    names : list of str
    named : bool
        Whether the names are the user's.
    """

    named = True

    def __init__(self, name: str, names: Iterable[Any], paths: Sequence[Path] = ()):
        self.name, self.names, self.paths = name, [str(column) for column in names], list(paths)

    def stamp(self) -> Any:
        return stamp_of(self.paths)

    def read(self, names: list[str], n_rows: int) -> Iterator[tuple[Columns, str, int]]:
        """The columns called `names`, some rows at a time, where they are and the number of their first row there."""
        raise NotImplementedError


class _Frame(_Tables):
    """pandas or polars."""

    def __init__(self, frame: Any, of: Callable[[Any, str], np.ndarray]):
        super().__init__(f"the {type(frame).__module__.split('.')[0]} frame", frame.columns)
        self.frame, self.of = frame, of
        self.labels = dict(zip(self.names, frame.columns, strict=True))

    def read(self, names, n_rows):
        for first in range(0, len(self.frame), n_rows):
            part = self.frame[first : first + n_rows]
            yield [self.of(part, self.labels[name]) for name in names], self.name, first


class _Arrow(_Tables):
    """pyarrow: a table or a data set."""

    def __init__(self, data: Any):
        super().__init__(f"the pyarrow {type(data).__name__}", data.schema.names)
        self.data = data

    def read(self, names, n_rows):
        if hasattr(self.data, "scanner"):  # a data set
            batches = self.data.to_batches(columns=names, batch_size=n_rows, batch_readahead=1, fragment_readahead=1)
        else:
            batches = self.data.select(names).to_batches(max_chunksize=n_rows)
        first = 0
        for batch in batches:
            if batch.num_rows:
                yield _columns(batch, names), self.name, first
            first += batch.num_rows


class _Parquet(_Tables):
    """Parquet files, one after another."""

    def __init__(self, paths: list[Path]):
        super().__init__(str(paths[0]), self._open(paths[0]).schema_arrow.names, paths)

    @staticmethod
    def _open(path: Path) -> Any:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise missing("pyarrow", "parquet") from error
        try:
            return pyarrow.parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
        except pyarrow.ArrowException as error:
            raise ValueError(f"{path}: damaged, or not a Parquet file ({error})") from None

    def read(self, names, n_rows):
        import pyarrow

        for path in self.paths:
            first, file = 0, self._open(path)
            _check_names(path, names, file.schema_arrow.names)
            try:
                for batch in file.iter_batches(batch_size=n_rows, columns=names):
                    yield _columns(batch, names), str(path), first
                    first += batch.num_rows
            except (pyarrow.ArrowException, OSError) as error:
                raise ValueError(f"{path}: row {first} and the next cannot be read: {error}") from None


class _Csv(_Tables):
    """Comma-separated files, one after another."""

    def __init__(self, paths: list[Path]):
        self.head = csv_files.read_head(paths[0])
        self.named = self.head.names is not None
        names = self.head.names or [str(column + 1) for column in range(self.head.width)]
        super().__init__(str(paths[0]), names, paths)

    def read(self, names, n_rows):
        for path in self.paths:
            head, first = csv_files.read_head(path), 0
            if head.width != self.head.width:
                raise ValueError(f"{path}: {head.width} columns, but {self.name} has {self.head.width}")
            if head.names is not None:
                _check_names(path, names, head.names)
            own = self.names if head.names is None else list(head.names)
            chosen = [own.index(name) for name in names]
            for values in csv_files.read_rows(path, head, chosen, n_rows):
                yield list(values.T), str(path), first
                first += len(values)


def _columns(batch: Any, names: list[str]) -> Columns:
    """Arrow columns as arrays; missing values of numbers become NaN."""
    return [batch.column(batch.schema.get_field_index(name)).to_numpy(zero_copy_only=False) for name in names]


def _check_names(path: Path, wanted: list[str], found: Iterable[str]) -> None:
    absent = set(wanted) - set(found)
    if absent:
        raise ValueError(f"{path}: no column {', '.join(sorted(absent))}, the columns are {', '.join(found)}")


def _opened(data: Any) -> _Tables:
    library = type(data).__module__.split(".")[0]
    if library == "pandas":
        return _Frame(data, lambda part, label: part[label].to_numpy())
    if library == "polars":
        return _Frame(data, lambda part, label: part[label].to_numpy())
    if library == "pyarrow":
        return _Arrow(data)
    paths = expanded(data)
    if len(paths) == 1 and paths[0].is_dir():
        inside = sorted(path for path in paths[0].rglob("*") if path.suffix.lower() in PARQUET)
        if not inside:
            raise FileNotFoundError(2, "No Parquet file in the folder", str(paths[0]))
        return _Parquet(inside)
    suffixes = {path.suffix.lower() for path in paths}
    if suffixes <= PARQUET:
        return _Parquet(paths)
    if suffixes == {".csv"}:
        return _Csv(paths)
    raise ValueError(f"{paths[0]}: unknown suffix {paths[0].suffix!r}, expected .csv or .parquet")
