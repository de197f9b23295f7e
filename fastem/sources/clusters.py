"""Dask collections: rows that stay where they are, on the workers of a cluster or behind the local scheduler.

A pass sends the parameters to every partition once, runs the serial kernel there and adds the statistics up in a fixed
tree. The bits of the result depend on the partitions alone, not on who computed them.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np

from fastem.kernels.memory import PassMemory
from fastem.kernels.sampling import LARGEST_KEY
from fastem.kernels.threads import serial_passes
from fastem.sources.arrays import may_have_gaps, readable_in_place
from fastem.sources.fingerprint import Fingerprint
from fastem.sources.numeric import all_text, array_of_numbers, as_frame, checked_names, rows_in_order
from fastem.sources.reader import Piece
from fastem.sources.sampling import NO_WEIGHTS, expected_keys, selected
from fastem.sources.source import Block, Write
from fastem.sources.stream import check_finite, check_shape
from fastem.sources.weights import ALL_ZERO, check_weights, numbers_of_rows

FAN_IN = 8  # statistics that are added up in one task


def is_collection(data: Any) -> bool:
    """Whether `data` is a Dask array or data frame, without importing Dask."""
    return type(data).__module__.split(".")[0] == "dask" and hasattr(data, "to_delayed")


class Collection:
    """A Dask array or data frame as a list of partitions.

    Attributes
    ----------
    partitions : list of Delayed
    lengths : list of int, or of NaN where they are not known
    n_features : int
    labels : list of str or None
        Of the columns of a data frame.
    names : tuple of str or None
        The same where they are names.
    single : bool
        Whether all columns are in single precision.
    """

    name = "the Dask collection"

    def __init__(self, data: Any):
        self.labels: list[str] | None = None
        self.names: tuple[str, ...] | None = None
        if getattr(data, "ndim", None) != 2:
            raise ValueError(f"Expected a Dask array or data frame of two dimensions, got a {type(data).__name__}.")
        if hasattr(data, "columns"):
            self.labels = checked_names(list(data.columns), self.name)
            self.names = tuple(self.labels) if all_text(list(data.columns)) else None
            self.n_features, self.partitions = len(self.labels), list(data.to_delayed())
            self.lengths = [np.nan] * len(self.partitions)
            self.single = all(str(dtype).lower() in ("float32", "float[pyarrow]") for dtype in data.dtypes)
            return
        data, self.single = data.rechunk({1: -1}), data.dtype == np.float32
        self.n_features, self.partitions = int(data.shape[1]), list(data.to_delayed().ravel())
        self.lengths = list(data.chunks[0])


class DaskSource:
    """The rows of a Dask collection.

    For a fit, partitions are turned into arrays once and kept in the memory of the workers until the fit has ended:
    passes read them there. What is lost with a worker is computed again from the collection.

    Parameters
    ----------
    collection : Collection
    sample_weight : Dask array or series of the same partitions, Weights or None
    seed : int
        Of the sample.
    domain : callable or None
        See `fastem.estimators.validation`.
    nan_refusal : str or None
        What to add to the error that NaN is; None takes it for a number that is missing.
    survey : bool
        Count and keep the partitions, so that there can be many passes.
    """

    in_memory = True
    memory: PassMemory | None = None
    n_rows: int
    n_candidates: int

    def __init__(
        self,
        collection: Collection,
        sample_weight: Any = None,
        seed: int = 0,
        domain: Callable[[np.ndarray, int], None] | None = None,
        survey: bool = True,
        nan_refusal: str | None = "",
    ):
        import dask

        self.seed, self.n_features, self.counted = seed, collection.n_features, survey
        self.single, self.gaps = collection.single, nan_refusal is None
        self.lengths, self.n_passes = collection.lengths, 0
        weights = self._weights(collection, sample_weight)
        block_of = dask.delayed(_block, pure=False)
        self.parts = [
            block_of(part, weight, number, self.n_features, collection.labels, domain, nan_refusal)
            for number, (part, weight) in enumerate(zip(collection.partitions, weights, strict=True))
        ]
        if survey:
            self.parts = list(dask.persist(*self.parts))
            facts = self.gather(_facts)
            self.lengths = [rows for rows, _, _ in facts]
            self.candidates = [candidates for _, candidates, _ in facts]
            self.gaps = any(gaps for _, _, gaps in facts)
            self.n_rows, self.n_candidates = int(sum(self.lengths)), sum(self.candidates)
            if not self.n_rows:
                raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
            if not self.n_candidates:
                raise ValueError(ALL_ZERO)

    def _weights(self, collection: Collection, sample_weight: Any) -> list[Any]:
        if sample_weight is None:
            return [None] * len(collection.partitions)
        if is_collection(sample_weight):
            weights = list(np.ravel(sample_weight.to_delayed()))
            if len(weights) != len(collection.partitions):
                raise ValueError(
                    f"sample_weight has {len(weights)} partitions, X has {len(collection.partitions)}: they must be "
                    "cut alike."
                )
            return weights
        import dask

        if np.isnan(self.lengths).any():
            self.lengths = list(dask.compute(*map(dask.delayed(len), collection.partitions)))
        sample_weight.check_length(int(sum(self.lengths)))
        ends = np.cumsum(self.lengths, dtype=int).tolist()
        return [sample_weight.of_rows(end - int(n), int(n)) for end, n in zip(ends, self.lengths, strict=True)]

    def remember_passes(self) -> None:
        """Nothing: the rows are elsewhere."""

    def blocks(self) -> Iterator[Block]:
        """All rows, in order: they come to the client, a partition at a time."""
        import dask

        self.n_passes += 1
        for part in self.parts:
            yield dask.compute(part)[0]

    def total(self, add_up: Callable[[Iterable[Block]], np.ndarray]) -> np.ndarray:
        import dask

        self.n_passes += 1
        add_up_there, add = dask.delayed(_serially, pure=False), dask.delayed(_sum, pure=False)
        function = dask.delayed(add_up, pure=False)
        level = [add_up_there(function, part) for part in self.parts]
        while len(level) > 1:
            level = [add(level[first : first + FAN_IN]) for first in range(0, len(level), FAN_IN)]
        return dask.compute(level[0], optimize_graph=False)[0]

    def gather(self, function: Callable[[Iterable[Block]], Any]) -> list[Any]:
        import dask

        self.n_passes += 1
        there, function = dask.delayed(_serially, pure=False), dask.delayed(function, pure=False)
        return list(dask.compute(*(there(function, part) for part in self.parts), optimize_graph=False))

    def fingerprint(self) -> str:
        """Of the partitions: their bounds are part of it, since the bits of a fit depend on them."""
        return blake2b("".join(self.gather(Fingerprint.of)).encode(), digest_size=16).hexdigest()

    def sample(self, size: int) -> Block:
        import dask

        share = expected_keys(size) / self.n_candidates
        thresholds = [np.uint64(share * 2.0**64)] if share < 1 else []
        for threshold in [*thresholds, LARGEST_KEY]:
            before = np.concatenate([[0], np.cumsum(self.candidates)[:-1]]).tolist()
            take = dask.delayed(_selected, pure=False)
            tasks = [take(part, self.seed, first, threshold) for part, first in zip(self.parts, before, strict=True)]
            keys, rows, weights = zip(*dask.compute(*tasks, optimize_graph=False), strict=True)
            all_keys = np.concatenate(keys)
            if len(all_keys) >= min(size, self.n_candidates):
                break
        order = np.argsort(all_keys)[:size]
        weighted = all(part is not None for part in weights)
        return Block(np.concatenate(rows)[order], np.concatenate(weights)[order] if weighted else None)

    def lazily(self, write: Write, columns: tuple[int, ...], dtype: Any) -> Any:
        """A lazy Dask array (n_rows, ...) of what `write` makes of the rows of each partition."""
        import dask
        import dask.array as da

        there, function = dask.delayed(_written, pure=False), dask.delayed(write, pure=False)
        parts = [
            da.from_delayed(there(function, part, columns, dtype), shape=(length, *columns), dtype=dtype)
            for part, length in zip(self.parts, self.lengths, strict=True)
        ]
        return da.concatenate(parts)


# what runs on the workers ---------------------------------------------------------------------------------------------


def _block(
    part: Any, weights: Any, number: int, n_features: int, labels: list[str] | None, domain: Any, nan_refusal: Any
) -> Block:
    """A partition as an array, checked."""
    where = f"partition {number}"
    rows = array_of_numbers(part, where) if labels is None else rows_in_order(as_frame(part), labels, where)
    weights = None if weights is None else numbers_of_rows(weights, f"{where}, sample_weight")
    piece = Piece(rows, weights, where, 0)
    check_shape(piece, n_features)
    check_finite(piece, None if labels is None else tuple(labels), nan_refusal)
    if weights is not None:
        check_weights(weights, piece)
    if not readable_in_place(rows):
        rows = rows.astype(np.float64)
    if domain is not None:
        try:
            domain(rows, 0)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return Block(rows, weights)


def _facts(blocks: Iterable[Block]) -> tuple[int, int, bool]:
    """Rows, those of positive weight, and whether numbers may be missing."""
    (rows, weights), *_ = blocks
    return len(rows), len(rows) if weights is None else int(np.count_nonzero(weights)), may_have_gaps(rows)


def _serially(function: Callable[[Iterable[Block]], Any], block: Block) -> Any:
    with serial_passes():  # the scheduler has threads enough, and some threading layers die of a second caller
        return function([block])


def _sum(parts: list[np.ndarray]) -> np.ndarray:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def _selected(block: Block, seed: int, first: int, threshold: np.uint64) -> tuple[np.ndarray, np.ndarray, Any]:
    rows, weights = block
    numbers, keys = selected(seed, first, NO_WEIGHTS if weights is None else weights, len(rows), threshold)
    return keys, rows[numbers].astype(np.float64), None if weights is None else weights[numbers]


def _written(write: Any, block: Block, columns: tuple[int, ...], dtype: Any) -> np.ndarray:
    out = np.empty((len(block.rows), *columns), dtype=dtype)
    with serial_passes():
        write(block.rows, out)
    return out
