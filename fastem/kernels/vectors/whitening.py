"""Triangular factors times rows: what full and tied covariances share."""

from functools import cache

import numpy as np
from llvmlite import ir

from fastem.kernels.vectors.simd import BLOCK_VECTORS, Vectors

BLOCK = 4  # rows of the factor in a register block


def pack(factors: np.ndarray) -> np.ndarray:
    """Lower triangles (..., D, D) in the order in which `whiten_rows` reads them, (..., size).

    Four rows at a time, column after column up to the diagonal; what lies above the diagonal inside a block is zero.
    """
    rows, columns, below = _packed_places(factors.shape[-1])
    return np.where(below, factors[..., rows, columns], 0.0)


def unpack(packed: np.ndarray, n_features: int) -> np.ndarray:
    """What `pack` was given."""
    rows, columns, below = _packed_places(n_features)
    factors = np.zeros((*packed.shape[:-1], n_features, n_features))
    factors[..., rows[below], columns[below]] = packed[..., below]
    return factors


@cache
def _packed_places(n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the packed entries, and which of them are not above the diagonal, (size,) each."""
    pairs = []
    for first in range(0, n_features, BLOCK):
        height = min(BLOCK, n_features - first)
        pairs += [(first + r, column) for column in range(first + height) for r in range(height)]
    rows, columns = np.array(pairs).T
    return rows, columns, rows >= columns


def packed_offset(v: Vectors, first: ir.Value) -> ir.Value:
    """Where row `first`, a multiple of BLOCK, starts: BLOCK (BLOCK + 2 BLOCK + ... + first) entries on."""
    return v.builder.sdiv(v.builder.mul(first, v.builder.add(first, v.index(BLOCK))), v.index(2))


def whiten_rows(v: Vectors, x: ir.Value, packed: ir.Value, first: ir.Value, start: list[ir.Value]) -> list[ir.Value]:
    """start + L x for the rows of L that start at `first`, one start a row; BLOCK_VECTORS vectors for each of them.

    `x` points into a panel, `packed` at the entries of row `first`.
    """
    b, rows = v.builder, len(start)

    def column(j, begin, z):
        vectors = v.load_all(v.at(x, b.mul(j, v.index(v.panel))), BLOCK_VECTORS)
        entries, z = v.at(packed, b.mul(j, v.index(rows))), list(z)
        for r in range(begin, rows):
            entry = v.broadcast(entries, r)
            for c, vector in enumerate(vectors):
                z[r * BLOCK_VECTORS + c] = v.fma(entry, vector, z[r * BLOCK_VECTORS + c])
        return z

    z = v.loop(first, [value for value in start for _ in range(BLOCK_VECTORS)], lambda j, *z: column(j, 0, z))
    for r in range(rows):  # the triangle on the diagonal
        z = column(b.add(first, v.index(r)), r, z)
    return z
