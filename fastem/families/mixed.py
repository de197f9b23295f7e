"""Columns of different kinds: given the component, blocks of columns are independent, each of a family of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastem.families.cached import cached_property
from fastem.families.discrete import IMPOSSIBLE
from fastem.families.gaussian import check_that_rows_are_in_range
from fastem.families.model import LikelihoodModel
from fastem.kernels.accumulation import accumulated
from fastem.kernels.assignments import SOFT, Assignment
from fastem.kernels.families.mixed import ColumnsParameters, joined, split_statistics
from fastem.sources import Source

M = TypeVar("M", bound="MixedMixtureModel")


class Statistics(NamedTuple):
    """What one pass over the rows leaves: the log-likelihood, and the statistics of each block."""

    log_likelihood: float
    blocks: tuple[Any, ...]

    @property
    def weight(self) -> float:
        return float(self.blocks[0].weight)

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood per unit weight, with its share of the log-priors of the blocks."""
        log_prior = sum(getattr(block, "log_prior", 0.0) for block in self.blocks)
        return (self.log_likelihood + log_prior) / self.weight


@dataclass(frozen=True)
class MixedMixtureModel(LikelihoodModel):
    """The parameters of sum_k w_k prod_b p_b(x_b | k); immutable, an M-step returns new ones.

    Attributes
    ----------
    blocks : tuple of LikelihoodModel
        With the same weights.
    columns : tuple of ndarray of int64
        Of each block; no column is of two.
    n_columns : int
        All of the rows, some of which may be of no block.
    """

    blocks: tuple[LikelihoodModel, ...]
    columns: tuple[np.ndarray, ...]
    n_columns: int

    @property
    def n_features(self) -> int:
        return self.n_columns

    @property
    def weights(self) -> np.ndarray:
        return self.blocks[0].weights

    @property
    def means(self) -> np.ndarray:
        """Those of all blocks side by side, (K, C)."""
        return np.hstack([block.means for block in self.blocks])

    @property
    def n_parameters(self) -> int:
        """Those of all blocks; the weights are the same."""
        return sum(block.n_parameters for block in self.blocks) - (len(self.blocks) - 1) * (self.n_alive - 1)

    def check(self) -> None:
        for block, columns in zip(self.blocks, self.columns, strict=True):
            block.check()
            if columns.dtype != np.int64 or columns.shape != (block.n_features,):
                raise ValueError(f"the columns of a block of {block.n_features} features are {columns!r}")
            if not ((columns >= 0) & (columns < self.n_features)).all() or block.n_components != self.n_components:
                raise ValueError(f"columns {columns} of {self.n_features}, {block.n_components} components")

    def _with(self: M, change: Callable[..., Any], *others: tuple[Any, ...]) -> M:
        """The model whose blocks are `change(block, *those of others)`, with the weights of the first."""
        first, *rest = map(change, self.blocks, *others)
        return replace(self, blocks=(first, *(block.reweighted(first.weights) for block in rest)))

    def reordered(self: M, order: np.ndarray) -> M:
        return self._with(lambda block: block.reordered(order))

    def reweighted(self: M, weights: np.ndarray) -> M:
        return self._with(lambda block: block.reweighted(weights))

    def detached(self: M) -> M:
        return self._with(lambda block: block.detached())

    # rows -------------------------------------------------------------------------------------------------------------

    def _on_columns(self, parameters: list[Any]) -> list[ColumnsParameters]:
        pairs = zip(self.columns, parameters, strict=True)
        return [ColumnsParameters.of(self.n_features, columns, own) for columns, own in pairs]

    def _joined(self, blocks: list[ColumnsParameters]) -> Any:
        with np.errstate(divide="ignore"):
            return joined(np.log(self.weights), blocks)

    @cached_property
    def kernel_parameters(self) -> Any:
        return self._joined(self._on_columns([block.kernel_parameters for block in self.blocks]))

    @cached_property
    def _of_a_pass(self) -> list[ColumnsParameters]:
        return self._on_columns([block.pass_parameters for block in self.blocks])

    @property
    def pass_parameters(self) -> Any:
        return self._joined(self._of_a_pass)

    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Statistics:
        """One fused pass: the responsibilities of all blocks together, and the statistics of each."""
        sums = source.total(partial(accumulated, self.pass_parameters, assignment=assignment))
        statistics = self.statistics(sums)
        check_that_rows_are_in_range(np.array([statistics.weight]), sums[2])
        return statistics

    def statistics(self, sums: np.ndarray) -> Statistics:
        log_likelihood = float(sums[0] + sums[1])
        for block in self.blocks:
            log_likelihood += block.known_terms
        parts = split_statistics(sums, self._of_a_pass)
        return Statistics(log_likelihood, tuple(map(lambda block, part: block.statistics(part), self.blocks, parts)))

    def log_likelihood(self, source: Source) -> tuple[float, float]:
        total, weight = super().log_likelihood(source)
        return total if total > IMPOSSIBLE * max(weight, 1.0) else -np.inf, weight

    def evaluate(self, rows: np.ndarray, **outputs: np.ndarray) -> None:
        super().evaluate(rows, **outputs)
        if "log_density" in outputs:
            log_density = outputs["log_density"]
            log_density[log_density < IMPOSSIBLE] = -np.inf

    def residuals(self, rows: np.ndarray, k: int) -> np.ndarray:
        parts = [block.residuals(rows[:, own], k) for block, own in zip(self.blocks, self.columns, strict=True)]
        return np.hstack(parts)

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) and their components (n,), component after component; columns of no block are NaN."""
        sizes = random_state.multinomial(n_samples, self.weights)
        labels, rows = np.repeat(np.arange(self.n_components), sizes), np.full((n_samples, self.n_features), np.nan)
        for block, columns in zip(self.blocks, self.columns, strict=True):
            for k in np.flatnonzero(sizes):
                alone = block.reweighted(np.eye(self.n_components)[k])
                rows[np.ix_(labels == k, columns)] = alone.sample(int(sizes[k]), random_state)[0]
        return rows, labels

    # M-step -----------------------------------------------------------------------------------------------------------

    def m_step(self: M, statistics: Statistics) -> M:
        """That of each block: they have no parameter in common but the weights, and these no choice."""
        return self._with(lambda block, own: block.m_step(own), statistics.blocks)

    def stepwise(self: M, statistics: Statistics, rate: float) -> M:
        return self._with(lambda block, own: block.stepwise(own, rate), statistics.blocks)

    # health -----------------------------------------------------------------------------------------------------------

    @property
    def repairs(self) -> tuple[int | None, ...]:
        return tuple(dict.fromkeys(component for block in self.blocks for component in block.repairs))

    @property
    def bound_slack(self) -> float:
        return sum(block.bound_slack for block in self.blocks)

    @staticmethod
    def rows_per_component(n_features: int) -> int:
        raise NotImplementedError  # the blocks say it: `enough_rows`

    def enough_rows(self, n_rows: int) -> bool:
        return all(block.enough_rows(n_rows) for block in self.blocks)

    def handicap(self, n_rows: int) -> float:
        return sum(block.handicap(n_rows) for block in self.blocks)

    def remarks(self) -> list[str]:
        return [remark for block in self.blocks for remark in block.remarks()]

    # coordinates ------------------------------------------------------------------------------------------------------

    def flatten(self, reference: "MixedMixtureModel") -> np.ndarray:
        return np.hstack([block.flatten(own) for block, own in zip(self.blocks, reference.blocks, strict=True)])

    def unflatten(self: M, coordinates: np.ndarray) -> M | None:
        widths = [block.flatten(block).shape[1] for block in self.blocks]
        parts = np.split(coordinates, np.cumsum(widths)[:-1], axis=1)
        found = [block.unflatten(part) for block, part in zip(self.blocks, parts, strict=True)]
        if any(block is None for block in found):
            return None
        return self._with(lambda _, block: block, tuple(found))
