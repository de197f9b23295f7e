"""Gaussian mixtures from labels or responsibilities: the M-step of a given E-step."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fastem.families.covariances import CovarianceStructure, Moments
from fastem.families.gaussian import GaussianMixtureModel, Statistics
from fastem.sources import Block

Part = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows (n, D), weights (n,), labels (n,) or responsibilities (n, K)


def blank_gaussian(
    structure: CovarianceStructure,
    n_components: int,
    n_features: int,
    reg_covar: float = 0.0,
    arithmetic: str = "float64",
) -> GaussianMixtureModel:
    """Equal standard normal components."""
    unit = structure.widen(np.zeros(structure.shape(n_components, n_features)), np.ones(n_features))
    weights = np.full(n_components, 1.0 / n_components)
    return GaussianMixtureModel(
        structure, weights, np.zeros((n_components, n_features)), unit, unit, reg_covar, arithmetic
    )


def model_of_partition(
    blank: GaussianMixtureModel, blocks: Callable[[], Iterable[Block]], partition: np.ndarray, *, shrink: bool = False
) -> GaussianMixtureModel:
    """The M-step of a partition of all rows that `blocks()` yields; a component without rows starts empty.

    With `shrink` every cluster borrows D + 1 rows from the covariance within all: a cluster of a few rows has hardly
    one of its own.
    """
    moments, means = moments_of_partition(blank.structure, blocks, partition, blank.n_components)
    if shrink and not blank.structure.shared:
        moments = _shrunk(moments)
    about_means = replace(blank, weights=moments.counts / moments.counts.sum(), means=means)
    return about_means.m_step(Statistics(np.nan, moments))


def moments_of_partition(
    structure: CovarianceStructure, blocks: Callable[[], Iterable[Block]], partition: np.ndarray, n_components: int
) -> tuple[Moments, np.ndarray]:
    """Moments of a partition of all rows that `blocks()` yields, about its own means, and these means; two passes."""
    return _moments(structure, lambda: _cut(blocks(), partition), n_components)


def _cut(blocks: Iterable[Block], partition: np.ndarray) -> Iterator[Part]:
    """Blocks with their part of the partition."""
    first = 0
    for rows, weights in blocks:
        part = partition[first : first + len(rows)]
        yield rows, np.ones(len(rows)) if weights is None else weights, part
        first += len(rows)


def _members(part: Part, n_components: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows that each component is responsible for, in order, and how much."""
    rows, weights, partition = part
    rows = rows.astype(np.float64, copy=False)
    if partition.ndim == 2:
        return [(rows, weights * partition[:, k]) for k in range(n_components)]
    order = np.argsort(partition, kind="stable")  # once: a mask for each of many components would take longer
    rows, weights = rows[order], weights[order]
    ends = np.cumsum(np.bincount(partition, minlength=n_components))
    return [(rows[begin:end], weights[begin:end]) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def _moments(
    structure: CovarianceStructure, parts: Callable[[], Iterator[Part]], n_components: int
) -> tuple[Moments, np.ndarray]:
    """Moments of a partition about its own means, and these means; two passes."""
    counts: Any = 0.0
    sums: Any = 0.0
    for part in parts():
        members = _members(part, n_components)
        counts = counts + np.array([w.sum() for _, w in members])
        sums = sums + np.stack([np.einsum("n,nd->d", w, x) for x, w in members])
    if np.isnan(sums).any():
        return _moments_with_gaps(structure, parts, n_components)
    grand_mean = sums.sum(axis=0) / counts.sum()
    means = np.where(counts[:, None] > 0, sums / np.where(counts > 0, counts, 1.0)[:, None], grand_mean)
    second: Any = 0.0
    for part in parts():
        if structure.shared:
            second = second + structure.scatter_about(part[0] - grand_mean, part[1])
            continue
        members = _members(part, n_components)
        second = second + np.stack([structure.scatter_about(x - means[k], w) for k, (x, w) in enumerate(members)])
    return Moments(counts, np.zeros_like(means), second), means


def _moments_with_gaps(
    structure: CovarianceStructure, parts: Callable[[], Iterator[Part]], n_components: int
) -> tuple[Moments, np.ndarray]:
    """The same where numbers are missing: each feature has the mean and the variance of the numbers that are there.

    They are at the mean of their component for the covariances. It is a start: EM knows better.
    """
    counts, present, sums = np.zeros(n_components), *np.zeros((2, n_components, 1))
    for part in parts():
        members = _members(part, n_components)
        counts = counts + np.array([w.sum() for _, w in members])
        present = present + np.stack([np.einsum("n,nd->d", w, ~np.isnan(x)) for x, w in members])
        sums = sums + np.stack([np.einsum("n,nd->d", w, np.nan_to_num(x)) for x, w in members])
    grand_mean = sums.sum(axis=0) / present.sum(axis=0)
    means = np.where(present > 0, sums / np.where(present > 0, present, 1.0), grand_mean)
    second = np.zeros((n_components, means.shape[1], means.shape[1]))
    for part in parts():
        for k, (rows, weights) in enumerate(_members(part, n_components)):
            deviations = np.nan_to_num(rows - means[k])
            second[k] += np.einsum("n,ni,nj->ij", weights, deviations, deviations)
    diagonals = np.einsum("kjj->kj", second)
    variances = diagonals.sum(axis=0) / present.sum(axis=0)
    diagonals[:] = np.where(present > 0, diagonals / np.where(present > 0, present, 1.0), variances) * counts[:, None]
    return structure.of_matrix_moments(Moments(counts, np.zeros_like(means), second), means), means


def _shrunk(moments: Moments) -> Moments:
    borrowed = moments.first.shape[1] + 1.0
    share = (moments.counts / (moments.counts + borrowed)).reshape(-1, *[1] * (moments.second.ndim - 1))
    pooled = moments.second.sum(axis=0) / moments.counts.sum()
    return moments._replace(second=share * (moments.second + borrowed * pooled))
