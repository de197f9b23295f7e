"""Rows whose component is known: labels beside them, checked here, once."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from fastem.sources.clusters import DaskSource, is_collection
from fastem.sources.source import Block, LocalSource, Source
from fastem.sources.tables import Table
from fastem.sources.weights import numbers_of_rows

UNKNOWN = -1
NOT_THERE = "labels are for data that this process reads, not for Dask collections."


class LabelledBlock(NamedTuple):
    """Rows that follow each other, with labels (n,), int32, UNKNOWN where the component may be any."""

    rows: np.ndarray
    weights: np.ndarray | None
    labels: np.ndarray


class LabelledSource(LocalSource):
    """A source of which some rows belong to a known component: what adds up all rows is told.

    Parameters
    ----------
    source : Source
        Whose rows this process reads.
    labels : ndarray of shape (n_rows,), int32
    """

    def __init__(self, source: Source, labels: np.ndarray):
        self.source, self.labels = source, labels

    def __getattr__(self, name: str) -> Any:  # what a source says of itself
        return getattr(self.source, name)

    def blocks(self) -> Iterable[Block]:
        return self.source.blocks()

    def labelled_blocks(self) -> Iterable[LabelledBlock]:
        """All rows, in order, with their labels; a tuple if the blocks are one."""
        blocks = self.source.blocks()
        return tuple(self._labelled(blocks)) if isinstance(blocks, tuple) else self._labelled(blocks)

    def _labelled(self, blocks: Iterable[Block]) -> Iterator[LabelledBlock]:
        first = 0
        for rows, weights in blocks:
            yield LabelledBlock(rows, weights, self.labels[first : first + len(rows)])
            first += len(rows)

    def total(self, add_up: Callable[[Iterable[Any]], np.ndarray]) -> np.ndarray:
        return add_up(self.labelled_blocks())

    def fingerprint(self) -> str:
        return blake2b(self.source.fingerprint().encode() + self.labels.tobytes(), digest_size=16).hexdigest()


def split_off(X: Any, labels: Any) -> tuple[Any, Any]:
    """The data without the column of the labels, if they are in one, and the labels or None."""
    if isinstance(labels, str):
        X, labels = (X.with_label(labels) if isinstance(X, Table) else Table(_local(X), label=labels)), None
    if not isinstance(X, Table) or X.label is None:
        return X, labels
    if labels is not None:
        raise ValueError(f"labels twice, as an array and as column {X.label!r}")
    return X, X.read_label()


def labelled(source: Source, labels: Any, n_components: int) -> Source:
    """The source with labels of any container; as it is if none of them says anything.

    Raises
    ------
    TypeError
        If they are an iterator, or the rows those of a Dask collection.
    ValueError
        If they are not one for each row, not whole, or of no component.
    """
    if isinstance(source, DaskSource):
        raise TypeError(NOT_THERE)
    known = checked_labels(_local(labels), source.n_rows, n_components)
    return LabelledSource(source, known) if (known != UNKNOWN).any() else source


def checked_labels(labels: Any, n_rows: int, n_components: int) -> np.ndarray:
    """Labels as int32, or ValueError."""
    if isinstance(labels, Iterator):
        raise TypeError(f"labels is a {type(labels).__name__}, which can be read once: make it an array.")
    values = numbers_of_rows(labels, "labels")
    if values.shape != (n_rows,):
        raise ValueError(f"labels.shape == {values.shape}, expected ({n_rows},)!")
    wrong = ~((values == np.floor(values)) & (values >= UNKNOWN) & (values < n_components))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"labels must be components, whole numbers from 0 to n_components - 1 = {n_components - 1}, or {UNKNOWN} "
            f"where the component is not known; row {row} has {values[row]:g}."
        )
    return values.astype(np.int32)


def _local(data: Any) -> Any:
    if is_collection(data):
        raise TypeError(NOT_THERE)
    return data
