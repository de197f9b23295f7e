"""What every estimator does to its input before anything else."""

from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_non_negative, validate_data

from fastem.sources import Source, as_source


def validated_source(
    estimator: Any, X: Any, sample_weight: Any = None, *, reset: bool = False, ensure_min_samples: int = 1
) -> tuple[Source, int]:
    """The rows as a source, and how many of them have a positive weight.

    Numbers are left as they are: sources read and convert them block by block.

    Raises
    ------
    ValueError
        scikit-learn's own: NaN or infinity, wrong shapes, negative weights, all weights zero.
    """
    X = validate_data(estimator, X, reset=reset, dtype="numeric", ensure_min_samples=ensure_min_samples)
    if sample_weight is None:
        return as_source(X), len(X)
    sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    check_non_negative(sample_weight, "`sample_weight`")
    return as_source(X, sample_weight), int(np.count_nonzero(sample_weight))
