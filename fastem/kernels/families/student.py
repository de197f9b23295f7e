"""Student's t: a Gaussian kernel whose rows have latent precisions.

x | u, k ~ N(mu_k, Sigma_k / u) with u ~ Gamma(nu_k / 2, nu_k / 2) gives
log t(x | k) = c_k - (nu_k + D)/2 log(1 + d2/nu_k), d2 = |L_k (x - mu_k)|^2, and E[u | x, k] = (nu_k + D) / (nu_k + d2).
The Gaussian kernel of any structure finds d2 as its scores, and takes its moments with responsibilities times E[u].
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.vectors import blocks, elementary
from fastem.kernels.vectors.simd import PANEL_VECTORS, WIDTH, Vectors, padded, vectorised


def _latent(v, tile):
    """Where E[u] and log(1 + d2/nu) are kept, stored as the scores are: after what the Gaussian keeps."""
    b, size = v.builder, v.size(tile.scores)
    logs = b.sub(v.size(tile.auxiliary), size)
    return v.at(tile.auxiliary, b.sub(logs, size)), v.at(tile.auxiliary, logs)


@vectorised
def _heavy_tails(v, p, n_panels, tile):
    """-d2 / 4 into half log-joints and their maximum; E[u] and log(1 + d2/nu) beside them."""
    b, n_components = v.builder, v.size(p.constants)
    latent, logs = _latent(v, tile)
    one = v.constant(1.0)

    def panel(i):
        row = b.mul(i, v.index(v.panel))
        first = b.mul(row, n_components)

        def component(k, *greatest):
            where = b.add(first, b.mul(k, v.index(v.panel)))
            constant, rate = v.broadcast(p.constants, k), v.broadcast(p.rates, k)
            exponent, precision = v.broadcast(p.exponents, k), v.broadcast(p.precisions, k)
            tops = []
            for c, score in enumerate(v.load_all(v.at(tile.scores, where), PANEL_VECTORS)):
                at = b.add(where, v.index(c * v.width))
                ratio = v.multiply(score, rate)
                total = v.add(one, ratio)
                inverse = v.divide(one, total)
                lost = v.subtract(ratio, v.subtract(total, one))  # what adding one has rounded off
                log = v.fma(lost, inverse, elementary.log(v, total))
                h = v.fma(exponent, log, constant)
                v.store(v.multiply(precision, inverse), latent, at)
                v.store(log, logs, at)
                v.store(h, tile.scores, at)
                tops.append(v.maximum(h, greatest[c]))  # in this order NaN never wins
            return tops

        nowhere = [v.constant(-1e300)] * PANEL_VECTORS
        for c, greatest in enumerate(v.loop(n_components, nowhere, component)):
            v.store(greatest, tile.top, b.add(row, v.index(c * v.width)))
        return ()

    v.loop(n_panels, (), panel)


@vectorised
def _add_latent(v, p, n_panels, tile, statistics):
    """Add r and r log(1 + d2/nu) to `statistics`, then make exponentials those of r E[u]; where the moments start."""
    size = v.padded(v.size(p.constants))
    _latent_sums(v, p, n_panels, tile, statistics, v.at(statistics, size))
    _weigh_rows(v, p, n_panels, tile)
    return v.builder.mul(size, v.index(2))


def _latent_sums(v: Vectors, p, n_panels: ir.Value, tile, counts: ir.Value, log_sums: ir.Value) -> None:
    """counts += sum r, log_sums += sum r log(1 + d2/nu); then exponentials into those of r E[u]."""
    b, n_components = v.builder, v.size(p.constants)
    latent, logs = _latent(v, tile)

    def components(k, count):
        def panel(p, *totals):
            row = b.mul(p, v.index(v.panel))
            first = b.add(b.mul(row, n_components), b.mul(k, v.index(v.panel)))
            totals = list(totals)
            for c in range(PANEL_VECTORS):
                scale = v.load(tile.root, b.add(row, v.index(c * v.width)))
                for r in range(count):
                    at = b.add(first, v.index(r * v.panel + c * v.width))
                    exponential = v.load(tile.scores, at)
                    s = v.multiply(exponential, scale)
                    share = v.multiply(s, s)
                    totals[r] = v.add(totals[r], share)
                    totals[count + r] = v.fma(share, v.load(logs, at), totals[count + r])
                    scaled = v.multiply(exponential, v.sqrt(v.load(latent, at)))
                    present = b.fcmp_ordered(">", exponential, v.constant(0.0))  # else it may be zero times NaN
                    v.store(b.select(present, scaled, v.constant(0.0)), tile.scores, at)
            return totals

        totals = v.loop(n_panels, [v.constant(0.0)] * (2 * count), panel)
        blocks.add_sums(v, totals[:count], v.at(counts, k))
        blocks.add_sums(v, totals[count:], v.at(log_sums, k))

    v.blocks(n_components, WIDTH, components)


def _weigh_rows(v: Vectors, p, n_panels: ir.Value, tile) -> None:
    """weights = sum over k of r E[u]: what a row counts in the scatter of tied ones."""
    b, n_components = v.builder, v.size(p.constants)

    def panel(i):
        row = b.mul(i, v.index(v.panel))
        first = v.at(tile.scores, b.mul(row, n_components))
        roots = v.load_all(v.at(tile.root, row), PANEL_VECTORS)

        def component(k, *totals):
            shares = v.load_all(v.at(first, b.mul(k, v.index(v.panel))), PANEL_VECTORS)
            scaled = [v.multiply(e, scale) for e, scale in zip(shares, roots, strict=True)]
            return [v.fma(s, s, total) for s, total in zip(scaled, totals, strict=True)]

        for c, total in enumerate(v.loop(n_components, [v.constant(0.0)] * PANEL_VECTORS, component)):
            v.store(total, tile.weights, b.add(row, v.index(c * v.width)))
        return ()

    v.loop(n_panels, (), panel)


class StudentParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) subtracted from every row on loading
    constants: np.ndarray  # (K,) half of log w_k + c_k
    rates: np.ndarray  # (K,) -4 / nu_k: takes a half log-joint without constants to d2 / nu_k
    exponents: np.ndarray  # (K,) -(nu_k + D) / 4
    precisions: np.ndarray  # (K,) (nu_k + D) / nu_k: E[u] at the mean
    gaussian: Any  # the parameters of a Gaussian kernel, their constants zero

    @classmethod
    def of(cls, gaussian, degrees_of_freedom, tails):
        """From a Gaussian mixture, nu_k (K,), and the log of what t has at the mean for what the Gaussian has (K,)."""
        n_features, constants = gaussian.origin.size, gaussian.constants
        return cls(
            gaussian.origin,
            constants + 0.5 * tails,
            -4.0 / degrees_of_freedom,
            -0.25 * (degrees_of_freedom + n_features),
            (degrees_of_freedom + n_features) / degrees_of_freedom,
            gaussian._replace(constants=np.zeros_like(constants)),
        )

    def statistics_size(self) -> int:
        return 2 * padded(self.constants.size) + self.gaussian.statistics_size()

    @staticmethod
    def unpack(statistics: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of r (K,), of r log(1 + d2/nu) (K,), and the moments of the Gaussian kernel, weighted with r E[u]."""
        size = padded(n_components)
        counts, logs, moments = np.split(statistics, [size, 2 * size])
        return counts[:n_components], logs[:n_components], moments

    def auxiliary_size(self, capacity: int) -> int:
        return self.gaussian.auxiliary_size(capacity) + 2 * capacity * self.constants.size

    # compiled ---------------------------------------------------------------------------------------------------------

    def log_joint(self, n_panels, tile):
        self.gaussian.log_joint(n_panels, tile)
        _heavy_tails(self, n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        own = _add_latent(self, n_panels, tile, statistics)
        self.gaussian.accumulate(n_panels, tile, statistics[own:])
