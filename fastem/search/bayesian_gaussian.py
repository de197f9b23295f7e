"""Where variational Gaussian mixtures begin: with the responsibilities of a Gaussian mixture."""

from collections.abc import Iterator
from dataclasses import replace
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


class BayesianGaussianSpace(SearchSpace[Any]):
    """Gaussian mixtures whose first E-step makes the first factors.

    Parameters
    ----------
    blank : BayesianGaussianMixtureModel
    gaussian : GaussianMixtureModel
        A blank one, for the mixtures to begin with.
    """

    def __init__(self, blank: BayesianGaussianMixtureModel, gaussian: GaussianMixtureModel):
        super().__init__(blank)
        self.gaussian = GaussianSpace(gaussian)

    @property
    def n_seeding_parameters(self) -> int:
        return self.gaussian.n_seeding_parameters

    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool) -> GaussianMixtureModel:
        return self.gaussian.of_seeds(seeds, partition, clustered=clustered)

    def of_rows(self, source: Source, partition: np.ndarray) -> BayesianGaussianMixtureModel:
        return self._of(*moments_of_partition(self.blank.structure, source.blocks, partition, self.n_components))

    def coordinates(self, seeds: Seeds) -> np.ndarray:
        return self.gaussian.coordinates(seeds)

    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        return self.gaussian.attempts(seeds)

    def start_of(self, model: GaussianMixtureModel, source: Source) -> BayesianGaussianMixtureModel:
        begun = self.gaussian.start_of(model, source)
        if not isinstance(source, LabelledSource):
            begun = begun.reordered(falling(begun.weights, begun.means))  # as the sticks of a process expect them
        return self._of(begun.e_step(source).moments, begun.means)

    def _of(self, moments: Moments, means: np.ndarray) -> BayesianGaussianMixtureModel:
        return replace(self.blank, means=means).m_step(Statistics(np.nan, moments))
