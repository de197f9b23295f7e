"""Data that are read anew in every pass and never kept: files, chunks, tables."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastem.sources.arrays import readable_in_place
from fastem.sources.fingerprint import Fingerprint
from fastem.sources.read_ahead import read_ahead
from fastem.sources.reader import Piece, Reader
from fastem.sources.sampling import Sampler
from fastem.sources.source import Block, LocalSource
from fastem.sources.weights import ALL_ZERO, Weights, check_weights

BLOCK_MEMORY = 2**23  # bytes of a block; up to five of them are alive at a time
SAMPLE_MEMORY = 2**24  # bytes of the rows that the first pass keeps for seeding
MUST_STAY = "The data must stay the same during a fit."


class StreamSource(LocalSource):
    """Rows that a reader delivers again and again.

    The first pass looks at every number. With a survey it is a pass of its own, which counts the rows and keeps a
    sample of them; without, the rows can be read and no more. Later passes check that they meet as many rows.

    Parameters
    ----------
    reader : Reader
    sample_weight : Weights or None
    seed : int
        Of the sample.
    domain : callable or None
        See `fastem.estimators.validation`.
    survey : bool
    fingerprinted : bool
        Whether the survey takes the fingerprint, too.
    nan_refusal : str or None
        What to add to the error that NaN is; None takes it for a number that is missing.
    check_names : callable or None
        Called with the reader when the first rows have come, and with them the names of their columns.

    Raises
    ------
    ValueError
        If a number is no number or not finite, or a weight is negative; the message names file, row and column.
    """

    in_memory = single = False
    n_rows: int
    n_candidates: int
    _sampler: Sampler

    def __init__(
        self,
        reader: Reader,
        sample_weight: Weights | None = None,
        seed: int = 0,
        domain: Callable[[np.ndarray, int], None] | None = None,
        survey: bool = True,
        fingerprinted: bool = False,
        nan_refusal: str | None = "",
        check_names: Callable[[Reader], None] | None = None,
    ):
        if sample_weight is not None and reader.weighted is not None:
            raise ValueError(f"{reader.name}: weights twice, as sample_weight and as {reader.weighted}")
        self.reader, self.sample_weight, self.seed, self.domain = reader, sample_weight, seed, domain
        self.n_features, self.check_names = reader.n_features, check_names
        self.n_passes = 0
        self.nan_refusal, self.gaps = nan_refusal, nan_refusal is None
        if self.gaps:
            reader.allow_gaps()
        self.checked = False  # whether a pass has looked at every number
        self._fingerprint: Fingerprint | None = Fingerprint() if fingerprinted else None
        if survey:
            self._survey()

    @property
    def counted(self) -> bool:
        return self.checked

    def blocks(self) -> Iterator[Block]:
        n_rows, n_candidates, single, gaps = 0, 0, True, False
        for piece in self._pieces():
            check_shape(piece, self.n_features)
            block = self._block(piece, n_rows)
            if not self.checked:
                gaps |= self._check(piece, block, n_rows)
                n_candidates += len(block.rows) if block.weights is None else int(np.count_nonzero(block.weights))
            n_rows, single = n_rows + len(block.rows), single and block.rows.dtype == np.float32
            if self.checked and n_rows > self.n_rows:
                break
            yield block
        if self.checked and n_rows != self.n_rows:
            found = n_rows if n_rows < self.n_rows else "more"
            raise ValueError(f"{self.reader.name}: {found} rows, but the first pass saw {self.n_rows}. {MUST_STAY}")
        if not self.checked:
            self._check_counts(n_rows, n_candidates)
            self.n_rows, self.n_candidates, self.single, self.gaps = n_rows, n_candidates, single, gaps
            self.checked = True

    def sample(self, size: int) -> Block:
        if min(size, self.n_candidates) > self._sampler.size:
            self._sampler = Sampler(self.seed, size)
            self._show(self._sampler)
        return self._sampler.sample(size)

    def fingerprint(self) -> str:
        return Fingerprint.of(self.blocks()) if self._fingerprint is None else self._fingerprint.digest()

    def _survey(self) -> None:
        self._sampler = Sampler(self.seed, max(1, SAMPLE_MEMORY // (8 * self.n_features)))
        self._show(self._sampler, *([] if self._fingerprint is None else [self._fingerprint]))

    def _show(self, *observers: Sampler | Fingerprint) -> None:
        """A pass that everybody who wants to see all rows takes part in."""
        for rows, weights in self.blocks():
            for observer in observers:
                observer.add(rows, weights)

    def _pieces(self) -> Iterator[Piece]:
        stamp = self.reader.stamp()
        if self.n_passes and stamp != self._stamp:
            raise ValueError(f"{self.reader.name}: changed since the first pass. {MUST_STAY}")
        self._stamp: Any = stamp
        self.n_passes += 1
        pieces = self.reader.pieces(max(1, BLOCK_MEMORY // (8 * self.n_features)))
        return pieces if self.reader.mapped else read_ahead(pieces)

    def _block(self, piece: Piece, first: int) -> Block:
        rows = piece.rows
        if not readable_in_place(rows):
            rows = rows.astype(np.float64)
        if self.sample_weight is not None:
            if piece.weights is not None:
                raise ValueError(f"{piece.where}: weights twice, as sample_weight and with the rows")
            return Block(rows, self.sample_weight.of_rows(first, len(rows)))
        weights = None if piece.weights is None else np.ascontiguousarray(piece.weights, dtype=np.float64)
        return Block(rows, weights)

    # the first pass ---------------------------------------------------------------------------------------------------

    def _check(self, piece: Piece, block: Block, first: int) -> bool:
        """Whether numbers are missing."""
        if first == 0 and self.check_names is not None:
            self.check_names(self.reader)
        gaps = check_finite(piece, self.reader.names, self.nan_refusal)
        if piece.weights is not None:
            check_weights(piece.weights, piece)
        if self.domain is not None:
            self.domain(block.rows, first)
        return gaps

    def _check_counts(self, n_rows: int, n_candidates: int) -> None:
        if not n_rows:
            raise ValueError(f"{self.reader.name}: Found array with 0 sample(s) while a minimum of 1 is required.")
        if self.sample_weight is not None:
            self.sample_weight.check_length(n_rows)
        if not n_candidates:
            raise ValueError(ALL_ZERO)


def check_shape(piece: Piece, n_features: int) -> None:
    """Raise ValueError unless a kernel can read the rows and their weights: of every piece of every pass."""
    rows, weights = piece.rows, piece.weights
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(
            f"{piece.where}: row {piece.first}: an array of shape {rows.shape}, expected rows of {n_features} features."
        )
    if weights is not None and weights.shape != (len(rows),):
        raise ValueError(f"{piece.where}: weights of shape {weights.shape} for {len(rows)} rows.")


def check_finite(piece: Piece, names: tuple[str, ...] | None, nan_refusal: str | None = "") -> bool:
    """Whether there is NaN; ValueError, with the place, if there is a refusal of it, or a number is infinite."""
    rows = piece.rows
    with np.errstate(over="ignore", invalid="ignore"):
        if rows.dtype.kind != "f" or np.isfinite(rows.sum(dtype=np.float64)):
            return False
    missing = np.isnan(rows)
    finite = np.isfinite(rows) | (missing if nan_refusal is None else False)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        name = f"column {column}" if names is None else f"column {names[column]!r}"
        what = "NaN" if np.isnan(rows[row, column]) else "infinity"
        refusal = f" {nan_refusal}" if nan_refusal and what == "NaN" else ""
        raise ValueError(
            f"Input X contains {what}. {piece.where}: row {piece.first + row}, {name} (rows are counted from 0)."
            f"{refusal}"
        )
    return bool(missing.any())
