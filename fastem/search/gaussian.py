"""How Gaussian mixtures are searched for."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fastem.families.gaussian import GaussianMixtureModel
from fastem.search import seeding
from fastem.search.gaussian_moves import GaussianMoves
from fastem.search.partitions import model_of_partition
from fastem.search.seeding import Seeds
from fastem.search.space import SearchSpace
from fastem.sources import Block, Source

MOST_STARTS = 512  # components up to which more than one start is tried
FEW = 64  # components up to which four are, else three


class GaussianSpace(SearchSpace[GaussianMixtureModel]):
    """Gaussian mixtures, searched for in float64."""

    max_trials, max_failures = 8, 2
    parameters = frozenset({"weights", "means", "whiteners"})

    @property
    def n_seeding_parameters(self) -> int:
        """Those of the covariances: means need fewer rows."""
        return self.blank.structure.n_parameters(self.n_components, self.blank.n_features)

    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool) -> GaussianMixtureModel:
        blank = replace(self.blank, arithmetic="float64")
        return model_of_partition(blank, lambda: [Block(*seeds)], partition, shrink=clustered)

    def of_rows(self, source: Source, partition: np.ndarray) -> GaussianMixtureModel:
        return self.start_of(model_of_partition(self.blank, source.blocks, partition), source)

    def coordinates(self, seeds: Seeds) -> np.ndarray:
        return seeding.standardised(*seeds)

    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        """k-means in units of the deviations, for mixtures do not depend on units, and in those of the users, which say
        what is noise where features are alike: pixels at the margin of a picture hardly vary.
        """
        in_deviations = "kmeans", self.coordinates(seeds)
        yield in_deviations
        if 1 < self.n_components <= MOST_STARTS:
            in_proportion = "kmeans", seeding.standardised(*seeds, together=True)
            yield from (in_proportion, in_proportion)
            if self.n_components <= FEW:
                yield in_deviations

    def moves(self, seeds: Seeds, random_state: np.random.RandomState) -> GaussianMoves:
        return GaussianMoves(seeds, random_state)

    def start_of(self, model: GaussianMixtureModel, source: Source) -> GaussianMixtureModel:
        return replace(model.detached(), repairs=(), arithmetic=self.blank.arithmetic)
