"""Stepwise EM: an M-step after every batch, from statistics that slowly forget.

The statistics s of a stream move towards those of a batch, s <- (1 - rho) s + rho s_batch, and the M-step is taken of
them (Cappe and Moulines 2009; Liang and Klein 2009). For mixtures of exponential families the parameters determine
these statistics, so that a model is all that is kept of the past: moved to its own means, its first moments are zero
and its second ones its covariances.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastem.engine.e_steps import EStep
from fastem.sources import Block
from fastem.sources.arrays import ArraySource


class Schedule(NamedTuple):
    """How fast the past is forgotten.

    Attributes
    ----------
    decay : float
        kappa; in (0.5, 1] for convergence on a stationary stream, less to follow one that drifts.
    offset : float
        tau; slows the first steps down.
    batch_size : int
        Rows of a step.
    prior : float
        Rows that the start counts as.
    """

    decay: float
    offset: float
    batch_size: int
    prior: float

    def rate(self, seen: float, weight: float) -> float:
        """The share rho of a batch of `weight` rows after `seen` rows.

        That of a whole batch, the t-th, is (tau + t)^-kappa. A part p of a batch retains (1 - rho)^p of the past: what
        a row makes forget does not depend on how the stream is cut. Never less than the share of the batch in all rows
        so far: then nothing is forgotten and the rest is a plain mean.
        """
        whole = (self.offset + 1 + seen / self.batch_size) ** -self.decay
        forgetting = 1.0 - (1.0 - whole) ** min(1.0, weight / self.batch_size)
        return float(max(forgetting, weight / (self.prior + seen + weight)))


class Epoch(NamedTuple):
    """What one pass of steps leaves."""

    model: Any
    lower_bound: float  # the mean of the batches, each at the parameters before its step
    weight: float
    n_steps: int


def take_steps(
    model: Any, blocks: Iterable[Block], schedule: Schedule, e_step: EStep, *, seen: float, n_steps: int
) -> Epoch:
    """One step per batch, after `n_steps` that have seen the weight `seen`."""
    total = weight = 0.0
    first = n_steps
    for rows, weights in batches(blocks, schedule.batch_size):
        if weights is not None and not weights.any():
            continue
        statistics = model.e_step(ArraySource(rows, weights), *e_step.arguments(n_steps))
        model = model.stepwise(statistics, schedule.rate(seen + weight, statistics.weight))
        total += statistics.lower_bound * statistics.weight
        weight += statistics.weight
        n_steps += 1
    return Epoch(model, total / weight if weight else np.nan, weight, n_steps - first)


def batches(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    """The same rows in blocks of `size`, the last one of what is left; however they came."""
    rest: list[Block] = []
    missing = size
    for rows, weights in blocks:
        first = 0
        while len(rows) - first >= missing:
            part = slice(first, first + missing)
            yield _joined([*rest, Block(rows[part], None if weights is None else weights[part])])
            first, rest, missing = part.stop, [], size
        if first < len(rows):
            # A copy: the block may be a buffer that its source fills again.
            rest.append(Block(rows[first:].copy(), None if weights is None else weights[first:].copy()))
            missing -= len(rows) - first
    if rest:
        yield _joined(rest)


def _joined(parts: list[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    weighted = any(part.weights is not None for part in parts)
    weights = [np.ones(len(part.rows)) if part.weights is None else part.weights for part in parts]
    return Block(np.concatenate([part.rows for part in parts]), np.concatenate(weights) if weighted else None)
