"""What every estimator does to its input before anything else."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_non_negative, validate_data

from fastem.sources import Source, as_source, reader_of
from fastem.sources.clusters import Collection, DaskSource, is_collection
from fastem.sources.reader import Reader
from fastem.sources.stream import StreamSource

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

    Numbers are left as they are: sources read and convert them block by block. What is not an array in memory is
    surveyed for a fit (`reset`), else checked while it is read.

    Raises
    ------
    ValueError
        scikit-learn's own: NaN or infinity, wrong shapes, negative weights, all weights zero. Or that of `domain`.
    """
    reader = Collection(X) if is_collection(X) else reader_of(X)
    if reader is not None:
        return _validated_stream(estimator, reader, sample_weight, reset, ensure_min_samples, seed, domain)
    X = validate_data(estimator, X, reset=reset, dtype="numeric", ensure_min_samples=ensure_min_samples)
    if domain is not None:
        for first in range(0, len(X), DOMAIN_ROWS):
            domain(X[first : first + DOMAIN_ROWS], first)
    if sample_weight is None:
        return as_source(X, seed=seed)
    sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    check_non_negative(sample_weight, "`sample_weight`")
    return as_source(X, sample_weight, seed)


def _validated_stream(
    estimator: Any,
    reader: Reader | Collection,
    sample_weight: Any,
    reset: bool,
    ensure_min_samples: int,
    seed: int,
    domain: Domain | None,
) -> Source:
    if not reset:
        _check_features(estimator, reader)
    if sample_weight is not None and not is_collection(sample_weight):
        sample_weight = np.asarray(sample_weight, dtype=np.float64)
        if not np.isfinite(sample_weight).all():
            raise ValueError("Input sample_weight contains NaN or infinity.")
        check_non_negative(sample_weight, "`sample_weight`")
    options: Any = sample_weight, seed, domain, reset
    if isinstance(reader, Collection):
        source: DaskSource | StreamSource = DaskSource(reader, *options)
    else:
        source = StreamSource(reader, *(*options, getattr(estimator, "checkpoint", None) is not None))
    if reset and source.n_rows < ensure_min_samples:
        raise ValueError(
            f"Found array with {source.n_rows} sample(s) while a minimum of {ensure_min_samples} is required."
        )
    if reset:
        estimator.n_features_in_ = reader.n_features
        if reader.names is not None:
            estimator.feature_names_in_ = np.array(reader.names, dtype=object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    return source


def _check_features(estimator: Any, reader: Reader | Collection) -> None:
    """Raise ValueError, in scikit-learn's words, if the model was fitted to other columns."""
    fitted = getattr(estimator, "n_features_in_", reader.n_features)
    if reader.n_features != fitted:
        name = type(estimator).__name__
        raise ValueError(f"X has {reader.n_features} features, but {name} is expecting {fitted} features as input.")
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and reader.names is not None and list(names) != list(reader.names):
        raise ValueError(
            "The feature names should match those that were passed during fit: "
            f"{', '.join(names)}, not {', '.join(reader.names)}."
        )
