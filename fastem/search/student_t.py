"""Where EM of Student's t begins: as that of Gaussians does, but outliers do not choose."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastem.families.cached import cached_property
from fastem.families.gaussian import GaussianMixtureModel
from fastem.families.student_t import StudentTMixtureModel
from fastem.search import seeding
from fastem.search.gaussian import LLOYD_ITERATIONS, Starts, merit
from fastem.search.partitions import model_of_partition
from fastem.sources import Block

# Robust standard deviations from the median, in any feature, beyond which rows are left out at first. Outliers have no
# say within the least; a small cluster far away is found within the greatest.
REACHES = 4.0, 12.0, np.inf
NORMAL = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


@dataclass
class RobustStarts(Starts):
    """First Student's t mixtures for one data set.

    Where a start is searched for, k-means looks at the rows in the midst of the sample, of some widths: to rows far
    from all others it would give clusters of their own. The likelihood of all rows of the sample decides.

    Parameters
    ----------
    degrees_of_freedom : ndarray of shape (n_components,)
        To begin with.
    freedom : str
        See `StudentTMixtureModel`.
    """

    degrees_of_freedom: Any = None
    freedom: str = "free"

    def next(self) -> StudentTMixtureModel:  # type: ignore[override]
        """The next start."""
        found: Any = super().next() if any(self.given) else self._find()
        found = found if isinstance(found, StudentTMixtureModel) else self._of(found)
        return replace(found, freedom=self.freedom)

    def _of(self, gaussian: GaussianMixtureModel) -> StudentTMixtureModel:
        """Not free while one looks for a basin: a component whose tails soon take all outliers has lost its cluster."""
        return StudentTMixtureModel(gaussian, self.degrees_of_freedom, "fixed")

    def _model_of_seeds(self, partition: np.ndarray) -> Any:
        gaussian = super()._model_of_seeds(partition)
        return gaussian if any(self.given) else self._of(gaussian)

    def _best_of_short_runs(self) -> Any:
        starts: list[Any] = [self._start_amid(reach) for reach in REACHES]
        best: Any = max((self._short_run(start) for start in starts), key=merit)
        return replace(best.model, freedom=self.freedom)

    def _start_amid(self, reach: float) -> StudentTMixtureModel:
        """A start from k-means of the seeds within some robust deviations, or of all if few are."""
        kept = self._robust_deviations <= reach
        if kept.sum() < max(self.n_components, len(kept) // 2):
            kept[:] = True
        rows, weights = (part[kept] for part in self._seeds)
        centred = rows - rows.mean(axis=0)
        deviations = centred.std(axis=0)
        standardised = centred / np.where(deviations > 0, deviations, 1.0)
        labels = seeding.kmeans(standardised, weights, self.n_components, self.random_state, LLOYD_ITERATIONS)
        parts = labels, self.n_components, self.reg_covar
        return self._of(model_of_partition(self.structure, lambda: [Block(rows, weights)], *parts, shrink=True))

    @cached_property
    def _robust_deviations(self) -> np.ndarray:
        """Of each seed, in the feature in which it is the farthest out (n,)."""
        rows, _ = self._seeds
        distances = np.abs(rows - np.median(rows, axis=0))
        spread = NORMAL * np.median(distances, axis=0)
        return (distances / np.where(spread > 0, spread, np.inf)).max(axis=1)
