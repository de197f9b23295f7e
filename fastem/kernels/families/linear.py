"""Families whose log-density is linear in the row: Bernoulli, multinomial, Poisson.

log w_k p(x | k) = c_k + sum_j theta_kj x_j + h(x), with a term h of the row alone: the number of orders in which counts
can arise. The moments are sums of r and of r x.

A probability of zero is a theta of minus infinity, and zero times infinity is no number. Such entries have theta = 0
and are counted on their own: a row that has any of them is impossible.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.tiles import fill, nowhere, panel_rows, square_responsibilities
from fastem.kernels.vectors import blocks, elementary
from fastem.kernels.vectors.simd import PANEL_VECTORS, WIDTH, Vectors, padded, vectorised

NO_ROW_TERM, INDEPENDENT_COUNTS, COUNTS_OF_A_TOTAL = 0, 1, 2  # h = 0, -sum_j log x_j!, log n! - sum_j log x_j!


@vectorised
def _score(v, p, n_panels, tile):
    b = v.builder

    def term(k, j):
        coefficient = v.broadcast(p.coefficients, b.add(b.mul(k, v.size(p.origin)), j))
        return lambda x, total: v.fma(coefficient, x, total)

    def score(k, total, _):
        return v.add(v.broadcast(p.constants, k), total)

    blocks.score_by_sums(v, p, n_panels, tile.panels, tile, term, score)


@vectorised
def _exclude(v, p, n_panels, tile):
    """Scores of minus infinity where a row has a value that the component cannot have; the maximum is made anew."""
    b = v.builder

    def term(k, j):
        mark = v.broadcast(p.impossible, b.add(b.mul(k, v.size(p.origin)), j))
        return lambda x, total: v.fma(mark, x, total)

    def score(k, total, where):
        offences = v.add(v.broadcast(p.required, k), total)  # exact: a sum of small integers
        possible = b.fcmp_ordered("<", offences, v.constant(0.5))
        return b.select(possible, v.load(tile.scores, where), v.constant(float("-inf")))

    blocks.score_by_sums(v, p, n_panels, tile.panels, tile, term, score)


@vectorised
def _add_row_terms(v, p, n_panels, tile):
    """Half of h(x) into `tile.auxiliary`, and added to the scores and their maximum."""
    b, lanes = v.builder, range(PANEL_VECTORS)
    n_features, n_components = v.size(p.origin), v.size(p.constants)
    total_counts = b.uitofp(b.icmp_signed("==", p.row_term, v.index(COUNTS_OF_A_TOTAL)), v.real)

    def panel(i):
        row = b.mul(i, v.index(v.panel))
        x = v.at(tile.panels, b.mul(row, n_features))

        def feature(j, *sums):
            vectors = v.load_all(v.at(x, b.mul(j, v.index(v.panel))), PANEL_VECTORS)
            factorials = [
                v.add(total, elementary.log_factorial(v, vector))
                for total, vector in zip(sums[:PANEL_VECTORS], vectors, strict=True)
            ]
            totals = [v.add(total, vector) for total, vector in zip(sums[PANEL_VECTORS:], vectors, strict=True)]
            return factorials + totals

        sums = v.loop(n_features, [v.constant(0.0)] * (2 * PANEL_VECTORS), feature)
        terms = []
        for factorials, totals in zip(sums[:PANEL_VECTORS], sums[PANEL_VECTORS:], strict=True):
            orders = v.multiply(v.splat(total_counts), elementary.log_factorial(v, totals))
            terms.append(v.multiply(v.constant(0.5), v.subtract(orders, factorials)))
        for c in lanes:
            v.store(terms[c], v.at(tile.auxiliary, row), c * v.width)
            v.store(v.add(v.load(v.at(tile.top, row), c * v.width), terms[c]), v.at(tile.top, row), c * v.width)

        def component(k):
            at = v.at(tile.scores, b.add(b.mul(row, n_components), b.mul(k, v.index(v.panel))))
            for c in lanes:
                v.store(v.add(v.load(at, c * v.width), terms[c]), at, c * v.width)
            return ()

        v.loop(n_components, (), component)
        return ()

    v.loop(n_panels, (), panel)


def _weighted_row_terms(v: Vectors, n_panels: ir.Value, tile, target: ir.Value) -> None:
    """target[0] += sum of w h(x) over the rows of a tile."""
    b = v.builder

    def panel(p, total):
        row = b.mul(p, v.index(v.panel))
        for c in range(PANEL_VECTORS):
            h = v.multiply(v.constant(2.0), v.load(v.at(tile.auxiliary, row), c * v.width))
            total = v.fma(v.load(v.at(tile.weights, row), c * v.width), h, total)
        return (total,)

    blocks.add_sums(v, v.loop(n_panels, (v.constant(0.0),), panel), target)


@vectorised
def _add_moments(v, p, n_panels, tile, statistics):
    b = v.builder
    row_terms = v.at(statistics, v.padded(v.size(p.constants)))
    square_responsibilities(v, p, n_panels, tile)
    blocks.counts(v, p, n_panels, tile, statistics)
    with b.if_then(b.icmp_signed("!=", p.row_term, v.index(NO_ROW_TERM))):
        _weighted_row_terms(v, n_panels, tile, row_terms)
    blocks.first_moments(v, p, n_panels, tile, v.at(row_terms, WIDTH))


def masked(rows: np.ndarray) -> np.ndarray:
    """Rows (n, D) with NaN as (n, 2 D): zeros where a number is missing, then o_j, one where it is observed."""
    missing = np.isnan(rows)
    return np.hstack([np.where(missing, 0.0, rows), ~missing])


class LinearParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) zeros: counts are small integers already
    constants: np.ndarray  # (K,) c_k / 2
    coefficients: np.ndarray  # (K * D,) theta_kj / 2
    required: np.ndarray  # (K,) features that have to be 1, or empty
    impossible: np.ndarray  # (K * D,) 1 where a feature has to be 0, -1 where it has to be 1; empty if none has
    row_term: int  # which h is added: one of the three above

    @classmethod
    def of(cls, constants, coefficients, impossible, row_term):
        """From c_k (K,), theta_kj (K, D), marks of impossible values (K, D) as above and h."""
        n_features = coefficients.shape[1]
        marks = np.ascontiguousarray(impossible, dtype=np.float64).ravel() if impossible.any() else np.empty(0)
        required = np.count_nonzero(impossible < 0, axis=1).astype(np.float64) if marks.size else np.empty(0)
        halves = 0.5 * constants, np.ascontiguousarray(0.5 * coefficients).ravel()
        return cls(np.zeros(n_features), *halves, required, marks, row_term)

    @classmethod
    def of_masked(cls, log_weights, intercepts, slopes, impossible, row_term):
        """For `masked` rows, log w_k + sum_j o_j (a_kj + theta_kj x_j): from log w_k (K,), the others (K, D).

        What has to be 1 is one offence if it is observed, and one less if it is.
        """
        marks = np.hstack([impossible, np.where(impossible < 0, 1.0, 0.0)])
        parameters = cls.of(log_weights, np.hstack([slopes, intercepts]), marks, row_term)
        return parameters._replace(required=np.zeros(parameters.required.shape))

    @classmethod
    def unpack_masked(cls, statistics: np.ndarray, n_components: int, n_features: int):
        """Counts, sums and row terms as `unpack` has them, and sums of r o (K, D)."""
        counts, sums, row_terms = cls.unpack(statistics, n_components, 2 * n_features)
        return counts, sums[:, :n_features], row_terms, sums[:, n_features:]

    def statistics_size(self) -> int:
        n_components = self.constants.size
        return padded(n_components) + WIDTH + blocks.first_moments_size(n_components, self.origin.size)

    @staticmethod
    def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Counts (K,), sums of r x (K, D), and the sum of w h(x) if there was a row term."""
        size = padded(n_components)
        counts, row_terms, sums = np.split(statistics, [size, size + WIDTH])
        return counts[:n_components], blocks.unpack_first_moments(sums, n_components, n_features), float(row_terms[0])

    def auxiliary_size(self, capacity: int) -> int:
        return capacity  # h(x) / 2

    # compiled ---------------------------------------------------------------------------------------------------------

    def log_joint(self, n_panels, tile):
        _score(self, n_panels, tile)
        if self.impossible.size:
            fill(tile.top, n_panels * panel_rows(tile.panels), nowhere(tile.top))
            _exclude(self, n_panels, tile)
        if self.row_term:
            _add_row_terms(self, n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        _add_moments(self, n_panels, tile, statistics)
