"""Features that users name: by their index, or by the name that the data gave them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def feature_indices(estimator: Any, features: Any, name: str = "features") -> list[int]:
    """Indices of features that are given by index or name, one or several.

    Raises
    ------
    ValueError
        If a feature is unknown or there twice, or there is none.
    """
    names = getattr(estimator, "feature_names_in_", None)
    features = features if isinstance(features, Iterable) and not isinstance(features, str) else [features]
    found = [_index(feature, estimator.n_features_in_, names) for feature in features]
    if not found:
        raise ValueError(f"{name} must hold at least one feature.")
    if len(set(found)) < len(found):
        raise ValueError(f"{name} holds a feature twice.")
    return found


def other_features(estimator: Any, chosen: Sequence[int]) -> list[int]:
    """The indices that are not among those chosen; ValueError if none is left."""
    rest = [j for j in range(estimator.n_features_in_) if j not in set(chosen)]
    if not rest:
        raise ValueError("At least one feature must be left.")
    return rest


def checked_names(names: Sequence[str], n_features: int) -> np.ndarray:
    """Names of all features, as scikit-learn keeps them."""
    names = [str(name) for name in names] if not isinstance(names, str) else [names]
    if len(names) != n_features or len(set(names)) < n_features:
        raise ValueError(f"feature_names must hold {n_features} different names, got {names}.")
    return np.array(names, dtype=object)


def _index(feature: Any, n_features: int, names: np.ndarray | None) -> int:
    if isinstance(feature, str):
        if names is None:
            raise ValueError(f"Feature {feature!r} has a name, but the mixture knows no feature_names_in_.")
        places = np.flatnonzero(names == feature)
        if not len(places):
            raise ValueError(f"Unknown feature {feature!r}; there are {', '.join(map(str, names))}.")
        return int(places[0])
    if not isinstance(feature, int | np.integer) or isinstance(feature, bool):
        raise ValueError(f"A feature must be an index or a name, got {feature!r}.")
    if not -n_features <= feature < n_features:
        raise ValueError(f"Feature {feature} is out of range: there are {n_features}.")
    return int(feature) % n_features
