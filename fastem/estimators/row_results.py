"""Results with an entry for each row: as an array, into the caller's array, or block by block."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastem.sources import Source
from fastem.sources import Write as Write


def in_blocks(source: Source, write: Write, columns: tuple[int, ...], dtype: Any) -> Iterator[np.ndarray]:
    """The results of the blocks of the source, in order."""
    for rows, _ in source.blocks():
        part = np.empty((len(rows), *columns), dtype=dtype)
        write(rows, part)
        yield part


def of_all(source: Source, write: Write, columns: tuple[int, ...], dtype: Any, out: Any = None) -> np.ndarray:
    """The results of all rows, (n_rows, ...), written into `out` if it is given; lazy for Dask collections.

    Raises
    ------
    ValueError
        If `out` has another shape or dtype than the results.
    """
    lazy = source.lazily(write, columns, dtype)
    if lazy is not None:
        if out is not None:
            raise TypeError("out is for data that this process reads; of a Dask collection the result is one, too.")
        return lazy
    if out is None and not source.counted:
        parts = list(in_blocks(source, write, columns, dtype))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]
    if out is None:
        out = np.empty((source.n_rows, *columns), dtype=dtype)
    else:
        _check_out(out, columns, dtype, source.n_rows if source.counted else None)
    first = 0
    for rows, _ in source.blocks():
        if first + len(rows) > len(out):
            raise ValueError(f"out has {len(out)} rows, X has more.")
        write(rows, out[first : first + len(rows)])
        first += len(rows)
    if first < len(out):
        raise ValueError(f"out has {len(out)} rows, X has {first}.")
    return out


def _check_out(out: Any, columns: tuple[int, ...], dtype: Any, n_rows: int | None) -> None:
    shape = (len(out) if n_rows is None else n_rows, *columns)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != np.dtype(dtype):
        raise ValueError(
            f"out must be an array of shape {shape} and dtype {np.dtype(dtype)}, got "
            f"{getattr(out, 'dtype', type(out).__name__)} of shape {getattr(out, 'shape', None)}."
        )
    if not (out.flags.writeable and out.flags.c_contiguous):
        raise ValueError("out must be writeable and in C order.")


def check_method(method: str, known: tuple[str, ...]) -> None:
    if method not in known:
        raise ValueError(f"method must be one of {', '.join(known)}, got {method!r}.")
