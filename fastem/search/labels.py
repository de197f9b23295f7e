"""Starts where the components of some rows are known: such rows begin in theirs.

Seeded k-means (Basu, Banerjee and Mooney 2002): a known component begins at the mean of its known rows, the others
where rows are far from all centres so far, and only these others move. A known one that is small would be drawn away by
rows of its neighbours.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastem.kernels.clusters.lloyd import lloyd
from fastem.search.initial_values import checked_partition
from fastem.search.seeding import LLOYD_ITERATIONS, Seeds
from fastem.search.space import SearchSpace
from fastem.sources.labels import UNKNOWN, LabelledSource
from fastem.sources.sampling import Sampler

PIECE = 65_536  # rows that are sorted by their labels at a time


def of_labels(
    space: SearchSpace,
    source: LabelledSource,
    size: int,
    init_params: str | Callable,
    random_state: np.random.RandomState,
) -> Any:
    """The model of a partition of a sample, of about `size` rows, that keeps to the labels."""
    seeds, labels = labelled_seeds(source, size, space.n_components)
    if callable(init_params):
        partition = init_params(seeds.rows, space.n_components, random_state)
        partition = checked_partition(partition, len(seeds.rows), space.n_components)
    else:
        coordinates = space.coordinates(seeds)
        partition = partition_about(init_params, coordinates, seeds.weights, labels, space.n_components, random_state)
    return space.of_seeds(seeds, kept_to(labels, partition), clustered=init_params in ("kmeans", "k-means++"))


def kept_to(labels: np.ndarray, partition: np.ndarray) -> np.ndarray:
    """A partition, labels (n,) or responsibilities (n, K), with the rows of known `labels` (n,) in their components."""
    if partition.ndim == 1:
        return np.where(labels == UNKNOWN, partition, labels)
    certain = labels[:, None] == np.arange(partition.shape[1])
    return np.where(labels[:, None] == UNKNOWN, partition, certain)


def labelled_seeds(source: LabelledSource, size: int, n_components: int) -> tuple[Seeds, np.ndarray]:
    """A sample in which every known component has its rows, weighted as all of them are, and its labels; one pass."""
    samplers: dict[int, Sampler] = {}
    totals: dict[int, float] = {}
    for block in source.labelled_blocks():
        for first in range(0, len(block.rows), PIECE):
            part = slice(first, first + PIECE)
            rows, labels = block.rows[part], block.labels[part]
            weights = np.ones(len(rows)) if block.weights is None else block.weights[part]
            for label in np.unique(labels).tolist():
                mine = labels == label
                wanted = size if label == UNKNOWN else max(1, size // n_components)
                samplers.setdefault(label, Sampler(source.seed, wanted)).add(rows[mine], weights[mine])
                totals[label] = totals.get(label, 0.0) + float(weights[mine].sum())
    parts = []
    for label in sorted(samplers):
        chosen = samplers[label].sample(size)
        if chosen.weights is not None and len(chosen.rows):
            shares = chosen.weights * (totals[label] / chosen.weights.sum())
            parts.append((chosen.rows, shares, np.full(len(shares), label)))
    rows, weights, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Seeds(rows, weights / weights.mean()), labels


def partition_about(
    method: str,
    sample: np.ndarray,
    weights: np.ndarray,
    labels: np.ndarray,
    n_components: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Labels (n,), or responsibilities (n, K) that are random, of a sample (n, d) by one of `seeding.METHODS`."""
    if method == "random":
        shares = random_state.uniform(size=(len(sample), n_components))
        return shares / shares.sum(axis=1, keepdims=True)
    centers = _seeded_centers(sample, weights, labels, n_components, random_state, far=method != "random_from_data")
    fixed = np.isin(np.arange(n_components), labels)[:, None]
    for _ in range(LLOYD_ITERATIONS if method == "kmeans" and not fixed.all() else 0):
        moved = _means(sample, weights, _nearest(sample, weights, centers, labels), centers)
        centers = np.where(fixed, centers, moved)
    return _nearest(sample, weights, centers, labels)


def _nearest(sample: np.ndarray, weights: np.ndarray, centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return kept_to(labels, lloyd(sample, weights, centers, 0, 0.0)[1])


def _means(sample: np.ndarray, weights: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The means of the rows of each label (K, d), the old centres where there are none."""
    counts = np.bincount(labels, weights, len(centers))
    sums = np.stack([np.bincount(labels, weights * column, len(centers)) for column in sample.T], axis=1)
    return np.where(counts[:, None] > 0, sums / np.where(counts > 0, counts, 1.0)[:, None], centers)


def _seeded_centers(
    sample: np.ndarray,
    weights: np.ndarray,
    labels: np.ndarray,
    n_components: int,
    random_state: np.random.RandomState,
    *,
    far: bool,
) -> np.ndarray:
    """Means of known components; for each other one a row, drawn with its weight, and squared distance if `far`."""
    known = labels != UNKNOWN
    centers = _means(sample[known], weights[known], labels[known], np.full((n_components, sample.shape[1]), np.nan))
    candidates = weights * ~known if (~known).any() else weights
    distances = np.full(len(sample), np.inf)
    for k in np.argsort(np.isnan(centers[:, 0]), kind="stable"):
        if np.isnan(centers[k, 0]):
            chances = candidates * distances if far and (candidates * distances).any() else candidates
            centers[k] = sample[random_state.choice(len(sample), p=chances / chances.sum())]
        moved = sample - centers[k]
        distances = np.minimum(distances, np.einsum("nd,nd->n", moved, moved))
    return centers
