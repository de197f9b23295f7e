"""Score and observed information of a Gaussian mixture, in one pass over the rows.

With the complete-data score S_k(x) of component k and its responsibilities r_nk, the score of a row is
s_n = sum_k r_nk S_k(x_n), and Louis' formula (1982) for minus the second derivatives of the log-likelihood is

    I = sum_n w_n [ sum_k r_nk B_k(x_n) - sum_k r_nk S_k(x_n) S_k(x_n)^T + s_n s_n^T ],

where B_k are minus the second derivatives of ln w_k N(x | mu_k, Sigma_k). Nothing in it assumes that the parameters are
at an optimum: I is the exact curvature wherever they are. The last term alone is the outer product of gradients.

All of this is done in coordinates in which the complete-data information is the identity (weights over their square
roots, covariances as `fastem.families.covariances.coordinates` has them; everything over the square root of the rows of
its component): scales and units of the features do not matter, and eigenvalues are what the data retain of the complete
information.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from fastem.engine.stepwise import batches
from fastem.families.gaussian import EMPTY, GaussianMixtureModel, check_that_rows_are_in_range
from fastem.inference.layout import Layout
from fastem.sources import Block, Source

MOST_PARAMETERS = 2_000
PIECE_NUMBERS = 2**20  # rows of a piece times parameters
MOST_ROWS = 4_096  # of a piece


class Information(NamedTuple):
    """What one pass finds, in standardised coordinates; P parameters.

    Attributes
    ----------
    louis, outer : ndarray of shape (P, P)
        Observed information, and sum_n w_n s_n s_n^T.
    gradient, regularised : ndarray of shape (P,)
        Of the log-likelihood; and what it is at a fixed point of EM that adds `reg_covar` to the variances.
    jacobian : ndarray of shape (P, P)
        Derivatives of the parameters by the coordinates.
    counts : ndarray of shape (K,)
        N_k = sum_n w_n r_nk.
    least_scatter : ndarray of shape (K,) or (1,)
        Of each covariance: the least scatter of its rows in any direction, over what the covariance says. At an optimum
        all are 1; a component that stands on `reg_covar` has almost none.
    """

    louis: np.ndarray
    outer: np.ndarray
    gradient: np.ndarray
    regularised: np.ndarray
    jacobian: np.ndarray
    counts: np.ndarray
    least_scatter: np.ndarray


def information_of(model: GaussianMixtureModel, source: Source) -> Information:
    """One pass over the rows with parameters whose weights are all positive.

    Raises
    ------
    ValueError
        If there are more than `MOST_PARAMETERS` parameters, or rows that no component can explain.
    """
    layout = Layout.of(model)
    if layout.size > MOST_PARAMETERS:
        raise ValueError(
            f"The model has {layout.size} parameters, and their information the square of as many numbers; at most "
            f"{MOST_PARAMETERS} are supported. Use fewer components or features, another covariance_type, or the "
            "bootstrap."
        )
    of_rows = OfRows(replace(model, arithmetic="float64"))
    outer, grams, weight = of_rows.unpack(source.total(of_rows))
    check_that_rows_are_in_range(grams[:, 0, 0] * model.weights, weight)
    if not np.isfinite(grams).all():
        raise ValueError("The squares of some features overflow. Rescale the features or remove outliers.")
    return _assembled(model, layout, outer, grams)


@dataclass(frozen=True)
class OfRows:
    """What is added up over the rows; a callable, so that it can be sent to where they are."""

    model: GaussianMixtureModel

    # The bits of a product depend on the number of threads, and on a busy machine they cost more than they give.
    @threadpool_limits.wrap(limits=1, user_api="blas")
    def __call__(self, blocks: Iterable[Block]) -> np.ndarray:
        layout = Layout.of(self.model)
        outer, grams, weight = self.unpack(np.zeros(layout.size**2 + self._gram_size * self.model.n_components + 1))
        n_rows = max(64, min(MOST_ROWS, PIECE_NUMBERS // layout.size))
        for rows, weights in batches(blocks, n_rows):  # of this many rows, however they come: the same bits
            rows = np.array(rows, dtype=np.float64, order="C")
            roots = np.ones(len(rows)) if weights is None else np.sqrt(weights)
            self._add(rows, roots, outer, grams)
            weight += float(roots @ roots)
        return np.concatenate([outer.ravel(), grams.ravel(), [weight]])

    def unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """sum w s s^T (P, P); sum w r f_k f_k^T with f_k = (1 / sqrt(w_k), z, phi(z)) for each k; sum w."""
        layout = Layout.of(self.model)
        size = len(layout.component(0))
        outer, grams, weight = np.split(sums, [layout.size**2, len(sums) - 1])
        return outer.reshape(layout.size, -1), grams.reshape(-1, size, size), float(weight[0])

    @property
    def _gram_size(self) -> int:
        return len(Layout.of(self.model).component(0)) ** 2

    @np.errstate(over="ignore", invalid="ignore")  # found out at the end
    def _add(self, rows: np.ndarray, roots: np.ndarray, outer: np.ndarray, grams: np.ndarray) -> None:
        model, layout = self.model, Layout.of(self.model)
        responsibilities = np.empty((len(rows), model.n_components))
        model.evaluate(rows, responsibilities=responsibilities)
        whiteners = model.structure.as_matrices(model.whiteners, *model.means.shape)
        scores = np.zeros((len(rows), layout.size))
        for k, whitener in enumerate(whiteners):
            standard = (rows - model.means[k]) @ whitener.T
            constant = np.full((len(rows), 1), 1.0 / np.sqrt(model.weights[k]))
            features = np.hstack([constant, standard, layout.coordinates.features(standard)])
            scores[:, layout.component(k)] += responsibilities[:, k : k + 1] * features
            features *= (roots * np.sqrt(responsibilities[:, k]))[:, None]
            grams[k] += features.T @ features
        scores *= roots[:, None]
        outer += scores.T @ scores


def _assembled(model: GaussianMixtureModel, layout: Layout, outer: np.ndarray, grams: np.ndarray) -> Information:
    """Louis' formula from the sums, divided by the complete-data information."""
    louis, gradient, regularised = outer.copy(), np.zeros(layout.size), np.zeros(layout.size)
    jacobian, rows_of = np.zeros((layout.size, layout.size)), np.zeros(layout.size)
    counts, scatter = grams[:, 0, 0] * model.weights, np.zeros(layout.size)
    weight, shares = counts.sum(), counts
    if layout.structure.shared:
        shares = np.full(len(counts), weight)
    whiteners = layout.structure.as_matrices(model.whiteners, *model.means.shape)
    for k, whitener in enumerate(whiteners):
        mine, covariance, root = layout.component(k), layout.covariance(k), np.sqrt(model.weights[k])
        first, second = np.split(grams[k, 0, 1:] * root, [layout.n_features])
        by_both, by_covariance = layout.coordinates.curvature(counts[k], first, second)
        by_mean = counts[k] * np.eye(layout.n_features)
        complete = np.block([[by_mean, by_both], [by_both.T, by_covariance]])
        louis[np.ix_(mine, mine)] -= grams[k]
        louis[k, k] += grams[k, 0, 0]
        louis[np.ix_(mine[1:], mine[1:])] += complete
        gradient[mine] += grams[k, 0] * root
        scatter[covariance] += second
        origin = layout.coordinates.features(np.zeros((1, layout.n_features)))[0]
        of_unit = layout.coordinates.features(whitener.T).sum(axis=0) - layout.n_features * origin  # tr(T L L^T) / 2
        regularised[covariance] -= model.reg_covar * counts[k] * of_unit
        factor = np.linalg.inv(whitener)
        jacobian[k, k] = root
        jacobian[layout.mean(k), layout.mean(k)] = factor
        jacobian[covariance, covariance] = layout.coordinates.jacobian(factor)
        rows_of[k], rows_of[layout.mean(k)], rows_of[covariance] = weight, counts[k], shares[k]
    # A component that finds no rows here has no information either; the caller leaves it out.
    roots = np.sqrt(np.where(rows_of > EMPTY * weight, rows_of, weight))
    least_scatter = layout.coordinates.least_scatter
    least = [
        least_scatter(max(shares[k], EMPTY * weight), scatter[layout.covariance(k)], layout.n_features)
        for k in range(1 if layout.structure.shared else len(counts))
    ]
    return Information(
        louis / np.outer(roots, roots),
        outer / np.outer(roots, roots),
        gradient / roots,
        regularised / roots,
        jacobian / roots,
        counts,
        np.array(least),
    )
