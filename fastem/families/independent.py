"""Discrete mixtures whose features are independent within a component: what is missing is left out of the product."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fastem.families.cached import cached_property
from fastem.families.discrete import IMPOSSIBLE, DiscreteMixtureModel, Pass, Statistics
from fastem.kernels.accumulation import Blocks, accumulated, evaluate_block
from fastem.kernels.assignments import LIKELIHOOD, SOFT, Assignment
from fastem.kernels.passes import HEADER
from fastem.sources import Source

PIECE = 65_536  # rows whose gaps are masked at a time


@dataclass(frozen=True)
class IndependentFeatures(DiscreteMixtureModel):
    """What such families do with rows that have gaps: the kernels read complete rows that say what is missing."""

    # what a family adds -----------------------------------------------------------------------------------------------

    @abstractmethod
    def masked(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, D) with NaN as complete ones, perhaps with more features."""

    @abstractmethod
    def _parameters_of_masked(self, *, with_row_terms: bool) -> Any:
        """What the compiled passes read to go over masked rows."""

    @abstractmethod
    def _unpack_masked(self, sums: np.ndarray) -> Pass:
        """What a kernel has added up of masked rows."""

    @abstractmethod
    def most_probable(self, means: np.ndarray) -> np.ndarray:
        """Values (n, D) to expect of rows with the means (n, C) of t(x): of counts the mean, of levels the mode."""

    @abstractmethod
    def quantiles(self, components: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The values (n, D) of which rows of the `components` (n,) have no greater one with probabilities (n, D)."""

    # passes -----------------------------------------------------------------------------------------------------------

    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Statistics:
        if not source.gaps:
            return super().e_step(source, assignment)
        parameters = self._parameters_of_masked(with_row_terms=self.row_terms is None)
        sums = source.total(partial(sums_of_masked, self, parameters, assignment=assignment))
        return self._statistics_of(sums[:HEADER], self._unpack_masked(sums[HEADER:]))

    def _likelihood(self, source: Source) -> tuple[float, float]:
        if not source.gaps:
            return super()._likelihood(source)
        sums = source.total(partial(sums_of_masked, self, self._masked_parameters, assignment=LIKELIHOOD))
        return float(sums[0] + sums[1]), float(sums[2])

    @cached_property
    def _masked_parameters(self) -> Any:
        return self._parameters_of_masked(with_row_terms=True)

    def evaluate_with_gaps(self, rows: np.ndarray, **outputs: np.ndarray) -> None:
        for first in range(0, len(rows), PIECE):
            part = slice(first, first + PIECE)
            piece = {name: out[part] for name, out in outputs.items()}
            evaluate_block(self._masked_parameters, self.masked(rows[part]), **piece)
        if "log_density" in outputs:
            log_density = outputs["log_density"]
            log_density[log_density < IMPOSSIBLE] = -np.inf

    # what is missing --------------------------------------------------------------------------------------------------

    def completed(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, D) with what is to be expected of the numbers that are missing."""
        shares = self._shares(rows)
        return np.where(np.isnan(rows), self.most_probable(np.einsum("nk,kc->nc", shares, self.means)), rows)

    def drawn(self, rows: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
        """Rows (n, D) with draws from the conditional distribution of the numbers that are missing."""
        uniform = random_state.random_sample((len(rows), rows.shape[1] + 1))  # row by row, however they are cut
        before = np.cumsum(self._shares(rows), axis=1)
        components = (before[:, :-1] <= uniform[:, :1] * before[:, -1:]).sum(axis=1)
        return np.where(np.isnan(rows), self.quantiles(components, uniform[:, 1:]), rows)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        shares = np.empty((len(rows), self.n_components))
        self.evaluate_with_gaps(rows, responsibilities=shares)
        return shares


def sums_of_masked(
    model: IndependentFeatures, parameters: Any, blocks: Blocks, *, assignment: Assignment
) -> np.ndarray:
    """The statistics of a pass over rows with gaps; rows without any number count for nothing."""
    return accumulated(parameters, _masked(model, blocks), assignment=assignment)


def _masked(model: IndependentFeatures, blocks: Blocks) -> Iterator[tuple[Any, ...]]:
    for rows, weights, *labels in blocks:
        for first in range(0, len(rows), PIECE):
            part = slice(first, first + PIECE)
            own = np.ones(len(rows[part])) if weights is None else weights[part]
            empty = np.isnan(rows[part]).all(axis=1)
            yield model.masked(rows[part]), np.where(empty, 0.0, own), *(each[part] for each in labels)
