"""How variational Gaussian mixtures are searched for: as if each row of a sample came as often as it stands for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastem.families.bayesian_gaussian import BayesianGaussianMixtureModel, Statistics
from fastem.families.covariances import Moments
from fastem.families.gaussian import GaussianMixtureModel
from fastem.families.model import falling
from fastem.search.gaussian import GaussianSpace
from fastem.search.partitions import moments_of_partition
from fastem.search.seeding import Seeds
from fastem.search.space import SearchSpace
from fastem.sources import Source
from fastem.sources.labels import LabelledSource

WEIGHED_ROWS = 4_096


@dataclass(frozen=True)
class SampledModel:
    """A variational mixture of all rows that meets a sample of them.

    Attributes
    ----------
    whole : BayesianGaussianMixtureModel
    weight : float
        Of all rows, which those of a sample stand for.
    """

    whole: BayesianGaussianMixtureModel
    weight: float

    bound_slack, repairs = np.inf, ()

    @property
    def n_parameters(self) -> int:
        return self.whole.mixture.n_parameters

    def detached(self) -> "SampledModel":
        return replace(self, whole=replace(self.whole, scatter=None))

    def enough_rows(self, n_rows: int) -> bool:
        """The prior sees to components that have too few."""
        return True

    def handicap(self, n_rows: int) -> float:
        return 0.0

    def e_step(self, source: Source) -> Statistics:
        """The statistics that all rows are expected to have, and the bound for each of them."""
        found, divergence = self.whole.e_step(source), self.whole.divergence
        bound = (found.lower_bound + divergence) / found.weight - divergence / self.weight
        return Statistics(bound, scaled(found.moments, self.weight / found.weight), found.scatter)

    def m_step(self, statistics: Statistics) -> "SampledModel":
        return replace(self, whole=self.whole.m_step(statistics))


def expected_weight(source: Source) -> float:
    """The weight of all rows, as far as a sample tells."""
    weights = source.sample(WEIGHED_ROWS).weights
    return source.n_candidates * (1.0 if weights is None else float(weights.mean()))


def scaled(moments: Moments, factor: float) -> Moments:
    return Moments(*(factor * each for each in moments))


class BayesianGaussianSpace(SearchSpace[Any]):
    """Variational Gaussian mixtures.

    Parameters
    ----------
    blank : BayesianGaussianMixtureModel
    gaussian : GaussianMixtureModel
        A blank one: where to cut the rows into clusters, and how to move components, is looked for as for Gaussians.
    weight : float
        Of all rows.
    """

    max_trials, max_failures = GaussianSpace.max_trials, GaussianSpace.max_failures

    def __init__(self, blank: BayesianGaussianMixtureModel, gaussian: GaussianMixtureModel, weight: float):
        super().__init__(blank)
        self.gaussian, self.weight = GaussianSpace(gaussian), weight

    @property
    def n_seeding_parameters(self) -> int:
        return self.gaussian.n_seeding_parameters

    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool) -> SampledModel:
        return self._of_gaussian(self.gaussian.of_seeds(seeds, partition, clustered=clustered))

    def of_rows(self, source: Source, partition: np.ndarray) -> BayesianGaussianMixtureModel:
        return self._of(*moments_of_partition(self.blank.structure, source.blocks, partition, self.n_components))

    def coordinates(self, seeds: Seeds) -> np.ndarray:
        return self.gaussian.coordinates(seeds)

    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        return self.gaussian.attempts(seeds)

    def moves(self, seeds: Seeds, random_state: np.random.RandomState) -> Callable[[SampledModel], Iterator[Any]]:
        moves, reg_covar = self.gaussian.moves(seeds, random_state), self.blank.reg_covar
        return lambda model: map(self._of_gaussian, moves(replace(model.whole.mixture, reg_covar=reg_covar)))

    def start_of(self, model: SampledModel, source: Source) -> BayesianGaussianMixtureModel:
        begun = model.whole
        if not isinstance(source, LabelledSource):  # as the sticks of a process expect them
            begun = begun.reordered(falling(begun.counts, begun.means))
        return replace(begun, scatter=None, arithmetic=self.blank.arithmetic)

    def _of_gaussian(self, model: GaussianMixtureModel) -> SampledModel:
        """The factors that rows make which have the moments of a mixture."""
        moments = Moments(model.weights, np.zeros_like(model.means), model.expected_second_moments)
        whole = self._of(scaled(moments, self.weight), model.means)
        return SampledModel(replace(whole, arithmetic="float64"), self.weight)

    def _of(self, moments: Moments, means: np.ndarray) -> BayesianGaussianMixtureModel:
        return replace(self.blank, means=means).m_step(Statistics(np.nan, moments))
