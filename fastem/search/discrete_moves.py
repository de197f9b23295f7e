"""Moves of the components of a discrete mixture.

Within a component of a discrete mixture, features are independent and counts have the variance of their distribution:
standardised residuals have a covariance with no eigenvalue above one, but for noise. If there is one, the component
holds several groups, and the eigenvector tells them apart.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastem.families.model import LikelihoodModel

SPLITS, MERGERS = 3, 2  # of the most promising that are tried in combination
MEMBER_ROWS = 2_000  # of a component, that tell whether it is two
LEAST_SHARE = 0.1  # responsibility from which a row is a member
POWER_ITERATIONS = 20


class Split(NamedTuple):
    """How a component falls into two."""

    component: int
    promise: float  # its weight times what the eigenvalue has above one and noise
    direction: np.ndarray  # (C,) of the residuals; their sign along it tells the halves


def moves(model: LikelihoodModel, rows: np.ndarray, weights: np.ndarray) -> Iterator[np.ndarray]:
    """Responsibilities (n, K) after a move, the most promising ones first."""
    shares = np.empty((len(rows), model.n_components))
    evaluate = model.evaluate_with_gaps if np.isnan(rows).any() else model.evaluate
    evaluate(rows, responsibilities=shares)
    splits = sorted((_split(model, rows, weights * shares[:, k], k) for k in range(model.n_components)), key=_promise)
    pairs = _pairs(weights, shares)
    for split in splits[::-1][:SPLITS]:
        k = split.component
        if split.promise <= 0:
            return
        above = np.einsum("nc,c->n", model.residuals(rows, k), split.direction) > 0
        for i, j in [pair for pair in pairs if k not in pair][:MERGERS]:
            moved = shares.copy()
            moved[:, i] += shares[:, j]
            moved[:, j] = np.where(above, shares[:, k], 0.0)
            moved[:, k] = np.where(above, 0.0, shares[:, k])
            yield moved


def _promise(split: Split) -> float:
    return split.promise


def _split(model: LikelihoodModel, rows: np.ndarray, shares: np.ndarray, k: int) -> Split:
    """The leading eigenvector of the covariance of the residuals of component k."""
    members = np.flatnonzero(shares > LEAST_SHARE)[:MEMBER_ROWS]
    n_features = model.means.shape[1]
    # A start that no data has a reason to be orthogonal to, the same for the same shape.
    direction = np.cos(np.arange(1.0, n_features + 1.0))
    if len(members) < 2:
        return Split(k, 0.0, direction)
    own = shares[members] / shares[members].sum()
    residuals = np.sqrt(own)[:, None] * model.residuals(rows[members], k)
    eigenvalue = 0.0
    for _ in range(POWER_ITERATIONS):
        direction /= max(np.sqrt((direction**2).sum()), np.finfo(float).tiny)
        direction = np.einsum("nc,n->c", residuals, np.einsum("nc,c->n", residuals, direction))
        eigenvalue = float(np.sqrt((direction**2).sum()))
    noise = (1.0 + np.sqrt(n_features / len(members))) ** 2  # Marchenko and Pastur 1967
    return Split(k, float(shares.sum()) * (eigenvalue - noise), direction)


def _pairs(weights: np.ndarray, shares: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of components, those that share most of their rows first, then those that have few."""
    counts = np.einsum("n,nk->k", weights, shares)
    common = np.einsum("n,ni,nj->ij", weights, shares, shares)
    i, j = np.triu_indices(len(counts), 1)
    lesser = np.minimum(counts[i], counts[j])
    cost = lesser - common[i, j]  # rows that would have to be explained in another way
    return [(int(i[n]), int(j[n])) for n in np.argsort(cost, kind="stable")]
