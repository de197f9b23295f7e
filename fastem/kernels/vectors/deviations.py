"""Deviations of the rows of a tile from the mean of a component, times the square roots of their responsibilities.

The outer products of these, with a one for a last feature, add up to the moments of full covariances. Most rows have no
share in most components when there are many; the products are what costs, so rows without a share are left out: a panel
of them from what is copied in the order of the tile, or every one of them where few are left to be gathered.
"""

from llvmlite import ir

from fastem.kernels.vectors.simd import I64, PANEL_VECTORS, Vectors, vectorised

# Rows with a share are gathered if they are fewer than one in so many of a tile, and have so many features: a number
# that is gathered costs more than one that is copied, and it must be multiplied with some others to be worth it.
FEW, MANY_FEATURES = 3, 8


def _threshold(v: Vectors, negligible: ir.Value) -> ir.Value:
    return v.splat(negligible if negligible.type == v.real else v.builder.fptrunc(negligible, v.real))


def _scores_of(v: Vectors, scores: ir.Value, p: ir.Value, n_components: ir.Value, k: ir.Value) -> ir.Value:
    """Where the scores of component k start in panel p."""
    b = v.builder
    return v.at(scores, b.mul(b.add(b.mul(p, n_components), k), v.index(v.panel)))


def _responsible(v: Vectors, scores: ir.Value, n_components: ir.Value, k: ir.Value, negligible: ir.Value):
    """A function of a panel, which has a bit for each of its rows: has it a share in component k?"""
    b, threshold = v.builder, _threshold(v, negligible)

    def rows(p):
        bits = v.index(0)
        for c, e in enumerate(v.load_all(_scores_of(v, scores, p, n_components, k), PANEL_VECTORS)):
            mask = b.bitcast(b.fcmp_ordered(">", e, threshold), ir.IntType(v.width))
            bits = b.or_(bits, b.shl(b.zext(mask, I64), v.index(c * v.width)))
        return bits

    return rows


@vectorised
def copied_deviations(
    v, panels, first, n_panels, n_features, n_components, means, k, scores, root, negligible, deviations
):
    """sqrt(w r) [x - mu_k, 1] of `n_panels` panels from `first` on, in panels of D + 1 features.

    Panels without a row that has a share are left out. Returns how many rows there are.
    """
    b = v.builder
    lanes = range(PANEL_VECTORS)
    mean, threshold = v.at(means, b.mul(k, n_features)), _threshold(v, negligible)

    def panel(p, written):
        p = b.add(first, p)
        row = b.mul(p, v.index(v.panel))
        exponentials = v.load_all(_scores_of(v, scores, p, n_components, k), PANEL_VECTORS)
        greatest = exponentials[0]
        for e in exponentials[1:]:
            greatest = v.maximum(greatest, e)

        def write(written):
            roots = [v.multiply(e, v.load(v.at(root, row), c * v.width)) for c, e in enumerate(exponentials)]
            x = v.at(panels, b.mul(row, n_features))
            target = v.at(deviations, b.mul(written, b.add(n_features, v.index(1))))

            def feature(j):
                mu, at = v.broadcast(mean, j), b.mul(j, v.index(v.panel))
                for c in lanes:
                    deviation = v.subtract(v.load(v.at(x, at), c * v.width), mu)
                    v.store(v.multiply(roots[c], deviation), v.at(target, at), c * v.width)
                return ()

            v.loop(n_features, (), feature)
            for c in lanes:
                v.store(roots[c], v.at(target, b.mul(n_features, v.index(v.panel))), c * v.width)
            return (b.add(written, v.index(v.panel)),)

        return v.when(v.any_above(greatest, threshold), (written,), write)

    (written,) = v.loop(n_panels, (v.index(0),), panel)
    return written


@vectorised
def count_responsible(v, scores, n_panels, n_components, k, negligible):
    """How many rows of a tile have a share in component k."""
    rows = _responsible(v, scores, n_components, k, negligible)
    (count,) = v.loop(n_panels, (v.index(0),), lambda p, total: (v.builder.add(total, v.builder.ctpop(rows(p))),))
    return count


@vectorised
def list_responsible(v, scores, n_panels, n_components, k, negligible, numbers):
    """Which ones: their numbers in the tile, integers in the place of doubles."""
    b, rows = v.builder, _responsible(v, scores, n_components, k, negligible)
    numbers = b.bitcast(numbers, I64.as_pointer())

    def panel(p, written):
        def row(_, left, written):
            number = b.add(b.mul(p, v.index(v.panel)), b.cttz(left, ir.Constant(ir.IntType(1), 1)))
            b.store(number, v.at(numbers, written))
            return b.and_(left, b.sub(left, v.index(1))), b.add(written, v.index(1))

        bits = rows(p)
        return v.loop(b.ctpop(bits), (bits, written), row)[1:]

    v.loop(n_panels, (v.index(0),), panel)


@vectorised
def gathered_deviations(v, panels, n_features, n_components, means, k, scores, root, numbers, count, deviations):
    """sqrt(w r) [x - mu_k, 1] of `count` listed rows, one or more, in panels of D + 1 features.

    Returns `count`, rounded up to whole vectors: what fills the last one has no weight.
    """
    b = v.builder
    numbers, mean = b.bitcast(numbers, I64.as_pointer()), v.at(means, b.mul(k, n_features))
    last = b.sub(count, v.index(1))
    n_vectors = b.sdiv(b.add(last, v.index(v.width)), v.index(v.width))

    def vector(i):
        row = b.mul(i, v.index(v.width))
        places = [b.add(row, v.index(lane)) for lane in range(v.width)]
        exists = [b.icmp_signed("<=", place, last) for place in places]
        own = [b.load(v.at(numbers, b.select(e, place, last))) for e, place in zip(exists, places, strict=True)]
        split = [(b.sdiv(number, v.index(v.panel)), b.srem(number, v.index(v.panel))) for number in own]
        e = v.gather([v.at(_scores_of(v, scores, p, n_components, k), within) for p, within in split])
        shares = v.multiply(e, v.gather([v.at(root, number) for number in own]))
        shares = b.select(v.mask(exists), shares, v.constant(0.0))
        panel, within = b.sdiv(row, v.index(v.panel)), b.srem(row, v.index(v.panel))
        before = b.mul(b.mul(panel, v.index(v.panel)), b.add(n_features, v.index(1)))
        target = v.at(deviations, b.add(before, within))
        x = [v.at(panels, b.add(b.mul(b.mul(p, n_features), v.index(v.panel)), within)) for p, within in split]

        def feature(j):
            at = b.mul(j, v.index(v.panel))
            deviation = v.subtract(v.gather([v.at(start, at) for start in x]), v.broadcast(mean, j))
            v.store(v.multiply(shares, deviation), target, at)
            return ()

        v.loop(n_features, (), feature)
        v.store(shares, target, b.mul(n_features, v.index(v.panel)))
        return ()

    v.loop(n_vectors, (), vector)
    return b.mul(n_vectors, v.index(v.width))
