"""A Gaussian mixture as a distribution: made from its parameters, marginal, conditional, regression."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from fastem.estimators.annotations import CovarianceType, Data, Doubles, Features
from fastem.estimators.features import checked_names, feature_indices, other_features
from fastem.estimators.given_parameters import checked_covariances, checked_precisions, checked_weights
from fastem.families.conditioning import Parameters, conditional, marginal, regress
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.search.initial_values import checked_array

# Parameters of the estimator that say where a fit begins, or belong to one fit alone.
OF_A_START = ("n_components", "covariance_type", "weights_init", "means_init", "precisions_init", "checkpoint")


class GaussianDistributionMixin:
    """What a Gaussian mixture is without any data."""

    # what the estimator has -------------------------------------------------------------------------------------------

    covariance_type: Any
    n_features_in_: int

    if TYPE_CHECKING:

        def _without_noise(self, what: str) -> GaussianMixtureModel: ...
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

    # ------------------------------------------------------------------------------------------------------------------

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike | None = None,
        *,
        precisions: ArrayLike | None = None,
        covariance_type: CovarianceType = "full",
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """A fitted mixture without a fit.

        It predicts, scores, samples and learns on: `partial_fit`, or `fit` with ``warm_start=True``, begins at these
        parameters.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Non-negative, with the sum one.
        means : array-like of shape (n_components, n_features)
        covariances : array-like, default=None
            Shaped like `covariances_`: full (K, D, D), tied (D, D), diag (K, D), spherical (K,).
        precisions : array-like, default=None
            Inverse covariances in their place.
        covariance_type : str, default='full'
        feature_names : sequence of str, default=None
            Becomes `feature_names_in_`.
        **params
            Further parameters of the estimator, such as `random_state` for `sample`.

        Returns
        -------
        mixture : GaussianMixture

        Raises
        ------
        ValueError
            If shapes do not agree, the weights are no distribution, or a covariance is not symmetric and
            positive-definite.
        TypeError
            If neither or both of covariances and precisions are given.

        Examples
        --------
        >>> from fastem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters([0.5, 0.5], [[-2.0], [2.0]], [[[1.0]], [[1.0]]])
        >>> mixture.predict([[-1.0], [3.0]])
        array([0, 1])
        """
        if covariance_type not in STRUCTURES:
            raise ValueError(f"covariance_type must be one of {', '.join(STRUCTURES)}, got {covariance_type!r}.")
        if (covariances is None) == (precisions is None):
            raise TypeError("Give either covariances or precisions.")
        structure = STRUCTURES[covariance_type]
        mu = check_array(means, dtype=np.float64, order="C", input_name="means", copy=True)
        shares = checked_weights(weights, len(mu))
        if covariances is not None:
            sigma, whiteners = checked_covariances(covariances, structure, mu.shape)
        else:
            sigma, whiteners = checked_precisions(precisions, structure, mu.shape)
        estimator: Any = cls
        mixture = estimator(n_components=len(mu), covariance_type=covariance_type, **params)
        mixture._keep_model(GaussianMixtureModel(structure, shares, mu, sigma, whiteners))
        mixture.n_features_in_ = mu.shape[1]
        if feature_names is not None:
            mixture.feature_names_in_ = checked_names(feature_names, mu.shape[1])
        # It has learned from no rows, and has no bound that a further fit could fall below.
        mixture.converged_, mixture.n_iter_, mixture.n_samples_seen_, mixture.lower_bound_ = False, 0, 0.0, -np.inf
        return mixture

    def marginal(self, features: Features) -> Self:
        """The distribution of some features, whatever the others are.

        Parameters
        ----------
        features : int, str or sequence of these
            Indices, or names if the mixture has `feature_names_in_`; they keep this order.

        Returns
        -------
        mixture : GaussianMixture
            Of the same covariance type; of EVI 'VVI', of EVV, EEV, VEV, EVE and VVE 'VVV'.

        Raises
        ------
        ValueError
            If a feature is unknown or there twice, or there is none.

        Examples
        --------
        >>> from fastem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters([1.0], [[0.0, 1.0]], [[[2.0, 0.5], [0.5, 3.0]]])
        >>> mixture.marginal([1]).covariances_
        array([[[3.]]])
        """
        check_is_fitted(self)
        chosen = feature_indices(self, features)
        return self._like(marginal(self._without_noise("marginal"), chosen), chosen)

    def condition(self, values: Mapping[Any, float]) -> Self:
        """The distribution of the other features when some are known.

        With a the others and b the known: means mu_a + Sigma_ab Sigma_bb^-1 (x_b - mu_b), covariances
        Sigma_aa - Sigma_ab Sigma_bb^-1 Sigma_ba, and weights that are the responsibilities of x_b.

        Parameters
        ----------
        values : mapping of int or str to float
            What is known, by index or name of the feature.

        Returns
        -------
        mixture : GaussianMixture
            Of the features that are left, in their order, and of the covariance type that `marginal` has.

        Raises
        ------
        ValueError
            If a feature is unknown, a value is not finite, or no feature is left.

        Examples
        --------
        >>> from fastem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters([1.0], [[0.0, 1.0]], [[[2.0, 0.5], [0.5, 3.0]]])
        >>> mixture.condition({0: 2.0}).means_
        array([[1.5]])
        """
        check_is_fitted(self)
        if not isinstance(values, Mapping):
            raise ValueError("values must be a mapping from features to numbers.")
        known = feature_indices(self, values, "values")
        point = checked_array(list(values.values()), (len(known),), "values")
        rest = other_features(self, known)
        return self._like(conditional(self._without_noise("condition"), known, rest, point), rest)

    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: Literal[False] = False) -> Doubles: ...
    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: Literal[True]) -> tuple[Doubles, Doubles]: ...
    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: bool) -> Doubles | tuple[Doubles, Doubles]: ...
    def regress(self, X: Data, targets: Features, *, return_cov: bool = False) -> Any:
        """E[y | x]: the mean of some features when all others are known, for many rows at once.

        The mean of what `condition` returns for each row: sum_k r_k(x) m_k(x) with m_k(x) the regression of component k
        and r_k(x) its responsibility for x (Gaussian mixture regression, Ghahramani and Jordan 1994).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features - n_targets)
            The features that are no targets, in their order.
        targets : int, str or sequence of these
            Index or name of the features to predict.
        return_cov : bool, default=False
            Whether to return the conditional covariances too: sum_k r_k (C_k + (m_k - m)(m_k - m)^T).

        Returns
        -------
        mean : ndarray of shape (n_samples, n_targets)
        covariance : ndarray of shape (n_samples, n_targets, n_targets)
            If `return_cov`.

        Raises
        ------
        ValueError
            If X is invalid, a target is unknown, or no other feature is left.

        Examples
        --------
        >>> from fastem import GaussianMixture
        >>> mixture = GaussianMixture.from_parameters([1.0], [[0.0, 1.0]], [[[2.0, 0.5], [0.5, 3.0]]])
        >>> mixture.regress([[0.0], [2.0]], targets=[1])
        array([[1. ],
               [1.5]])
        """
        check_is_fitted(self)
        wanted = feature_indices(self, targets, "targets")
        known = other_features(self, wanted)
        inputs = self.marginal(known)
        rows = validate_data(inputs, X, reset=False, dtype=np.float64)
        model, given = self._without_noise("regress"), inputs._without_noise("regress")
        mean, covariance = regress(model, given, (known, wanted), rows, with_covariances=return_cov)
        return (mean, covariance) if return_cov else mean

    def _like(self, parameters: Parameters, features: list[int]) -> Self:
        """A mixture with the settings of this one, of some of its features."""
        weights, means, covariances = parameters
        structure = STRUCTURES[self.covariance_type]
        covariance_type: Any = structure.of_some_features or self.covariance_type
        settings = {name: value for name, value in self.get_params(deep=False).items() if name not in OF_A_START}
        if not isinstance(settings["init_params"], str) and not callable(settings["init_params"]):
            del settings["init_params"]  # responsibilities of rows that were fitted
        names = getattr(self, "feature_names_in_", None)
        return type(self).from_parameters(
            weights / weights.sum(),
            means,
            structure.shown(covariances, len(means)),
            covariance_type=covariance_type,
            feature_names=None if names is None else names[features],
            **settings,
        )
