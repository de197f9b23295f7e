"""The types of fitted attributes: said beside the dataclasses, where what is annotated is a parameter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastem.estimators.annotations import Doubles


class FittedAttributes:
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    n_iter_: int
    n_samples_seen_: float
    n_passes_: int


class MixtureAttributes(FittedAttributes):
    weights_: Doubles
    converged_: bool
    lower_bound_: float
    lower_bounds_: list[float]
    lower_bounds_of_starts_: list[list[float]]
    log_likelihood_: float


class GaussianAttributes:
    means_: Doubles
    covariances_: Doubles
    precisions_: Doubles
    precisions_cholesky_: Doubles


class BayesianGaussianAttributes(GaussianAttributes):
    weight_concentration_: Any  # two arrays for a Dirichlet process, one for a distribution
    weight_concentration_prior_: float
    mean_precision_: Doubles
    mean_precision_prior_: float
    mean_prior_: Doubles
    degrees_of_freedom_: Any  # a number if tied
    degrees_of_freedom_prior_: float
    covariance_prior_: Any  # a number if spherical


class StudentTAttributes:
    means_: Doubles
    scales_: Doubles
    degrees_of_freedom_: Doubles


class KMeansAttributes(FittedAttributes):
    cluster_centers_: Doubles
    labels_: NDArray[np.int32]
    counts_: Doubles
    inertia_: float
