"""Parameters of a mixture that users give in place of a fit: what must hold of them, in their words."""

from typing import Any

import numpy as np

from fastem.families.covariances import CovarianceStructure
from fastem.search.initial_values import checked_array


def checked_weights(weights: Any, n_components: int) -> np.ndarray:
    """A distribution over the components."""
    weights = checked_array(weights, (n_components,), "weights").copy()
    if (weights < 0).any() or not np.isclose(weights.sum(), 1.0, rtol=0, atol=1e-6):
        raise ValueError(
            f"The weights must be non-negative and sum to one, but the least is {weights.min():g} and their sum "
            f"{weights.sum():.7g}."
        )
    return weights / weights.sum()


def checked_covariances(covariances: Any, structure: CovarianceStructure, shape: tuple[int, int], name="covariances"):
    """Covariances and their whiteners."""
    shown = checked_array(covariances, structure.shown_shape(*shape), name).copy()
    _check_symmetry(shown, structure, name)
    covariances = structure.of_shown(shown)
    whiteners, singular = structure.whiten(covariances)
    if singular.any():
        raise ValueError(_not_positive(name, structure, singular))
    _check_structure(shown, structure, name)
    return covariances, whiteners


def checked_precisions(precisions: Any, structure: CovarianceStructure, shape: tuple[int, int]):
    """Covariances and whiteners from inverse covariances."""
    shown = checked_array(precisions, structure.shown_shape(*shape), "precisions")
    _check_symmetry(shown, structure, "precisions")
    precisions = structure.of_shown(shown)
    _, singular = structure.whiten(precisions)
    if singular.any():
        raise ValueError(_not_positive("precisions", structure, singular))
    _check_structure(shown, structure, "precisions")
    whiteners = structure.whiteners_of_precisions(precisions)
    return structure.covariances(whiteners), whiteners


def _check_symmetry(matrices: np.ndarray, structure: CovarianceStructure, name: str) -> None:
    if not structure.correlated:
        return
    scales = np.sqrt(np.abs(np.diagonal(matrices, axis1=-2, axis2=-1)))
    asymmetry = np.abs(matrices - matrices.swapaxes(-1, -2))
    if (asymmetry > 1e-8 * scales[..., :, None] * scales[..., None, :]).any():
        raise ValueError(f"The {name} must be symmetric.")


def _check_structure(shown: np.ndarray, structure: CovarianceStructure, name: str) -> None:
    if not structure.holds(shown):
        raise ValueError(f"The {name} are not those of a mixture with covariance_type={structure.name!r}.")


def _not_positive(name: str, structure: CovarianceStructure, singular: np.ndarray) -> str:
    whose = "" if structure.shared else f" of components {np.flatnonzero(singular).tolist()}"
    what = "positive-definite" if structure.correlated else "positive"
    return f"The {name}{whose} must be {what}."
