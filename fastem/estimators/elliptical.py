"""What Gaussian and Student's t mixtures say of rows besides their density: distances, outliers, quantiles."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.annotations import Data, Doubles, Reals
from fastem.estimators.missing_values import COMPLETE
from fastem.estimators.row_results import of_all
from fastem.families.ellipses import Ellipses
from fastem.sources import Source


class EllipticalMixin:
    """For estimators whose models have `ellipses`."""

    if TYPE_CHECKING:
        n_features_in_: int

        def _model(self) -> Any: ...
        def _source(self, X: Any, sample_weight: Any = None, **options: Any) -> Source: ...

    def _without_noise(self, what: str) -> Any:
        return self._model()

    def _ellipses(self) -> Ellipses:
        check_is_fitted(self)
        return self._model().ellipses()

    def mahalanobis(self, X: Data, *, out: NDArray[Any] | None = None) -> Reals:
        """Mahalanobis distances of rows from all components, sqrt((x - mu_k)^T Sigma_k^-1 (x - mu_k)).

        Sigma_k are covariances, for Student's t scales.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples, n_components), float64, default=None
            Where to write them.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_components)
        """
        ellipses = self._ellipses()

        def write(rows: np.ndarray, part: np.ndarray) -> None:
            part[:] = np.sqrt(ellipses.squared_distances(rows))

        source = self._source(X, nan_refusal=COMPLETE.format(name="mahalanobis"))
        return of_all(source, write, (len(ellipses.weights),), np.float64, out)

    def is_outlier(self, X: Data, *, level: float = 0.99, out: NDArray[Any] | None = None) -> NDArray[np.bool_]:
        """Whether rows lie outside of every component: beyond the ellipsoid that holds a share `level` of it.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        level : float, default=0.99
            Between 0 and 1. Of the rows of a mixture of components far apart, 1 - level are outliers; fewer where
            components overlap.
        out : ndarray of shape (n_samples,), bool, default=None
            Where to write the answers.

        Returns
        -------
        outlier : ndarray of shape (n_samples,), bool

        Raises
        ------
        ValueError
            If the level is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise ValueError(f"level must lie between 0 and 1, got {level}.")
        ellipses = self._ellipses()
        radii = np.where(
            ellipses.weights > 0, ellipses.squared_radii(level), -1.0
        )  # a component without rows holds none

        def write(rows: np.ndarray, part: np.ndarray) -> None:
            part[:] = (ellipses.squared_distances(rows) > radii).all(axis=1)

        return of_all(self._source(X, nan_refusal=COMPLETE.format(name="is_outlier")), write, (), np.bool_, out)

    def cdf(self, x: ArrayLike) -> Doubles:
        """P(X <= x) of a mixture of one feature.

        Parameters
        ----------
        x : array-like
            Numbers, in an array of any shape.

        Returns
        -------
        shares : ndarray of the same shape

        Raises
        ------
        ValueError
            If the mixture has several features: take one with `marginal`.
        """
        return self._of_one_feature("cdf").cdf(_numbers(x, "x"))

    def quantile(self, q: ArrayLike) -> Doubles:
        """The x with P(X <= x) = q of a mixture of one feature: the inverse of `cdf`.

        Parameters
        ----------
        q : array-like
            Shares between 0 and 1, in an array of any shape.

        Returns
        -------
        x : ndarray of the same shape

        Raises
        ------
        ValueError
            If the mixture has several features (take one with `marginal`), or a share is not between 0 and 1.
        """
        shares = _numbers(q, "q")
        if not ((shares >= 0) & (shares <= 1)).all():
            raise ValueError("q must lie between 0 and 1.")
        return self._of_one_feature("quantile").quantiles(shares)

    def _of_one_feature(self, method: str) -> Ellipses:
        ellipses = self._ellipses()
        self._without_noise(method)
        if self.n_features_in_ != 1:
            raise ValueError(
                f"{method} is of one feature, the mixture has {self.n_features_in_}: use marginal(feature)."
            )
        return ellipses


def _numbers(values: Any, name: str) -> np.ndarray:
    return check_array(values, dtype=np.float64, ensure_2d=False, allow_nd=True, ensure_min_samples=0, input_name=name)
