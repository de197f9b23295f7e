"""The scikit-learn face of mixtures of multinomial counts."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastem.estimators.annotations import Doubles
from fastem.estimators.base_discrete_mixture import DiscreteMixture
from fastem.families import domains
from fastem.families.multinomial import MultinomialMixtureModel
from fastem.search.initial_values import checked_array


class MultinomialAttributes:
    """The types of what a fit finds; annotated in a dataclass, they would be parameters."""

    probabilities_: Doubles
    n_trials_: float


@dataclass(eq=False, repr=False, kw_only=True)
class MultinomialMixture(MultinomialAttributes, DiscreteMixture):
    """Mixture of multinomial counts fitted by Expectation-Maximization.

    p(x) = sum_k w_k n! / prod_j x_j! prod_j p_kj^x_j for rows of counts of the total n = sum_j x_j, which is given and
    may differ from row to row: words of documents, heads and tails. Each iteration is one fused pass over the rows;
    then p_kj = sum_n r_nk x_nj / sum_n r_nk n_n and w_k = sum_n r_nk / N.

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
        How to start, as in `GaussianMixture`. 'kmeans' groups square roots of the shares. With `subsampling` it
        takes turns with random rows, and the best of several short runs on a bounded sample wins.
    weights_init : array-like of shape (n_components,), default=None
        Weights to start with instead.
    probabilities_init : array-like of shape (n_components, n_features), default=None
        Probabilities of the categories to start with instead; rows sum to one.
    fit_weights : bool, default=True
        Whether to learn the weights. If False they stay what `weights_init` says, or equal.
    pseudo_count : float, default=1e-10
        Counts that every component has seen beforehand in every category: a Dirichlet(1 + a) prior. No probability
        becomes zero, so that no row is impossible. The default hardly changes any other digit; 1 is Laplace's rule; 0
        is maximum likelihood.
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
    checkpoint : path, default=None
    checkpoint_every : int, default=1
        See `GaussianMixture` for these.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    probabilities_ : ndarray of shape (n_components, n_features)
        Rows sum to one.
    n_trials_ : float
        Mean total of the rows; `sample` draws rows of this total, rounded.
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
    Two coins: one of them is chosen and tossed ten times, five times over.

    >>> import numpy as np
    >>> from fastem import MultinomialMixture
    >>> heads = np.array([5, 9, 8, 4, 7])
    >>> start = {"fit_weights": False, "probabilities_init": [[0.6, 0.4], [0.5, 0.5]]}
    >>> mixture = MultinomialMixture(2, tol=1e-9, **start).fit(np.stack([heads, 10 - heads], axis=1))
    >>> mixture.probabilities_[:, 0].round(3)
    array([0.797, 0.52 ])
    """

    probabilities_init: ArrayLike | None = None

    _model_class: ClassVar[type] = MultinomialMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DiscreteMixture._parameter_constraints,
        "probabilities_init": ["array-like", None],
    }
    _check_rows = staticmethod(domains.counts)

    def _model_with(self, weights, means):
        means = checked_array(means, (len(weights), np.shape(means)[-1]), "probabilities_")
        return MultinomialMixtureModel(weights, means, n_trials=float(getattr(self, "n_trials_", 1.0)))

    def _keep_model(self, model):
        super()._keep_model(model)
        self.n_trials_ = model.n_trials

    def _blank(self, weights, source):
        shape = self.n_components, source.n_features
        return MultinomialMixtureModel(weights, np.full(shape, 1.0 / source.n_features))

    def _checked_means(self, values, name, blank):
        values = checked_array(values, blank.means.shape, name)
        if (values < 0).any() or not np.allclose(values.sum(axis=1), 1.0, rtol=0, atol=1e-6):
            raise ValueError(f"The rows of the parameter '{name}' should be non-negative and sum to one.")
        return values / values.sum(axis=1, keepdims=True)
