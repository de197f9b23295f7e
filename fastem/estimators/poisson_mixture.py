"""The scikit-learn face of mixtures of Poisson counts."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastem.estimators import missing_values
from fastem.estimators.annotations import Doubles
from fastem.estimators.base_discrete_mixture import DiscreteMixture
from fastem.estimators.missing_values import MissingValuesMixin
from fastem.families import domains
from fastem.families.poisson import PoissonMixtureModel
from fastem.search.initial_values import checked_array


class PoissonAttributes:
    """The types of what a fit finds; annotated in a dataclass, they would be parameters."""

    rates_: Doubles


@dataclass(eq=False, repr=False, kw_only=True)
class PoissonMixture(PoissonAttributes, MissingValuesMixin, DiscreteMixture):
    """Mixture of independent Poisson counts fitted by Expectation-Maximization.

    p(x) = sum_k w_k prod_j rate_kj^x_j exp(-rate_kj) / x_j! for rows of counts. Each iteration is one fused pass over
    the rows; then N_k = sum_n r_nk, rate_kj = sum_n r_nk x_nj / N_k and w_k = N_k / N (Hasselblad 1969).

    Parameters
    ----------
    n_components : int, default=1
        Number of components K.
    tol : float, default=1e-3
        Stop when the lower bound, in nats per unit weight, changes by less.
    max_iter : int, default=100
        Greatest number of iterations, each one pass over the rows. 0 keeps the start.
    n_init : int, default=1
        Number of starts; the best lower bound wins.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, array-like or callable, default='kmeans'
        How to start, as in `GaussianMixture`. 'kmeans' groups square roots of the counts. With `subsampling` it
        takes turns with random rows, and the best of several short runs on a bounded sample wins.
    weights_init : array-like of shape (n_components,), default=None
        Weights to start with instead.
    rates_init : array-like of shape (n_components, n_features), default=None
        Rates to start with instead.
    fit_weights : bool, default=True
        Whether to learn the weights. If False they stay what `weights_init` says, or equal.
    pseudo_count : float, default=1e-10
        Rows that every component has seen beforehand, all of them the mean of the data (with half an event more in
        all): a gamma prior. No rate becomes zero, so that no row is impossible. The default hardly changes any other
        digit; 0 is maximum likelihood.
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
        rows without any number count for nothing. `impute` fills in the conditional mean.
    checkpoint : path, default=None
    checkpoint_every : int, default=1
        See `GaussianMixture` for these.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    rates_ : ndarray of shape (n_components, n_features)
        Mean counts.
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
    Days with 0, ..., 9 deaths of women over 80 in the London Times (Hasselblad 1969).

    >>> import numpy as np
    >>> from fastem import PoissonMixture
    >>> days = np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1])
    >>> mixture = PoissonMixture(2, tol=1e-12, max_iter=1000, acceleration="squarem", random_state=0)
    >>> mixture = mixture.fit(np.arange(10)[:, np.newaxis], sample_weight=days)
    >>> np.sort(mixture.rates_.ravel()).round(3)
    array([1.256, 2.663])
    """

    rates_init: ArrayLike | None = None

    _model_class: ClassVar[type] = PoissonMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DiscreteMixture._parameter_constraints,
        **missing_values.CONSTRAINTS,
        "rates_init": ["array-like", None],
    }
    _check_rows = staticmethod(domains.counts)
    _means_init = "rates_init"

    def _model_with(self, weights, means):
        means = checked_array(means, (len(weights), np.shape(means)[-1]), "rates_")
        return PoissonMixtureModel(weights, means)

    def _blank(self, weights, source):
        return PoissonMixtureModel(weights, np.full((self.n_components, source.n_features), 1.0))

    def _checked_means(self, values, name, blank):
        values = checked_array(values, blank.means.shape, name)
        if (values < 0).any():
            raise ValueError(f"The parameter '{name}' should not be negative.")
        return values
