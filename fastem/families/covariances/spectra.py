"""Covariances as volume times shape in a frame of axes: Sigma_k = lambda_k Q_k A_k Q_k^T with det A_k = 1.

The maximum of -sum_k w_k (log det Sigma_k + tr(Sigma_k^-1 S_k)) / 2, given covariances S_k of the rows and shares w_k
of the components, with parts that are the same in all of them (Celeux and Govaert 1995; VVE and EVE: Flury 1984,
Browne and McNicholas 2014). *Variances* (K, D) are those of S_k along the axes, *spectra* (K, D) lambda_k A_k. Where
there is no maximum the result has zeros or rounding, which `whiten` calls singular.
"""

from collections.abc import Callable

import numpy as np

from fastem.families.covariances.structure import EPSILON, TINY

MOST_STEPS = 100  # of volumes and shape in turn
MOST_SWEEPS = 5  # over all pairs of axes; EM goes on from there
CONVERGED = 1e-12  # relative change of volumes; angle of a rotation
RESOLVED = 64 * EPSILON  # eigenvalue, times D over the greatest, below which it is rounding

Spectra = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # of variances, shares and a first shape
Whiten = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # see `CovarianceStructure.whiten`


# volumes and shapes ---------------------------------------------------------------------------------------------------


def equal(variances: np.ndarray, shares: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """One volume and one shape."""
    return np.broadcast_to(shares @ variances, variances.shape)


def free(variances: np.ndarray, shares: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Nothing is the same."""
    return variances


def equal_volume(variances: np.ndarray, shares: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """One volume: the mean of the geometric means of the variances."""
    return _of_volume(variances, _geometric_means(variances), shares)


def equal_shape(variances: np.ndarray, shares: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """One shape, from `shape` (D,) on."""
    shape, volumes = _alternated(
        shape, lambda shape: _over(variances, shape).mean(axis=1), lambda volumes: _over(shares, volumes) @ variances
    )
    return volumes[:, None] * shape


def equal_volume_of_matrices(covariances: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """One volume, shapes and axes free."""
    return _of_volume(covariances, _volumes(covariances), shares)


def proportional(covariances: np.ndarray, shares: np.ndarray, shape: np.ndarray, whiten: Whiten) -> np.ndarray:
    """Volumes times one matrix, from the matrix `shape` (D, D) on."""

    def volumes_of(shape):
        whitener, singular = whiten(shape)
        standard = whitener @ covariances @ whitener.T
        return np.zeros(len(covariances)) if singular[0] else np.trace(standard, axis1=1, axis2=2) / len(shape)

    shape, volumes = _alternated(
        shape, volumes_of, lambda volumes: np.einsum("k,kij->ij", _over(shares, volumes), covariances)
    )
    return volumes[:, None, None] * shape


def _geometric_means(values: np.ndarray) -> np.ndarray:
    """Of the last axis; zero if one of them is not positive."""
    with np.errstate(divide="ignore"):
        return np.exp(np.log(np.maximum(values, 0.0)).mean(axis=-1))


def _volumes(matrices: np.ndarray) -> np.ndarray:
    """det^(1/D) of matrices (K, D, D); zero if it is not positive."""
    signs, logs = np.linalg.slogdet(matrices)
    return np.where(signs > 0, np.exp(logs / matrices.shape[-1]), 0.0)


def _of_volume(covariances: np.ndarray, volumes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The shapes of covariances whose volumes (K,) these are, with the mean volume."""
    with np.errstate(over="ignore"):
        ratios = _over(shares @ volumes, volumes)
        found = covariances * ratios.reshape(-1, *[1] * (covariances.ndim - 1))
    return np.where(np.isfinite(found), found, 0.0)


def _over(values: np.ndarray, divisors: np.ndarray) -> np.ndarray:
    """Quotients; zero where the divisor is not positive."""
    positive = divisors > 0
    return np.where(positive, values / np.where(positive, divisors, 1.0), 0.0)


def _alternated(shape, volumes_of, shape_of) -> tuple[np.ndarray, np.ndarray]:
    """A shape of any scale, and the best volumes for it; each step of either raises the likelihood."""
    volumes = volumes_of(shape)
    for _ in range(MOST_STEPS):
        shape, before = shape_of(volumes), volumes
        volumes = volumes_of(shape)
        if (np.abs(volumes - before) <= CONVERGED * np.abs(volumes)).all():
            break
    return shape, np.maximum(volumes, 0.0)


# axes -----------------------------------------------------------------------------------------------------------------


def rotated(spectra: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Q diag(spectrum) Q^T, symmetric to the last bit."""
    matrices = (axes * spectra[:, None, :]) @ axes.swapaxes(-1, -2)
    return 0.5 * (matrices + matrices.swapaxes(1, 2))


def common_axes(matrices: np.ndarray) -> np.ndarray:
    """The axes (D, D) of symmetric matrices (K, D, D) that have the same: those of a sum in which no two coincide."""
    traces = np.trace(matrices, axis1=1, axis2=2)
    weights = np.sqrt(np.arange(1.0, len(matrices) + 1)) / traces
    return np.linalg.eigh(np.einsum("k,kij->ij", weights, matrices))[1]


@np.errstate(over="ignore", invalid="ignore")  # of components with no volume to speak of
def fitted_axes(covariances: np.ndarray, shares: np.ndarray, start: np.ndarray, spectra: Spectra) -> np.ndarray:
    """Common axes (D, D), at least as good as `start`.

    From the better of `start` and the axes of the pooled covariance, by Jacobi rotations: in the plane of two axes the
    best angle has a closed form, and planes without a common axis do not see each other. A sweep rotates in all planes;
    majorisation (Browne and McNicholas) has no better step than the greatest eigenvalues allow and was still 2 nats a
    row short after 50 of them where 11 sweeps were enough (D = 16, eigenvalues from e^-4 to e^4).
    """
    pooled = np.linalg.eigh(np.einsum("k,kij->ij", shares, covariances))[1]
    axes = min(start, pooled, key=lambda axes: _misfit(covariances, shares, axes, spectra))
    for _ in range(MOST_SWEEPS):
        axes, greatest = _swept(covariances, shares, axes, spectra)
        if greatest < CONVERGED:
            break
    return axes


def own_axes(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances (K, D) in ascending order along the axes (K, D, D) of covariances."""
    variances, axes = np.linalg.eigh(covariances)
    return _resolved(variances), axes


def variances_along(covariances: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Of covariances (K, D, D) along axes (D, D), (K, D)."""
    return _resolved(np.diagonal(axes.T @ covariances @ axes, axis1=1, axis2=2))


def unresolved(covariances: np.ndarray) -> np.ndarray:
    """Which covariances (K,) have an eigenvalue that is rounding."""
    values = np.linalg.eigvalsh(covariances)
    return values[:, 0] <= 2 * RESOLVED * values.shape[1] * values[:, -1]


def _resolved(variances: np.ndarray) -> np.ndarray:
    """Variances, but positive ones in place of rounding."""
    return np.maximum(variances, RESOLVED * variances.shape[1] * variances.max(axis=1, keepdims=True) + TINY)


def _misfit(covariances, shares, axes, spectra: Spectra) -> float:
    """-2 log-likelihood per row, without constants."""
    variances = variances_along(covariances, axes)
    own = np.maximum(spectra(variances, shares, variances[0]), TINY)
    return float(shares @ (np.log(own) + variances / own).sum(axis=1))


def _swept(covariances, shares, axes, spectra: Spectra) -> tuple[np.ndarray, float]:
    """Axes after one rotation in every plane, and the sine of twice the greatest angle."""
    axes, turned, greatest = axes.copy(), axes.T @ covariances @ axes, 0.0
    for left, right in rounds(axes.shape[0]):
        variances = _resolved(np.diagonal(turned, axis1=1, axis2=2))
        inverses = 1.0 / np.maximum(spectra(variances, shares, variances[0]), TINY)
        # The objective in the plane is a constant plus a cos 2 theta + b sin 2 theta.
        gains = shares[:, None] * (inverses[:, left] - inverses[:, right])
        a = (gains * 0.5 * (turned[:, left, left] - turned[:, right, right])).sum(axis=0)
        b = (gains * turned[:, left, right]).sum(axis=0)
        angles = np.where((np.hypot(a, b) > 0) & np.isfinite(a + b), 0.5 * np.arctan2(-b, -a), 0.0)
        for matrix in (axes, turned, turned.swapaxes(1, 2)):
            _turn(matrix, left, right, np.cos(angles), np.sin(angles))
        greatest = max(greatest, float(np.abs(np.sin(2.0 * angles)).max()))
    return axes, greatest


def _turn(matrix: np.ndarray, left: np.ndarray, right: np.ndarray, cosines: np.ndarray, sines: np.ndarray) -> None:
    """Rotate the columns `left` towards `right`, in place."""
    x, y = matrix[..., left], matrix[..., right]
    matrix[..., left] = cosines * x + sines * y
    matrix[..., right] = cosines * y - sines * x


def rounds(n_axes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """All pairs of axes in rounds of disjoint pairs, as chess players meet."""
    players = list(range(n_axes + n_axes % 2))
    found = []
    for _ in players[1:]:
        pairs = [(i, j) for i, j in zip(players, reversed(players), strict=True) if i < j < n_axes]
        if pairs:
            found.append((np.array([i for i, _ in pairs]), np.array([j for _, j in pairs])))
        players = [players[0], players[-1], *players[1:-1]]
    return found
