"""Data that are read anew in every pass and never kept: files, chunks, tables."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastem.sources.arrays import readable_in_place
from fastem.sources.fingerprint import Fingerprint
from fastem.sources.read_ahead import read_ahead
from fastem.sources.reader import Piece, Reader
from fastem.sources.sampling import Sampler
from fastem.sources.source import Block

BLOCK_MEMORY = 2**23  # bytes of a block; up to five of them are alive at a time
SAMPLE_MEMORY = 2**24  # bytes of the rows that the first pass keeps for seeding
MUST_STAY = "The data must stay the same during a fit."


class StreamSource:
    """Rows that a reader delivers again and again.

    The first pass, a survey, looks at every number: it counts and checks the rows and keeps a sample of them. Later
    passes check that they meet the same number of rows.

    Parameters
    ----------
    reader : Reader
    sample_weight : array-like of shape (n_rows,) or None
        In place of weights from the reader.
    seed : int
        Of the sample.
    domain : callable or None
        See `fastem.validation`.

    Raises
    ------
    ValueError
        If a number is no number or not finite, or a weight is negative; the message names file, row and column.
    """

    def __init__(self, reader: Reader, sample_weight: Any = None, seed: int = 0, domain: Any = None):
        self.reader, self.seed = reader, seed
        self.n_features, self.names = reader.n_features, reader.names
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self.n_rows = self.n_candidates = self.n_passes = 0
        self._sampler = Sampler(seed, max(1, SAMPLE_MEMORY // (8 * self.n_features)))
        self._survey(domain)

    # passes -----------------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[Block]:
        n_rows = 0
        for piece in self._pieces():
            rows, weights = self._block(piece, n_rows)
            n_rows += len(rows)
            if n_rows > self.n_rows:
                break
            yield Block(rows, weights)
        if n_rows != self.n_rows:
            found = n_rows if n_rows < self.n_rows else "more"
            raise ValueError(f"{self.reader.name}: {found} rows, but the first pass saw {self.n_rows}. {MUST_STAY}")

    def total(self, add_up: Callable[[Iterable[Block]], np.ndarray]) -> np.ndarray:
        return add_up(self.blocks())

    def sample(self, size: int) -> Block:
        if size > self._sampler.size and self.n_candidates > self._sampler.size:
            larger, first = Sampler(self.seed, size), 0
            for rows, weights in self.blocks():
                larger.add(rows, weights, first)
                first += len(rows)
            self._sampler = larger
        return self._sampler.sample(size)

    def fingerprint(self) -> str:
        return Fingerprint.of(self.n_rows, self.n_candidates, self._fingerprint)

    def _pieces(self) -> Iterator[Piece]:
        stamp = self.reader.stamp()
        if self.n_passes and stamp != self._stamp:
            raise ValueError(f"{self.reader.name}: changed since the first pass. {MUST_STAY}")
        self._stamp: Any = stamp
        self.n_passes += 1
        pieces = self.reader.pieces(max(1, BLOCK_MEMORY // (8 * self.n_features)))
        return pieces if self.reader.mapped else read_ahead(pieces)

    def _block(self, piece: Piece, first: int) -> Block:
        rows = piece.rows if readable_in_place(piece.rows) else piece.rows.astype(np.float64)
        if self.sample_weight is not None:
            return Block(rows, self.sample_weight[first : first + len(rows)])
        weights = None if piece.weights is None else np.ascontiguousarray(piece.weights, dtype=np.float64)
        return Block(rows, weights)

    # the first pass ---------------------------------------------------------------------------------------------------

    def _survey(self, domain: Callable[[np.ndarray, int], None] | None) -> None:
        printed, positive = Sampler(Fingerprint.SEED, Fingerprint.SIZE), 0
        for piece in self._pieces():
            _check(piece, self.n_features, self.names)
            rows, weights = self._block(piece, self.n_rows)
            if weights is not None:
                _check_weights(weights, piece, len(rows))
            if domain is not None:
                domain(rows, self.n_rows)
            self._sampler.add(rows, weights, self.n_rows)
            printed.add(rows, weights, self.n_rows)
            positive += len(rows) if weights is None else int(np.count_nonzero(weights))
            self.n_rows += len(rows)
        if not self.n_rows:
            raise ValueError(f"{self.reader.name}: Found array with 0 sample(s), a minimum of 1 is required.")
        if self.sample_weight is not None and len(self.sample_weight) != self.n_rows:
            raise ValueError(f"sample_weight.shape == {self.sample_weight.shape}, expected ({self.n_rows},)!")
        if not positive:
            raise ValueError("Sample weights must contain at least one non-zero number.")
        self.n_candidates = positive
        self._fingerprint = printed.sample(Fingerprint.SIZE)


def _check(piece: Piece, n_features: int, names: tuple[str, ...] | None) -> None:
    rows = piece.rows
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(
            f"{piece.where}: row {piece.first}: an array of shape {rows.shape}, expected rows of {n_features} features."
        )
    if rows.dtype.kind not in "biuf":
        raise ValueError(f"{piece.where}: {rows.dtype} is not a type of real numbers.")
    with np.errstate(over="ignore", invalid="ignore"):
        if rows.dtype.kind != "f" or np.isfinite(rows.sum(dtype=np.float64)):
            return
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        name = f"column {column}" if names is None else f"column {names[column]!r}"
        what = "NaN" if np.isnan(rows[row, column]) else "infinity"
        raise ValueError(
            f"Input X contains {what}. {piece.where}: row {piece.first + row}, {name} (rows are counted from 0)."
        )


def _check_weights(weights: np.ndarray, piece: Piece, n_rows: int) -> None:
    if weights.shape != (n_rows,):
        raise ValueError(f"{piece.where}: {weights.shape} weights for {n_rows} rows.")
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{piece.where}: row {piece.first + row}: the weight {weights[row]:g} is not a non-negative number (rows "
            "are counted from 0)."
        )
