"""What every estimator does to its input before anything else."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_non_negative, validate_data

from fastem.sources import Source, as_source

Domain = Callable[[np.ndarray, int], None]  # of rows and the number of their first; raises ValueError
DOMAIN_ROWS = 65_536  # rows that are checked at a time


def validated_source(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    *,
    reset: bool = False,
    ensure_min_samples: int = 1,
    seed: int = 0,
    domain: Domain | None = None,
) -> Source:
    """The rows as a source, whose sample is drawn with `seed`.

    Numbers are left as they are: sources read and convert them block by block.

    Raises
    ------
    ValueError
        scikit-learn's own: NaN or infinity, wrong shapes, negative weights, all weights zero. Or that of `domain`.
    """
    X = validate_data(estimator, X, reset=reset, dtype="numeric", ensure_min_samples=ensure_min_samples)
    if domain is not None:
        for first in range(0, len(X), DOMAIN_ROWS):
            domain(X[first : first + DOMAIN_ROWS], first)
    if sample_weight is None:
        return as_source(X, seed=seed)
    sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    check_non_negative(sample_weight, "`sample_weight`")
    return as_source(X, sample_weight, seed)
