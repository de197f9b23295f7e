"""The names of scikit-learn that fastem needs and that scikit-learn calls private: whatever an upgrade breaks is here.

`tests/estimators/test_scikit_learn.py` says what each must do; CI runs it with the lowest and the newest version.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.base import _fit_context
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_feature_names as check_feature_names
from sklearn.utils.validation import _check_n_features as check_n_features

__all__ = [
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_feature_names",
    "check_n_features",
    "fit_context",
    "validate_parameter_constraints",
]

Method = TypeVar("Method", bound=Callable[..., Any])


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    """The decorator of methods that fit: it validates the parameters; here with the types that it does not say."""
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)
