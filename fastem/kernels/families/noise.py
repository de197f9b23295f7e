"""A component of constant density beside those of another kernel: rows that belong to none of them.

p(x) = sum_k w_k p(x | k) + w_0 / V. The noise has no scores of its own: what it takes is taken from the
responsibilities when they are done.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.tiles import fill, panel_rows
from fastem.kernels.vectors import elementary
from fastem.kernels.vectors.simd import PANEL_VECTORS, WIDTH, Vectors, vectorised


@vectorised
def _raise_top(v, n_panels, tile, noise):
    """The maximum of the scores is at least that of the noise."""
    floor = v.splat(noise if v.real == noise.type else v.builder.fptrunc(noise, v.real))

    def rows(i):
        at = v.builder.mul(i, v.index(v.width))
        v.store(v.maximum(v.load(tile.top, at), floor), tile.top, at)
        return ()

    v.loop(v.builder.mul(n_panels, v.index(PANEL_VECTORS)), (), rows)


def _shared(d: Vectors, density: ir.Value, noise: ir.Value) -> tuple[ir.Value, ir.Value]:
    """log(exp(density) + exp(noise)), and the square root of what the components keep of it."""
    greatest = d.maximum(density, noise)
    least = d.builder.select(d.builder.fcmp_ordered(">", density, noise), noise, density)
    rest = elementary.exp(d, d.multiply(d.constant(0.5), d.subtract(least, greatest)))  # exp is of halves: see there
    both = d.add(greatest, elementary.log(d, d.fma(rest, rest, d.constant(1.0))))
    return both, elementary.exp(d, d.multiply(d.constant(0.5), d.subtract(density, both)))


@vectorised
def _take_noise(v, n_panels, tile):
    """Log-densities with the noise, roots and weights without what it takes; the log-likelihood is summed anew."""
    b, d = v.builder, v.doubles

    def rows(i, likelihood, mass):
        row = b.mul(i, v.index(v.width))
        roots = []
        for half, root in enumerate(v.to_doubles(v.load(tile.root, row))):
            at = b.add(row, v.index(half * WIDTH))
            density, left = _shared(d, d.load(tile.log_density, at), d.load(tile.noise, at))
            d.store(density, tile.log_density, at)
            roots.append(d.multiply(root, left))
            weight = d.load(tile.weights, at)
            likelihood, mass = d.fma(weight, density, likelihood), d.add(mass, weight)
            d.store(d.multiply(weight, d.multiply(left, left)), tile.weights, at)  # of the scatter of tied ones
        v.store(v.from_doubles(roots), tile.root, row)
        return likelihood, mass

    trips = b.mul(n_panels, v.index(PANEL_VECTORS))
    (packed,) = d.sums(v.loop(trips, [d.constant(0.0)] * 2, rows))
    d.store(packed, tile.totals)


class NoiseParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) that of the components
    constants: np.ndarray  # (K,) theirs
    noise: float  # log w_0 - log V
    components: Any  # their parameters

    @classmethod
    def of(cls, components, noise_weight, log_volume):
        """From the parameters of a mixture whose weights sum to one, w_0 and log V."""
        with np.errstate(divide="ignore"):
            noise, share = np.log(noise_weight), 0.5 * np.log1p(-noise_weight)
        constants = components.constants + components.constants.dtype.type(share)
        components = components._replace(constants=constants)
        return cls(components.origin, constants, float(noise - log_volume), components)

    def statistics_size(self) -> int:
        return self.components.statistics_size()

    def auxiliary_size(self, capacity: int) -> int:
        return self.components.auxiliary_size(capacity)

    # compiled ---------------------------------------------------------------------------------------------------------

    def log_joint(self, n_panels, tile):
        self.components.log_joint(n_panels, tile)
        _raise_top(n_panels, tile, 0.5 * self.noise)
        fill(tile.noise, n_panels * panel_rows(tile.panels), self.noise)

    def set_aside(self, n_panels, tile):
        _take_noise(n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        self.components.accumulate(n_panels, tile, statistics)
