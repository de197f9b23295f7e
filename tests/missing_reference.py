"""EM for rows with missing numbers, one row after another, in plain NumPy."""

from typing import NamedTuple

import numpy as np
from scipy import stats


class Expected(NamedTuple):
    """What an E-step finds: per row, and summed."""

    log_density: np.ndarray
    responsibilities: np.ndarray
    completed: np.ndarray  # rows with the conditional means of what is missing
    counts: np.ndarray
    first: np.ndarray  # about the means
    second: np.ndarray


def rows_of_gaussians(n_rows, n_features, n_components, share, seed=0):
    """Rows of a Gaussian mixture of which numbers are missing, and its parameters."""
    rng = np.random.default_rng(seed)
    means = 3.0 * rng.normal(size=(n_components, n_features))
    factors = 0.5 * rng.normal(size=(n_components, n_features, n_features))
    covariances = factors @ factors.transpose(0, 2, 1) + 0.3 * np.eye(n_features)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    labels = rng.choice(n_components, size=n_rows, p=weights)
    noise = rng.normal(size=(n_rows, n_features))
    rows = means[labels] + np.einsum("nij,nj->ni", np.linalg.cholesky(covariances)[labels], noise)
    return with_gaps(rows, share, rng), weights, means, covariances


def with_gaps(rows, share, rng):
    """The rows with a share of their numbers missing, but never all of a row."""
    missing = rng.random(rows.shape) < share
    missing[missing.all(axis=1)] = False
    return np.where(missing, np.nan, rows)


def gaussian_e_step(rows, sample_weight, weights, means, covariances):
    """Ghahramani and Jordan (1994)."""
    n_components, n_features = means.shape
    log_density, shares = np.empty(len(rows)), np.empty((len(rows), n_components))
    completed = rows.copy()
    counts, first = np.zeros(n_components), np.zeros(means.shape)
    second = np.zeros((n_components, n_features, n_features))
    for n, row in enumerate(rows):
        known, rest = np.flatnonzero(~np.isnan(row)), np.flatnonzero(np.isnan(row))
        log_joint = np.empty(n_components)
        deviations, left = np.zeros(means.shape), np.zeros(second.shape)
        for k in range(n_components):
            own = covariances[k]
            deviation = row[known] - means[k][known]
            solved = np.linalg.solve(own[np.ix_(known, known)], deviation)
            _, log_det = np.linalg.slogdet(2 * np.pi * own[np.ix_(known, known)])
            with np.errstate(divide="ignore"):
                log_weight = np.log(weights[k])
            log_joint[k] = log_weight - 0.5 * (deviation @ solved + log_det)
            across = own[np.ix_(rest, known)]
            deviations[k][known], deviations[k][rest] = deviation, across @ solved
            slopes = np.linalg.solve(own[np.ix_(known, known)], across.T)
            left[k][np.ix_(rest, rest)] = own[np.ix_(rest, rest)] - across @ slopes
        log_density[n] = np.logaddexp.reduce(log_joint)
        shares[n] = np.exp(log_joint - log_density[n])
        completed[n, rest] = shares[n] @ (means + deviations)[:, rest]
        for k in range(n_components):
            share = sample_weight[n] * shares[n, k]
            counts[k] += share
            first[k] += share * deviations[k]
            second[k] += share * (np.outer(deviations[k], deviations[k]) + left[k])
    return Expected(log_density, shares, completed, counts, first, second)


def gaussian_m_step(structure, expected, means):
    """Weights, means and covariances of scikit-learn's shape."""
    counts, shifts = expected.counts, expected.first / expected.counts[:, None]
    within = expected.second - counts[:, None, None] * shifts[:, :, None] * shifts[:, None, :]
    weights = counts / counts.sum()
    if structure == "tied":
        return weights, means + shifts, within.sum(axis=0) / counts.sum()
    own = within / counts[:, None, None]
    if structure == "diag":
        own = np.einsum("kjj->kj", own)
    if structure == "spherical":
        own = np.einsum("kjj->k", own) / means.shape[1]
    return weights, means + shifts, own


def as_matrices(structure, covariances, n_components, n_features):
    """Covariances of scikit-learn's shape as matrices."""
    if structure == "tied":
        return np.tile(covariances, (n_components, 1, 1))
    if structure == "diag":
        return np.array([np.diag(own) for own in covariances])
    if structure == "spherical":
        return np.array([own * np.eye(n_features) for own in covariances])
    return covariances


# discrete families ----------------------------------------------------------------------------------------------------


def log_masses(family, rows, table, n_levels):
    """log p(x_j | k) of all cells, (n, K, D); zero where a number is missing."""
    missing = np.isnan(rows)
    values = np.where(missing, 0, rows).astype(int)[:, None]
    if family == "bernoulli":
        masses = stats.bernoulli.logpmf(values, table)
    elif family == "poisson":
        masses = stats.poisson.logpmf(values, table)
    else:
        starts = np.cumsum(n_levels) - n_levels
        masses = np.log(table)[np.arange(len(table))[:, None], values + starts]
    return np.where(missing[:, None], 0.0, masses)


def discrete_e_step(family, rows, weights, table, n_levels):
    """Log-densities and responsibilities without what is missing."""
    log_joint = np.log(weights) + log_masses(family, rows, table, n_levels).sum(axis=2)
    log_density = np.logaddexp.reduce(log_joint, axis=1)
    return log_density, np.exp(log_joint - log_density[:, None])


def discrete_em_step(family, rows, sample_weight, weights, table, n_levels, a):
    """Weights and table after an iteration."""
    _, responsibilities = discrete_e_step(family, rows, weights, table, n_levels)
    shares, observed = sample_weight[:, None] * responsibilities, ~np.isnan(rows)
    counts, sums = shares.T @ observed, shares.T @ np.where(observed, rows, 0.0)
    if family == "bernoulli":
        new = (sums + a) / (counts + 2 * a)
    elif family == "poisson":
        new = (sums + a * (sums.sum(axis=0) + 0.5) / counts.sum(axis=0)) / (counts + a)
    else:
        levels = [shares.T @ (rows[:, [j]] == np.arange(n)) + a for j, n in enumerate(n_levels)]
        new = np.hstack([each / each.sum(axis=1, keepdims=True) for each in levels])
    return shares.sum(axis=0) / shares.sum(), new
