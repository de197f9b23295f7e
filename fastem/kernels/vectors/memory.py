"""Arrays that start on a cache line: a vector across two of them is slow to load, and to store and load again."""

import numpy as np

LINE = 8  # doubles


def aligned_zeros(n_rows: int, n_columns: int) -> np.ndarray:
    """Zeros (n_rows, n_columns) in C order."""
    memory = np.zeros(n_rows * n_columns + LINE)
    first = -memory.__array_interface__["data"][0] // memory.itemsize % LINE
    return memory[first : first + n_rows * n_columns].reshape(n_rows, n_columns)
