"""How far parameters have moved: what bounds of distances lose from pass to pass."""

from typing import Any

import numpy as np

ROUNDINGS = 8  # of numbers, at most, that one of a whitened row has seen for each feature, with something to spare


def least_stretch(factors: np.ndarray, before: np.ndarray) -> np.ndarray:
    """smin(L' L^-1) (n,) from below for lower triangles L' and L (n, D, D); zero where rounding leaves nothing."""
    with np.errstate(all="ignore"):
        inverses = np.linalg.inv(before)
        ratios = factors @ inverses
        finite = np.isfinite(ratios).all(axis=(1, 2))
        values = np.linalg.svd(np.where(finite[:, None, None], ratios, 0.0), compute_uv=False)
        condition = np.linalg.norm(before, axis=(1, 2)) * np.linalg.norm(inverses, axis=(1, 2))
        lost = ROUNDINGS * factors.shape[-1] * np.finfo(float).eps * condition * values[:, 0]
        return np.nan_to_num(np.maximum(values[:, -1] - lost, 0.0))


def rounding_of(norms: np.ndarray, means: np.ndarray, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    """`pruning.Prunable.rounding` for whiteners with these norms (K,) and means so far from the origin (K,)."""
    n_features = parameters.origin.size
    unit = ROUNDINGS * (n_features + 1) * np.finfo(parameters.constants.dtype).eps * norms.astype(float)
    return unit * np.sqrt(n_features), unit * means
