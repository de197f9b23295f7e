"""Entropy of a Gaussian mixture and Kullback-Leibler divergence between two: no closed form, but bounds.

Both are expectations, estimated from random rows with a standard error, and held between bounds that need no rows.
Throughout, f = sum_a pi_a f_a and g = sum_b w_b g_b with Gaussian components.
"""

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, logsumexp
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.annotations import Seed
from fastem.estimators.gaussian_mixture import GaussianMixture
from fastem.families.gaussian import GaussianMixtureModel

PIECE_NUMBERS = 2**21  # random rows at a time, times features and components
ITERATIONS = 500  # of the variational bound
CONVERGED = 1e-12  # nats

Array = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number that was estimated from random rows, in nats.

    Attributes
    ----------
    value : float
    standard_error : float
        Of the estimate, with allowance for what no row has shown; zero if the value is exact.
    lower, upper : float
        Bounds of the true number, not of the estimate; equal to the value if it is exact.
    """

    value: float
    standard_error: float
    lower: float
    upper: float


def entropy(mixture: GaussianMixture, *, n_samples: int = 10_000, random_state: Seed = None) -> Estimate:
    """Differential entropy H(f) = -E_f ln f of a Gaussian mixture, in nats.

    The estimate is sum_a pi_a (H(f_a) - ln pi_a), less the mean over random rows of the entropy of their
    responsibilities. Exact for one component. The lower bound is the greater of
    -sum_a pi_a ln sum_b pi_b integral f_a f_b (Jensen; Huber, Bailey, Durrant-Whyte and Hanebeck 2008) and
    sum_a pi_a H(f_a) - sum_a pi_a ln sum_b pi_b integral sqrt(f_a f_b) (Kolchinsky and Tracey 2017). The upper bound is
    the less of sum_a pi_a H(f_a) - sum_a pi_a ln sum_b pi_b exp(-KL(f_a, f_b)) (ibid.; it is below
    sum_a pi_a (H(f_a) - ln pi_a) of Huber et al.) and the entropy of the Gaussian of the same mean and covariance.

    Parameters
    ----------
    mixture : GaussianMixture
        Fitted, or made by `from_parameters`.
    n_samples : int, default=10_000
        Rows drawn for the estimate, about so many: some of each component, else in proportion to the weights.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    entropy : Estimate

    Raises
    ------
    TypeError
        If it is no `GaussianMixture`.
    ValueError
        If `n_samples` is no integer of at least 2.

    Examples
    --------
    >>> from fastem import GaussianMixture, entropy
    >>> round(entropy(GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])).value, 4)  # ln(2 pi e) / 2
    1.4189
    """
    f = Components.of(mixture, "mixture")
    _check_samples(n_samples)
    if f.weights.size == 1:
        return _exact(f.entropies[0])
    # H(x) = H(x | k) + H(k) - E H(k | x): all but the last is known, and that hardly varies.
    known = float(f.weights @ f.entropies + entr(f.weights).sum())
    strata = _strata(f, lambda rows: _entropies_of_posteriors(f.model, rows), n_samples, random_state)
    lower, upper = entropy_bounds(f)
    greatest = np.log(f.weights.size)
    # A number between zero and `greatest` whose mean is at most this varies by no more than their product.
    most = np.sqrt(greatest * max(known - lower, 0.0) / n_samples)
    return Estimate(known - strata.mean, min(strata.error(greatest), most), lower, upper)


def kl_divergence(
    p: GaussianMixture, q: GaussianMixture, *, n_samples: int = 10_000, random_state: Seed = None
) -> Estimate:
    """Kullback-Leibler divergence KL(p, q) = E_p ln(p / q) between two Gaussian mixtures, in nats.

    Not symmetric. Exact for one component each. The lower bound is the greater of zero and
    -sum_a pi_a ln sum_b w_b integral f_a g_b, less the upper bound of the entropy of p (Durrieu, Thiran and Kelly
    2012). The upper bound is the less of -sum_a pi_a ln sum_b w_b exp(E_{f_a} ln g_b), less the lower bound of that
    entropy (ibid.), and the variational one of Hershey and Olsen (2007): pi and w are divided among the pairs of
    components so that sum_ab phi_ab (ln(phi_ab / psi_ab) + KL(f_a, g_b)) is least.

    Parameters
    ----------
    p, q : GaussianMixture
        Fitted, or made by `from_parameters`, of the same features.
    n_samples : int, default=10_000
        Rows drawn from p for the estimate, about so many: some of each component, else in proportion to the weights.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    divergence : Estimate

    Raises
    ------
    TypeError
        If one is no `GaussianMixture`.
    ValueError
        If they have different numbers of features, or `n_samples` is no integer of at least 2.

    Examples
    --------
    >>> from fastem import GaussianMixture, kl_divergence
    >>> p = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    >>> q = GaussianMixture.from_parameters([1.0], [[2.0]], [[[1.0]]])
    >>> kl_divergence(p, q).value  # the square of the distance, over two
    2.0
    """
    f, g = Components.of(p, "p"), Components.of(q, "q")
    _check_samples(n_samples)
    if f.model.n_features != g.model.n_features:
        raise ValueError(f"p has {f.model.n_features} features, but q {g.model.n_features}.")
    if f.weights.size == g.weights.size == 1:
        return _exact(divergences(f, g)[0, 0])

    def log_ratio(rows: Array) -> Array:
        return _log_density(f.model, rows) - _log_density(g.model, rows)

    strata = _strata(f, log_ratio, n_samples, random_state)
    return Estimate(strata.mean, strata.error(strata.range), *divergence_bounds(f, g))


# components -----------------------------------------------------------------------------------------------------------


class Components(NamedTuple):
    """The components of positive weight.

    Attributes
    ----------
    model : GaussianMixtureModel
    weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    factors, whiteners : ndarray of shape (K, D, D)
        Lower Cholesky factors of the covariances, and their inverses.
    """

    model: GaussianMixtureModel
    weights: Array
    means: Array
    factors: Array
    whiteners: Array

    @classmethod
    def of(cls, mixture: Any, name: str) -> "Components":
        if not isinstance(mixture, GaussianMixture):
            raise TypeError(f"{name} must be a fitted GaussianMixture, got {type(mixture).__name__}.")
        check_is_fitted(mixture)
        model = replace(mixture._without_noise("A divergence"), arithmetic="float64")
        alive = model.weights > 0
        whiteners = model.structure.as_matrices(model.whiteners, *model.means.shape)[alive]
        return cls(model, model.weights[alive], model.means[alive], np.linalg.inv(whiteners), whiteners)

    @property
    def covariances(self) -> Array:
        return self.factors @ self.factors.swapaxes(1, 2)

    @property
    def entropies(self) -> Array:
        """H(f_a) = (D ln(2 pi e) + ln det Sigma_a) / 2, (K,)."""
        return 0.5 * (self.model.n_features * np.log(2 * np.pi * np.e) + _log_dets(self.factors))


def _log_dets(factors: Array) -> Array:
    """ln det F F^T of triangular factors."""
    return 2.0 * np.log(np.abs(np.diagonal(factors, axis1=-2, axis2=-1))).sum(axis=-1)


def divergences(f: Components, g: Components) -> Array:
    """KL(f_a, g_b) of all pairs, (K, K')."""
    found = np.empty((f.weights.size, g.weights.size))
    for b, whitener in enumerate(g.whiteners):
        shifts = (f.means - g.means[b]) @ whitener.T
        traces = ((whitener @ f.factors) ** 2).sum(axis=(1, 2))
        log_ratios = _log_dets(g.factors[b]) - _log_dets(f.factors)
        found[:, b] = 0.5 * (traces - f.model.n_features + (shifts**2).sum(axis=1) + log_ratios)
    return np.maximum(found, 0.0)


def _log_overlaps(f: Components, g: Components) -> Array:
    """ln integral f_a g_b = ln N(mu_a | mu_b, Sigma_a + Sigma_b) of all pairs, (K, K')."""
    found = np.empty((f.weights.size, g.weights.size))
    covariances, others = f.covariances, g.covariances
    for b, mean in enumerate(g.means):
        factors = np.linalg.cholesky(covariances + others[b])
        standard = np.linalg.solve(factors, (f.means - mean)[:, :, None])[:, :, 0]
        found[:, b] = -0.5 * ((standard**2).sum(axis=1) + _log_dets(factors))
    return found - 0.5 * f.model.n_features * np.log(2 * np.pi)


def _log_affinities(f: Components) -> Array:
    """ln integral sqrt(f_a f_b) of all pairs, (K, K): at the mean covariance C, -d^T C^-1 d / 8 and determinants."""
    halves = 0.25 * _log_dets(f.factors)
    found = np.empty((f.weights.size, f.weights.size))
    covariances = f.covariances
    for b, mean in enumerate(f.means):
        mid = np.linalg.cholesky(0.5 * (covariances + covariances[b]))
        standard = np.linalg.solve(mid, (f.means - mean)[:, :, None])[:, :, 0]
        found[:, b] = -0.125 * (standard**2).sum(axis=1) - 0.5 * _log_dets(mid) + halves + halves[b]
    return np.minimum(found, 0.0)


# bounds ---------------------------------------------------------------------------------------------------------------


def entropy_bounds(f: Components) -> tuple[float, float]:
    """See `entropy`."""
    log_weights, own = np.log(f.weights), f.weights @ f.entropies
    jensen = -f.weights @ logsumexp(log_weights + _log_overlaps(f, f), axis=1)
    affine = own - f.weights @ logsumexp(log_weights + _log_affinities(f), axis=1)
    pairs = own - f.weights @ logsumexp(log_weights - divergences(f, f), axis=1)
    centred = f.means - f.weights @ f.means
    scatter = np.einsum("k,kij->ij", f.weights, f.covariances + centred[:, :, None] * centred[:, None, :])
    gaussian = 0.5 * (f.model.n_features * np.log(2 * np.pi * np.e) + np.linalg.slogdet(scatter)[1])
    return float(max(jensen, affine)), float(min(pairs, gaussian))


def divergence_bounds(f: Components, g: Components) -> tuple[float, float]:
    """See `kl_divergence`."""
    least, most = entropy_bounds(f)
    log_weights, kl = np.log(g.weights), divergences(f, g)
    least_cross = -f.weights @ logsumexp(log_weights + _log_overlaps(f, g), axis=1)
    expected = -f.entropies[:, None] - kl  # E_{f_a} ln g_b
    most_cross = -f.weights @ logsumexp(log_weights + expected, axis=1)
    upper = min(most_cross - least, _variational(f.weights, g.weights, kl))
    return float(max(0.0, least_cross - most)), float(max(0.0, upper))


def _variational(of_f: Array, of_g: Array, kl: Array) -> float:
    """The variational upper bound; each update of one side lowers it, and where it stops it is still a bound."""
    phi = of_f[:, None] * of_g
    bound = np.inf
    with np.errstate(divide="ignore", invalid="ignore"):  # components of g that are far from all of f
        for _ in range(ITERATIONS):
            log_psi = np.log(of_g) + np.log(phi) - np.log(phi.sum(axis=0))
            log_terms = np.where(phi.sum(axis=0) > 0, log_psi, -np.inf) - kl
            sums = logsumexp(log_terms, axis=1, keepdims=True)
            phi = of_f[:, None] * np.exp(log_terms - sums)
            last, bound = bound, float(of_f @ (np.log(of_f) - sums[:, 0]))
            if last - bound < CONVERGED:
                break
    return bound


# random rows ----------------------------------------------------------------------------------------------------------


class Strata(NamedTuple):
    """What a function is on rows of each component.

    Attributes
    ----------
    weights : ndarray of shape (K,)
    sizes, means, deviations : ndarray of shape (K,)
        Rows, and mean and standard deviation of the function on them.
    range : float
        Between its least and its greatest value on all rows.
    """

    weights: Array
    sizes: Array
    means: Array
    deviations: Array
    range: float

    @property
    def mean(self) -> float:
        """Of the function over the mixture."""
        return float(self.weights @ self.means)

    def error(self, greatest: float) -> float:
        """Standard error of the mean if the function varies by up to `greatest`.

        Separated components differ where hardly a row falls: of n rows that have not shown it, a deviation is only
        known up to greatest * sqrt(2 / (n - 1)) (Maurer and Pontil 2009, at one standard error).
        """
        deviations = self.deviations + greatest * np.sqrt(2.0 / (self.sizes - 1.0))
        return float(np.sqrt((self.weights**2 * deviations**2 / self.sizes).sum()))


def _strata(f: Components, function: Callable[[Array], Array], n_samples: int, random_state: Any) -> Strata:
    """Rows of every component: in proportion to the weights, but no fewer than a tenth of an equal share, or two."""
    random_state = check_random_state(random_state)
    least = max(2, n_samples // (10 * f.weights.size))
    sizes = np.maximum(np.rint(n_samples * f.weights).astype(int), least)
    moments = [_moments_in(f, a, int(size), function, random_state) for a, size in enumerate(sizes)]
    means, deviations, lowest, highest = np.array(moments).T
    return Strata(f.weights, sizes.astype(float), means, deviations, float(highest.max() - lowest.min()))


def _moments_in(
    f: Components, a: int, size: int, function: Callable[[Array], Array], random_state: np.random.RandomState
) -> tuple[float, float, float, float]:
    """Mean, standard deviation, minimum and maximum of a function over so many rows of a component."""
    count, mean, squares, lowest, highest = 0, 0.0, 0.0, np.inf, -np.inf
    most = max(1, PIECE_NUMBERS // (f.model.n_features + f.model.n_components))
    for first in range(0, size, most):
        standard = random_state.standard_normal((min(most, size - first), f.model.n_features))
        values = function(f.means[a] + standard @ f.factors[a].T)
        own, new = float(values.mean()), len(values)
        squares += float(((values - own) ** 2).sum()) + (own - mean) ** 2 * count * new / (count + new)
        mean += (own - mean) * new / (count + new)
        lowest, highest, count = min(lowest, float(values.min())), max(highest, float(values.max())), count + new
    return mean, float(np.sqrt(squares / (count - 1))), lowest, highest


def _log_density(model: GaussianMixtureModel, rows: Array) -> Array:
    log_density = np.empty(len(rows))
    model.evaluate(rows, log_density=log_density)
    return log_density


def _entropies_of_posteriors(model: GaussianMixtureModel, rows: Array) -> Array:
    responsibilities = np.empty((len(rows), model.n_components))
    model.evaluate(rows, responsibilities=responsibilities)
    return entr(responsibilities).sum(axis=1)


def _exact(value: float) -> Estimate:
    return Estimate(float(value), 0.0, float(value), float(value))


def _check_samples(n_samples: Any) -> None:
    if not isinstance(n_samples, Integral) or n_samples < 2:
        raise ValueError(f"n_samples must be an integer, at least 2, got {n_samples!r}.")
