"""Rows given to one component each: the most probable one, one drawn from the posterior, or the one that is known.

The pass, and every family's moments, go on as with responsibilities; these are now zeros and ones. Draws come from a
hash of a key and the number of the row: threads and blocks change nothing.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.compilation import inlined
from fastem.kernels.hashing import GOLDEN, hashed, mixed_inline
from fastem.kernels.tiles import nowhere, panel_rows
from fastem.kernels.vectors.simd import PANEL_VECTORS, WIDTH, Vectors, vectorised

NO_MOMENTS, HARD, STOCHASTIC = 0, 2, 3


class Assignment(NamedTuple):
    """What a pass makes of the responsibilities.

    Attributes
    ----------
    kind : int
        NO_MOMENTS, 1 for responsibilities as they are, HARD, STOCHASTIC.
    key : numpy.uint64
        Of the draws.
    """

    kind: int
    key: np.uint64 = np.uint64(0)

    @classmethod
    def sampled(cls, seed: int, iteration: int) -> "Assignment":
        """Components drawn from the posterior, other ones in every iteration."""
        return cls(STOCHASTIC, hashed(0, seed, iteration))

    def of_part(self, row: np.ndarray) -> "Assignment":
        """That for the part of a data set that begins with `row` (D,).

        Parts that are added up elsewhere count their rows from zero each: they must not share their draws.
        """
        numbers = (row.astype(np.float64) + 0.0).view(np.uint64)
        return self._replace(key=hashed(self.key, *numbers))


LIKELIHOOD, SOFT, BEST = Assignment(NO_MOMENTS), Assignment(1), Assignment(HARD)


@inlined
def draw(key, first_row, uniform):
    """Uniform numbers of [0, 1) for the rows of a tile, of which `first_row` is the first.

    They have as many bits as a mantissa, so that the greatest number times anything is less than that.
    """
    unused, unit = (np.uint64(12), 2.0**-52) if uniform.itemsize == 8 else (np.uint64(41), 2.0**-23)
    for row in range(uniform.size):
        uniform[row] = np.float64(mixed_inline((key + np.uint64(first_row + row + 1)) * GOLDEN) >> unused) * unit


@inlined
def keep_to_labels(labels, first, count, n_components, tile):
    """Half log-joints of minus infinity for all components but the known one, whose log-joint is then that of the row.

    `labels` are those of a block, `first` is its first row in the tile; -1 stands for a row that may be of any.
    """
    panel = panel_rows(tile.panels)
    for b in range(count):
        known = labels[first + b]
        if known >= 0 and known < n_components:  # of a mixture with fewer components the others say nothing
            at = b // panel * n_components * panel + b % panel
            for k in range(n_components):
                if k != known:
                    tile.scores[at + k * panel] = -np.inf
            score = tile.scores[at + known * panel]
            tile.top[b] = score if score > nowhere(tile.top) else nowhere(tile.top)
            tile.noise[b] = -np.inf


@vectorised
def assign_to_the_best(v, n_panels, n_components, tile):
    """Half log-joints into one for the first component that attains the maximum of a row and zero for the others.

    In the place of `tiles.normalise`: the roots are those of the weights, and the log-likelihood is that of the
    classification, sum of w max_k log w_k p(x | k).
    """
    b, d = v.builder, v.doubles

    def panel(p, likelihood, mass):
        row = b.mul(p, v.index(v.panel))
        greatest = v.load_all(v.at(tile.top, row), PANEL_VECTORS)
        first = v.at(tile.scores, b.mul(row, n_components))

        def component(k, *free):
            score = v.at(first, b.mul(k, v.index(v.panel)))
            left = []
            for c, h in enumerate(v.load_all(score, PANEL_VECTORS)):
                best = b.select(b.fcmp_ordered("==", h, greatest[c]), free[c], v.constant(0.0))
                v.store(best, score, c * v.width)
                left.append(v.subtract(free[c], best))
            return left

        v.loop(n_components, [v.constant(1.0)] * PANEL_VECTORS, component)
        for c in range(PANEL_VECTORS):
            _store_roots(v, tile, b.add(row, v.index(c * v.width)))
            for half, h in enumerate(v.to_doubles(greatest[c])):
                weight = d.load(tile.weights, b.add(row, v.index(c * v.width + half * WIDTH)))
                likelihood = d.fma(weight, d.multiply(h, d.constant(2.0)), likelihood)
                mass = d.add(mass, weight)
        return likelihood, mass

    (packed,) = d.sums(v.loop(n_panels, [d.constant(0.0)] * 2, panel))
    d.store(packed, tile.totals)


@vectorised
def assign_sampled(v, n_panels, n_components, tile):
    """What `tiles.normalise` leaves of the scores into one for a component drawn from the posterior, zero for others.

    That is the first component at which the sum of the responsibilities exceeds a uniform number of [0, 1).
    """
    b = v.builder

    def panel(p):
        row = b.mul(p, v.index(v.panel))
        first = v.at(tile.scores, b.mul(row, n_components))

        def exponentials(k):
            return v.load_all(v.at(first, b.mul(k, v.index(v.panel))), PANEL_VECTORS)

        def add(k, *totals):
            return [v.fma(e, e, total) for e, total in zip(exponentials(k), totals, strict=True)]

        zeros = [v.constant(0.0)] * PANEL_VECTORS
        lots = []
        for c, total in enumerate(v.loop(n_components, zeros, add)):
            begin = b.add(row, v.index(c * v.width))
            _store_roots(v, tile, begin)
            lots.append(v.multiply(total, v.load(tile.uniform, begin)))

        def component(k, *before):
            after = add(k, *before)
            score = v.at(first, b.mul(k, v.index(v.panel)))
            for c, lot in enumerate(lots):
                reached = b.fcmp_ordered(">", after[c], lot)
                drawn = b.and_(reached, b.fcmp_ordered("<=", before[c], lot))
                v.store(b.select(drawn, v.constant(1.0), v.constant(0.0)), score, c * v.width)
            return after

        v.loop(n_components, zeros, component)
        return ()

    v.loop(n_panels, (), panel)


def _store_roots(v: Vectors, tile, row: ir.Value) -> None:
    """root = sqrt(weight) for a vector of rows: the square of one times it is the weight of a row."""
    d, places = v.doubles, [v.builder.add(row, v.index(half)) for half in range(0, v.width, WIDTH)]
    v.store(v.from_doubles([d.sqrt(d.load(tile.weights, place)) for place in places]), tile.root, row)
