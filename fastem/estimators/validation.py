"""What every estimator does to its input before anything else."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from fastem.estimators.scikit_learn import check_feature_names, check_n_features
from fastem.sources import Source, as_source, opened
from fastem.sources.clusters import Collection
from fastem.sources.numeric import OtherObjects, array_of_numbers, as_frame, checked_names, name_of, rows_of
from fastem.sources.reader import Piece, Reader
from fastem.sources.stream import check_finite

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
    nan_refusal: str | None = "",
) -> Source:
    """The rows as a source, whose sample is drawn with `seed`.

    Numbers are left as they are: sources read and convert them block by block. What is not in memory is surveyed for a
    fit (`reset`), else checked while it is read. NaN is a number that is missing if `nan_refusal` is None; else that is
    added to the error.

    Raises
    ------
    ValueError
        scikit-learn's own: NaN or infinity, wrong shapes, negative weights, all weights zero. Or that of `domain`.
    """
    reader = opened(X)
    if reader is not None:
        options: dict[str, Any] = {"seed": seed, "domain": domain, "survey": reset, "nan_refusal": nan_refusal}
        return _validated_stream(estimator, reader, sample_weight, ensure_min_samples, options)
    rows = _validated_array(estimator, X, reset, ensure_min_samples, nan_refusal)
    if domain is not None:
        for first in range(0, len(rows), DOMAIN_ROWS):
            domain(rows[first : first + DOMAIN_ROWS], first)
    return as_source(rows, sample_weight, seed)


# in memory ------------------------------------------------------------------------------------------------------------


def _validated_array(
    estimator: Any, X: Any, reset: bool, ensure_min_samples: int, nan_refusal: str | None
) -> np.ndarray:
    if type(X) is np.ndarray and _is_sound(estimator, X, reset, ensure_min_samples):
        estimator.n_features_in_ = X.shape[1]
        return X
    frame = as_frame(X)
    options: dict[str, Any] = {"dtype": "numeric", "ensure_min_samples": ensure_min_samples, "estimator": estimator}
    if nan_refusal != "":
        options["ensure_all_finite"] = "allow-nan"
    if frame is None:
        rows = validate_data(estimator, _numbers(X), reset=reset, **options)
        check_finite(Piece(rows, None, "the array", 0), None, nan_refusal)
        return rows
    names = checked_names(frame.columns, name_of(X))
    check_feature_names(estimator, frame.to_native(), reset=reset)
    rows = rows_of(frame, name_of(X))
    check_finite(Piece(rows, None, name_of(X), 0), tuple(names), nan_refusal)
    check_array(rows, **options, input_name="X")
    check_n_features(estimator, rows, reset=reset)
    return rows


def _is_sound(estimator: Any, X: np.ndarray, reset: bool, ensure_min_samples: int) -> bool:
    """Whether scikit-learn would have nothing to say of an array: its own look takes as long as a few iterations."""
    if X.ndim != 2 or X.dtype not in (np.float64, np.float32) or hasattr(estimator, "feature_names_in_"):
        return False
    known = X.shape[1] if reset else getattr(estimator, "n_features_in_", X.shape[1])
    if X.shape[1] != known or not X.shape[1] or len(X) < max(ensure_min_samples, 1):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))


def _numbers(X: Any) -> Any:
    """Arrays and lists whose numbers are masked or objects, as numbers; scikit-learn sees to all others."""
    array = X
    if isinstance(X, list | tuple):
        try:
            array = np.asarray(X)
        except ValueError:  # of rows of unequal lengths
            return X
    if isinstance(array, np.ma.MaskedArray) or (isinstance(array, np.ndarray) and array.dtype.kind in "OMmV"):
        try:
            return array_of_numbers(array, "X")
        except OtherObjects:
            return X  # scikit-learn has words of its own
    return X


# read from elsewhere --------------------------------------------------------------------------------------------------


def _validated_stream(
    estimator: Any, reader: Reader | Collection, sample_weight: Any, ensure_min_samples: int, options: dict[str, Any]
) -> Source:
    reset = options["survey"]
    if isinstance(reader, Reader):
        options["fingerprinted"] = getattr(estimator, "checkpoint", None) is not None
        options["check_names"] = None if reset else partial(_check_names, estimator)
    if not reset:
        _check_width(estimator, reader)
        _check_names(estimator, reader)
    source = as_source(reader, sample_weight, **options)
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


def _check_width(estimator: Any, reader: Reader | Collection) -> None:
    """Raise ValueError, in scikit-learn's words, if the model was fitted to more or fewer columns."""
    fitted = getattr(estimator, "n_features_in_", reader.n_features)
    if reader.n_features != fitted:
        raise ValueError(
            f"{reader.name}: X has {reader.n_features} features, but {type(estimator).__name__} is expecting {fitted} "
            "features as input."
        )


def _check_names(estimator: Any, reader: Reader | Collection) -> None:
    """Raise ValueError, in scikit-learn's words, if the model was fitted to columns of other names."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and reader.names is not None and list(names) != list(reader.names):
        raise ValueError(
            f"{reader.name}: The feature names should match those that were passed during fit: "
            f"{', '.join(names)}, not {', '.join(reader.names)}."
        )
