"""scikit-learn's parameters, of estimators that are dataclasses: each is listed once, with its default."""

from dataclasses import fields
from functools import cache
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import validate_parameter_constraints


class Estimator(BaseEstimator):
    """What scikit-learn looks up in every fit, looked up once: it takes as long as a small fit.

    Classes below are dataclasses; an attribute that is annotated is a parameter.
    """

    _parameter_constraints: ClassVar[dict[str, Any]]

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        return super()._get_param_names()

    def _validate_params(self) -> None:
        """Raise scikit-learn's errors for what is not a default."""
        given = {}
        for parameter in fields(self):
            value = getattr(self, parameter.name)
            if value is not parameter.default:
                given[parameter.name] = value
        validate_parameter_constraints(self._parameter_constraints, given, caller_name=type(self).__name__)
