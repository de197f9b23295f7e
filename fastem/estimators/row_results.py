"""Results with an entry for each row: as an array, into the caller's array, or block by block."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastem.sources import Source
from fastem.sources import Write as Write

ROUNDED_ROWS = 65_536  # rows whose results are rounded at a time


def in_blocks(source: Source, write: Write, columns: tuple[int, ...], dtype: Any) -> Iterator[np.ndarray]:
    """The results of the blocks of the source, in order."""
    for rows, _ in source.blocks():
        part = np.empty((len(rows), *columns), dtype=_type_for(dtype, rows.dtype == np.float32))
        _writing(write, part.dtype, dtype)(rows, part)
        yield part


def of_all(source: Source, write: Write, columns: tuple[int, ...], dtype: Any, out: Any = None) -> np.ndarray:
    """The results of all rows, (n_rows, ...), written into `out` if it is given; lazy for Dask collections.

    Numbers of rows in single precision are in single precision, too; they are computed in double.

    Raises
    ------
    ValueError
        If `out` has another shape or dtype than the results.
    """
    own_dtype = _type_for(dtype, source.single)
    lazy = source.lazily(_writing(write, own_dtype, dtype), columns, own_dtype)
    if lazy is not None:
        if out is not None:
            raise TypeError("out is for data that this process reads; of a Dask collection the result is one, too.")
        return lazy
    if out is None and not source.counted:
        parts = list(in_blocks(source, write, columns, dtype))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]
    if out is None:
        out = np.empty((source.n_rows, *columns), dtype=own_dtype)
    else:
        _check_out(out, columns, dtype, source.n_rows if source.counted else None)
    write, first = _writing(write, out.dtype, dtype), 0
    for rows, _ in source.blocks():
        if first + len(rows) > len(out):
            raise ValueError(f"out has {len(out)} rows, X has more.")
        write(rows, out[first : first + len(rows)])
        first += len(rows)
    if first < len(out):
        raise ValueError(f"out has {len(out)} rows, X has {first}.")
    return out


def _type_for(dtype: Any, single: bool) -> Any:
    """The type of results that are computed as `dtype`."""
    return np.dtype(np.float32 if single and dtype == np.float64 else dtype)


def _writing(write: Write, dtype: Any, computed: Any) -> Write:
    """What writes results of a type that are computed as another."""
    if dtype == np.dtype(computed):
        return write

    def rounded(rows: np.ndarray, part: np.ndarray) -> None:
        for first in range(0, len(rows), ROUNDED_ROWS):
            some = slice(first, first + ROUNDED_ROWS)
            exact = np.empty(part[some].shape, dtype=computed)
            write(rows[some], exact)
            with np.errstate(over="ignore"):
                part[some] = exact

    return rounded


def _check_out(out: Any, columns: tuple[int, ...], dtype: Any, n_rows: int | None) -> None:
    shape, types = (len(out) if n_rows is None else n_rows, *columns), {np.dtype(dtype), _type_for(dtype, True)}
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype not in types:
        raise ValueError(
            f"out must be an array of shape {shape} and dtype {np.dtype(dtype)}, got "
            f"{getattr(out, 'dtype', type(out).__name__)} of shape {getattr(out, 'shape', None)}."
        )
    if not (out.flags.writeable and out.flags.c_contiguous):
        raise ValueError("out must be writeable and in C order.")


def check_method(method: str, known: tuple[str, ...]) -> None:
    if method not in known:
        raise ValueError(f"method must be one of {', '.join(known)}, got {method!r}.")
