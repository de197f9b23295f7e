"""The scikit-learn face of mixtures of binary features."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastem.estimators import missing_values
from fastem.estimators.annotations import Doubles
from fastem.estimators.base_discrete_mixture import DiscreteMixture
from fastem.estimators.missing_values import MissingValuesMixin
from fastem.families import domains
from fastem.families.bernoulli import BernoulliMixtureModel
from fastem.search.initial_values import checked_array


class BernoulliAttributes:
    """The types of what a fit finds; annotated in a dataclass, they would be parameters."""

    probabilities_: Doubles


@dataclass(eq=False, repr=False, kw_only=True)
class BernoulliMixture(BernoulliAttributes, MissingValuesMixin, DiscreteMixture):
    """Mixture of independent binary features fitted by Expectation-Maximization.

    p(x) = sum_k w_k prod_j p_kj^x_j (1 - p_kj)^(1 - x_j) for rows of zeros and ones. Each iteration is one fused pass
    over the rows; then N_k = sum_n r_nk, p_kj = sum_n r_nk x_nj / N_k and w_k = N_k / N. With one feature and two
    components this is the three-coin model of the textbooks.

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
        How to start, as in `GaussianMixture`. 'kmeans' groups the rows themselves. With `subsampling` it
        takes turns with random rows, and the best of several short runs on a bounded sample wins.
    weights_init : array-like of shape (n_components,), default=None
        Weights to start with instead.
    probabilities_init : array-like of shape (n_components, n_features), default=None
        Probabilities of ones to start with instead.
    fit_weights : bool, default=True
        Whether to learn the weights. If False they stay what `weights_init` says, or equal.
    pseudo_count : float, default=1e-10
        Ones, and zeros, that every component has seen beforehand in every feature: a Beta(1 + a, 1 + a) prior. No
        probability becomes zero or one, so that no row is impossible. The default hardly changes any other digit; 1 is
        Laplace's rule; 0 is maximum likelihood.
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
        rows without any number count for nothing. `impute` fills in the most probable value.
    checkpoint : path, default=None
    checkpoint_every : int, default=1
        See `GaussianMixture` for these.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    probabilities_ : ndarray of shape (n_components, n_features)
        Of ones.
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
    The three coins: the last one is seen, the first one decides which of the others it is.

    >>> import numpy as np
    >>> from fastem import BernoulliMixture
    >>> tosses = np.array([1, 1, 0, 1, 0, 0, 1, 0, 1, 1])[:, np.newaxis]
    >>> start = {"weights_init": [0.4, 0.6], "probabilities_init": [[0.6], [0.7]]}
    >>> mixture = BernoulliMixture(2, **start).fit(tosses)
    >>> mixture.weights_.round(4), mixture.probabilities_.ravel().round(4)
    (array([0.4064, 0.5936]), array([0.5368, 0.6432]))
    """

    probabilities_init: ArrayLike | None = None

    _model_class: ClassVar[type] = BernoulliMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DiscreteMixture._parameter_constraints,
        **missing_values.CONSTRAINTS,
        "probabilities_init": ["array-like", None],
    }
    _check_rows = staticmethod(domains.binary)

    def _model_with(self, weights, means):
        means = checked_array(means, (len(weights), np.shape(means)[-1]), "probabilities_")
        return BernoulliMixtureModel(weights, means)

    def _blank(self, weights, source):
        return BernoulliMixtureModel(weights, np.full((self.n_components, source.n_features), 0.5))

    def _checked_means(self, values, name, blank):
        values = checked_array(values, blank.means.shape, name)
        if (values < 0).any() or (values > 1).any():
            raise ValueError(f"The parameter '{name}' should be in the range [0, 1].")
        return values
