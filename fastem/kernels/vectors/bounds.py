"""Bounds of the distances between tiles and components: vectors across components, or one number of many rows."""

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils

from fastem.kernels.vectors.simd import F32, F64, I64, PANEL_VECTORS, WIDTH, Vectors, vectorised

STEPS = 128.0  # a bound is kept in steps of 1 / 128 in two bytes, and no greater than 512
GREATEST_CODE = 2.0**16 - 1
COLUMNS = 5  # of `pruning.Bounds.table`
SAFE = 1.0 - 1e-6  # what a bound is multiplied with: more than its own rounding
I16, I32 = ir.IntType(16), ir.IntType(32)


@vectorised
def move_bounds(v, codes, bounds, room):
    """Take the bounds of a tile to the present parameters, and find what its half log-joints cannot exceed."""
    b, stride = v.builder, v.size(codes)
    group = ir.VectorType(I16, WIDTH).as_pointer()
    integers, reach = ir.VectorType(I32, WIDTH), v.broadcast(room.extremes)

    def components(i):
        at = b.mul(i, v.index(WIDTH))
        place = b.bitcast(v.at(codes, at), group)
        constants, shrinkage, shift, slope, error = (
            v.load(bounds.table, b.add(at, b.mul(stride, v.index(column)))) for column in range(COLUMNS)
        )
        before = v.multiply(b.sitofp(b.zext(b.load(place, align=2), integers), v.vector), v.constant(1 / STEPS))
        moved = v.subtract(v.fma(shrinkage, before, v.negate(shift)), v.fma(slope, reach, error))
        bound = v.multiply(v.maximum(moved, v.constant(0.0)), v.constant(SAFE))  # in this order NaN is zero
        steps = v.multiply(bound, v.constant(STEPS))
        code = b.select(b.fcmp_ordered("<", steps, v.constant(GREATEST_CODE)), steps, v.constant(GREATEST_CODE))
        b.store(b.trunc(b.fptosi(code, integers), ir.VectorType(I16, WIDTH)), place, align=2)
        half = v.multiply(bound, v.constant(0.5))
        v.store(v.fma(v.negate(half), half, constants), room.highest, at)
        return ()

    v.loop(b.sdiv(stride, v.index(WIDTH)), (), components)


@vectorised
def list_from(v, least, room):
    """List the components that may reach `least`; how many."""
    b, limit, n_vectors = v.builder, v.splat(least), v.builder.sdiv(v.size(room.highest), v.index(WIDTH))

    def components(i, listed):
        first = b.mul(i, v.index(WIDTH))
        reached = b.bitcast(b.fcmp_ordered(">=", v.load(room.highest, first), limit), ir.IntType(WIDTH))
        bits = b.zext(reached, I64)

        def component(_, left, listed):
            k = b.add(first, b.cttz(left, ir.Constant(ir.IntType(1), 1)))
            b.store(k, v.at(room.ids, listed))
            return b.and_(left, b.sub(left, v.index(1))), b.add(listed, v.index(1))

        return v.loop(b.ctpop(bits), (bits, listed), component)[1:]

    (listed,) = v.loop(n_vectors, (v.index(0),), components)
    return listed


@vectorised
def find_reach(v, n_panels, n_features, panels, room):
    """extremes[0] = the greatest |x_j - origin_j| in a tile."""
    b = v.builder

    def vector(i, greatest):
        x = v.load(panels, b.mul(i, v.index(v.width)))
        return (v.maximum(v._call("fabs", x), greatest),)  # in this order NaN never wins

    count = b.mul(b.mul(n_panels, n_features), v.index(PANEL_VECTORS))
    (greatest,) = v.loop(count, (v.constant(0.0),), vector)
    _store_extreme(v, v.maximum, greatest, v.at(room.extremes, 0))


@vectorised
def find_low(v, n_panels, top, room):
    """extremes[1] = the least top of the rows of a tile."""
    b = v.builder

    def smaller(a, c):
        return b.select(b.fcmp_ordered("<", a, c), a, c)

    def vector(i, least):
        return (smaller(v.load(top, b.mul(i, v.index(v.width))), least),)

    (least,) = v.loop(b.mul(n_panels, v.index(PANEL_VECTORS)), (v.constant(1e30),), vector)
    _store_extreme(v, smaller, least, v.at(room.extremes, 1))


@vectorised
def find_highest(v, n_panels, n_components, scores, room):
    """highest[i] = the greatest half log-joint of the i-th evaluated component in a tile."""
    b = v.builder

    def component(i):
        def panel(p, *greatest):
            at = b.mul(b.add(b.mul(p, n_components), i), v.index(v.panel))
            vectors = v.load_all(v.at(scores, at), PANEL_VECTORS)
            return [v.maximum(vector, most) for vector, most in zip(vectors, greatest, strict=True)]

        first, *others = v.loop(n_panels, [v.constant(-1e30)] * PANEL_VECTORS, panel)
        for other in others:
            first = v.maximum(first, other)
        _store_extreme(v, v.maximum, first, v.at(room.highest, i))
        return ()

    v.loop(n_components, (), component)


@vectorised
def copy_chosen(v, array, width, ids, part):
    """part[i * width:] = `width` numbers of array[ids[i] * width:]."""
    b, size = v.builder, v.index(4 if array.type.pointee == F32 else 8)

    def component(i):
        k = b.load(v.at(ids, i))
        target, source = v.at(part, b.mul(i, width)), v.at(array, b.mul(k, width))
        cgutils.raw_memcpy(b, target, source, width, size)
        return ()

    v.loop(v.size(ids), (), component)


@vectorised
def move_sums(v, part, first, statistics, begin, count):
    """statistics[begin:] += `count` numbers of part[first:], which become zero."""
    b = v.builder
    source, target = v.at(part, first), v.at(statistics, begin)

    def numbers(at, size):
        kind = ir.VectorType(F64, size)
        there, here = (b.bitcast(v.at(pointer, at), kind.as_pointer()) for pointer in (source, target))
        b.store(b.fadd(b.load(here, align=8), b.load(there, align=8)), here, align=8)
        b.store(ir.Constant(kind, [ir.Constant(F64, 0.0)] * size), there, align=8)

    v.halving_blocks(count, WIDTH, numbers)


def _store_extreme(v: Vectors, pick: Callable[..., ir.Value], vector: ir.Value, target: ir.Value) -> None:
    """The greatest or least lane, as a double."""
    b, distance = v.builder, v.width // 2
    while distance:
        vector = pick(vector, v.shuffle(vector, vector, [(lane + distance) % v.width for lane in range(v.width)]))
        distance //= 2
    number = b.extract_element(vector, ir.Constant(I32, 0))
    b.store(number if v.real == F64 else b.fpext(number, F64), target)
