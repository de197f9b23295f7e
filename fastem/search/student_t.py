"""How Student's t mixtures are searched for: as Gaussian ones are, but outliers do not choose."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from fastem.families.student_t import StudentTMixtureModel
from fastem.search import seeding
from fastem.search.gaussian import GaussianSpace
from fastem.search.seeding import Seeds
from fastem.search.space import SearchSpace
from fastem.sources import Source

# Robust standard deviations from the median, in any feature, beyond which rows are left out at first. Outliers have no
# say within the least; a small cluster far away is found within the greatest.
REACHES = 4.0, 12.0, np.inf
NORMAL = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


class StudentTSpace(SearchSpace[StudentTMixtureModel]):
    """Student's t mixtures.

    k-means looks at the rows in the midst of the sample, of some widths: to rows far from all others it would give
    clusters of their own. The likelihood of all rows of the sample decides.
    """

    same_basin = np.nan  # what only the greatest reach finds must have its run
    parameters = GaussianSpace.parameters

    def __init__(self, blank: StudentTMixtureModel):
        super().__init__(blank)
        self.gaussian = GaussianSpace(blank.gaussian)

    @property
    def n_seeding_parameters(self) -> int:
        return self.gaussian.n_seeding_parameters

    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool) -> StudentTMixtureModel:
        """Not free while one looks for a basin: a component whose tails soon take all outliers has lost its cluster."""
        gaussian = self.gaussian.of_seeds(seeds, partition, clustered=clustered)
        return replace(self.blank, gaussian=gaussian, freedom="fixed")

    def of_rows(self, source: Source, partition: np.ndarray) -> StudentTMixtureModel:
        return replace(self.blank, gaussian=self.gaussian.of_rows(source, partition))

    def coordinates(self, seeds: Seeds) -> np.ndarray:
        return self.gaussian.coordinates(seeds)

    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        return self.gaussian.attempts(seeds)

    def starts(self, seeds: Seeds, random_state: np.random.RandomState) -> Iterator[StudentTMixtureModel]:
        """From k-means of the seeds within some robust deviations, or of all if few are."""
        deviations = _robust_deviations(seeds.rows)
        for reach in REACHES:
            kept = deviations <= reach
            if kept.sum() < max(self.n_components, len(kept) // 2):
                kept[:] = True
            near = Seeds(seeds.rows[kept], seeds.weights[kept])
            own = self.coordinates(near), near.weights, self.n_components
            yield self.of_seeds(near, seeding.partition("kmeans", *own, random_state), clustered=True)

    def released(self, model: StudentTMixtureModel) -> StudentTMixtureModel:
        return replace(model, freedom=self.blank.freedom)

    def start_of(self, model: StudentTMixtureModel, source: Source) -> StudentTMixtureModel:
        return self.released(replace(model, gaussian=self.gaussian.start_of(model.gaussian, source)))

    def with_values(self, start: StudentTMixtureModel, given: Mapping[str, np.ndarray]) -> StudentTMixtureModel:
        return replace(start, gaussian=self.gaussian.with_values(start.gaussian, given))


def _robust_deviations(rows: np.ndarray) -> np.ndarray:
    """Of each row, in the feature in which it is the farthest out (n,)."""
    distances = np.abs(rows - np.median(rows, axis=0))
    spread = NORMAL * np.median(distances, axis=0)
    return (distances / np.where(spread > 0, spread, np.inf)).max(axis=1)
