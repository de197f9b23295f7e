"""Whether the arrays of a model go together: compiled passes believe what they are given."""

from typing import Any

import numpy as np


def check_arrays(record: Any, **shapes: tuple[int, ...] | None) -> None:
    """Raise ValueError unless these fields are finite doubles of these shapes; None stands for a field without one.

    Of models from files, and of nothing else: what is made in a fit is right by construction.
    """
    for name, shape in shapes.items():
        value = getattr(record, name)
        found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        expected = "NoneType" if shape is None else f"float64 {tuple(int(size) for size in shape)}"
        if found != expected:
            raise ValueError(f"{name} is {found} in place of {expected}")
        if shape is not None and not np.isfinite(value).all():
            raise ValueError(f"{name} holds NaN or infinity")


def rows_and_columns(table: np.ndarray, name: str) -> tuple[int, int]:
    """The shape of an array that must have two dimensions."""
    if table.ndim != 2 or not table.size:
        raise ValueError(f"{name} has the shape {table.shape}")
    return table.shape[0], table.shape[1]
