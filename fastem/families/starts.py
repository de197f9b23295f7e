"""First parameters of a Gaussian mixture: from labels, responsibilities, or a bounded sample of the rows."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from sklearn.utils import check_array

from fastem.engine import seeding
from fastem.families.covariances import CovarianceStructure, Moments
from fastem.families.gaussian import GaussianMixtureModel, Statistics
from fastem.sources import Block, Source

SAMPLE_MEMORY = 2**24  # bytes that the sample may take
LLOYD_ITERATIONS = 10
METHODS = ("kmeans", "k-means++", "random", "random_from_data")
Partition = np.ndarray  # labels (n,) or responsibilities (n, K)


def sample_size(structure: CovarianceStructure, n_components: int, n_features: int) -> int:
    """Rows that are enough to find the basin: some thousands, 256 a component, ten a parameter."""
    wanted = max(20_000, 256 * n_components, 10 * structure.n_parameters(n_components, n_features))
    return max(min(wanted, SAMPLE_MEMORY // (8 * n_features)), 8 * n_components)


def start(
    structure: CovarianceStructure,
    source: Source,
    n_components: int,
    init_params: str | np.ndarray | Callable,
    random_state: np.random.RandomState,
    reg_covar: float,
) -> GaussianMixtureModel:
    """Parameters to begin with: by one of `METHODS`, a partition of all rows, or a function that makes one of a sample.

    Raises
    ------
    ValueError
        If a partition has the wrong shape or values.
    """
    if not isinstance(init_params, str) and not callable(init_params):
        partition = _checked(init_params, source.n_rows, n_components)
        moments, means = _moments(structure, lambda: _cut(source.blocks(), partition), n_components)
        return _estimate(structure, moments, means, reg_covar)
    rows, weights = source.sample(sample_size(structure, n_components, source.n_features), random_state)
    weights = np.ones(len(rows)) if weights is None else weights / weights.mean()
    if callable(init_params):
        partition = _checked(init_params(rows, n_components, random_state), len(rows), n_components)
    elif init_params == "random":
        partition = random_state.uniform(size=(len(rows), n_components))
        partition /= partition.sum(axis=1, keepdims=True)
    else:
        partition = _cluster(rows, weights, n_components, init_params, random_state)
    moments, means = _moments(structure, lambda: iter([(rows, weights, partition)]), n_components)
    if isinstance(init_params, str) and init_params != "random":
        moments = _shrunk(structure, moments)
    return _estimate(structure, moments, means, reg_covar)


def _cluster(rows, weights, n_components: int, method: str, random_state: np.random.RandomState) -> np.ndarray:
    """Labels of the rows; distances are taken between standardised features, whatever their units."""
    mean = np.einsum("n,nd->d", weights, rows) / weights.sum()
    scaled = rows - mean
    deviation = np.sqrt(np.einsum("n,nd,nd->d", weights, scaled, scaled) / weights.sum())
    scaled /= np.where(deviation > 0, deviation, 1.0)
    if method == "kmeans":
        return seeding.kmeans(scaled, weights, n_components, random_state, LLOYD_ITERATIONS)
    if method == "k-means++":
        indices = seeding.kmeans_plusplus(scaled, weights, n_components, random_state)
    else:
        indices = random_state.choice(len(rows), size=n_components, replace=False)
    return seeding.lloyd(scaled, weights, scaled[indices], 0)[1]


def _checked(partition: Partition, n_rows: int, n_components: int) -> np.ndarray:
    partition = check_array(partition, ensure_2d=False, dtype=None, input_name="init_params")
    if partition.shape == (n_rows, n_components):
        if (partition < 0).any() or not np.allclose(partition.sum(axis=1), 1.0, atol=1e-6):
            raise ValueError("Responsibilities in init_params must be non-negative and sum to one in every row.")
        return partition.astype(np.float64, copy=False)
    if partition.shape == (n_rows,) and np.issubdtype(partition.dtype, np.integer):
        if partition.min() < 0 or partition.max() >= n_components:
            raise ValueError(f"Labels in init_params must lie between 0 and n_components - 1 = {n_components - 1}.")
        return partition.astype(np.int64, copy=False)
    raise ValueError(
        f"init_params must be responsibilities of shape ({n_rows}, {n_components}) or integer labels of shape ({n_rows},), "
        f"got an array of shape {partition.shape} and dtype {partition.dtype}."
    )


def _cut(blocks: Iterable[Block], partition: Partition) -> Iterator[tuple[np.ndarray, np.ndarray, Partition]]:
    """Blocks with their part of the partition."""
    first = 0
    for rows, weights in blocks:
        part = partition[first : first + len(rows)]
        yield rows, np.ones(len(rows)) if weights is None else weights, part
        first += len(rows)


def _members(rows: np.ndarray, weights: np.ndarray, partition: Partition, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that component k is responsible for, and how much."""
    if partition.ndim == 2:
        return rows.astype(np.float64, copy=False), weights * partition[:, k]
    chosen = partition == k
    return rows[chosen].astype(np.float64, copy=False), weights[chosen]


def _moments(
    structure: CovarianceStructure,
    parts: Callable[[], Iterator[tuple[np.ndarray, np.ndarray, Partition]]],
    n_components: int,
) -> tuple[Moments, np.ndarray]:
    """Moments of a partition about its own means, and these means; two passes."""
    counts, sums = np.zeros(n_components), 0.0
    for rows, weights, partition in parts():
        members = [_members(rows, weights, partition, k) for k in range(n_components)]
        counts += [w.sum() for _, w in members]
        sums = sums + np.stack([np.einsum("n,nd->d", w, x) for x, w in members])
    means = sums / np.where(counts > 0, counts, 1.0)[:, None]
    grand_mean = sums.sum(axis=0) / counts.sum()
    means[counts == 0] = grand_mean
    second: list = [0.0] * (1 if structure.shared else n_components)
    for rows, weights, partition in parts():
        if structure.shared:
            second[0] = second[0] + structure.scatter_about(rows - grand_mean, weights)
            continue
        for k in range(n_components):
            x, w = _members(rows, weights, partition, k)
            second[k] = second[k] + structure.scatter_about(x - means[k], w)
    return Moments(counts, np.zeros_like(means), second[0] if structure.shared else np.stack(second)), means


def _shrunk(structure: CovarianceStructure, moments: Moments) -> Moments:
    """Let every cluster borrow D + 1 rows from the covariance within all: a cluster of a few rows has none of its own."""
    if structure.shared:
        return moments
    borrowed = moments.first.shape[1] + 1.0
    share = (moments.counts / (moments.counts + borrowed)).reshape(-1, *[1] * (moments.second.ndim - 1))
    pooled = moments.second.sum(axis=0) / moments.counts.sum()
    return moments._replace(second=share * (moments.second + borrowed * pooled))


def _estimate(structure: CovarianceStructure, moments: Moments, means: np.ndarray, reg_covar: float):
    """The M-step of moments about `means`; a component without rows starts retired."""
    everyone, unit = structure.mask(len(means), True), np.ones(means.shape[1])
    unused = structure.widen(np.zeros(structure.shape(*means.shape)), everyone, unit)
    weights = moments.counts / moments.counts.sum()
    blank = GaussianMixtureModel(structure, weights, means, unused, unused, reg_covar)
    return blank.m_step(Statistics(np.nan, moments))
