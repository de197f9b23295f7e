"""The scikit-learn face of mixtures whose columns are of different kinds."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastem.estimators.likelihood_mixture import LikelihoodMixture
from fastem.estimators.mixture_problem import LikelihoodProblem
from fastem.families.mixed import MixedMixtureModel
from fastem.registry import ESTIMATORS
from fastem.search.mixed import MixedSpace
from fastem.search.search import Search
from fastem.sources import Source, opened
from fastem.sources.chosen_columns import ChosenColumns
from fastem.sources.numeric import as_frame
from fastem.storage.models import estimator_class


class _Block(NamedTuple):
    """A block as users give it, checked."""

    kind: str
    columns: Any
    options: dict[str, Any]


class MixedAttributes:
    """The types of what a fit finds; annotated in a dataclass, they would be parameters."""

    estimators_: list[LikelihoodMixture]
    columns_: list[NDArray[np.int64]]


@dataclass(eq=False, repr=False)
class _Blocks:
    """The parameter that comes before all others."""

    blocks: Any = ()


@dataclass(eq=False, repr=False, kw_only=True)
class MixedMixture(MixedAttributes, LikelihoodMixture, _Blocks):
    """Mixture of rows whose columns are of different kinds, fitted by Expectation-Maximization.

    p(x) = sum_k w_k prod_b p_b(x_b | k): given the component, blocks of columns are independent, and each is of a
    family of its own. Each iteration is one fused pass over the rows: responsibilities by all blocks together, and with
    them the sufficient statistics of every block; the M-step is that of each family. One block alone is fitted as its
    family's own estimator would be, bit for bit.

    Parameters
    ----------
    blocks : list of (kind, columns) or (kind, columns, options)
        The kind is 'gaussian', 'bernoulli', 'categorical', 'multinomial' or 'poisson'; columns are an index, a name, a
        slice, a list of indices or names, or a mask, each column in one block at most; options are a dictionary of
        parameters of the family's estimator: `covariance_type` and `reg_covar` of `GaussianMixture`, `pseudo_count` of
        the others, `n_levels` of `CategoricalMixture`. Columns in no block are ignored.
    n_components : int, default=1
        Number of components K.
    tol : float, default=1e-3
        Stop when the lower bound, in nats per unit weight, changes by less.
    max_iter : int, default=100
        Greatest number of iterations, each one pass over the rows. 0 keeps the start.
    n_init : int, default=1
        Number of starts; the best lower bound wins.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, array-like or callable, default='kmeans'
        How to start, as in `GaussianMixture`. 'kmeans' groups the coordinates of all blocks, each in units of its
        greatest deviation. With `subsampling` it takes turns with random rows, and the best of several short runs on a
        bounded sample wins.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts and of `sample`.
    warm_start : bool, default=False
        Continue from the last fit.
    verbose : int, default=0
        1 prints starts and iterations, 2 also times and changes.
    verbose_interval : int, default=10
        Iterations between two prints.
    subsampling, acceleration, stopping, e_step, learning_method, batch_size, learning_decay, learning_offset
    checkpoint, checkpoint_every
        As for `GaussianMixture`.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    estimators_ : list of estimator
        For each block its family's estimator with the parameters of its columns: `estimators_[0].means_`, ...
    columns_ : list of ndarray of int64
        The columns of each block.
    converged_, n_iter_, lower_bound_, lower_bounds_, log_likelihood_, n_samples_seen_, n_passes_, n_features_in_
        As for the families; the bound has the log-priors of all blocks.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If `X` has string column names.

    Examples
    --------
    Lengths and counts:

    >>> import numpy as np
    >>> from fastem import MixedMixture
    >>> X = np.array([[1.0, 0], [1.5, 1], [1.2, 0], [8.0, 9], [8.3, 11], [8.1, 10]])
    >>> mixture = MixedMixture([("gaussian", 0), ("poisson", 1)], 2, random_state=0).fit(X)
    >>> np.sort(mixture.estimators_[1].rates_.ravel()).round(2)
    array([ 0.33, 10.  ])
    """

    _lasting = ("n_components", "blocks")
    _model_class: ClassVar[type] = MixedMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LikelihoodMixture._parameter_constraints,
        "blocks": [list, tuple],
    }

    # rows -------------------------------------------------------------------------------------------------------------

    def _source(self, X: Any, sample_weight: Any = None, *, reset: bool = False, **options: Any) -> Source:
        if not reset or (self.warm_start and hasattr(self, "columns_") and not self._changes()):
            return super()._source(X, sample_weight, reset=reset, **{"domain": self._check_rows, **options})
        names, given = _names_of(X), _checked_blocks(self.blocks)
        self.estimators_ = self._families()
        self._resolve = lambda n_features: [_columns(block.columns, names, n_features) for block in given]
        source = super()._source(X, sample_weight, reset=True, **{"domain": self._check_rows, **options})
        self.columns_ = _apart(self._resolve(source.n_features))
        del self._resolve
        for estimator, columns in zip(self.estimators_, self.columns_, strict=True):
            estimator.n_features_in_ = len(columns)
            if hasattr(self, "feature_names_in_"):
                estimator.feature_names_in_ = self.feature_names_in_[columns]
            estimator._look_at(ChosenColumns(source, columns))
        return source

    def _families(self) -> list[Any]:
        """An estimator of its family for each block, not fitted."""
        blocks = _checked_blocks(self.blocks)
        families = [_family(block.kind)(n_components=self.n_components, **block.options) for block in blocks]
        for family in families:
            family._validate_params()
        return families

    def _check_rows(self, rows: np.ndarray, first_row: int) -> None:
        """Raise ValueError if a block has numbers that its family cannot have."""
        of_blocks = self._resolve(rows.shape[1]) if hasattr(self, "_resolve") else self.columns_
        for estimator, columns in zip(self.estimators_, of_blocks, strict=True):
            check = estimator._domain_of_block()
            if check is not None:
                try:
                    check(rows[:, columns], first_row)
                except ValueError as error:
                    raise ValueError(f"{error} Columns are counted in the block {columns.tolist()}.") from None

    def _nan_refusal(self) -> str | None:
        return "MixedMixture takes complete rows only."

    # the model --------------------------------------------------------------------------------------------------------

    def _problem(self) -> LikelihoodProblem:
        return LikelihoodProblem(
            self, search=self._search, given=False, complete=False, rows_per_component=self._rows_per_component
        )

    def _rows_per_component(self, n_features: int) -> int:
        pairs = zip(self.estimators_, self.columns_, strict=True)
        return max(estimator._problem().rows_per_component(len(columns)) for estimator, columns in pairs)

    def _search(self, source: Source, random_state: np.random.RandomState) -> Search:
        pairs = zip(self.estimators_, self.columns_, strict=True)
        spaces = [estimator._search(ChosenColumns(source, own), random_state).space for estimator, own in pairs]
        blank = MixedMixtureModel(tuple(space.blank for space in spaces), tuple(self.columns_), source.n_features)
        return Search(MixedSpace(blank, spaces), source, self.init_params, self.subsampling, random_state)

    def _model(self) -> MixedMixtureModel:
        blocks = tuple(estimator._model() for estimator in self.estimators_)
        return MixedMixtureModel(blocks, tuple(self.columns_), int(self.n_features_in_))

    def _keep_model(self, model: MixedMixtureModel) -> None:
        self.weights_ = model.weights
        known = getattr(self, "estimators_", None) or self._families()
        self.estimators_ = [copy(estimator) for estimator in known]  # those of a copy are its own
        for estimator, block in zip(self.estimators_, model.blocks, strict=True):
            estimator._keep_model(block)


# blocks ---------------------------------------------------------------------------------------------------------------


def _family(kind: str) -> Any:
    return estimator_class(f"{kind.capitalize()}Mixture")


def _kinds() -> list[str]:
    names = [name.removesuffix("Mixture").lower() for name in ESTIMATORS if name.endswith("Mixture")]
    return sorted(kind for kind in names if f"{kind.capitalize()}Mixture" in ESTIMATORS and _options_of(kind))


def _options_of(kind: str) -> tuple[str, ...]:
    return getattr(_family(kind), "_block_options", ())


def _checked_blocks(blocks: Sequence[Any]) -> list[_Block]:
    """The blocks, or ValueError."""
    if not len(blocks):
        raise ValueError("blocks must list at least one (kind, columns), such as ('gaussian', [0, 1]).")
    found = []
    for block in blocks:
        if not isinstance(block, list | tuple) or len(block) not in (2, 3) or not isinstance(block[0], str):
            raise ValueError(f"A block must be (kind, columns) or (kind, columns, options), got {block!r}.")
        kind, columns, options = (*block, {})[:3]
        if kind not in _kinds():
            raise ValueError(f"The kind of a block must be one of {', '.join(_kinds())}, got {kind!r}.")
        known = _options_of(kind)
        wrong = [name for name in options if name not in known]
        if wrong:
            raise ValueError(
                f"The options of a block {kind!r} are {', '.join(known)}, not {', '.join(map(repr, wrong))}."
            )
        found.append(_Block(kind, columns, dict(options)))
    return found


def _names_of(X: Any) -> list[str] | None:
    """The names of the columns, if they have any."""
    reader = opened(X)
    if reader is not None:
        return None if reader.names is None else list(reader.names)
    frame = as_frame(X)
    return None if frame is None else list(frame.columns)


def _columns(given: Any, names: list[str] | None, n_features: int) -> np.ndarray:
    """The columns of a block as indices (d,), or ValueError."""
    if isinstance(given, slice):
        chosen = np.arange(n_features)[given]
    else:
        entries: list[Any] = [given] if isinstance(given, str | int | np.integer) else list(given)
        if entries and all(isinstance(entry, bool | np.bool_) for entry in entries):
            if len(entries) != n_features:
                raise ValueError(f"A mask of columns has {len(entries)} entries, X has {n_features} columns.")
            entries = np.flatnonzero(entries).tolist()
        chosen = np.array([_index(entry, names, n_features) for entry in entries], dtype=np.int64)
    if not chosen.size:
        raise ValueError(f"The columns {given!r} of a block are none.")
    return chosen.astype(np.int64)


def _index(entry: Any, names: list[str] | None, n_features: int) -> int:
    if isinstance(entry, str):
        if names is None or entry not in names:
            known = "X has no names of columns" if names is None else f"the columns are {', '.join(names)}"
            raise ValueError(f"There is no column {entry!r}: {known}.")
        return names.index(entry)
    if not isinstance(entry, int | np.integer) or not -n_features <= entry < n_features:
        raise ValueError(f"There is no column {entry!r}: X has {n_features}.")
    return int(entry) % n_features


def _apart(columns: list[np.ndarray]) -> list[np.ndarray]:
    """The columns, or ValueError if one is in two blocks or twice in one."""
    numbers, times = np.unique(np.concatenate(columns), return_counts=True)
    if (times > 1).any():
        raise ValueError(f"Column {numbers[times > 1][0]} is in more than one block.")
    return columns
