"""The formats of files: one row each, and the module that reads it."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from fastem.sources.files import File, suffix_of

ARRAYS = {  # `opened(file, name)` gives the array, see `array_files.StoredArray`
    ".npy": "npy_files",
    ".zarr": "zarr_files",
    ".h5": "hdf5_files",
    ".hdf5": "hdf5_files",
}
TABLES = {  # `opened(files, layout)` gives the columns, see `columns.Columns`
    ".csv": "csv_files",
    ".csv.gz": "csv_files",
    ".tsv": "csv_files",
    ".tsv.gz": "csv_files",
    ".parquet": "parquet_files",
    ".pq": "parquet_files",
}


def format_of(formats: Mapping[str, str], file: File) -> Any:
    """The module that reads a file.

    Raises
    ------
    ValueError
        If none does.
    """
    if file.suffix not in formats:
        raise unknown(file, formats)
    return import_module(f"fastem.sources.{formats[file.suffix]}")


def unknown(file: File, formats: Iterable[str]) -> ValueError:
    return ValueError(f"{file}: unknown suffix {file.suffix!r}, expected {', '.join(sorted(formats))}")


def is_array(name: str) -> bool:
    return suffix_of(name) in ARRAYS


def is_table(name: str) -> bool:
    return suffix_of(name) in TABLES


def has_rows(name: str) -> bool:
    return is_array(name) or is_table(name)
