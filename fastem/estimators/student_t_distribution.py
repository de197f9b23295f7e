"""A mixture of Student's t as a distribution: made from its parameters, marginal, conditional, regression."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from fastem.estimators.annotations import CovarianceType, Data, Doubles, Features
from fastem.estimators.features import checked_names, feature_indices, other_features
from fastem.estimators.given_parameters import checked_covariances, checked_weights
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.families.student_t import GREATEST, LEAST, StudentTMixtureModel
from fastem.families.student_t_conditioning import conditional, regress
from fastem.search.initial_values import checked_array

# Parameters of the estimator that say where a fit begins, or belong to one fit alone.
OF_A_START = (
    "n_components",
    "covariance_type",
    "degrees_of_freedom",
    "weights_init",
    "means_init",
    "scales_init",
    "degrees_of_freedom_init",
    "checkpoint",
)


class StudentTDistributionMixin:
    """What a mixture of Student's t is without any data."""

    covariance_type: Any
    n_features_in_: int
    degrees_of_freedom_: np.ndarray

    if TYPE_CHECKING:

        def _without_noise(self, what: str) -> StudentTMixtureModel: ...
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        scales: ArrayLike,
        degrees_of_freedom: ArrayLike,
        *,
        covariance_type: CovarianceType = "full",
        feature_names: Sequence[str] | None = None,
        **params: Any,
    ) -> Self:
        """A fitted mixture without a fit.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Non-negative, with the sum one.
        means : array-like of shape (n_components, n_features)
        scales : array-like
            Shaped like `scales_`: full (K, D, D), tied (D, D), diag (K, D), spherical (K,).
        degrees_of_freedom : float or array-like of shape (n_components,)
        covariance_type : str, default='full'
        feature_names : sequence of str, default=None
            Becomes `feature_names_in_`.
        **params
            Further parameters of the estimator, such as `random_state` for `sample`.

        Returns
        -------
        mixture : StudentTMixture

        Raises
        ------
        ValueError
            If shapes do not agree, the weights are no distribution, a scale is not symmetric and positive-definite, or
            degrees of freedom are not between 0.01 and 1e6.

        Examples
        --------
        >>> from fastem import StudentTMixture
        >>> mixture = StudentTMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], 3.0)
        >>> mixture.quantile([0.5]).tolist()
        [0.0]
        """
        if covariance_type not in STRUCTURES or not STRUCTURES[covariance_type].student_t:
            raise ValueError(f"A mixture of Student's t has no covariance_type {covariance_type!r}.")
        structure = STRUCTURES[covariance_type]
        mu = check_array(means, dtype=np.float64, order="C", input_name="means", copy=True)
        shares = checked_weights(weights, len(mu))
        covariances, whiteners = checked_covariances(scales, structure, mu.shape, "scales")
        each = [degrees_of_freedom] * len(mu) if np.ndim(degrees_of_freedom) == 0 else degrees_of_freedom
        nu = checked_array(each, mu.shape[:1], "degrees_of_freedom").copy()
        if not ((nu >= LEAST) & (nu <= GREATEST)).all():
            raise ValueError(f"degrees_of_freedom must lie between {LEAST} and {GREATEST:g}, got {nu}.")
        estimator: Any = cls
        mixture = estimator(n_components=len(mu), covariance_type=covariance_type, **params)
        mixture._keep_model(
            StudentTMixtureModel(GaussianMixtureModel(structure, shares, mu, covariances, whiteners), nu)
        )
        mixture.n_features_in_ = mu.shape[1]
        if feature_names is not None:
            mixture.feature_names_in_ = checked_names(feature_names, mu.shape[1])
        # It has learned from no rows, and has no bound that a further fit could fall below.
        mixture.converged_, mixture.n_iter_, mixture.n_samples_seen_, mixture.lower_bound_ = False, 0, 0.0, -np.inf
        return mixture

    def marginal(self, features: Features) -> Self:
        """The distribution of some features, whatever the others are; the degrees of freedom stay.

        Parameters
        ----------
        features : int, str or sequence of these
            Indices, or names if the mixture has `feature_names_in_`; they keep this order.

        Returns
        -------
        mixture : StudentTMixture

        Raises
        ------
        ValueError
            If a feature is unknown or there twice, or there is none.
        """
        check_is_fitted(self)
        chosen, model = feature_indices(self, features), self._without_noise("marginal")
        scales = model.structure.select(model.scales, chosen)
        parameters = model.weights, model.means[:, chosen], model.structure.shown(scales, model.n_components)
        kind = model.structure.of_some_features or self.covariance_type
        return self._like(parameters, model.degrees_of_freedom, kind, chosen)

    def condition(self, values: Mapping[Any, float]) -> Self:
        """The distribution of the other features when some are known.

        With a the others, b the p known, d2 = (x_b - mu_b)^T Sigma_bb^-1 (x_b - mu_b): nu + p degrees of freedom, means
        mu_a + Sigma_ab Sigma_bb^-1 (x_b - mu_b), scales (nu + d2) / (nu + p) times
        Sigma_aa - Sigma_ab Sigma_bb^-1 Sigma_ba, and weights that are the responsibilities of x_b (Ding 2016).

        Parameters
        ----------
        values : mapping of int or str to float
            What is known, by index or name of the feature.

        Returns
        -------
        mixture : StudentTMixture
            Of the features that are left, in their order; 'full', or 'diag' where features are not correlated.

        Raises
        ------
        ValueError
            If a feature is unknown, a value is not finite, or no feature is left.

        Examples
        --------
        >>> from fastem import StudentTMixture
        >>> mixture = StudentTMixture.from_parameters([1.0], [[0.0, 1.0]], [[[2.0, 0.5], [0.5, 3.0]]], 4.0)
        >>> mixture.condition({0: 2.0}).means_
        array([[1.5]])
        """
        check_is_fitted(self)
        if not isinstance(values, Mapping):
            raise ValueError("values must be a mapping from features to numbers.")
        known = feature_indices(self, values, "values")
        point = checked_array(list(values.values()), (len(known),), "values")
        rest, model = other_features(self, known), self._without_noise("condition")
        found = conditional(model.ellipses(), known, rest, point)
        if model.structure.correlated:
            kind, scales = "full", found.scales
        else:
            kind, scales = "diag", np.diagonal(found.scales, axis1=1, axis2=2)
        return self._like((found.weights, found.means, scales), found.degrees_of_freedom, kind, rest)

    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: Literal[False] = False) -> Doubles: ...
    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: Literal[True]) -> tuple[Doubles, Doubles]: ...
    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: bool) -> Doubles | tuple[Doubles, Doubles]: ...
    def regress(self, X: Data, targets: Features, *, return_cov: bool = False) -> Any:
        """E[y | x]: the mean of some features when all others are known, for many rows at once.

        The mean of what `condition` returns for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features - n_targets)
            The features that are no targets, in their order.
        targets : int, str or sequence of these
            Index or name of the features to predict.
        return_cov : bool, default=False
            Whether to return the conditional covariances too: infinite where nu + p <= 2.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_targets)
        covariance : ndarray of shape (n_samples, n_targets, n_targets)
            If `return_cov`.

        Raises
        ------
        ValueError
            If X is invalid, a target is unknown, or no other feature is left.
        """
        check_is_fitted(self)
        wanted = feature_indices(self, targets, "targets")
        known = other_features(self, wanted)
        rows = validate_data(self.marginal(known), X, reset=False, dtype=np.float64)
        mean, covariance = regress(
            self._without_noise("regress").ellipses(), (known, wanted), rows, with_covariances=return_cov
        )
        return (mean, covariance) if return_cov else mean

    def _like(
        self, parameters: tuple, degrees_of_freedom: np.ndarray, covariance_type: Any, features: list[int]
    ) -> Self:
        """A mixture with the settings of this one, of some of its features."""
        weights, means, scales = parameters
        settings = {name: value for name, value in self.get_params(deep=False).items() if name not in OF_A_START}
        if not isinstance(settings["init_params"], str) and not callable(settings["init_params"]):
            del settings["init_params"]  # responsibilities of rows that were fitted
        names = getattr(self, "feature_names_in_", None)
        return type(self).from_parameters(
            weights / weights.sum(),
            means,
            scales,
            degrees_of_freedom,
            covariance_type=covariance_type,
            feature_names=None if names is None else names[features],
            **settings,
        )
