"""Sample weights: checked here, once, whatever stands beside them."""

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np

from fastem.sources.numeric import array_of_numbers, numbers_of
from fastem.sources.reader import Piece

ALL_ZERO = "Sample weights must contain at least one non-zero number."


class Weights:
    """The `sample_weight` of a call, with scikit-learn's answers to wrong ones.

    Parameters
    ----------
    given : array-like or series of shape (n_rows,), or a number
        A number is the weight of every row.

    Raises
    ------
    TypeError
        If it is an iterator.
    ValueError
        If it is of another shape, or something in it is not a non-negative number.
    """

    def __init__(self, given: Any):
        if isinstance(given, Iterator):
            raise TypeError(f"sample_weight is a {type(given).__name__}, which can be read once: make it an array.")
        self.values = numbers_of_rows(given.compute() if hasattr(given, "dask") else given, "sample_weight")
        if self.values.ndim > 1:
            shape = self.values.shape
            raise ValueError(f"Sample weights must be 1D array or scalar, got an array of shape {shape}.")
        if not np.isfinite(self.values).all():
            what = "NaN" if np.isnan(self.values).any() else "infinity"
            raise ValueError(f"Input sample_weight contains {what}.")
        if (self.values < 0).any():
            raise ValueError("Negative values in data passed to `sample_weight`.")
        if not self.values.any():
            raise ValueError(ALL_ZERO)

    def check_length(self, n_rows: int) -> None:
        if self.values.ndim and len(self.values) != n_rows:
            raise ValueError(f"sample_weight.shape == {self.values.shape}, expected ({n_rows},)!")

    def of_rows(self, first: int, n_rows: int) -> np.ndarray:
        """The weights of `n_rows` rows from number `first` on, (n_rows,)."""
        if self.values.ndim == 0:
            return np.full(n_rows, self.values[()])
        if first + n_rows > len(self.values):  # a kernel would read beyond them
            raise ValueError(f"sample_weight has {len(self.values)} entries, X has more rows.")
        return self.values[first : first + n_rows]


def numbers_of_rows(given: Any, where: str) -> np.ndarray:
    """A number for each row in any container, a weight or a label, as an array of float64, not checked yet."""
    if not isinstance(given, np.ndarray | list | tuple | Real):
        import narwhals as nw

        series = nw.from_native(given, pass_through=True, allow_series=True)
        if isinstance(series, nw.Series):
            given = numbers_of(series, series.name or where, where)
    # A read-only array is another type to the compiler: it would compile every pass a second time.
    return np.require(array_of_numbers(given, where), np.float64, ["C", "W"])


def check_weights(weights: np.ndarray, piece: Piece) -> None:
    """Raise ValueError, with the place, if a weight that comes with its row is none."""
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{piece.where}: row {piece.first + row}: the weight {weights[row]:g} is not a non-negative number (rows "
            "are counted from 0)."
        )
