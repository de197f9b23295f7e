"""What the user says of the start: parameters, labels or responsibilities, checked once."""

from typing import Any

import numpy as np
from sklearn.utils import check_array

from fastem.families.covariances import CovarianceStructure


def checked_array(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """A float64 array in C order of exactly this shape, or scikit-learn's ValueError."""
    if _is_sound(values):
        values = np.ascontiguousarray(values)
    else:
        values = check_array(values, dtype=np.float64, order="C", ensure_2d=False, allow_nd=True, input_name=name)
    if values.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {values.shape}")
    return values


def _is_sound(values: Any) -> bool:
    """Whether scikit-learn would have nothing to say: its own look takes as long as predicting ten rows."""
    sound = type(values) is np.ndarray and values.dtype == np.float64 and values.ndim > 0 and values.size > 0
    return bool(sound and np.isfinite(values).all())


def checked_weights(weights: Any, n_components: int) -> np.ndarray:
    """Weights (K,) that sum to one, or ValueError."""
    weights = checked_array(weights, (n_components,), "weights_init")
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            "The parameter 'weights_init' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f}"
        )
    if not np.isclose(weights.sum(), 1.0, rtol=0, atol=1e-6):
        raise ValueError(
            f"The parameter 'weights_init' should be normalized, but got sum(weights) = {weights.sum():.5f}"
        )
    return weights


def gaussian_values(
    structure: CovarianceStructure, shape: tuple[int, int], weights: Any, means: Any, precisions: Any
) -> dict[str, np.ndarray]:
    """Those of the fields of a Gaussian mixture of this shape (K, D) that are not None, or ValueError."""
    values = {}
    if weights is not None:
        values["weights"] = checked_weights(weights, shape[0])
    if means is not None:
        values["means"] = checked_array(means, shape, "means_init")
    if precisions is not None:
        values["whiteners"] = _checked_whiteners(precisions, structure, shape)
        values["covariances"] = structure.covariances(values["whiteners"])
    return values


def _checked_whiteners(precisions: Any, structure: CovarianceStructure, shape: tuple[int, int]) -> np.ndarray:
    shown = checked_array(precisions, structure.shown_shape(*shape), "precisions_init")
    precisions = structure.of_shown(shown)
    try:
        with np.errstate(invalid="ignore"):
            whiteners = structure.whiteners_of_precisions(precisions)
    except np.linalg.LinAlgError:
        whiteners = np.full_like(precisions, np.nan)
    with np.errstate(invalid="ignore"):
        restored = structure.precisions(whiteners)
    valid = np.allclose(restored, precisions, rtol=1e-6) and (structure.precision_eigenvalues(whiteners) > 0).all()
    if not valid:
        raise ValueError(
            "The parameter 'precisions_init' should be positive-definite: symmetric positive-definite matrices for "
            "full and tied covariances, positive numbers for diag and spherical."
        )
    if not structure.holds(shown):
        raise ValueError(f"The parameter 'precisions_init' should hold inverses of {structure.name} covariances.")
    return whiteners


def checked_partition(partition: Any, n_rows: int, n_components: int) -> np.ndarray:
    """Labels (n,) as int64 or responsibilities (n, K) as float64.

    Raises
    ------
    ValueError
        If it is neither.
    """
    partition = check_array(partition, ensure_2d=False, dtype=None, input_name="init_params")
    if partition.shape == (n_rows, n_components):
        if (partition < 0).any() or not np.allclose(partition.sum(axis=1), 1.0, atol=1e-6):
            raise ValueError("Responsibilities in init_params must be non-negative and sum to one in every row.")
        return partition.astype(np.float64, copy=False)
    if partition.shape == (n_rows,) and np.issubdtype(partition.dtype, np.integer):
        if partition.min() < 0 or partition.max() >= n_components:
            raise ValueError(f"Labels in init_params must lie between 0 and n_components - 1 = {n_components - 1}.")
        return partition.astype(np.int64, copy=False)
    raise ValueError(
        f"init_params must be responsibilities of shape ({n_rows}, {n_components}) or integer labels of shape "
        f"({n_rows},), got an array of shape {partition.shape} and dtype {partition.dtype}."
    )
