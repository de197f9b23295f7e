"""Rows given to one component each: the most probable one, or one drawn from the posterior.

The pass, and every family's moments, go on as with responsibilities; these are now zeros and ones. Draws come from a
hash of a key and the number of the row: threads and blocks change nothing.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.vectors.simd import F64, I64, INTEGERS, PANEL_VECTORS, VECTOR, WIDTH, Vectors, vectorised

NO_MOMENTS, HARD, STOCHASTIC = 0, 2, 3

# SplitMix64, used as a hash of a counter (Steele, Lea and Flood 2014).
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
MASK = 2**64 - 1


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
        return cls(STOCHASTIC, np.uint64(mixed(mixed(seed) + iteration)))

    def of_part(self, row: np.ndarray) -> "Assignment":
        """That for the part of a data set that begins with `row` (D,).

        Parts that are added up elsewhere count their rows from zero each: they must not share their draws.
        """
        if self.kind != STOCHASTIC:
            return self
        key = int(self.key)
        for number in (row.astype(np.float64) + 0.0).view(np.uint64).tolist():
            key = mixed(key + number)
        return self._replace(key=np.uint64(key))


LIKELIHOOD, SOFT, BEST = Assignment(NO_MOMENTS), Assignment(1), Assignment(HARD)


def mixed(counter: int) -> int:
    """A hash of an integer, 64 bits."""
    z = (counter + 1) * GOLDEN & MASK
    z = (z ^ z >> 30) * FIRST & MASK
    z = (z ^ z >> 27) * SECOND & MASK
    return z ^ z >> 31


@vectorised
def assign_to_the_best(v, n_panels, n_components, scores, top, weights, root, sums):
    """Half log-joints into one for the first component that attains the maximum of a row and zero for the others.

    In the place of `tiles.normalise`: the roots are those of the weights, and the log-likelihood is that of the
    classification, sum of w max_k log w_k p(x | k).
    """
    b, d = v.builder, v.doubles

    def panel(p, likelihood, mass):
        row = b.mul(p, v.index(v.panel))
        greatest = v.load_all(v.at(top, row), PANEL_VECTORS)
        first = v.at(scores, b.mul(row, n_components))

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
            _store_roots(v, weights, root, b.add(row, v.index(c * v.width)))
            for half, h in enumerate(v.to_doubles(greatest[c])):
                weight = d.load(weights, b.add(row, v.index(c * v.width + half * WIDTH)))
                likelihood = d.fma(weight, d.multiply(h, d.constant(2.0)), likelihood)
                mass = d.add(mass, weight)
        return likelihood, mass

    (packed,) = d.sums(v.loop(n_panels, [d.constant(0.0)] * 2, panel))
    d.store(packed, sums)


@vectorised
def assign_sampled(v, n_panels, n_components, scores, weights, root, key, first_row):
    """What `tiles.normalise` leaves of the scores into one for a component drawn from the posterior, zero for others.

    That is the first component at which the sum of the responsibilities exceeds a uniform number of [0, 1).
    """
    b = v.builder

    def panel(p):
        row = b.mul(p, v.index(v.panel))
        first = v.at(scores, b.mul(row, n_components))

        def exponentials(k):
            return v.load_all(v.at(first, b.mul(k, v.index(v.panel))), PANEL_VECTORS)

        def add(k, *totals):
            return [v.fma(e, e, total) for e, total in zip(exponentials(k), totals, strict=True)]

        zeros = [v.constant(0.0)] * PANEL_VECTORS
        lots = []
        for c, total in enumerate(v.loop(n_components, zeros, add)):
            begin = b.add(row, v.index(c * v.width))
            _store_roots(v, weights, root, begin)
            lots.append(v.multiply(total, _uniform(v, key, b.add(first_row, begin))))

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


def _store_roots(v: Vectors, weights: ir.Value, root: ir.Value, row: ir.Value) -> None:
    """root = sqrt(weight) for a vector of rows: the square of one times it is the weight of a row."""
    d, places = v.doubles, [v.builder.add(row, v.index(half)) for half in range(0, v.width, WIDTH)]
    v.store(v.from_doubles([d.sqrt(d.load(weights, place)) for place in places]), root, row)


def _uniform(v: Vectors, key: ir.Value, row: ir.Value) -> ir.Value:
    """A vector of uniform numbers for the rows from `row` on.

    As many bits as a mantissa has, so that the greatest number times anything is less than that.
    """
    b, halves = v.builder, []

    def integers(value: int) -> ir.Value:
        return ir.Constant(INTEGERS, [ir.Constant(I64, value)] * WIDTH)

    def splat(scalar: ir.Value) -> ir.Value:
        undefined = ir.Constant(INTEGERS, ir.Undefined)
        return v.shuffle(b.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0)), undefined, [0] * WIDTH)

    for half in range(0, v.width, WIDTH):
        lanes = ir.Constant(INTEGERS, [ir.Constant(I64, half + lane + 1) for lane in range(WIDTH)])
        z = b.mul(b.add(splat(b.add(row, key)), lanes), integers(GOLDEN))
        z = b.mul(b.xor(z, b.lshr(z, integers(30))), integers(FIRST))
        z = b.mul(b.xor(z, b.lshr(z, integers(27))), integers(SECOND))
        z = b.xor(z, b.lshr(z, integers(31)))
        kept = 52 if v.real == F64 else 23
        mantissa = b.shl(b.lshr(z, integers(64 - kept)), integers(52 - kept))
        one_to_two = b.bitcast(b.or_(mantissa, integers(0x3FF0000000000000)), VECTOR)
        halves.append(v.doubles.subtract(one_to_two, v.doubles.constant(1.0)))
    return v.from_doubles(halves)
