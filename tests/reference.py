"""Gaussian mixtures written down plainly: NumPy and SciPy, float64, one array of rows by components after another."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln, logsumexp
from scipy.stats import multivariate_normal, multivariate_t

MASK = 2**64 - 1


# What the arrays of a structure are, by its name: scikit-learn's, or mclust's letters for volume, shape and axes.


def one_for_all(structure):
    return structure == "tied" or not set(structure) - set("EI")


def numbers(structure):
    return structure == "spherical" or structure.endswith("II")


def variances(structure):
    return structure == "diag" or (structure.endswith("I") and not numbers(structure))


def matrices(structure, covariances, n_components, n_features):
    """Covariances of any structure as (K, D, D)."""
    covariances = covariances[None] if structure == "tied" else covariances
    if numbers(structure) or variances(structure):
        covariances = covariances.reshape(len(covariances), -1, 1) * np.eye(n_features)
    return np.broadcast_to(covariances, (n_components, n_features, n_features))


def of_matrices(structure, matrices):
    """Covariances (K, D, D) as arrays of a structure that they are of: one for all, variances, numbers."""
    arrays = matrices
    if numbers(structure) or variances(structure):
        arrays = np.diagonal(matrices, axis1=1, axis2=2)
        arrays = arrays.mean(axis=1) if numbers(structure) else arrays
    return arrays[0] if structure == "tied" else arrays[:1] if one_for_all(structure) else arrays


def log_joint(rows, weights, means, matrices):
    """log w_k N(x_n | mu_k, Sigma_k), (n, K)."""
    columns = [
        np.log(w) + multivariate_normal(mean, matrix).logpdf(rows).reshape(len(rows))
        for w, mean, matrix in zip(weights, means, matrices, strict=True)
    ]
    return np.stack(columns, axis=1)


def log_density(joint):
    """log p(x_n), (n,)."""
    return logsumexp(joint, axis=1)


def responsibilities(joint):
    """p(k | x_n), (n, K)."""
    return np.exp(joint - log_density(joint)[:, None])


def counts(shares):
    return shares.sum(axis=0)


def first_moments(rows, shares, means):
    """Sums of r (x - mu_k), (K, D)."""
    return np.stack([r @ (rows - mean) for r, mean in zip(shares.T, means, strict=True)])


def second_moments(rows, shares, means):
    """Sums of r (x - mu_k)(x - mu_k)^T, (K, D, D)."""
    deviations = [rows - mean for mean in means]
    return np.stack([(d * r[:, None]).T @ d for r, d in zip(shares.T, deviations, strict=True)])


def covariances(structure, rows, shares, means):
    """Maximum-likelihood covariances about the means (K, D), for responsibilities times sample weights (n, K)."""
    n_rows_of = counts(shares)
    scatter = second_moments(rows, shares, means)
    if one_for_all(structure):
        return of_matrices(structure, np.stack([scatter.sum(axis=0) / n_rows_of.sum()] * len(means)))
    return of_matrices(structure, scatter / n_rows_of[:, None, None])


def m_step(structure, rows, shares):
    """Weights, means and covariances that maximise the expected log-likelihood."""
    n_rows_of = counts(shares)
    means = shares.T @ rows / n_rows_of[:, None]
    return n_rows_of / n_rows_of.sum(), means, covariances(structure, rows, shares, means)


def em_step(structure, rows, sample_weight, weights, means, covariances):
    """The parameters after one iteration of EM."""
    joint = log_joint(rows, weights, means, matrices(structure, covariances, *means.shape))
    return m_step(structure, rows, responsibilities(joint) * sample_weight[:, None])


# Student's t ----------------------------------------------------------------------------------------------------------


def t_log_joint(rows, weights, means, matrices, degrees_of_freedom):
    """log w_k t(x_n | mu_k, Sigma_k, nu_k), (n, K)."""
    components = zip(weights, means, matrices, degrees_of_freedom, strict=True)
    columns = [np.log(w) + multivariate_t(m, s, df=nu).logpdf(rows).reshape(len(rows)) for w, m, s, nu in components]
    return np.stack(columns, axis=1)


def expected_precisions(rows, means, matrices, degrees_of_freedom):
    """E[u | x_n, k] = (nu_k + D) / (nu_k + squared Mahalanobis distance), (n, K)."""
    columns = []
    for mean, matrix, nu in zip(means, matrices, degrees_of_freedom, strict=True):
        d = rows - mean
        squares = np.einsum("ni,ij,nj->n", d, np.linalg.inv(matrix), d)
        columns.append((nu + rows.shape[1]) / (nu + squares))
    return np.stack(columns, axis=1)


def t_m_step(structure, rows, shares, precisions, degrees_of_freedom, freedom):
    """Weights, means, scales and degrees of freedom that maximise the expected log-likelihood of rows and precisions.

    `shares` are responsibilities times sample weights (n, K), `precisions` E[u] (n, K); E[log u] follows from them.
    """
    n_features, n_rows_of = rows.shape[1], counts(shares)
    weighted = shares * precisions
    means = weighted.T @ rows / counts(weighted)[:, None]
    scatter = second_moments(rows, weighted, means)
    pooled = scatter.sum(axis=0) / n_rows_of.sum()
    own = np.stack([pooled] * len(means)) if one_for_all(structure) else scatter / n_rows_of[:, None, None]
    scales = of_matrices(structure, own)
    half = (degrees_of_freedom + n_features) / 2
    logs = np.log(precisions) + digamma(half) - np.log(half)
    latent = (shares * (logs - precisions)).sum(axis=0)
    if freedom == "free":
        degrees_of_freedom = np.array([best_nu(n, s) for n, s in zip(n_rows_of, latent, strict=True)])
    elif freedom == "shared":
        degrees_of_freedom = np.full(len(means), best_nu(n_rows_of.sum(), latent.sum()))
    return n_rows_of / n_rows_of.sum(), means, scales, degrees_of_freedom


def best_nu(count, latent):
    """The nu of the greatest sum of log Gamma(u | nu/2, nu/2), given sums of r and of r E[log u - u]."""

    def loss(log_nu):
        half = np.exp(log_nu) / 2
        return -(half * np.log(half) - gammaln(half) + half * latent / count)

    return np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(1e4)), method="bounded", options={"xatol": 1e-9}).x)


def t_em_step(structure, rows, sample_weight, weights, means, scales, degrees_of_freedom, freedom):
    """The parameters after one iteration of EM (Peel and McLachlan 2000)."""
    of_components = matrices(structure, scales, *means.shape)
    joint = t_log_joint(rows, weights, means, of_components, degrees_of_freedom)
    shares = responsibilities(joint) * sample_weight[:, None]
    precisions = expected_precisions(rows, means, of_components, degrees_of_freedom)
    return t_m_step(structure, rows, shares, precisions, degrees_of_freedom, freedom)


# stochastic EM --------------------------------------------------------------------------------------------------------


def split_mix(counter):
    """SplitMix64 as published, of Python's integers."""
    z = (counter + 1) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def uniform(rows, seed, iteration, bits=52):
    """The number of [0, 1) that decides on each row of a data set in an iteration of stochastic EM, (n,)."""
    key = split_mix(split_mix(seed) + iteration)
    for number in (rows[0].astype(float) + 0.0).view(np.uint64):
        key = split_mix(key + int(number))
    hashes = np.array([split_mix(key + n & MASK) >> (64 - bits) for n in range(len(rows))], dtype=float)
    return hashes / 2.0**bits


def drawn(joint, lots):
    """The first component at which the sum of the responsibilities exceeds the lot, as (n, K) of zeros and ones."""
    reached = np.cumsum(responsibilities(joint), axis=1)
    reached[:, -1] = 1.0
    return np.eye(joint.shape[1])[(reached > lots[:, None]).argmax(axis=1)]
