"""Where EM begins: explicit parameters, a partition of the rows, or a search on a bounded random sample."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array

from fastem.engine.loop import Fit
from fastem.families.cached import cached_property
from fastem.families.covariances import CovarianceStructure
from fastem.families.gaussian import GaussianMixtureModel
from fastem.search import seeding
from fastem.search.moves import split_and_merge
from fastem.search.partitions import checked_partition, model_of_partition, same_partition
from fastem.search.subsampling import FACTOR, grow, run_level
from fastem.sources import Block, Source

SAMPLE_MEMORY = 2**24  # bytes that the sample may take
LLOYD_ITERATIONS = 10
SHORT_RUN = 15  # EM iterations that tell a good basin from a bad one
FIRST_LOOK = 5  # of them, that tell a hopeless one
SAME_BASIN = 1e-3  # nats per row between short runs into the same basin
METHODS = ("kmeans", "k-means++", "random", "random_from_data")


@dataclass
class Starts:
    """An endless supply of first models for one data set.

    Parameters
    ----------
    structure : CovarianceStructure
    source : Source
    n_components : int
    init_params : one of METHODS, callable or array-like
    subsampling : bool or 'auto'
    random_state : RandomState
    reg_covar : float
    weights_init, means_init, precisions_init : array-like or None
        Replace what was found.
    arithmetic : {'float64', 'float32'}
        Of the models; the search itself is done in float64.
    """

    structure: CovarianceStructure
    source: Source
    n_components: int
    init_params: Any
    subsampling: bool | str
    random_state: np.random.RandomState
    reg_covar: float
    weights_init: Any = None
    means_init: Any = None
    precisions_init: Any = None
    arithmetic: str = "float64"

    def __post_init__(self):
        shape = self.n_components, self.source.n_features
        if self.weights_init is not None:
            self.weights_init = checked_weights(self.weights_init, self.n_components)
        if self.means_init is not None:
            self.means_init = checked_array(self.means_init, shape, "means_init")
        if self.precisions_init is not None:
            self.precisions_init = _checked_whiteners(self.precisions_init, self.structure, shape)
        self.given = [part is not None for part in (self.weights_init, self.means_init, self.precisions_init)]

    def next(self) -> GaussianMixtureModel:
        """The next start."""
        found: Any = None if all(self.given) else self._find()
        weights = found.weights if self.weights_init is None else self.weights_init
        means = found.means if self.means_init is None else self.means_init
        whiteners = found.whiteners if self.precisions_init is None else self.precisions_init
        covariances = found.covariances if self.precisions_init is None else self.structure.covariances(whiteners)
        return GaussianMixtureModel(
            self.structure, weights, means, covariances, whiteners, self.reg_covar, self.arithmetic
        )

    @np.errstate(over="ignore", invalid="ignore")  # the M-step at the end finds out
    def _find(self) -> GaussianMixtureModel:
        if not isinstance(self.init_params, str) and not callable(self.init_params):
            partition = checked_partition(self.init_params, self.source.n_rows, self.n_components)
            return model_of_partition(self.structure, self.source.blocks, partition, self.n_components, self.reg_covar)
        searching = self.subsampling and not any(self.given)
        if searching and self.init_params == "kmeans":
            model = self._best_of_short_runs()
        else:
            model = self._model_of_seeds(self._partition())
        return grow(model, self.sample, self._first_level) if self._growing else model

    # the sample -------------------------------------------------------------------------------------------------------

    @cached_property
    def _seeding_rows(self) -> int:
        """Rows that are enough to find a basin: some thousands, 256 a component, four a parameter, as memory allows."""
        n_parameters = self.structure.n_parameters(self.n_components, self.source.n_features)
        wanted = max(10_000, 256 * self.n_components, 4 * n_parameters)
        return max(min(wanted, SAMPLE_MEMORY // (8 * self.source.n_features)), 8 * self.n_components)

    @property
    def _growing(self) -> bool:
        """Whether levels of the sample come before all rows."""
        if any(self.given) or callable(self.init_params):
            return False
        return self.subsampling is True or (self.subsampling == "auto" and self._many_rows)

    @property
    def _many_rows(self) -> bool:
        return self.source.n_rows >= 2 * FACTOR * self._seeding_rows

    @property
    def _first_level(self) -> int:
        return self._seeding_rows if self._many_rows else max(1, len(self.sample.rows) // FACTOR**2)

    @cached_property
    def sample(self) -> Block:
        """Rows in random order, in memory."""
        size = self._seeding_rows
        if self._growing and self._many_rows:
            most = SAMPLE_MEMORY // (8 * self.source.n_features)
            size = max(size, min(most, self.source.n_rows // FACTOR))
        return self.source.sample(size)

    @cached_property
    def _seeds(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows that starts are made of, with weights of mean one."""
        rows, weights = self.sample
        rows = rows[: self._seeding_rows]
        return rows, np.ones(len(rows)) if weights is None else weights[: len(rows)] / weights[: len(rows)].mean()

    # searching --------------------------------------------------------------------------------------------------------

    def _best_of_short_runs(self) -> GaussianMixtureModel:
        """The best of several k-means starts after a few EM iterations each on the seeds, then refined by moves.

        The basin is worth more than the last digits. The search ends when the same partition or the best basin has been
        found twice; starts that collapse lose against those that do not.
        """
        partitions = [self._partition()]
        models = [self._model_of_seeds(partitions[0])]
        if self.n_components == 1:
            return models[0]
        best: Fit | None = None
        for _ in range(2 if self.n_components <= 512 else 0):
            partitions.append(self._partition())
            if len(partitions) == 2 and same_partition(partitions[0], partitions[1], self.n_components):
                return models[0]
            models.append(self._model_of_seeds(partitions[-1]))
            found_again = False
            while models:
                fit = self._short_run(models.pop(0), -np.inf if best is None else best.lower_bounds[-1] - SAME_BASIN)
                found_again = best is not None and abs(fit.lower_bounds[-1] - best.lower_bounds[-1]) < SAME_BASIN
                best = fit if best is None or merit(fit) > merit(best) else best
            if found_again:
                break
        if best is None:
            return models[0]
        if 2 < self.n_components <= 64:  # a move takes three components
            best = split_and_merge(best, *self._seeds, self.random_state, self._short_run)
        return best.model

    def _short_run(self, model: GaussianMixtureModel, to_beat: float = -np.inf) -> Fit[GaussianMixtureModel]:
        """A few EM iterations; fewer if `to_beat` is out of reach at the present gain, since gains only shrink."""
        seeds, size = Block(*self._seeds), len(self._seeds[0])
        look = run_level(model, seeds, size, FIRST_LOOK)
        gain = look.lower_bounds[-1] - look.lower_bounds[-2] if len(look.lower_bounds) > 1 else np.inf
        left = SHORT_RUN - look.n_iter
        if look.converged or look.lower_bounds[-1] + left * gain < to_beat:
            return look
        return run_level(look.model, seeds, size, left, previous=look.lower_bounds[-1])

    def _partition(self) -> np.ndarray:
        """Labels or responsibilities of the seeds."""
        rows, weights = self._seeds
        if callable(self.init_params):
            partition = self.init_params(rows, self.n_components, self.random_state)
            return checked_partition(partition, len(rows), self.n_components)
        if self.init_params == "random":
            partition = self.random_state.uniform(size=(len(rows), self.n_components))
            return partition / partition.sum(axis=1, keepdims=True)
        rows = self._standardised_seeds
        if self.init_params == "kmeans":
            return seeding.kmeans(rows, weights, self.n_components, self.random_state, LLOYD_ITERATIONS)
        if self.init_params == "k-means++":
            indices = seeding.kmeans_plusplus(rows, weights, self.n_components, self.random_state)
        else:
            indices = self.random_state.choice(len(rows), size=self.n_components, replace=False)
        return seeding.lloyd(rows, weights, rows[indices], 0)[1]

    @cached_property
    def _standardised_seeds(self) -> np.ndarray:
        """For distances that do not depend on the units of the features."""
        rows, weights = self._seeds
        centred = rows - np.einsum("n,nd->d", weights, rows) / weights.sum()
        deviations = np.sqrt(np.einsum("n,nd,nd->d", weights, centred, centred) / weights.sum())
        return centred / np.where(deviations > 0, deviations, 1.0)

    def _model_of_seeds(self, partition: np.ndarray) -> GaussianMixtureModel:
        clustered = isinstance(self.init_params, str) and self.init_params != "random"
        parts = partition, self.n_components, self.reg_covar
        return model_of_partition(self.structure, lambda: [Block(*self._seeds)], *parts, shrink=clustered)


def merit(fit: Fit[GaussianMixtureModel]) -> tuple[bool, float]:
    """What is compared between short runs: no collapse, then the bound."""
    return fit.model.healthy, fit.lower_bounds[-1]


# explicit parameters --------------------------------------------------------------------------------------------------


def checked_array(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """A float64 array in C order of exactly this shape, or scikit-learn's ValueError."""
    values = check_array(values, dtype=np.float64, order="C", ensure_2d=False, allow_nd=True, input_name=name)
    if values.shape != shape:
        raise ValueError(f"The parameter '{name}' should have the shape of {shape}, but got {values.shape}")
    return values


def checked_weights(weights: Any, n_components: int) -> np.ndarray:
    weights = checked_array(weights, (n_components,), "weights_init")
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            "The parameter 'weights_init' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f}"
        )
    if not np.isclose(weights.sum(), 1.0, rtol=0, atol=1e-6):
        raise ValueError(
            f"The parameter 'weights_init' should be normalized, but got sum(weights) = {weights.sum():.5f}"
        )
    return weights


def _checked_whiteners(precisions: Any, structure: CovarianceStructure, shape: tuple[int, int]) -> np.ndarray:
    shown = checked_array(precisions, structure.shown_shape(*shape), "precisions_init")
    precisions = structure.of_shown(shown)
    try:
        with np.errstate(invalid="ignore"):
            whiteners = structure.whiteners_of_precisions(precisions)
    except np.linalg.LinAlgError:
        whiteners = np.full_like(precisions, np.nan)
    with np.errstate(invalid="ignore"):
        restored = structure.precisions(whiteners)
    valid = np.allclose(restored, precisions, rtol=1e-6) and (structure.precision_eigenvalues(whiteners) > 0).all()
    if not valid:
        raise ValueError(
            "The parameter 'precisions_init' should be positive-definite: symmetric positive-definite matrices for "
            "full and tied covariances, positive numbers for diag and spherical."
        )
    if not structure.holds(shown):
        raise ValueError(f"The parameter 'precisions_init' should hold inverses of {structure.name} covariances.")
    return whiteners
