"""The scikit-learn face of latent class analysis."""

from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastem.estimators import missing_values
from fastem.estimators.annotations import Doubles, Labels
from fastem.estimators.base_discrete_mixture import DiscreteMixture
from fastem.estimators.missing_values import MissingValuesMixin
from fastem.estimators.scikit_learn import Interval
from fastem.estimators.validation import Domain
from fastem.families import domains
from fastem.families.categorical import CategoricalMixtureModel
from fastem.search.initial_values import checked_array
from fastem.sources import Source


class CategoricalAttributes:
    """The types of what a fit finds; annotated in a dataclass, they would be parameters."""

    probabilities_: list[Doubles]
    n_observed_levels_: Labels
    n_levels_: Labels


@dataclass(eq=False, repr=False, kw_only=True)
class CategoricalMixture(CategoricalAttributes, MissingValuesMixin, DiscreteMixture):
    """Mixture of independent categorical columns fitted by Expectation-Maximization: latent class analysis.

    p(x) = sum_k w_k prod_j p_kj(x_j) for rows of levels 0, 1, ..., of which every column has its own number. Each
    iteration is one fused pass over the rows; then N_k = sum_n r_nk, p_kj(v) = sum_n r_nk [x_nj = v] / N_k and
    w_k = N_k / N (Goodman 1974).

    Parameters
    ----------
    n_components : int, default=1
        Number of components K.
    n_levels : int or array-like of shape (n_features,), default=None
        Number of levels of the columns, all alike or one by one. None: one more than the greatest in the data, for
        `partial_fit` in the rows of the first call.
    tol : float, default=1e-3
        Stop when the lower bound, in nats per unit weight, changes by less.
    max_iter : int, default=100
        Greatest number of iterations, each one pass over the rows. 0 keeps the start.
    n_init : int, default=1
        Number of starts; the best lower bound wins.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, array-like or callable, default='kmeans'
        How to start, as in `GaussianMixture`. 'kmeans' groups indicators of the levels. With `subsampling` it
        takes turns with random rows, and the best of several short runs on a bounded sample wins.
    weights_init : array-like of shape (n_components,), default=None
        Weights to start with instead.
    probabilities_init : list of array-like of shape (n_components, levels of the column), default=None
        Probabilities to start with instead, one array per column; rows sum to one.
    fit_weights : bool, default=True
        Whether to learn the weights. If False they stay what `weights_init` says, or equal.
    pseudo_count : float, default=1e-10
        Rows that every component has seen beforehand at every level: Dirichlet(1 + a) priors. No probability becomes
        zero, so that no row is impossible. The default hardly changes any other digit; 1 is Laplace's rule; 0 is
        maximum likelihood.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts and of `sample`.
    warm_start : bool, default=False
        Continue from the last fit.
    verbose : int, default=0
        1 prints starts and iterations, 2 also times and changes.
    verbose_interval : int, default=10
        Iterations between two prints.
    subsampling : bool or 'auto', default='auto'
    acceleration : {'auto', 'squarem'} or None, default='auto'
    stopping : {'gain', 'gap'}, default='gain'
    e_step : {'soft', 'hard', 'stochastic'}, default='soft'
    learning_method : {'batch', 'online'}, default='batch'
    batch_size : int, default=1024
    learning_decay : float, default=0.7
    learning_offset : float, default=10.0
    missing : {'error', 'em'}, default='error'
        What NaN is: an error, or with 'em' a number that is missing at random. Then it is left out of the product, and
        rows without any number count for nothing. `impute` fills in the most probable level.
    checkpoint : path, default=None
    checkpoint_every : int, default=1
        See `GaussianMixture` for these.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    probabilities_ : list of ndarray of shape (n_components, levels of the column)
        One array per column; rows sum to one.
    n_observed_levels_ : ndarray of shape (n_features_in_,)
        Levels that rows of positive weight have: unless `n_levels` declares more, these are what `bic` and `aic` count.
    n_levels_ : ndarray of shape (n_features_in_,)
        Number of levels of each column; rows with other levels are refused.
    converged_ : bool
    n_iter_ : int
        Iterations of the best start over all rows, one pass each.
    lower_bound_ : float
        Mean log-likelihood per unit weight before the last M-step, plus the log-prior (up to a constant) over the sum
        of the weights. It never falls.
    lower_bounds_ : list of float
        The same for all iterations.
    lower_bounds_of_starts_ : list of list of float
        Those of each of the `n_init` starts.
    log_likelihood_ : float
        Mean log-likelihood per unit weight at the parameters returned, without the prior.
    n_samples_seen_ : float
        Weight of all rows that the parameters have learned from; online, that of all epochs.
    n_passes_ : int
        How often all rows were read, for every purpose.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If `X` has string column names.

    Examples
    --------
    Two classes of answers to a yes-or-no question and one with three answers.

    >>> import numpy as np
    >>> from fastem import CategoricalMixture
    >>> X = np.array([[0, 0], [0, 0], [0, 1], [1, 2], [1, 2], [1, 2]])
    >>> mixture = CategoricalMixture(2, random_state=0).fit(X)
    >>> [p.shape for p in mixture.probabilities_]
    [(2, 2), (2, 3)]
    >>> bool(mixture.predict(X)[0] == mixture.predict(X)[5])
    False
    """

    n_levels: int | ArrayLike | None = None
    probabilities_init: Any = None

    _lasting = (*DiscreteMixture._lasting, "n_levels")
    _block_options = (*DiscreteMixture._block_options, "n_levels")
    _model_class: ClassVar[type] = CategoricalMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DiscreteMixture._parameter_constraints,
        **missing_values.CONSTRAINTS,
        "probabilities_init": [list, tuple, None],
        "n_levels": [Interval(Integral, 1, None, closed="left"), "array-like", None],
    }
    _check_rows = staticmethod(domains.any_levels)

    # levels -----------------------------------------------------------------------------------------------------------

    def _source(self, X: Any, sample_weight: Any = None, *, reset=False, **options):
        anew = reset and (not self.warm_start or self._changes())
        known = None if anew else getattr(self, "n_levels_", None)
        domain = self._domain() if known is None else self._domain_of_block()
        source = super()._source(X, sample_weight, domain=domain, reset=reset, **options)
        if known is None:
            self._look_at(source)
        return source

    def _domain_of_block(self) -> Domain:
        known = getattr(self, "n_levels_", None)
        return self._domain() if known is None else partial(domains.known_levels, type(self).__name__, known)

    def _look_at(self, source: Source) -> None:
        self.n_levels_ = self._levels_of(source)

    def _levels_of(self, source):
        """What `n_levels` says, or as many as the rows have; never fewer than the rows have."""
        observed = [np.zeros(1, dtype=bool)] * source.n_features
        found = np.zeros(source.n_features, dtype=np.int64)
        for rows, weights in source.blocks():
            if len(rows):
                greatest = np.nan_to_num(np.fmax.reduce(rows, axis=0), nan=-1.0)
                found = np.maximum(found, greatest.astype(np.int64) + 1)
                counted = rows if weights is None else rows[weights > 0]
                observed = [_observed(column, before) for column, before in zip(counted.T, observed, strict=True)]
        self.n_observed_levels_ = np.array([np.count_nonzero(levels) for levels in observed])
        if self.n_levels is None:
            return found
        wanted = np.asarray(self.n_levels)
        if wanted.dtype.kind not in "iu" or wanted.shape not in ((), found.shape) or (wanted < 1).any():
            raise ValueError(f"n_levels should be a positive integer or one per column, {len(found)} in all.")
        wanted = np.broadcast_to(wanted, found.shape).astype(np.int64)
        if (found > wanted).any():
            column = int(np.argmax(found > wanted))
            raise ValueError(
                f"Column {column} has the level {found[column] - 1}, but n_levels={wanted[column]} says that the "
                "greatest is one less than that number."
            )
        return wanted

    # what the family adds ---------------------------------------------------------------------------------------------

    def _options(self):
        """Levels that never occur are no parameters, unless they have been declared."""
        every = self.n_levels is not None or not hasattr(self, "n_observed_levels_")
        return {**super()._options(), "n_counted": None if every else int(self.n_observed_levels_.sum())}

    def _model_with(self, weights, means):
        n_levels = np.array([np.shape(column)[-1] for column in means])
        if not np.array_equal(n_levels, self.n_levels_):
            raise ValueError(f"probabilities_ have {n_levels} levels, n_levels_ is {self.n_levels_}.")
        blank = CategoricalMixtureModel(weights, np.empty((len(weights), n_levels.sum())), n_levels=n_levels)
        return replace(blank, means=self._joined(means, "probabilities_", blank))

    def _keep_model(self, model):
        self.weights_ = model.weights
        parts = np.split(model.means, np.cumsum(model.n_levels)[:-1], axis=1)
        self.probabilities_ = [np.ascontiguousarray(part) for part in parts]

    def _blank(self, weights, source):
        means = np.repeat(1.0 / self.n_levels_, self.n_levels_)
        return CategoricalMixtureModel(weights, np.tile(means, (self.n_components, 1)), n_levels=self.n_levels_)

    def _joined(self, values, name, blank):
        """One array per column, side by side."""
        if len(values) != blank.n_features:
            raise ValueError(f"The parameter '{name}' should have one array per column, {blank.n_features} in all.")
        shapes = [(blank.n_components, int(n)) for n in blank.n_levels]
        named = [f"{name}[{column}]" for column in range(len(shapes))]
        return np.hstack([checked_array(*each) for each in zip(values, shapes, named, strict=True)])

    def _checked_means(self, values, name, blank):
        joined = self._joined(values, name, blank)
        totals = np.stack([np.sum(column, axis=1) for column in values], axis=1)
        if (joined < 0).any() or not np.allclose(totals, 1.0, rtol=0, atol=1e-6):
            raise ValueError(f"The rows of the arrays of '{name}' should be non-negative and sum to one.")
        return joined / np.repeat(totals, blank.n_levels, axis=1)


def _observed(column: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Which levels a column has, or had before, as a mask."""
    present = np.bincount(column[column == column].astype(np.int64), minlength=len(before)) > 0
    present[: len(before)] |= before
    return present
