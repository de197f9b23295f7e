"""The score: the gradient of the log-likelihood with respect to the parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.annotations import Data
from fastem.estimators.gaussian_mixture import GaussianMixture
from fastem.estimators.missing_values import COMPLETE
from fastem.families.covariances import names_with
from fastem.families.gaussian import GaussianMixtureModel
from fastem.sources import Source


@dataclass(frozen=True, eq=False)
class Score:
    """Gradient of sum_n w_n ln p(x_n), shaped like the parameters.

    Attributes
    ----------
    weights : ndarray of shape (K,)
        sum_n w_n (r_nk / w_k - 1): the derivative as w_k grows and all weights are divided by their sum. The plain
        partial derivative is this plus the sum of the sample weights. NaN where the weight is zero.
    means : ndarray of shape (K, D)
    covariances : ndarray
        Shaped like `covariances_`; where these repeat the one covariance of all components, so does its gradient. For
        matrices all entries count as free, dL = sum_ij G_ij dSigma_ij, and G is
        symmetric; moving an entry off the diagonal and its mirror image changes L by twice G_ij.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def score(model: GaussianMixture, X: Data, sample_weight: ArrayLike | None = None) -> Score:
    """Gradient of the log-likelihood of rows at the parameters of a fitted Gaussian mixture.

    One fused pass. With responsibilities r, d = x - mu_k and Lambda_k = Sigma_k^-1: sum r Lambda_k d by mu_k and
    sum r (Lambda_k d d^T Lambda_k - Lambda_k) / 2 by Sigma_k; by a tied covariance the sum of these over k, by
    variances their diagonal, by a spherical variance their trace. It is zero at a maximum inside the parameter space;
    where EM added `reg_covar` to the variances, -reg_covar N_k Lambda_k^2 / 2 is left by Sigma_k.

    Parameters
    ----------
    model : GaussianMixture
        Fitted.
    X : array-like, path or other source of shape (n_samples, n_features)
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    score : Score

    Raises
    ------
    TypeError
        If the model is no `GaussianMixture`.
    ValueError
        If X or the weights are invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from fastem import GaussianMixture
    >>> from fastem.inference import score
    >>> normal = GaussianMixture.from_parameters([1.0], [[0.0]], [[[2.0]]])
    >>> score(normal, [[1.0], [4.0]]).means  # the sum of x - mu, over the variance
    array([[2.5]])
    """
    theta, source = model_and_source(model, X, sample_weight)
    statistics = theta.e_step(source)
    counts = statistics.moments.counts
    with np.errstate(divide="ignore", invalid="ignore"):
        by_weights = np.where(theta.weights > 0, counts / theta.weights - statistics.weight, np.nan)
    by_means, by_covariances = theta.structure.gradient(statistics.moments, theta.means, theta.whiteners)
    return Score(by_weights, by_means, theta.structure.shown(by_covariances, theta.n_components))


def model_and_source(model: Any, X: Data, sample_weight: Any) -> tuple[GaussianMixtureModel, Source]:
    """The parameters of a fitted Gaussian mixture and the rows.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If its covariance type has no standard errors.
    """
    if not isinstance(model, GaussianMixture):
        raise TypeError(f"model must be a fitted GaussianMixture, got {type(model).__name__}.")
    check_is_fitted(model)
    theta = model._without_noise("The inference")
    if theta.structure.coordinates is None:
        known = ", ".join(names_with("coordinates"))
        raise ValueError(f"The inference knows the covariance types {known}, not {model.covariance_type}.")
    return theta, model._source(X, sample_weight, nan_refusal=COMPLETE.format(name="The inference"))
