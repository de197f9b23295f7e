"""What numbers a family can have: checks of rows that name the first cell in error."""

import numpy as np

from fastem.validation import Domain

MAX_LEVELS = 2**16  # of a column: more are identifiers or measurements


def binary(estimator: str) -> Domain:
    """Zeros and ones."""

    def check(rows: np.ndarray, first_row: int) -> None:
        with np.errstate(over="ignore"):
            wrong = rows * rows != rows
        _refuse(wrong, rows, first_row, f"{estimator} takes zeros and ones only")

    return check


def counts(estimator: str) -> Domain:
    """Non-negative integers, of any dtype."""

    def check(rows: np.ndarray, first_row: int) -> None:
        _refuse(rows < 0, rows, first_row, f"Negative values in data passed to {estimator}")
        if rows.dtype.kind == "f":
            _refuse(rows != np.floor(rows), rows, first_row, f"{estimator} takes whole numbers only")

    return check


def levels(estimator: str, n_levels: np.ndarray | None) -> Domain:
    """Integers from zero up to the number of levels of a column (D,), which may be unknown yet."""
    integers = counts(estimator)

    def check(rows: np.ndarray, first_row: int) -> None:
        integers(rows, first_row)
        if n_levels is None:
            _refuse(rows >= MAX_LEVELS, rows, first_row, f"{estimator} takes levels below {MAX_LEVELS}")
        elif rows.shape[1] == len(n_levels):  # a wrong number of columns is found out later
            unseen = rows >= n_levels
            if unseen.any():
                known = n_levels[np.argwhere(unseen)[0, 1]]
                message = f"{estimator} knows the levels 0, ..., {known - 1} of this column; see n_levels"
                _refuse(unseen, rows, first_row, message)

    return check


def _refuse(wrong: np.ndarray, rows: np.ndarray, first_row: int, message: str) -> None:
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"{message}: row {first_row + row}, column {column} has {rows[row, column]}.")
