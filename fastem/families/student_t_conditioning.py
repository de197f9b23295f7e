"""What a mixture of Student's t says of some features when others are known."""

import numpy as np
from scipy.special import gammaln, logsumexp

from fastem.families.ellipses import Ellipses

PIECE_NUMBERS = 2**20  # rows of a piece times components times squared targets


def conditional(ellipses: Ellipses, known: list[int], rest: list[int], point: np.ndarray) -> Ellipses:
    """The components in the features `rest` where the `known` ones have the values `point`, weighted by them.

    a | b ~ t(nu + p, mu_a + S_ab S_bb^-1 (b - mu_b), (nu + d2) / (nu + p) (S_aa - S_ab S_bb^-1 S_ba)) of p known b.
    """
    slopes, remaining = _regression(ellipses, known, rest)
    log_shares, spread = _evidence(ellipses.of_features(known), point[None])
    means = ellipses.means[:, rest] + np.einsum("kab,kb->ka", slopes, point - ellipses.means[:, known])
    freedom = ellipses.degrees_of_freedom + len(known)
    return Ellipses(np.exp(log_shares[0]), means, spread[0, :, None, None] * remaining, freedom)


def regress(
    ellipses: Ellipses, features: tuple[list[int], list[int]], rows: np.ndarray, *, with_covariances: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Conditional means (n, T), and covariances (n, T, T), of the second of two lists of features given the first."""
    known, wanted = features
    slopes, remaining = _regression(ellipses, known, wanted)
    given, freedom = ellipses.of_features(known), ellipses.degrees_of_freedom + len(known)
    with np.errstate(divide="ignore"):
        inflation = np.where(freedom > 2, freedom / np.maximum(freedom - 2, 0.0), np.inf)
    mean = np.empty((len(rows), len(wanted)))
    covariance = np.empty((len(rows), len(wanted), len(wanted))) if with_covariances else None
    size = max(1, PIECE_NUMBERS // (len(freedom) * max(len(known), len(wanted)) ** 2))
    for first in range(0, len(rows), size):
        own = slice(first, first + size)
        log_shares, spread = _evidence(given, rows[own])
        shares = np.exp(log_shares)
        of_each = ellipses.means[:, wanted] + np.einsum("kti,nki->nkt", slopes, rows[own, None] - given.means)
        mean[own] = np.einsum("nk,nkt->nt", shares, of_each)
        if covariance is not None:
            apart = of_each - mean[own, None]
            covariance[own] = np.einsum("nk,ktu->ntu", shares * spread * inflation, remaining)
            covariance[own] += np.einsum("nk,nkt,nku->ntu", shares, apart, apart)
    return mean, covariance


def _regression(ellipses: Ellipses, known: list[int], rest: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes S_ab S_bb^-1 (K, a, b), and what remains of S_aa (K, a, a)."""
    scales = ellipses.scales
    across = scales[:, rest][:, :, known]
    slopes = np.linalg.solve(scales[:, known][:, :, known], across.swapaxes(1, 2)).swapaxes(1, 2)
    remaining = scales[:, rest][:, :, rest] - slopes @ across.swapaxes(1, 2)
    return slopes, 0.5 * (remaining + remaining.swapaxes(1, 2))


def _evidence(given: Ellipses, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log responsibilities of rows (n, p) of the known features, and (nu + d2) / (nu + p), both (n, K)."""
    nu, p = given.degrees_of_freedom, given.means.shape[1]
    squares = given.squared_distances(rows)
    log_dets = np.linalg.slogdet(given.scales)[1]
    with np.errstate(divide="ignore"):
        norms = np.log(given.weights) + gammaln(0.5 * (nu + p)) - gammaln(0.5 * nu) - 0.5 * (p * np.log(nu) + log_dets)
    log_joint = norms - 0.5 * (nu + p) * np.log1p(squares / nu)
    return log_joint - logsumexp(log_joint, axis=1, keepdims=True), (nu + squares) / (nu + p)
