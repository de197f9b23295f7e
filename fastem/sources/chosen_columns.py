"""Some of the columns of a source."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from fastem.sources.source import Block, LocalSource, Source


class ChosenColumns(LocalSource):
    """The same rows with some of their columns.

    Parameters
    ----------
    source : Source
    columns : ndarray of shape (d,), int64
    """

    def __init__(self, source: Source, columns: np.ndarray):
        self.source, self.columns, self.n_features = source, columns, len(columns)

    def __getattr__(self, name: str) -> Any:  # what a source says of its rows
        return getattr(self.source, name)

    def blocks(self) -> Iterable[Block]:
        return (Block(rows[:, self.columns], weights) for rows, weights in self.source.blocks())

    def gather(self, function: Any) -> list[Any]:
        return self.source.gather(lambda blocks: function([Block(rows[:, self.columns], w) for rows, w in blocks]))
