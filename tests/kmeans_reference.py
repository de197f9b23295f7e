"""k-means written down plainly: tables of rows by clusters, one row after another."""

import numpy as np


def squared_distances(rows, centers):
    return ((rows[:, None, :] - centers) ** 2).sum(axis=2)


def kmeans_plusplus(rows, weights, n_clusters, random_state):
    n_candidates = 2 + int(np.log(n_clusters))
    indices = [np.searchsorted(np.cumsum(weights), random_state.uniform() * weights.sum(), side="right")]
    closest = squared_distances(rows, rows[indices])[:, 0]
    while len(indices) < n_clusters:
        mass = np.cumsum(weights * closest)
        candidates = np.searchsorted(mass, random_state.uniform(size=n_candidates) * mass[-1], side="right")
        trial = np.minimum(closest[:, None], squared_distances(rows, rows[candidates]))
        best = np.argmin(weights @ trial)
        indices.append(candidates[best])
        closest = trial[:, best]
    return np.array(indices)


def lloyd(rows, weights, centers, max_iter, tol):
    centers = centers.copy()
    n_iter, moved = 0, np.inf
    while n_iter < max_iter and moved > tol:
        distances = squared_distances(rows, centers)
        labels, nearest = distances.argmin(axis=1), distances.min(axis=1)
        counts = np.bincount(labels, weights, len(centers))
        new = centers.copy()
        for k in np.flatnonzero(counts):
            new[k] = np.average(rows[labels == k], axis=0, weights=weights[labels == k])
        limit = np.inf
        for k in np.flatnonzero(counts == 0):
            eligible = np.where((weights > 0) & (nearest < limit), nearest, 0.0)
            limit = eligible.max()
            if limit == 0:
                break
            new[k] = rows[eligible.argmax()]
        moved, centers = ((new - centers) ** 2).sum(), new
        n_iter += 1
    distances = squared_distances(rows, centers)
    return centers, distances.argmin(axis=1), weights @ distances.min(axis=1), n_iter
