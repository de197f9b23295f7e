"""Student's t: a Gaussian kernel whose rows have latent precisions.

x | u, k ~ N(mu_k, Sigma_k / u) with u ~ Gamma(nu_k / 2, nu_k / 2) gives
log t(x | k) = c_k - (nu_k + D)/2 log(1 + d2/nu_k), d2 = |L_k (x - mu_k)|^2, and E[u | x, k] = (nu_k + D) / (nu_k + d2).
The Gaussian kernel of any structure finds d2 as its scores, and takes its moments with responsibilities times E[u].
"""

import sys
from collections import namedtuple
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from fastem.kernels import passes
from fastem.kernels.families import diag, full, spherical, tied
from fastem.kernels.vectors import blocks, elementary
from fastem.kernels.vectors.simd import PANEL_VECTORS, WIDTH, vectorised


class Sizes(NamedTuple):
    """What the arrays of a pass take, for the kernel module of a Gaussian structure."""

    gaussian: ModuleType

    def auxiliary_size(self, capacity: int, n_components: int, n_features: int) -> int:
        """After what the Gaussian keeps: E[u] and log(1 + d2/nu), as the scores are stored."""
        return self.gaussian.auxiliary_size(capacity, n_components, n_features) + 2 * capacity * n_components

    def statistics_size(self, n_components: int, n_features: int) -> int:
        return 2 * blocks.counts_size(n_components) + self.gaussian.statistics_size(n_components, n_features)


OWN = (
    "origin",  # (D,) subtracted from every row on loading
    "constants",  # (K,) half of log w_k + c_k
    "rates",  # (K,) -4 / nu_k: takes a half log-joint without constants to d2 / nu_k
    "exponents",  # (K,) -(nu_k + D) / 4
    "precisions",  # (K,) (nu_k + D) / nu_k: E[u] at the mean
)


def _with_tails(gaussian: Any) -> Any:
    """The class of what the kernel reads: its own fields, then those of a Gaussian kernel's parameters.

    All on one level, since parallel loops cannot take tuples in tuples.
    """
    name = gaussian.__name__.replace("Parameters", "StudentParameters")
    fields = OWN + tuple(f"gaussian_{field}" for field in gaussian._fields)
    cls: Any = namedtuple(name, fields, module=__name__)  # type: ignore[misc]
    cls.kernel = Sizes(sys.modules[gaussian.__module__])
    return cls


FullStudentParameters = _with_tails(full.FullParameters)
TiedStudentParameters = _with_tails(tied.TiedParameters)
DiagStudentParameters = _with_tails(diag.DiagParameters)
SphericalStudentParameters = _with_tails(spherical.SphericalParameters)

GAUSSIAN_OF = {
    FullStudentParameters: full.FullParameters,
    TiedStudentParameters: tied.TiedParameters,
    DiagStudentParameters: diag.DiagParameters,
    SphericalStudentParameters: spherical.SphericalParameters,
}
STUDENT_OF = {gaussian: student for student, gaussian in GAUSSIAN_OF.items()}


def parameters_of(gaussian: Any, degrees_of_freedom: np.ndarray, tails: np.ndarray) -> Any:
    """From a Gaussian mixture, nu_k (K,), and the log of what t has at the mean for what the Gaussian has (K,)."""
    n_features, constants = gaussian.origin.size, gaussian.constants
    # A row far away has hardly a precision, and yet a share in the scatter: only responsibilities are negligible.
    everything = {"negligible": 0.0} if isinstance(gaussian, full.FullParameters) else {}
    return STUDENT_OF[type(gaussian)](
        gaussian.origin,
        constants + 0.5 * tails,
        -4.0 / degrees_of_freedom,
        -0.25 * (degrees_of_freedom + n_features),
        (degrees_of_freedom + n_features) / degrees_of_freedom,
        *gaussian._replace(constants=np.zeros_like(constants), **everything),
    )


def _gaussian(parameters):
    """The parameters of the Gaussian kernel, their constants zero."""
    raise NotImplementedError


@overload(_gaussian)
def _gaussian_of(parameters):
    cls, first = GAUSSIAN_OF[parameters.instance_class], len(OWN)
    return lambda parameters: cls(*parameters[first:])


def unpack(statistics: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of r (K,), of r log(1 + d2/nu) (K,), and the moments of the Gaussian kernel, weighted with r E[u]."""
    size = blocks.counts_size(n_components)
    counts, logs, moments = np.split(statistics, [size, 2 * size])
    return counts[:n_components], logs[:n_components], moments


@vectorised
def _heavy_tails(v, scores, n_panels, n_components, constants, rates, exponents, precisions, latent, logs, top):
    """-d2 / 4 into half log-joints and their maximum; E[u] and log(1 + d2/nu) beside them."""
    b = v.builder
    one = v.constant(1.0)

    def panel(p):
        row = b.mul(p, v.index(v.panel))
        first = b.mul(row, n_components)

        def component(k, *greatest):
            where = b.add(first, b.mul(k, v.index(v.panel)))
            constant, rate = v.broadcast(constants, k), v.broadcast(rates, k)
            exponent, precision = v.broadcast(exponents, k), v.broadcast(precisions, k)
            tops = []
            for c, score in enumerate(v.load_all(v.at(scores, where), PANEL_VECTORS)):
                at = b.add(where, v.index(c * v.width))
                ratio = v.multiply(score, rate)
                total = v.add(one, ratio)
                inverse = v.divide(one, total)
                lost = v.subtract(ratio, v.subtract(total, one))  # what adding one has rounded off
                log = v.fma(lost, inverse, elementary.log(v, total))
                h = v.fma(exponent, log, constant)
                v.store(v.multiply(precision, inverse), latent, at)
                v.store(log, logs, at)
                v.store(h, scores, at)
                tops.append(v.maximum(h, greatest[c]))  # in this order NaN never wins
            return tops

        nowhere = [v.constant(-1e300)] * PANEL_VECTORS
        for c, greatest in enumerate(v.loop(n_components, nowhere, component)):
            v.store(greatest, top, b.add(row, v.index(c * v.width)))
        return ()

    v.loop(n_panels, (), panel)


@vectorised
def _latent_sums(v, scores, n_panels, n_components, root, latent, logs, counts, log_sums):
    """counts += sum r, log_sums += sum r log(1 + d2/nu); then exponentials into those of r E[u]."""
    b = v.builder

    def components(k, count):
        def panel(p, *totals):
            row = b.mul(p, v.index(v.panel))
            first = b.add(b.mul(row, n_components), b.mul(k, v.index(v.panel)))
            totals = list(totals)
            for c in range(PANEL_VECTORS):
                scale = v.load(root, b.add(row, v.index(c * v.width)))
                for r in range(count):
                    at = b.add(first, v.index(r * v.panel + c * v.width))
                    exponential = v.load(scores, at)
                    s = v.multiply(exponential, scale)
                    share = v.multiply(s, s)
                    totals[r] = v.add(totals[r], share)
                    totals[count + r] = v.fma(share, v.load(logs, at), totals[count + r])
                    scaled = v.multiply(exponential, v.sqrt(v.load(latent, at)))
                    present = b.fcmp_ordered(">", exponential, v.constant(full.NEGLIGIBLE))
                    v.store(b.select(present, scaled, v.constant(0.0)), scores, at)
            return totals

        totals = v.loop(n_panels, [v.constant(0.0)] * (2 * count), panel)
        blocks.add_sums(v, totals[:count], v.at(counts, k))
        blocks.add_sums(v, totals[count:], v.at(log_sums, k))

    v.blocks(n_components, WIDTH, components)


@vectorised
def _weigh_rows(v, scores, n_panels, n_components, root, weights):
    """weights = sum over k of r E[u]: what a row counts in the scatter of tied ones."""
    b = v.builder

    def panel(p):
        row = b.mul(p, v.index(v.panel))
        first = v.at(scores, b.mul(row, n_components))
        roots = v.load_all(v.at(root, row), PANEL_VECTORS)

        def component(k, *totals):
            shares = v.load_all(v.at(first, b.mul(k, v.index(v.panel))), PANEL_VECTORS)
            scaled = [v.multiply(e, scale) for e, scale in zip(shares, roots, strict=True)]
            return [v.fma(s, s, total) for s, total in zip(scaled, totals, strict=True)]

        for c, total in enumerate(v.loop(n_components, [v.constant(0.0)] * PANEL_VECTORS, component)):
            v.store(total, weights, b.add(row, v.index(c * v.width)))
        return ()

    v.loop(n_panels, (), panel)


@overload(passes.log_joint)
def _log_joint(parameters, n_panels, tile):
    if parameters.instance_class not in GAUSSIAN_OF:
        return None

    def score_components(parameters, n_panels, tile):
        size = tile.scores.size
        passes.log_joint(_gaussian(parameters), n_panels, tile)
        _heavy_tails(
            tile.scores,
            n_panels,
            parameters.constants.size,
            parameters.constants,
            parameters.rates,
            parameters.exponents,
            parameters.precisions,
            tile.auxiliary[tile.auxiliary.size - 2 * size :],
            tile.auxiliary[tile.auxiliary.size - size :],
            tile.top,
        )

    return score_components


@overload(passes.accumulate)
def _accumulate(parameters, n_panels, tile, statistics):
    if parameters.instance_class not in GAUSSIAN_OF:
        return None

    def add_moments(parameters, n_panels, tile, statistics):
        n_components, size = parameters.constants.size, tile.scores.size
        counts = (n_components + 7) // 8 * 8
        _latent_sums(
            tile.scores,
            n_panels,
            n_components,
            tile.root,
            tile.auxiliary[tile.auxiliary.size - 2 * size :],
            tile.auxiliary[tile.auxiliary.size - size :],
            statistics,
            statistics[counts:],
        )
        _weigh_rows(tile.scores, n_panels, n_components, tile.root, tile.weights)
        passes.accumulate(_gaussian(parameters), n_panels, tile, statistics[2 * counts :])

    return add_moments
