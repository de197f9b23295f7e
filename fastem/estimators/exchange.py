"""To scikit-learn's estimators and back, with the same predictions."""

from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

# Fitted attributes that both have, under the same names and in the same shapes.
SHARED = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "weight_concentration_",
    "weight_concentration_prior_",
    "mean_precision_",
    "mean_precision_prior_",
    "mean_prior_",
    "degrees_of_freedom_",
    "degrees_of_freedom_prior_",
    "covariance_prior_",
    "cluster_centers_",
    "labels_",
    "inertia_",
    "converged_",
    "n_iter_",
    "lower_bound_",
    "lower_bounds_",
    "n_features_in_",
    "feature_names_in_",
)

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")  # of scikit-learn
BY_DIMENSIONS = {1: "spherical", 2: "diag", 3: "full"}  # what holds arrays of covariances, one a component


class TwinMixin:
    """For estimators that scikit-learn has, too."""

    _twin: ClassVar[tuple[str, str]]  # module and class

    def to_sklearn(self) -> Any:
        """The same model as scikit-learn's estimator: for its pipelines, for skl2onnx, for those without fastem.

        Parameters that scikit-learn does not have are left out.

        Returns
        -------
        twin : estimator
            Fitted; it predicts what this one does.
        """
        check_is_fitted(self)
        twin_type = _class(self._twin)
        known = twin_type().get_params()
        own: Any = self
        parameters = {name: value for name, value in own.get_params(deep=False).items() if name in known}
        if parameters.get("covariance_type", "full") not in COVARIANCE_TYPES:  # one of mclust's names
            parameters["covariance_type"] = BY_DIMENSIONS[own.covariances_.ndim]
        twin = twin_type(**parameters)
        _take(self, twin)
        self._complete_twin(twin)
        return twin

    @classmethod
    def from_sklearn(cls, twin: Any) -> Self:
        """The same model as a fitted estimator of scikit-learn.

        Parameters
        ----------
        twin : estimator
            The one of the same name in scikit-learn, fitted.

        Returns
        -------
        model : estimator
            Fitted; it predicts what that one does. It has learned from no rows.

        Raises
        ------
        TypeError
            If it is another one.
        """
        if not isinstance(twin, _class(cls._twin)):
            raise TypeError(f"expected scikit-learn's {cls._twin[1]}, got {type(twin).__name__}.")
        check_is_fitted(twin)
        known: Any = cls
        names = known._get_param_names()
        model = cls(**{name: value for name, value in twin.get_params(deep=False).items() if name in names})
        _take(twin, model)
        model._complete()
        return model

    def _complete(self) -> None:
        """Add the attributes that scikit-learn does not have."""
        vars(self)["n_samples_seen_"] = 0.0

    def _complete_twin(self, twin: Any) -> None:
        """Add the attributes that fastem does not have."""


def _class(twin: tuple[str, str]) -> Any:
    return getattr(import_module(twin[0]), twin[1])


def _take(source: Any, target: Any) -> None:
    for name in SHARED:
        if hasattr(source, name):
            value = getattr(source, name)
            setattr(target, name, value.copy() if isinstance(value, np.ndarray) else value)
