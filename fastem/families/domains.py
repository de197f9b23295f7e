"""What numbers a family can have: checks of rows that name the first cell in error.

Bound to the name of the estimator (`functools.partial`) they are what `validated_source` calls a domain.
"""

import numpy as np

GREATEST_COUNT = 1e15
MAX_LEVELS = 2**16  # of a column: more are identifiers or measurements


def binary(estimator: str, rows: np.ndarray, first_row: int) -> None:
    """Zeros and ones."""
    _refuse(rows < 0, rows, first_row, f"Negative values in data passed to {estimator}")
    with np.errstate(over="ignore"):
        wrong = rows * rows != rows
    _refuse(wrong, rows, first_row, f"{estimator} takes zeros and ones only")


def counts(estimator: str, rows: np.ndarray, first_row: int) -> None:
    """Non-negative integers, of any dtype."""
    _refuse(rows < 0, rows, first_row, f"Negative values in data passed to {estimator}")
    if rows.dtype.kind == "f":
        _refuse(rows != np.floor(rows), rows, first_row, f"{estimator} takes whole numbers only")
    message = f"{estimator} takes counts up to {GREATEST_COUNT:.0e}, whose units a double still has"
    _refuse(rows > GREATEST_COUNT, rows, first_row, message)


def any_levels(estimator: str, rows: np.ndarray, first_row: int) -> None:
    """Non-negative integers, not too great for a table of all of them."""
    counts(estimator, rows, first_row)
    _refuse(rows >= MAX_LEVELS, rows, first_row, f"{estimator} takes levels below {MAX_LEVELS}")


def known_levels(estimator: str, n_levels: np.ndarray, rows: np.ndarray, first_row: int) -> None:
    """Integers from zero up to, not including, the number of levels of the column (D,)."""
    counts(estimator, rows, first_row)
    if rows.shape[1] != len(n_levels):
        return  # this is found out elsewhere
    unseen = rows >= n_levels
    if unseen.any():
        column = np.argwhere(unseen)[0, 1]
        message = f"{estimator} knows the levels 0, ..., {n_levels[column] - 1} of a column (see n_levels)"
        _refuse(unseen, rows, first_row, message)


def _refuse(wrong: np.ndarray, rows: np.ndarray, first_row: int, message: str) -> None:
    if wrong.any():
        wrong = wrong & (rows == rows)  # NaN is the business of others
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"{message}: row {first_row + row}, column {column} has {rows[row, column]}.")
