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


def _scores_of(v: Vectors, p, k: ir.Value, panel: ir.Value, tile) -> ir.Value:
    """Where the scores of component k start in a panel."""
    b = v.builder
    return v.at(tile.scores, b.mul(b.add(b.mul(panel, v.size(p.constants)), k), v.index(v.panel)))


def _responsible(v: Vectors, p, k: ir.Value, tile):
    """A function of a panel, which has a bit for each of its rows: has it a share in component k?"""
    b = v.builder

    def rows(panel):
        bits = v.index(0)
        for c, e in enumerate(v.load_all(_scores_of(v, p, k, panel, tile), PANEL_VECTORS)):
            mask = b.bitcast(b.fcmp_ordered(">", e, v.constant(0.0)), ir.IntType(v.width))
            bits = b.or_(bits, b.shl(b.zext(mask, I64), v.index(c * v.width)))
        return bits

    return rows


@vectorised
def copied_deviations(v, p, k, first, n_panels, tile):
    """sqrt(w r) [x - mu_k, 1] of `n_panels` panels from `first` on into `tile.auxiliary`, in panels of D + 1 features.

    Panels without a row that has a share are left out. Returns how many rows there are.
    """
    b, n_features = v.builder, v.size(p.origin)
    lanes = range(PANEL_VECTORS)
    mean = v.at(p.means, b.mul(k, n_features))

    def copy(i, written):
        panel = b.add(first, i)
        row = b.mul(panel, v.index(v.panel))
        exponentials = v.load_all(_scores_of(v, p, k, panel, tile), PANEL_VECTORS)
        greatest = exponentials[0]
        for e in exponentials[1:]:
            greatest = v.maximum(greatest, e)

        def write(written):
            roots = [v.multiply(e, v.load(v.at(tile.root, row), c * v.width)) for c, e in enumerate(exponentials)]
            x = v.at(tile.panels, b.mul(row, n_features))
            target = v.at(tile.auxiliary, b.mul(written, b.add(n_features, v.index(1))))

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

        return v.when(v.any_above(greatest, v.constant(0.0)), (written,), write)

    (written,) = v.loop(n_panels, (v.index(0),), copy)
    return written


@vectorised
def count_responsible(v, p, k, n_panels, tile):
    """How many rows of a tile have a share in component k."""
    rows = _responsible(v, p, k, tile)
    (count,) = v.loop(n_panels, (v.index(0),), lambda i, total: (v.builder.add(total, v.builder.ctpop(rows(i))),))
    return count


@vectorised
def list_responsible(v, p, k, n_panels, tile):
    """Which ones: their numbers in the tile, into `tile.numbers`."""
    b, rows = v.builder, _responsible(v, p, k, tile)
    numbers = b.bitcast(tile.numbers, I64.as_pointer())

    def panel(i, written):
        def row(_, left, written):
            number = b.add(b.mul(i, v.index(v.panel)), b.cttz(left, ir.Constant(ir.IntType(1), 1)))
            b.store(number, v.at(numbers, written))
            return b.and_(left, b.sub(left, v.index(1))), b.add(written, v.index(1))

        bits = rows(i)
        return v.loop(b.ctpop(bits), (bits, written), row)[1:]

    v.loop(n_panels, (v.index(0),), panel)


@vectorised
def gathered_deviations(v, p, k, count, tile):
    """sqrt(w r) [x - mu_k, 1] of `count` listed rows, one or more, into `tile.auxiliary`, in panels of D + 1 features.

    Returns `count`, rounded up to whole vectors: what fills the last one has no weight.
    """
    b, n_features = v.builder, v.size(p.origin)
    numbers, mean = b.bitcast(tile.numbers, I64.as_pointer()), v.at(p.means, b.mul(k, n_features))
    last = b.sub(count, v.index(1))
    n_vectors = b.sdiv(b.add(last, v.index(v.width)), v.index(v.width))

    def vector(i):
        row = b.mul(i, v.index(v.width))
        places = [b.add(row, v.index(lane)) for lane in range(v.width)]
        exists = [b.icmp_signed("<=", place, last) for place in places]
        own = [b.load(v.at(numbers, b.select(e, place, last))) for e, place in zip(exists, places, strict=True)]
        split = [(b.sdiv(number, v.index(v.panel)), b.srem(number, v.index(v.panel))) for number in own]
        e = v.gather([v.at(_scores_of(v, p, k, panel, tile), within) for panel, within in split])
        shares = v.multiply(e, v.gather([v.at(tile.root, number) for number in own]))
        shares = b.select(v.mask(exists), shares, v.constant(0.0))
        panel, within = b.sdiv(row, v.index(v.panel)), b.srem(row, v.index(v.panel))
        before = b.mul(b.mul(panel, v.index(v.panel)), b.add(n_features, v.index(1)))
        target = v.at(tile.auxiliary, b.add(before, within))
        x = [
            v.at(tile.panels, b.add(b.mul(b.mul(panel, n_features), v.index(v.panel)), within))
            for panel, within in split
        ]

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
