"""Rows of Gaussian mixtures in which features are missing at random (Ghahramani and Jordan 1994).

With o the observed features of a row, m the missing ones and the Cholesky factor F of Sigma_oo, u = F^-1 (x_o - mu_o)
and W = F^-1 Sigma_om: log p(x_o | k) = -|u|^2 / 2 - log det F - |o|/2 log 2 pi, and given x_o the missing features have
the mean mu_m + W^T u and the covariance Sigma_mm - W^T W. Rows come in groups of one pattern, which have F and W in
common; all components have them, too, in the same order: vectors run across components.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.accumulation import lane_count
from fastem.kernels.assignments import HARD, LIKELIHOOD, NO_MOMENTS, STOCHASTIC, Assignment, draw
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.passes import HEADER, add_compensated
from fastem.kernels.threads import run
from fastem.kernels.tiles import LEAST_TOTAL, NOWHERE, aligned, fill
from fastem.kernels.vectors import elementary
from fastem.kernels.vectors.memory import aligned_zeros
from fastem.kernels.vectors.simd import WIDTH, Vectors, padded, vectorised

GROUP = 256  # rows of a group at most: what is shared out among threads
NO_NUMBERS, NO_TABLE, NO_LABELS = np.empty(0), np.empty((0, 0)), np.empty(0, dtype=np.int64)


class IncompleteRows(NamedTuple):
    """Rows of which some numbers are NaN, those of one pattern together."""

    rows: np.ndarray  # (n, D) in C order
    weights: np.ndarray  # (n,)
    labels: np.ndarray  # (n,) int32, -1 where the component of a row is not known
    starts: np.ndarray  # (groups + 1,) where groups of rows of one pattern begin

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray, labels: np.ndarray, patterns: np.ndarray) -> "IncompleteRows":
        """From sorted rows; `patterns` (groups + 1,) tells where each pattern begins, at last the number of rows."""
        lengths = np.diff(patterns)
        pieces = -(-lengths // GROUP)
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        return cls(rows, weights, labels, np.append(np.repeat(patterns[:-1], pieces) + GROUP * number, len(rows)))


class Matrices(NamedTuple):
    """A mixture as this kernel reads it: K' = K rounded up to whole vectors, side by side in every entry."""

    log_weights: np.ndarray  # (K',)
    means: np.ndarray  # (D * K',)
    covariances: np.ndarray  # (D * D * K',)

    @classmethod
    def of(cls, log_weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> "Matrices":
        """From log w_k (K,), means (K, D) and covariances (K, D, D)."""
        n_components, n_features = means.shape
        size = padded(n_components)
        weights, centres = np.full(size, -np.inf), np.zeros((n_features, size))
        matrices = np.repeat(np.eye(n_features)[:, :, None], size, axis=2)
        weights[:n_components], centres[:, :n_components] = log_weights, means.T
        matrices[:, :, :n_components] = covariances.transpose(1, 2, 0)
        return cls(weights, centres.ravel(), matrices.ravel())

    @property
    def n_features(self) -> int:
        return self.means.size // self.log_weights.size

    @property
    def size(self) -> int:
        """How many sums there are of a row's moments."""
        return self.log_weights.size * (1 + self.n_features + self.n_features**2)

    def pack(self, counts: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The sums that `unpack` takes apart."""
        size, n_features, n_components = self.log_weights.size, self.n_features, len(counts)
        sums = np.zeros((1 + n_features + n_features**2, size))
        sums[0, :n_components], sums[1 : 1 + n_features, :n_components] = counts, first.T
        sums[1 + n_features :, :n_components] = np.tril(second).reshape(n_components, -1).T
        return sums.ravel()

    def unpack(self, sums: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of r (K,), of r E[x - mu] (K, D) and of r E[(x - mu) (x - mu)^T] (K, D, D)."""
        size, n_features = self.log_weights.size, self.n_features
        counts, first, second = np.split(sums, [size, size * (1 + n_features)])
        lower = second.reshape(n_features, n_features, size)[:, :, :n_components].transpose(2, 0, 1)
        both = lower + np.tril(lower, -1).swapaxes(1, 2)
        return counts[:n_components], first.reshape(n_features, size)[:, :n_components].T, both


class Wanted(NamedTuple):
    """What is wanted of each row; what is empty is not computed."""

    log_density: np.ndarray = NO_NUMBERS  # (n,)
    labels: np.ndarray = NO_LABELS  # (n,)
    responsibilities: np.ndarray = NO_TABLE  # (n, K)
    completed: np.ndarray = NO_TABLE  # (n, D) E[x], written where a number is missing


class Room(NamedTuple):
    """The working memory of a lane."""

    known: np.ndarray  # (D,) numbers of the observed features of a group
    rest: np.ndarray  # (D,) and of the missing ones
    factor: np.ndarray  # (D * D * K') F
    inverses: np.ndarray  # (D * K') one over its diagonal
    across: np.ndarray  # (D * D * K') W^T
    constants: np.ndarray  # (K',) log w_k - log det F - |o|/2 log 2 pi
    standard: np.ndarray  # (D * K') u
    deviations: np.ndarray  # (D * K') E[x - mu]
    shares: np.ndarray  # (K',) log-joints, then responsibilities
    own: np.ndarray  # (K',) sums of the weighted responsibilities of a group
    density: np.ndarray  # (8) log p of a row, eight times


def added(
    parameters: Matrices, rows: IncompleteRows, assignment: Assignment = LIKELIHOOD, wanted: Wanted | None = None
) -> np.ndarray:
    """The sums over incomplete rows, (HEADER + size,), the header as in `accumulation.accumulated`.

    What else is wanted of the rows is written.
    """
    n_sums = HEADER + parameters.size
    n_groups = len(rows.starts) - 1
    lanes = aligned_zeros(max(1, min(lane_count(n_sums), n_groups)), n_sums)
    arguments = rows, parameters, assignment, wanted or Wanted(), lanes
    run(_lanes, arguments, len(lanes), rows.rows.size * parameters.log_weights.size)
    return np.add.reduce(lanes)  # in order


# compiled -------------------------------------------------------------------------------------------------------------


def _vectors(v: Vectors, p, body) -> None:
    """Emit ``body(at)`` for every vector of components, which begins with number `at`."""

    def vector(i):
        body(v.builder.mul(i, v.index(WIDTH)))
        return ()

    v.loop(v.builder.sdiv(v.size(p.log_weights), v.index(WIDTH)), (), vector)


def _less(v: Vectors, value, terms, left, right, stride):
    """value - sum over c < terms of left[c stride] right[c stride], each a vector."""

    def term(c, total):
        at = v.builder.mul(c, stride)
        return (v.fma(v.negate(v.load(left, at)), v.load(right, at), total),)

    return v.loop(terms, (value,), term)[0]


class _Places:
    """Where the numbers of a vector of components lie."""

    def __init__(self, v: Vectors, p, room, at):
        self.v, self.b, self.room, self.begin = v, v.builder, room, at
        self.stride = v.size(p.log_weights)
        self.n_features = v.builder.sdiv(v.size(p.means), self.stride)

    def one(self, array, j):
        return self.v.at(array, self.b.add(self.begin, self.b.mul(j, self.stride)))

    def two(self, array, i, j):
        return self.one(array, self.b.add(self.b.mul(i, self.n_features), j))

    def known(self, a):
        return self.b.load(self.v.at(self.room.known, a))

    def rest(self, t):
        return self.b.load(self.v.at(self.room.rest, t))


@vectorised
def _factorise(v, p, room, n_known, n_rest):
    """F, W and the constants of a pattern."""
    b, zero = v.builder, v.index(0)
    share = v.splat(b.sitofp(n_known, ir.DoubleType()))

    def components(at):
        place = _Places(v, p, room, at)

        def column(a, log_det):
            row = place.two(room.factor, a, zero)

            def entry(c):
                start = v.load(place.two(p.covariances, place.known(a), place.known(c)))
                value = _less(v, start, c, row, place.two(room.factor, c, zero), place.stride)
                v.store(v.multiply(value, v.load(place.one(room.inverses, c))), place.two(room.factor, a, c))
                return ()

            v.loop(a, (), entry)
            start = v.load(place.two(p.covariances, place.known(a), place.known(a)))
            root = v.sqrt(_less(v, start, a, row, row, place.stride))
            v.store(v.divide(v.constant(1.0), root), place.one(room.inverses, a))
            return (v.add(log_det, elementary.log(v, root)),)

        (log_det,) = v.loop(n_known, (v.constant(0.0),), column)
        normal = v.fma(share, v.constant(-0.5 * np.log(2 * np.pi)), v.negate(log_det))
        v.store(v.add(v.load(place.one(p.log_weights, zero)), normal), place.one(room.constants, zero))

        def missing(t):
            row = place.two(room.across, t, zero)

            def entry(a):
                start = v.load(place.two(p.covariances, place.known(a), place.rest(t)))
                value = _less(v, start, a, place.two(room.factor, a, zero), row, place.stride)
                v.store(v.multiply(value, v.load(place.one(room.inverses, a))), place.two(room.across, t, a))
                return ()

            v.loop(n_known, (), entry)
            return ()

        v.loop(n_rest, (), missing)

    _vectors(v, p, components)


@vectorised
def _score(v, p, room, n_known, row):
    """u and the deviations of the observed features of the row at an address; log-joints and their maximum."""
    b, zero = v.builder, v.index(0)
    numbers = b.inttoptr(row, ir.DoubleType().as_pointer())
    v.store(v.constant(NOWHERE), room.density)

    def components(at):
        place = _Places(v, p, room, at)

        def feature(a, squares):
            j = place.known(a)
            deviation = v.subtract(v.broadcast(numbers, j), v.load(place.one(p.means, j)))
            v.store(deviation, place.one(room.deviations, j))
            u = place.one(room.standard, zero)
            value = _less(v, deviation, a, place.two(room.factor, a, zero), u, place.stride)
            value = v.multiply(value, v.load(place.one(room.inverses, a)))
            v.store(value, place.one(room.standard, a))
            return (v.fma(value, value, squares),)

        (squares,) = v.loop(n_known, (v.constant(0.0),), feature)
        h = v.fma(v.constant(-0.5), squares, v.load(place.one(room.constants, zero)))
        v.store(h, place.one(room.shares, zero))
        v.store(v.maximum(h, v.load(room.density)), room.density)  # so NaN never wins

    _vectors(v, p, components)


@vectorised
def _normalise(v, p, room):
    """Log-joints into responsibilities, their maximum into the log-density."""
    greatest = v.load(room.density)
    for distance in (4, 2, 1):
        greatest = v.maximum(greatest, v.shuffle(greatest, greatest, [lane ^ distance for lane in range(WIDTH)]))

    def shares_at(i):
        return v.at(room.shares, v.builder.mul(i, v.index(WIDTH)))

    def exponential(i, total):
        e = elementary.exp(v, v.subtract(v.load(shares_at(i)), greatest))
        v.store(e, shares_at(i))
        return (v.add(total, e),)

    n_vectors = v.builder.sdiv(v.size(p.log_weights), v.index(WIDTH))
    (sums,) = v.loop(n_vectors, (v.constant(0.0),), exponential)
    (packed,) = v.sums([sums])
    total = v.maximum(v.shuffle(packed, packed, [0] * WIDTH), v.constant(LEAST_TOTAL))
    v.store(v.add(greatest, elementary.log(v, total)), room.density)

    def share(i):
        v.store(v.divide(v.load(shares_at(i)), total), shares_at(i))
        return ()

    v.loop(n_vectors, (), share)


@vectorised
def _expect(v, p, room, n_known, n_rest):
    """W^T u: how far the missing features are expected from the means."""
    zero = v.index(0)

    def components(at):
        place = _Places(v, p, room, at)

        def missing(t):
            row, u = place.two(room.across, t, zero), place.one(room.standard, zero)
            less = _less(v, v.constant(0.0), n_known, row, u, place.stride)
            v.store(v.negate(less), place.one(room.deviations, place.rest(t)))
            return ()

        v.loop(n_rest, (), missing)

    _vectors(v, p, components)


@vectorised
def _add_row(v, p, room, weight, sums):
    """Add the moments of a row, with what is expected of it, to `sums`."""
    zero = v.index(0)

    def components(at):
        place = _Places(v, p, room, at)
        counts = v.at(sums, at)
        share = v.multiply(v.splat(weight), v.load(place.one(room.shares, zero)))
        for target in (counts, place.one(room.own, zero)):
            v.store(v.add(v.load(target), share), target)
        first = v.at(sums, place.stride)
        second = v.at(first, v.size(p.means))

        def feature(i):
            weighted = v.multiply(share, v.load(place.one(room.deviations, i)))
            target = place.one(first, i)
            v.store(v.add(v.load(target), weighted), target)

            def product(j):
                cell = place.two(second, i, j)
                v.store(v.fma(weighted, v.load(place.one(room.deviations, j)), v.load(cell)), cell)
                return ()

            v.loop(v.builder.add(i, v.index(1)), (), product)
            return ()

        v.loop(place.n_features, (), feature)

    _vectors(v, p, components)


@vectorised
def _add_left(v, p, room, n_known, n_rest, sums):
    """Add the covariances that the missing features of a group are left with."""
    zero = v.index(0)

    def components(at):
        place = _Places(v, p, room, at)
        own = v.load(place.one(room.own, zero))
        second = v.at(v.at(sums, place.stride), v.size(p.means))

        def missing(t):
            row = place.two(room.across, t, zero)

            def entry(s):
                other = place.two(room.across, s, zero)
                left = v.load(place.two(p.covariances, place.rest(t), place.rest(s)))
                left = _less(v, left, n_known, row, other, place.stride)
                cell = place.two(second, place.rest(t), place.rest(s))
                v.store(v.fma(own, left, v.load(cell)), cell)
                return ()

            v.loop(v.builder.add(t, v.index(1)), (), entry)
            return ()

        v.loop(n_rest, (), missing)

    _vectors(v, p, components)


@vectorised
def _complete(v, p, room, t, completed):
    """completed[0] = the mean of the t-th missing feature over all components."""
    b, zero = v.builder, v.index(0)
    total = v.constant(0.0)

    def components(i, total):
        place = _Places(v, p, room, b.mul(i, v.index(WIDTH)))
        j = place.rest(t)
        mean = v.add(v.load(place.one(p.means, j)), v.load(place.one(room.deviations, j)))
        return (v.fma(v.load(place.one(room.shares, zero)), mean, total),)

    (total,) = v.loop(b.sdiv(v.size(p.log_weights), v.index(WIDTH)), (total,), components)
    (packed,) = v.sums([total])
    b.store(b.extract_element(packed, ir.Constant(ir.IntType(32), 0)), completed)


@jitted
def _new_room(parameters):
    size, like = parameters.log_weights.size, parameters.log_weights
    n_features = parameters.means.size // size
    return Room(
        np.empty(n_features, np.int64),
        np.empty(n_features, np.int64),
        aligned(n_features * n_features * size, like),
        aligned(n_features * size, like),
        aligned(n_features * n_features * size, like),
        aligned(size, like),
        aligned(n_features * size, like),
        aligned(n_features * size, like),
        aligned(size, like),
        aligned(size, like),
        aligned(np.int64(WIDTH), like),
    )


@jitted
def _lanes(incomplete, parameters, assignment, wanted, statistics, begin, end):
    """Add the groups of lanes begin, ..., end - 1 to `statistics` and write what is wanted of their rows."""
    starts, moments = incomplete.starts, assignment.kind != NO_MOMENTS
    room = _new_room(parameters)
    for lane in range(begin, end):
        total = statistics[lane]
        for group in range(lane, starts.size - 1, statistics.shape[0]):
            first = starts[group]
            n_known, n_rest = _find_pattern(incomplete.rows[first], room)
            _factorise(parameters, room, n_known, n_rest)
            fill(room.own, room.own.size, 0.0)
            for i in range(first, starts[group + 1]):
                _score(parameters, room, n_known, incomplete.rows[i].ctypes.data)
                if incomplete.labels[i] >= 0:
                    _keep_to(incomplete.labels[i], room)
                if wanted.labels.size:
                    wanted.labels[i] = _best(room.shares)
                _respond(parameters, room, assignment, i)
                add_compensated(total, incomplete.weights[i] * room.density[0])
                total[2] += incomplete.weights[i]
                if moments or wanted.completed.size:
                    _expect(parameters, room, n_known, n_rest)
                if moments:
                    _add_row(parameters, room, incomplete.weights[i], total[HEADER:])
                _write(parameters, room, n_rest, wanted, i)
            if moments:
                _add_left(parameters, room, n_known, n_rest, total[HEADER:])


@inlined
def _find_pattern(row, room):
    """Which features of a row are observed and which are missing; how many of each."""
    n_known, n_rest = 0, 0
    for j in range(row.size):
        if np.isnan(row[j]):
            room.rest[n_rest] = j
            n_rest += 1
        else:
            room.known[n_known] = j
            n_known += 1
    return n_known, n_rest


@inlined
def _best(scores):
    """The first component that attains the maximum."""
    best = 0
    for k in range(scores.size):
        if scores[k] > scores[best]:
            best = k
    return best


@inlined
def _keep_to(label, room):
    """A log-joint of minus infinity for all components but the known one."""
    greatest = max(room.shares[label], NOWHERE)
    for k in range(room.shares.size):
        if k != label:
            room.shares[k] = -np.inf
    fill(room.density, room.density.size, greatest)


@inlined
def _respond(parameters, room, assignment, number):
    """Log-joints into responsibilities, as `assignment` has them, and the log-density."""
    if assignment.kind == HARD:
        best = _best(room.shares)
        room.density[0] = max(room.shares[best], NOWHERE)
        for k in range(room.shares.size):
            room.shares[k] = 1.0 if k == best else 0.0
        return
    _normalise(parameters, room)
    if assignment.kind == STOCHASTIC:
        lot = room.density[1:2]
        draw(assignment.key, number, lot)
        before = 0.0
        for k in range(room.shares.size):
            after = before + room.shares[k]
            room.shares[k] = 1.0 if before <= lot[0] < after else 0.0
            before = after


@inlined
def _write(parameters, room, n_rest, wanted, i):
    if wanted.log_density.size:
        wanted.log_density[i] = room.density[0]
    if wanted.responsibilities.size:
        n_components = wanted.responsibilities.shape[1]
        out_of_range = room.density[0] < 0.5 * NOWHERE  # then none is more probable than another
        for k in range(n_components):
            wanted.responsibilities[i, k] = 1.0 / n_components if out_of_range else room.shares[k]
    if wanted.completed.size:
        for t in range(n_rest):
            _complete(parameters, room, t, wanted.completed[i, room.rest[t] :])
