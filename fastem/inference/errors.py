"""Standard errors and confidence intervals of the parameters of a Gaussian mixture."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import null_space
from scipy.special import expit, logit
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from fastem.estimators.annotations import Data
from fastem.estimators.gaussian_mixture import GaussianMixture
from fastem.families.gaussian import EMPTY, GaussianMixtureModel
from fastem.inference.gradient import model_and_source
from fastem.inference.information import Information, information_of
from fastem.inference.layout import Layout
from fastem.registry import warn

Kind: TypeAlias = Literal["louis", "opg", "sandwich"]
KINDS = get_args(Kind)
SINGULAR = 1e-8  # share of the complete information below which there is none
INVOLVED = 1e-6  # share of a parameter in directions without information, from which it has no standard error
AWAY = 0.1  # standard errors from the optimum that are too many
SAME = 1e-4  # standard deviations between components that coincide
UNSUPPORTED = 0.5  # share of a variance that its rows explain, below which the likelihood is not concave in it


class InferenceWarning(UserWarning):
    """Standard errors do not exist, or rest on an assumption that does not hold."""


@dataclass(frozen=True, eq=False)
class ConfidenceIntervals:
    """Lower and upper limits, in the last axis.

    Attributes
    ----------
    weights : ndarray of shape (K, 2)
    means : ndarray of shape (K, D, 2)
    covariances : ndarray
        Of the shape of `covariances_`, and the last axis.
    level : float
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    level: float


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """Standard errors of the parameters of a Gaussian mixture, shaped like them; NaN where there are none.

    Attributes
    ----------
    weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    covariances : ndarray
        Shaped like `covariances_`.
    covariance : ndarray of shape (P, P)
        Of the estimates of all parameters, in the order of `names`. The weights sum to one: their block has the rank
        K - 1.
    names : tuple of str
        First the K weights; then the means, component after component; then the distinct entries of the covariances, of
        matrices the lower triangle row by row.
    estimates : ndarray of shape (P,)
        The parameters themselves.
    kind : str
    layout : Layout
        Where each parameter lies in these vectors; ``layout.unpack(vector)`` gives the three arrays.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    covariance: np.ndarray
    names: tuple[str, ...]
    estimates: np.ndarray
    kind: str
    layout: Layout

    @classmethod
    def of(cls, layout: Layout, estimates: np.ndarray, covariance: np.ndarray, kind: str) -> "StandardErrors":
        with np.errstate(invalid="ignore"):
            errors = layout.unpack(np.sqrt(np.diagonal(covariance)))
        return cls(*errors, covariance, layout.names, estimates, kind, layout)

    def confidence_intervals(self, level: float = 0.95) -> ConfidenceIntervals:
        """Intervals that hold the parameters with this probability, each by itself, when there are many rows.

        They are symmetric on scales on which every value is possible: weights as logits, variances as logarithms,
        means and covariances of two features as they are.

        Parameters
        ----------
        level : float, default=0.95

        Returns
        -------
        intervals : ConfidenceIntervals
        """
        if not 0.0 < level < 1.0:
            raise ValueError(f"level must be a number between 0 and 1, got {level!r}.")
        quantile = norm.ppf(0.5 + 0.5 * level)
        values, errors = self.estimates, self.layout.pack(self.weights, self.means, self.covariances)
        limits = values + np.multiply.outer([-quantile, quantile], errors)
        first, variances = slice(self.layout.n_components), self._variances
        w, v, some = values[first], values[variances], errors[first]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            steps = np.where(some == 0.0, 0.0, some / (w * (1.0 - w)))  # a single component has the weight one
            logits = np.where(some == 0.0, 0.0, logit(w))
            limits[:, variances] = v * np.exp(np.multiply.outer([-quantile, quantile], errors[variances] / v))
        of_weights = expit(logits + np.multiply.outer([-quantile, quantile], steps))
        limits[:, first] = np.where(some == 0.0, w, of_weights)
        below, above = (self.layout.unpack(side) for side in limits)
        weights, means, covariances = (np.stack(pair, axis=-1) for pair in zip(below, above, strict=True))
        return ConfidenceIntervals(weights, means, covariances, level)

    @property
    def _variances(self) -> np.ndarray:
        """Which parameters are variances."""
        layout = self.layout
        of_one = [len(set(entry)) < 2 for entry in layout.coordinates.entries(layout.n_features)]
        before = layout.n_components * (1 + layout.n_features)
        return np.concatenate([np.zeros(before, bool), np.resize(of_one, layout.size - before)])


def standard_errors(
    model: GaussianMixture, X: Data, kind: Kind = "louis", sample_weight: ArrayLike | None = None
) -> StandardErrors:
    """Standard errors of weights, means and covariances of a Gaussian mixture fitted to X.

    One pass over the rows, of any source, in bounded memory. The covariance of the estimates is

    - 'louis': I^-1, the inverse of the observed information: minus the second derivatives of the log-likelihood, exact,
      by Louis' formula (1982);
    - 'opg': G^-1, of the outer product of gradients G = sum_n w_n s_n s_n^T: the same if the rows do come from such a
      mixture and there are many;
    - 'sandwich': I^-1 G I^-1, valid even if they do not (White 1982; Boldea and Magnus 2009).

    Weights are frequencies: a row of weight w counts as w rows in I and in G alike.

    There are none, but NaN and a warning, for components without rows, components whose variance is that of `reg_covar`
    rather than of their rows, components that coincide, and whatever else X does not determine. Where the fit added
    `reg_covar`, the parameters are off the maximum by as much: the curvature is taken where they are, and a warning
    given once the difference is a tenth of a standard error.

    Parameters
    ----------
    model : GaussianMixture
        Fitted to X, with a `tol` that leaves no distance from the optimum to be seen, 1e-6 perhaps.
    X : array-like, path or other source of shape (n_samples, n_features)
        The rows it was fitted to.
    kind : {'louis', 'opg', 'sandwich'}, default='louis'
    sample_weight : array-like of shape (n_samples,), default=None
        The weights it was fitted with.

    Returns
    -------
    errors : StandardErrors

    Raises
    ------
    TypeError
        If the model is no `GaussianMixture`.
    ValueError
        If X, the weights or the kind are invalid, or there are more than 2,000 parameters.

    Warns
    -----
    InferenceWarning
        If some do not exist, the parameters are not at an optimum of the likelihood of X, or a component has fewer rows
        than parameters: all of this holds for many rows.

    Examples
    --------
    The standard error of a mean is the deviation over the square root of the rows:

    >>> import numpy as np
    >>> from fastem import GaussianMixture, standard_errors
    >>> X = np.array([[1.0], [2.0], [3.0], [6.0]])
    >>> errors = standard_errors(GaussianMixture(reg_covar=0.0).fit(X), X)
    >>> round(float(errors.means[0, 0]), 6), round(float(X.std() / 2), 6)
    (0.935414, 0.935414)
    """
    _check_kind(kind, KINDS)
    theta, source = model_and_source(model, X, sample_weight)
    layout = Layout.of(theta)
    estimates = layout.pack(theta.weights, theta.means, theta.covariances)
    alive = _alive(theta)
    found = information_of(subset(theta, alive), source)
    covariance = np.full((layout.size, layout.size), np.nan)
    places = _places(layout, alive)
    covariance[np.ix_(places, places)], messages = _covariance(subset(theta, alive), found, kind, alive)
    if len(alive) < theta.n_components:
        empty = np.setdiff1d(np.arange(theta.n_components), alive).tolist()
        messages.append(f"Components {empty} have the weight zero, the boundary of what is possible: NaN.")
    for message in messages:
        warn(message, InferenceWarning)
    return StandardErrors.of(layout, estimates, covariance, kind)


def confidence_intervals(
    model: GaussianMixture,
    X: Data,
    kind: Kind = "louis",
    sample_weight: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> ConfidenceIntervals:
    """Confidence intervals of the parameters: `standard_errors`, then `StandardErrors.confidence_intervals`.

    Parameters
    ----------
    model, X, kind, sample_weight
        As of `standard_errors`, where the errors and warnings are described too.
    level : float, default=0.95

    Returns
    -------
    intervals : ConfidenceIntervals
    """
    return standard_errors(model, X, kind, sample_weight).confidence_intervals(level)


def observed_information(
    model: GaussianMixture, X: Data, kind: Kind = "louis", sample_weight: ArrayLike | None = None
) -> np.ndarray:
    """Minus the second derivatives of the log-likelihood by all parameters, or the outer product of gradients.

    Parameters
    ----------
    model, X, sample_weight
        As of `standard_errors`; the parameters need not be at an optimum.
    kind : {'louis', 'opg'}, default='louis'

    Returns
    -------
    information : ndarray of shape (P, P)
        In the order of `StandardErrors.names`, with the weights as K free numbers; entries off the diagonal of a
        covariance move together with their mirror images. NaN for components of weight zero.
    """
    _check_kind(kind, KINDS[:2])
    theta, source = model_and_source(model, X, sample_weight)
    layout, alive = Layout.of(theta), _alive(theta)
    found = information_of(subset(theta, alive), source)
    inverse = np.linalg.inv(found.jacobian)
    information = np.full((layout.size, layout.size), np.nan)
    places = _places(layout, alive)
    information[np.ix_(places, places)] = inverse.T @ (found.louis if kind == "louis" else found.outer) @ inverse
    return information


# components that take no part ---------------------------------------------------------------------------------------


def _alive(theta: GaussianMixtureModel) -> np.ndarray:
    return np.flatnonzero(theta.weights > 0)


def subset(theta: GaussianMixtureModel, alive: np.ndarray) -> GaussianMixtureModel:
    """The mixture of some components, with their weights as they are."""
    names = ["weights", "means"] if theta.structure.shared else ["weights", "means", "covariances", "whiteners"]
    return replace(theta.detached(), **{name: getattr(theta, name)[alive] for name in names})


def _places(layout: Layout, alive: np.ndarray) -> np.ndarray:
    """Where the parameters of these components lie in the vector of all."""
    numbers = np.arange(layout.size)
    shared = layout.structure.shared
    covariances = [numbers[layout.covariance(int(k))] for k in (alive[:1] if shared else alive)]
    return np.concatenate([alive, *(numbers[layout.mean(int(k))] for k in alive), *covariances])


# the covariance of the estimates --------------------------------------------------------------------------------------


class Inverse(NamedTuple):
    """The inverse of a symmetric matrix on the space where it is positive, and a basis of the rest."""

    matrix: np.ndarray
    null: np.ndarray
    negative: bool


@threadpool_limits.wrap(limits=1, user_api="blas")
def _covariance(
    theta: GaussianMixtureModel, found: Information, kind: str, names: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Of the estimates of a mixture whose components are called `names`; and what the user must know."""
    layout = Layout.of(theta)
    messages: list[str] = []
    excluded = _without_support(theta, found, names, messages)
    fixed = _parameters_of(layout, excluded)
    fixed[: theta.n_components] = False  # what is left to such a component is left to the others too
    directions = _directions(theta, np.flatnonzero(~fixed))
    louis = _inverse(directions.T @ found.louis @ directions)
    rows = found.jacobian @ directions
    covariance, null = louis.matrix, louis.null
    if kind != "louis":
        outer = directions.T @ found.outer @ directions
        if kind == "sandwich":
            covariance = covariance @ outer @ covariance
        else:
            opg = _inverse(outer)
            covariance, null = opg.matrix, np.hstack([null, opg.null])
    unknown = np.linalg.norm(rows @ null, axis=1) > INVOLVED * np.linalg.norm(rows, axis=1)
    excluded = sorted({*excluded, *_coinciding(theta, names, messages)})
    unidentified = unknown & ~_parameters_of(layout, excluded)
    if unidentified.any():
        messages.append(_of_unidentified(_names(theta, names), unidentified, louis.negative, kind))
    unknown |= _parameters_of(layout, excluded)
    messages += _of_distance(rows, directions, louis.matrix, found, unknown)
    covariance = rows @ covariance @ rows.T
    covariance[unknown], covariance[:, unknown] = np.nan, np.nan
    return covariance, messages


def _directions(theta: GaussianMixtureModel, free: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the ways in which the free parameters can move: the weights keep their sum."""
    layout = Layout.of(theta)
    of_others = np.eye(layout.size)[:, free[free >= theta.n_components]]
    roots = np.sqrt(theta.weights)[None, :]
    of_weights = null_space(roots) if theta.n_components > 1 else np.empty((1, 0))
    padding = np.zeros((layout.size - theta.n_components, of_weights.shape[1]))
    return np.hstack([np.vstack([of_weights, padding]), of_others])


def _inverse(matrix: np.ndarray) -> Inverse:
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    positive = values > SINGULAR
    kept = vectors[:, positive]
    return Inverse((kept / values[positive]) @ kept.T, vectors[:, ~positive], bool((values < -SINGULAR).any()))


# reasons for NaN and warnings ---------------------------------------------------------------------------------------


def _without_support(
    theta: GaussianMixtureModel, found: Information, names: np.ndarray, messages: list[str]
) -> list[int]:
    """Components that X gives no rows to, or not the scatter that their covariance claims."""
    empty = found.counts <= EMPTY * found.counts.sum()
    if empty.any():
        messages.append(f"Components {names[empty].tolist()} have none of these rows: NaN.")
    flat = np.broadcast_to(found.least_scatter < UNSUPPORTED, empty.shape) & ~empty
    if flat.any():
        who = "The tied covariance is" if theta.structure.shared else f"Covariances of {names[flat].tolist()} are"
        messages.append(
            f"{who} more than twice the scatter of the rows in some direction: held up by "
            f"reg_covar={theta.reg_covar:g}, widened after a collapse, or fitted to other rows. Such a point is no "
            "maximum of the likelihood: NaN for all parameters of these components; the standard errors of others take "
            "their means and covariances as known."
        )
    few = (found.counts < len(Layout.of(theta).component(0))) & ~(empty | flat)
    if few.any():
        messages.append(
            f"Components {names[few].tolist()} have fewer rows than parameters: their standard errors are too small."
        )
    return np.flatnonzero(empty | flat).tolist()


def _coinciding(theta: GaussianMixtureModel, names: np.ndarray, messages: list[str]) -> list[int]:
    """Components that are another one as well."""
    whiteners = theta.structure.as_matrices(theta.whiteners, *theta.means.shape)
    found = set()
    for i, whitener in enumerate(whiteners):
        distances = np.linalg.norm((theta.means - theta.means[i]) @ whitener.T, axis=1)
        for j in np.flatnonzero(distances[:i] < SAME):
            ratio = np.linalg.solve(whiteners[j].T, whitener.T)
            if np.abs(ratio @ ratio.T - np.eye(len(ratio))).max() < SAME:
                found |= {i, int(j)}
    if found:
        messages.append(
            f"Components {names[sorted(found)].tolist()} coincide with others: which rows are whose is not identified, "
            "NaN. Use fewer components."
        )
    return sorted(found)


def _parameters_of(layout: Layout, components: list[int]) -> np.ndarray:
    """Mask of the parameters of these components; a covariance of all only if they are all."""
    mask = np.zeros(layout.size, dtype=bool)
    for k in components:
        mask[layout.component(k)] = True
    if layout.structure.shared and len(components) < layout.n_components:
        mask[layout.covariance(0)] = False
    return mask


def _names(theta: GaussianMixtureModel, components: np.ndarray) -> np.ndarray:
    """Of the parameters of a mixture of some components of a greater one."""
    greater = replace(Layout.of(theta), n_components=int(components.max()) + 1)
    return np.array(greater.names)[_places(greater, components)]


def _of_unidentified(names: np.ndarray, unidentified: np.ndarray, negative: bool, kind: str) -> str:
    who = names[unidentified].tolist()
    listed = ", ".join(who[:6]) + (f" and {len(who) - 6} more" if len(who) > 6 else "")
    if negative:
        return (
            f"The log-likelihood rises in some direction from these parameters: they are no maximum of it. NaN for "
            f"{listed}. Fit with a smaller tol, or use fewer components."
        )
    matrix = "outer product of gradients" if kind == "opg" else "observed information"
    return f"The {matrix} is singular, these rows do not identify {listed}: NaN. Use fewer components or more rows."


def _of_distance(
    rows: np.ndarray, directions: np.ndarray, inverse: np.ndarray, found: Information, unknown: np.ndarray
) -> list[str]:
    """A message if a Newton step from the parameters is long, in standard errors."""
    errors = np.sqrt(np.sum((rows @ inverse) * rows, axis=1))
    known = ~unknown & (errors > 0)
    if not known.any():
        return []

    def distance(gradient: np.ndarray) -> float:
        step = rows @ (inverse @ (directions.T @ gradient))
        return float(np.abs(step[known] / errors[known]).max())

    away = distance(found.gradient)
    if away <= AWAY:
        return []
    if distance(found.gradient - found.regularised) <= AWAY:
        reason = "reg_covar has moved the parameters there; the standard errors are those of the likelihood without it"
    else:
        reason = "fit with a smaller tol (and stopping='gap'), to the same rows and sample_weight"
    return [f"The parameters are about {away:.2g} standard errors from the maximum of the likelihood of X: {reason}."]


def _check_kind(kind: str, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(map(repr, kinds))}, got {kind!r}.")
