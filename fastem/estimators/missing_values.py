"""What mixtures do with rows of which numbers are missing: the parameter `missing`, and `impute`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.annotations import Data, Reals, Seed
from fastem.estimators.attributes import FittedAttributes
from fastem.estimators.row_results import of_all
from fastem.estimators.scikit_learn import StrOptions
from fastem.registry import warn
from fastem.sources import Block, Source
from fastem.sources.clusters import DaskSource

PIECE = 65_536  # rows at a time
CONSTRAINTS: dict[str, list[Any]] = {"missing": [StrOptions({"error", "em"})]}
REFUSAL = "With missing='em' a {name} takes NaN for a number that is missing."
COMPLETE = "{name} takes complete rows only, whatever `missing` is."


@dataclass(eq=False, repr=False, kw_only=True)
class MissingValuesMixin(FittedAttributes):
    """For estimators whose models have `evaluate_with_gaps`, `completed` and `drawn`; before their other bases."""

    missing: Literal["error", "em"] = "error"

    if TYPE_CHECKING:

        def _model(self) -> Any: ...

    _parameter_constraints: ClassVar[dict[str, Any]]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = self.missing == "em"
        return tags

    def _nan_refusal(self) -> str | None:
        return None if self.missing == "em" else REFUSAL.format(name=type(self).__name__)

    def _source(self, X: Any, sample_weight: Any = None, *, reset: bool = False, **options: Any) -> Source:
        source = super()._source(X, sample_weight, reset=reset, **options)  # type: ignore[misc]
        if reset and source.gaps:
            _look_at_gaps(self, source)
        return source

    def impute(self, X: Data, *, random_state: Seed = None, out: NDArray[Any] | None = None) -> Reals:
        """Rows with the numbers that are missing filled in from those that are there.

        Whatever `missing` is, NaN is what is filled in.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        random_state : int, RandomState instance or None, default=None
            None fills in what is to be expected: of measurements and counts the conditional mean,
            sum_k r_k E[x_m | x_o, k] with the responsibilities r of the observed numbers, of levels the most probable
            one. A seed fills in a draw from the conditional distribution instead: as a set, rows then scatter as
            complete ones do.
        out : ndarray of shape (n_samples, n_features), float64 or float32, default=None
            Where to write the rows, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)

        Raises
        ------
        TypeError
            If draws are wanted for a Dask collection.
        """
        check_is_fitted(self)
        model, source = self._model(), self._source(X, nan_refusal=None)
        if random_state is None:
            complete = model.completed
        else:
            if isinstance(source, DaskSource):
                raise TypeError("random_state is for rows that this process reads, not for Dask collections.")
            generator = check_random_state(random_state)

            def complete(rows: np.ndarray) -> np.ndarray:
                return model.drawn(rows, generator)

        def write(rows: np.ndarray, part: np.ndarray) -> None:
            for first in range(0, len(rows), PIECE):
                piece = slice(first, first + PIECE)
                part[piece] = complete(rows[piece])

        return of_all(source, write, (self.n_features_in_,), np.float64, out)


def _look_at_gaps(estimator: Any, source: Source) -> None:
    """Warn of rows without any number; ValueError if a column has none."""
    facts = source.gather(_observed)
    observed, n_empty = sum(each for each, _ in facts), sum(n for _, n in facts)
    if not np.all(observed):
        column = int(np.argmin(observed))
        names = getattr(estimator, "feature_names_in_", None)
        name = f"column {column}" if names is None else f"column {names[column]!r}"
        raise ValueError(f"Input X contains NaN only in {name}: there is nothing to learn of it. Leave it out.")
    if n_empty:
        warn(f"{n_empty} rows have no number at all. They count for nothing.")


def _observed(blocks: Iterable[Block]) -> tuple[np.ndarray, int]:
    """How many rows of positive weight have a number in each column, and how many have none."""
    observed: Any = 0
    n_empty = 0
    for rows, weights in blocks:
        for first in range(0, len(rows), PIECE):
            part = slice(first, first + PIECE)
            missing = np.isnan(rows[part])
            if weights is not None:
                missing = missing[weights[part] > 0]
            observed = observed + (len(missing) - np.count_nonzero(missing, axis=0))
            n_empty += int(np.count_nonzero(missing.all(axis=1)))
    return observed, n_empty
