"""Parquet files, one after another, in bounded memory however wide they are."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastem.sources.columns import Columns, Layout, Run, check_present, index_of_pandas
from fastem.sources.files import File, damage_named, missing
from fastem.sources.frames import columns_of_batch
from fastem.sources.numeric import no_numbers

BUFFER = 2**18  # bytes of a column that are read at a time, not the column of a whole row group
COLUMN_MEMORY = 2**22  # bytes that a column takes at most while it is decoded: a dictionary and a page, two times
NARROW_MEMORY = 2**26  # bytes that all columns may take to be decoded together
PARTS_MEMORY = 2**25  # bytes that those decoded together take where not all are
KEPT_MEMORY = 2**25  # bytes of decoded columns that wait in memory for the others, more wait in a temporary file
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def opened(files: list[File], layout: Layout) -> "ParquetFiles":
    if layout != Layout():
        raise ValueError(f"{files[0]}: separator, decimal and header are for text files")
    return ParquetFiles(files)


class ParquetFiles(Columns):
    def __init__(self, files: list[File]):
        schema = _open(files[0]).schema_arrow
        keys = [key for key in dict.fromkeys(key for file in files for key in file.keys) if key not in schema.names]
        super().__init__(str(files[0]), [*schema.names, *keys], files)
        self.leave_out(index_of_pandas(schema.metadata))
        self.keys = {key: [file.keys.get(key, NO_VALUE) for file in files] for key in keys}

    def read(self, names: list[str], n_rows: int) -> Iterator[Run]:
        stored = [name for name in names if name not in self.keys]
        for number, file in enumerate(self.files):
            parquet = _open(file)
            check_present(str(file), stored, parquet.schema_arrow.names)
            for columns, first, length in _runs(str(file), parquet, stored, n_rows):
                by_name = dict(zip(stored, columns, strict=True))
                for key in set(names) & set(self.keys):
                    by_name[key] = np.full(length, _number_of_key(str(file), key, self.keys[key][number]))
                yield [by_name[name] for name in names], str(file), first


def _open(file: File) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise missing("pyarrow", "parquet") from error
    with damage_named(str(file)):
        return pyarrow.parquet.ParquetFile(
            file.open(), buffer_size=BUFFER, pre_buffer=False, thrift_string_size_limit=2**27
        )


def _number_of_key(where: str, key: str, value: str) -> float:
    """The number that a folder has in its name."""
    try:
        return math.nan if value == NO_VALUE else float(value.replace("_", " "))  # Python takes 1_000, nobody else
    except ValueError:
        raise no_numbers(where, key, "text") from None


# a file -----------------------------------------------------------------------------------------------------------


def _runs(where: str, parquet: Any, names: list[str], n_rows: int) -> Iterator[tuple[list[np.ndarray], int, int]]:
    """Columns of some rows, the number of their first, and how many they are."""
    first = 0
    with damage_named(where):
        for group in range(parquet.num_row_groups):
            size = _memory_of_a_column(parquet, group)
            if len(names) * size <= NARROW_MEMORY:
                runs = _together(where, parquet, names, group, n_rows)
            else:
                runs = _by_parts(where, parquet, names, group, n_rows, max(1, PARTS_MEMORY // size))
            for columns, length in runs:
                yield columns, first, length
                first += length


def _memory_of_a_column(parquet: Any, group: int) -> int:
    """Bytes that a column of a row group takes while it is decoded.

    Reckoned from the mean of all columns: to ask pyarrow for one of them ends the process if its metadata are damaged.
    """
    chunks = parquet.metadata.row_group(group)
    packed_and_unpacked = 2 * chunks.total_byte_size // max(1, chunks.num_columns)
    return min(COLUMN_MEMORY, max(1, packed_and_unpacked))


def _together(
    where: str, parquet: Any, names: list[str], group: int, n_rows: int
) -> Iterator[tuple[list[np.ndarray], int]]:
    for batch in parquet.iter_batches(batch_size=n_rows, row_groups=[group], columns=names, use_threads=False):
        yield columns_of_batch(batch, names, where), batch.num_rows


def _by_parts(
    where: str, parquet: Any, names: list[str], group: int, n_rows: int, at_once: int
) -> Iterator[tuple[list[np.ndarray], int]]:
    """Decode some columns of a row group at a time; those decoded wait for the others."""
    length = parquet.metadata.row_group(group).num_rows
    with _Waiting.room(len(names), length) as waiting:
        for begin in range(0, len(names), at_once):
            part, first = names[begin : begin + at_once], 0
            for columns, n in _together(where, parquet, part, group, n_rows):
                for j, column in enumerate(columns, begin):
                    waiting.write(j, first, column)
                first += n
            if first != length:
                raise ValueError(f"{where}: row group {group} has {first} rows, not {length} as it says")
        for first in range(0, length, n_rows):
            last = min(first + n_rows, length)
            yield [waiting.read(j, first, last) for j in range(len(names))], last - first


class _Waiting:
    """Columns of a row group, in memory or in a temporary file, of which runs of rows are taken."""

    file: Any

    def __init__(self, n_columns: int, length: int):
        self.length, self.types = length, {np.dtype(np.float32)}
        kept = 8 * n_columns * length <= KEPT_MEMORY
        self.memory = np.empty((n_columns, length)) if kept else None

    @classmethod
    @contextmanager
    def room(cls, n_columns: int, length: int) -> Iterator["_Waiting"]:
        waiting = cls(n_columns, length)
        if waiting.memory is not None:
            yield waiting
            return
        with tempfile.TemporaryFile(buffering=0) as waiting.file:
            yield waiting

    def write(self, j: int, first: int, column: np.ndarray) -> None:
        self.types.add(column.dtype)
        if self.memory is not None:
            self.memory[j, first : first + len(column)] = column
            return
        try:
            self.file.seek(8 * (j * self.length + first))
            self.file.write(np.ascontiguousarray(column, dtype=np.float64).data)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} for temporary files", tempfile.gettempdir()) from error

    def read(self, j: int, first: int, last: int) -> np.ndarray:
        if self.memory is not None:
            column = self.memory[j, first:last]
        else:
            self.file.seek(8 * (j * self.length + first))
            column = np.frombuffer(self.file.read(8 * (last - first)))
        return column.astype(np.float32) if np.result_type(*self.types) == np.float32 else column
