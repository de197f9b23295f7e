"""What a Gaussian mixture says of some features: alone, when others are known, and as a function of the others."""

import numpy as np
from scipy.special import logsumexp

from fastem.families.covariances import CovarianceStructure
from fastem.families.gaussian import GaussianMixtureModel

PIECE_NUMBERS = 2**20  # rows of a piece times components times targets

Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]  # weights, means, covariances


def marginal(model: GaussianMixtureModel, features: list[int]) -> Parameters:
    """Those of some features, whatever the others are."""
    return model.weights, model.means[:, features], model.structure.select(model.covariances, features)


def conditional(model: GaussianMixtureModel, known: list[int], rest: list[int], point: np.ndarray) -> Parameters:
    """Those of the features `rest` where the `known` ones have the values `point`.

    Raises
    ------
    ValueError
        If a covariance of the known features is singular.
    """
    slopes, covariances = _regression(model, known, rest)
    means = model.means[:, rest] + np.einsum("kab,kb->ka", slopes, point - model.means[:, known])
    return _weights_at(model, known, point), means, covariances


def regress(
    model: GaussianMixtureModel,
    inputs: GaussianMixtureModel,
    features: tuple[list[int], list[int]],
    rows: np.ndarray,
    *,
    with_covariances: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Conditional means (n, T), and covariances (n, T, T), of the second of two lists of features given the first.

    `inputs` is the marginal of the known features, which the rows (n, D - T) hold.
    """
    known, wanted = features
    slopes, remaining = _regression(model, known, wanted)
    remaining = model.structure.as_matrices(remaining, model.n_components, len(wanted))
    mean = np.empty((len(rows), len(wanted)))
    covariance = np.empty((len(rows), len(wanted), len(wanted))) if with_covariances else None
    size = max(1, PIECE_NUMBERS // (model.n_components * max(len(known), len(wanted) ** (1 + with_covariances))))
    for first in range(0, len(rows), size):
        piece, own = rows[first : first + size], slice(first, first + size)
        shares = np.empty((len(piece), model.n_components))
        inputs.evaluate(piece, responsibilities=shares)
        of_each = model.means[:, wanted] + np.einsum("kti,nki->nkt", slopes, piece[:, None] - inputs.means)
        mean[own] = np.einsum("nk,nkt->nt", shares, of_each)
        if covariance is not None:
            apart = of_each - mean[own, None]
            covariance[own] = np.einsum("nk,ktu->ntu", shares, remaining)
            covariance[own] += np.einsum("nk,nkt,nku->ntu", shares, apart, apart)
    return mean, covariance


def _regression(model: GaussianMixtureModel, known: list[int], rest: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes Sigma_ab Sigma_bb^-1 (K, a, b) of `rest` on `known`; the covariances that remain, in their form."""
    whiteners = _whiteners(model.structure, model.structure.select(model.covariances, known))
    slopes, covariances = model.structure.regression(model.covariances, whiteners, known, rest)
    return np.broadcast_to(slopes, (model.n_components, len(rest), len(known))), covariances


def _weights_at(model: GaussianMixtureModel, known: list[int], point: np.ndarray) -> np.ndarray:
    """Responsibilities of the values of some features; of those so far away that densities underflow, too."""
    whiteners = _whiteners(model.structure, model.structure.select(model.covariances, known))
    standard = model.structure.to_standard(point - model.means[:, known], whiteners)
    log_dets = np.log(model.structure.diagonals(whiteners, *standard.shape)).sum(axis=1)
    with np.errstate(divide="ignore"):
        log_joint = np.log(model.weights) + log_dets - 0.5 * (standard**2).sum(axis=1)
    return np.exp(log_joint - logsumexp(log_joint))


def _whiteners(structure: CovarianceStructure, covariances: np.ndarray) -> np.ndarray:
    whiteners, singular = structure.whiten(covariances)
    if singular.any():
        raise ValueError("A covariance of the known features is singular to working precision.")
    return whiteners
