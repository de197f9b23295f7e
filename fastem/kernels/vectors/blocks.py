"""Register-blocked loops shared by the families that need no matrix per component.

Everything a component and a row have in common is a product or a square of two numbers; four components (or features)
by four vectors of rows are kept in registers, so that each load serves four fused multiply-adds.
"""

from collections.abc import Callable, Iterable

import numpy as np
from llvmlite import ir

from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.vectors.bounds import move_sums
from fastem.kernels.vectors.simd import BLOCK_VECTORS, F64, PANEL_VECTORS, WIDTH, Vectors

BLOCK = 4  # components, and features, of a register block
# Greatest |mu|^2, in nats, up to which squares may be expanded: what rounding loses of it is about 1e-12 nats.
EXPANDABLE = 1e3
Cell = tuple[int, int]
Term = Callable[[ir.Value, ir.Value], Callable[..., ir.Value]]  # of component k and feature j
Score = Callable[[ir.Value, ir.Value, ir.Value], ir.Value]


def expanded(means: np.ndarray, whiteners: np.ndarray | float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """-2 mu (K * D,) and |mu|^2 (K,) for `score_by_distances`; both empty if too much would cancel.

    `whiteners` (K, 1) take the means (K, D) to units whose squares are nats.
    """
    if ((whiteners * means) ** 2).sum(axis=1).max() > EXPANDABLE:
        return np.empty(0), np.empty(0)
    return -2.0 * means.ravel(), (means**2).sum(axis=1)


def register_groups(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Split the cells of a block of accumulators into what the registers of this machine hold at once."""
    cells = list(cells)
    if BLOCK_VECTORS == PANEL_VECTORS:
        return [cells]
    groups: dict[Cell, list[Cell]] = {}
    for r, c in cells:
        groups.setdefault((r // 2, c // 2), []).append((r, c))
    return list(groups.values())


def add_sums(v: Vectors, totals: list[ir.Value], target: ir.Value) -> None:
    """target[n] += sum over the lanes of totals[n], in float64."""
    d = v.doubles
    for n, packed in enumerate(v.sums(totals)):
        d.store(d.add(d.load(target, n * WIDTH), packed), target, n * WIDTH)


def score_by_squares(v: Vectors, p, n_panels: ir.Value, panels: ir.Value, tile, deviation: Term, score: Score) -> None:
    """scores = score(k, sum over j of deviation(k, j)(x_j)^2, where it goes) and the running maximum of the scores."""

    def square(k, j):
        deviate = deviation(k, j)

        def add(x, total):
            z = deviate(x)
            return v.fma(z, z, total)

        return add

    score_by_sums(v, p, n_panels, panels, tile, square, score)


def score_by_distances(v: Vectors, p, n_panels: ir.Value, panels: ir.Value, tile, score: Score) -> None:
    """scores = score(k, |x - mean_k|^2, where it goes) and their running maximum.

    By |x|^2 - 2 mu x + |mu|^2, half the operations, if `p.slopes` and `p.norms` hold what `expanded` says; never in
    single precision, where too much would cancel.
    """
    b, n_features = v.builder, v.size(p.origin)

    def deviation(k, j):
        mean = v.broadcast(p.means, b.add(b.mul(k, n_features), j))
        return lambda x: v.subtract(x, mean)

    if v.real != F64:
        score_by_squares(v, p, n_panels, panels, tile, deviation, score)
        return
    with b.if_else(b.icmp_signed("==", v.size(p.slopes), v.index(0))) as (plain, by_parts):
        with plain:
            score_by_squares(v, p, n_panels, panels, tile, deviation, score)
        with by_parts:
            _score_by_expanded_squares(v, p, n_panels, panels, tile, score)


def _score_by_expanded_squares(v: Vectors, p, n_panels: ir.Value, panels: ir.Value, tile, score: Score) -> None:
    b, n_features = v.builder, v.size(p.origin)

    def squares(x):
        def feature(j, *totals):
            vectors = v.load_all(v.at(x, b.mul(j, v.index(v.panel))), BLOCK_VECTORS)
            return [v.fma(vector, vector, total) for vector, total in zip(vectors, totals, strict=True)]

        return v.loop(n_features, [v.constant(0.0)] * BLOCK_VECTORS, feature)

    def term(k, j):
        slope = v.broadcast(p.slopes, b.add(b.mul(k, n_features), j))
        return lambda x, total: v.fma(slope, x, total)

    def of_square(k, total, where):
        square = v.add(total, v.broadcast(p.norms, k))
        return score(k, v.maximum(v.constant(0.0), square), where)  # in this order NaN, of an overflow, stays

    score_by_sums(v, p, n_panels, panels, tile, term, of_square, squares)


def score_by_sums(
    v: Vectors,
    p,
    n_panels: ir.Value,
    panels: ir.Value,
    tile,
    term: Term,
    score: Score,
    start: Callable[[ir.Value], list[ir.Value]] | None = None,
) -> None:
    """scores = score(k, total, where it goes), total = term(k, j)(x_j, total), and the running maximum.

    The totals begin with zero, or with `start` of the rows at a pointer.
    """
    b, n_features, n_components = v.builder, v.size(p.origin), v.size(p.constants)

    def rows_block(offset, rows):
        x = v.at(panels, offset)
        panel, within = b.sdiv(rows, v.index(v.panel)), b.srem(rows, v.index(v.panel))
        first_score = b.add(b.mul(b.mul(panel, n_components), v.index(v.panel)), within)

        begin = [v.constant(0.0)] * BLOCK_VECTORS if start is None else start(x)

        def components(first, count):
            ks = [b.add(first, v.index(r)) for r in range(count)]

            def feature(j, *totals):
                vectors = v.load_all(v.at(x, b.mul(j, v.index(v.panel))), BLOCK_VECTORS)
                result = []
                for r, k in enumerate(ks):
                    add = term(k, j)
                    result += [add(vector, totals[r * BLOCK_VECTORS + c]) for c, vector in enumerate(vectors)]
                return result

            totals = v.loop(n_features, begin * count, feature)
            for c in range(BLOCK_VECTORS):
                greatest = v.load(v.at(tile.top, rows), c * v.width)
                for r, k in enumerate(ks):
                    where = b.add(b.add(first_score, b.mul(k, v.index(v.panel))), v.index(c * v.width))
                    h = score(k, totals[r * BLOCK_VECTORS + c], where)
                    v.store(h, tile.scores, where)
                    greatest = v.maximum(h, greatest)  # in this order NaN never wins
                v.store(greatest, v.at(tile.top, rows), c * v.width)

        v.blocks(n_components, BLOCK, components)
        return ()

    v.panels(n_panels, n_features, (), rows_block)


def first_moments_size(n_components: int, n_features: int) -> int:
    """Doubles that `first_moments` adds to."""
    return -(-n_components // BLOCK) * -(-n_features // BLOCK) * BLOCK * BLOCK


def first_moments(v: Vectors, p, n_panels: ir.Value, tile, target: ir.Value) -> None:
    """target += sum r_k x_j over the rows of a tile; sixteen doubles for every four components by four features."""
    b, n_features, n_components = v.builder, v.size(p.origin), v.size(p.constants)
    across = v.padded(n_features, BLOCK)

    def components(k, rows):
        left = v.at(tile.scores, b.mul(k, v.index(v.panel)))
        base = b.mul(k, across)

        def features(j, columns):
            right = v.at(tile.panels, b.mul(j, v.index(v.panel)))
            sums = {}
            for cells in register_groups((r, c) for r in range(rows) for c in range(columns)):

                def panel(p, *totals, cells=cells):
                    r_at = v.at(left, b.mul(b.mul(p, n_components), v.index(v.panel)))
                    x_at = v.at(right, b.mul(b.mul(p, n_features), v.index(v.panel)))
                    totals = list(totals)
                    for vector in range(PANEL_VECTORS):
                        r_of = {r: v.load(r_at, r * v.panel + vector * v.width) for r, _ in cells}
                        x_of = {c: v.load(x_at, c * v.panel + vector * v.width) for _, c in cells}
                        totals = [v.fma(r_of[r], x_of[c], t) for (r, c), t in zip(cells, totals, strict=True)]
                    return totals

                totals = v.loop(n_panels, [v.constant(0.0)] * len(cells), panel)
                sums |= dict(zip(cells, totals, strict=True))
            zero = v.constant(0.0)
            block = [sums.get((r, c), zero) for r in range(rows) for c in range(BLOCK)]
            add_sums(v, block, v.at(target, b.add(base, b.mul(j, v.index(BLOCK)))))

        v.blocks(n_features, BLOCK, features)

    v.blocks(n_components, BLOCK, components)


@jitted
def give_back_first_moments(ids, n_features, part, first, statistics, begin):
    """Move those of some components, at part[first:], to those of all, at statistics[begin:]."""
    across = (n_features + BLOCK - 1) // BLOCK
    for i in range(ids.size):
        for block in range(across):
            move_sums(part, first + _cell(i, block, across), statistics, begin + _cell(ids[i], block, across), BLOCK)


@inlined
def _cell(k, block, across):
    """Where the sums of a component and of a block of features begin."""
    return ((k // BLOCK * across + block) * BLOCK + k % BLOCK) * BLOCK


def unpack_first_moments(packed, n_components: int, n_features: int):
    """What `first_moments` added up, as (K, D)."""
    down, across = -(-n_components // BLOCK), -(-n_features // BLOCK)
    blocks = packed.reshape(down, across, BLOCK, BLOCK).swapaxes(1, 2)
    return blocks.reshape(down * BLOCK, across * BLOCK)[:n_components, :n_features]


def counts(v: Vectors, p, n_panels: ir.Value, tile, target: ir.Value) -> None:
    """target[k] += sum r_k over the rows of a tile."""
    _component_sums(v, p, n_panels, tile, target, lambda total, r, _: v.add(total, r))


def weighted_sums(v: Vectors, p, n_panels: ir.Value, tile, target: ir.Value) -> None:
    """target[k] += sum r_k q_k over the rows of a tile, `tile.auxiliary` q stored as the scores are."""

    def add(total, r, where):
        return v.fma(r, v.load(tile.auxiliary, where), total)

    _component_sums(v, p, n_panels, tile, target, add)


def _component_sums(v: Vectors, p, n_panels: ir.Value, tile, target: ir.Value, add) -> None:
    b, n_components = v.builder, v.size(p.constants)

    def components(k, count):
        def panel(p, *totals):
            at = b.mul(b.add(b.mul(p, n_components), k), v.index(v.panel))
            totals = list(totals)
            for c in range(PANEL_VECTORS):
                for r in range(count):
                    where = b.add(at, v.index(r * v.panel + c * v.width))
                    totals[r] = add(totals[r], v.load(tile.scores, where), where)
            return totals

        add_sums(v, v.loop(n_panels, [v.constant(0.0)] * count, panel), v.at(target, k))

    v.blocks(n_components, WIDTH, components)
