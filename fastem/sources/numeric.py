"""What counts as a number, in arrays and in data frames of every library."""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

REAL = "biuf"  # kinds of NumPy types
NUMBERS = (int, float, Decimal, Fraction, np.bool_, np.integer, np.floating)
DATES = "dates"
KINDS = {
    "O": "text or other objects",
    "S": "text",
    "T": "text",
    "U": "text",
    "M": DATES,
    "m": "durations",
    "c": "complex numbers",
    "V": "records",
}
HINTS = {"text": "; code it as numbers, or choose the columns"}


class OtherObjects(ValueError):
    """Neither numbers nor what is often taken for them."""


def no_numbers(where: str, column: Any, what: str) -> ValueError:
    kind = OtherObjects if what.startswith("a ") else ValueError
    return kind(f"{where}: column {column!r} holds {what}, not numbers{HINTS.get(what, '')}.")


# arrays ---------------------------------------------------------------------------------------------------------------


def array_of_numbers(data: Any, where: str) -> np.ndarray:
    """The numbers of an array, or of a list, of real dtype.

    Raises
    ------
    ValueError
        If an entry is masked, text, a date, complex or another object; the message names its column.
    """
    if hasattr(data, "dask"):
        data = data.compute()
    array = np.ma.getdata(data) if np.ma.isMaskedArray(data) else np.asarray(data)
    if np.ma.is_masked(data):
        place = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(data))[0])
        raise ValueError(f"{where}: the entry {_place(place)} is masked. Missing values must be filled or left out.")
    if array.dtype.kind == "O":
        return _of_objects(array, where)
    if array.dtype.kind not in REAL:
        what = KINDS.get(array.dtype.kind, str(array.dtype))
        raise ValueError(f"{where}: holds {what}, not numbers ({array.dtype})")
    return array


def _of_objects(array: np.ndarray, where: str, column: Any = None) -> np.ndarray:
    """Python's numbers and decimals as float64; what is missing becomes NaN."""
    numbers = np.empty(array.shape)
    for place, value in np.ndenumerate(array):
        number = _number(value)
        if number is None:
            what = _what_is(value)
            raise no_numbers(where, (place[-1] if array.ndim > 1 else 0) if column is None else column, what)
        numbers[place] = number
    return numbers


def _number(value: Any) -> float | None:
    if isinstance(value, NUMBERS):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return math.nan if value is None or type(value).__name__ == "NAType" else None


def _what_is(value: Any) -> str:
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, complex | np.complexfloating):
        return "complex numbers"
    name = type(value).__name__
    return DATES if name.lower() in ("nattype", "timestamp", "date", "datetime", "datetime64") else f"a {name}"


def _place(place: tuple[int, ...]) -> str:
    return f"in row {place[0]}, column {place[1]}," if len(place) == 2 else f"{place[0]}"


# data frames ----------------------------------------------------------------------------------------------------------


def as_frame(data: Any) -> Any:
    """A data frame of any library as one of narwhals; None if `data` is none.

    What is computed lazily (polars, DuckDB, Spark) is collected into memory.

    Raises
    ------
    ValueError
        If two columns have the same name.
    """
    if isinstance(data, np.ndarray | list | tuple | str) or data is None:
        return None
    import narwhals as nw

    if type(data).__name__ == "RecordBatch" and type(data).__module__.startswith("pyarrow"):
        import pyarrow

        data = pyarrow.Table.from_batches([data])
    try:
        frame = nw.from_native(data, pass_through=True)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
    except nw.exceptions.DuplicateError:
        checked_names(getattr(data, "column_names", None) or list(data.columns), name_of(data))
        raise
    return frame if isinstance(frame, nw.DataFrame) else None


def name_of(frame: Any) -> str:
    """For messages."""
    return f"the {type(frame).__module__.split('.')[0].lstrip('_')} {type(frame).__name__}"


def checked_names(labels: Sequence[Any], name: str) -> list[str]:
    """Labels of columns as text.

    Raises
    ------
    ValueError
        If two are the same.
    """
    names = [label if isinstance(label, str) else str(label) for label in labels]
    if len(set(names)) < len(names):
        twice = next(label for label in names if names.count(label) > 1)
        raise ValueError(f"{name}: two columns have the same name, {twice!r}")
    return names


def all_text(labels: Sequence[Any]) -> bool:
    """Whether labels of columns are names, as scikit-learn has it: numbers are none."""
    return all(isinstance(label, str) for label in labels)


def rows_of(frame: Any, where: str) -> np.ndarray:
    """All columns of a frame of narwhals as an array; without a copy if they are one already."""
    if not frame.columns:
        return np.empty((len(frame), 0))
    kinds = set(frame.schema.values())
    if len(kinds) == 1 and kinds.pop().is_numeric():
        array = frame.to_numpy()
        if array.dtype.kind in REAL:
            return array
    return stacked([numbers_of(frame[:, j], label, where) for j, label in enumerate(frame.columns)])


def rows_in_order(frame: Any, names: Sequence[str], where: str) -> np.ndarray:
    """The rows of a part of a larger frame, its columns in the order of the whole."""
    own = checked_names(frame.columns, where)
    if sorted(own) != sorted(names):
        raise ValueError(f"{where}: the columns are {', '.join(own)}, expected {', '.join(names)}")
    if own != list(names):
        frame = frame[:, [own.index(name) for name in names]]
    return rows_of(frame, where)


def stacked(columns: list[np.ndarray]) -> np.ndarray:
    """Columns as an array of rows, of the type that holds them all."""
    rows = np.empty((len(columns), len(columns[0])), dtype=np.result_type(*columns))
    for row, column in zip(rows, columns, strict=True):
        row[:] = column
    return rows.T


def numbers_of(series: Any, name: Any, where: str) -> np.ndarray:
    """A column of narwhals as an array of real dtype; what is missing becomes NaN.

    Raises
    ------
    ValueError
        If it holds no numbers.
    """
    import narwhals as nw

    dtype = series.dtype
    if dtype == nw.Categorical and series.implementation.is_pyarrow():
        return numbers_of(nw.from_native(_decoded(series.to_native()), series_only=True), name, where)
    if dtype in (nw.String, nw.Binary):
        raise no_numbers(where, name, "text")
    if dtype.is_temporal():
        raise no_numbers(where, name, "durations" if dtype == nw.Duration else DATES)
    if dtype.is_nested():
        raise no_numbers(where, name, f"a {dtype}")
    if dtype in (nw.Int128, nw.UInt128):  # NumPy has none
        series = series.cast(nw.Float64)
    array = series.to_numpy()
    if array.dtype.kind == "O" and (dtype == nw.Boolean or dtype.is_decimal()):
        array = series.cast(nw.Float64).to_numpy()
    if array.dtype.kind == "O":
        array = _of_objects(array, where, name)
    if array.dtype.kind not in REAL:
        raise no_numbers(where, name, KINDS.get(array.dtype.kind, str(array.dtype)))
    return array


def _decoded(encoded: Any) -> Any:
    """A column of Arrow that is encoded by a dictionary, as plain values: what is missing would become any of them."""
    return encoded.cast(encoded.type.value_type)
