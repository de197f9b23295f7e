"""What a pass needs to know of the data."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastem.kernels.memory import PassMemory

Write = Callable[[np.ndarray, np.ndarray], None]  # of rows (n, D) and the results to fill (n, ...)


class Block(NamedTuple):
    """Rows that follow each other.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features)
        float32 or float64 in native byte order, any strides, possibly read-only.
    weights : ndarray of shape (n,) or None
        float64; None stands for ones.
    """

    rows: np.ndarray
    weights: np.ndarray | None


class Source(Protocol):
    """Rows that can be read again and again, always in the same order, in blocks of any size.

    Attributes
    ----------
    n_rows : int
        Only if they are `counted`.
    n_features : int
    counted : bool
        Whether the number of rows is known. That of data which are read once is not before the end.
    in_memory : bool
        Whether the rows are kept in memory, here or on a cluster: then results as long as they are may be, too.
    single : bool
        Whether all rows are known to be in single precision. Those of a stream are not before they are `counted`.
    gaps : bool
        Whether numbers may be missing, which are NaN then. Those of a stream may before it is `counted`.
    memory : PassMemory or None
        What passes over all rows remember, if they do.
    """

    n_rows: int
    n_features: int
    in_memory: bool
    memory: PassMemory | None

    def remember_passes(self) -> None:
        """Expect passes of models that change little from one to the next, over rows that are `counted`."""
        ...

    @property
    def single(self) -> bool: ...

    @property
    def gaps(self) -> bool: ...

    @property
    def counted(self) -> bool: ...

    @property
    def n_candidates(self) -> int:
        """Rows of positive weight."""
        ...

    @property
    def n_passes(self) -> int:
        """How often all rows have been read so far."""
        ...

    def blocks(self) -> Iterable[Block]:
        """All rows, in order. How they are cut into blocks never changes a result.

        An iterator may use the memory of a block again for the next one, a tuple may not.
        """
        ...

    def total(self, add_up: Callable[[Iterable[Block]], np.ndarray]) -> np.ndarray:
        """What `add_up` makes of all rows; one pass.

        Its results for parts of the rows can be added, so a source may call it wherever the rows are.
        """
        ...

    def gather(self, function: Callable[[Iterable[Block]], Any]) -> list[Any]:
        """What `function` makes of each part of the rows, in order; one pass. Its results should be small."""
        ...

    def lazily(self, write: Write, columns: tuple[int, ...], dtype: Any) -> Any | None:
        """What `write` makes of the rows, (n_rows, *columns), as a collection that is computed where they are.

        None where this process reads the rows and computes it now.
        """
        ...

    def sample(self, size: int) -> Block:
        """`size` rows of positive weight in float64, drawn without replacement, in random order.

        All of them when there are no more. The same for the same source; a smaller sample is the beginning of a larger.
        """
        ...

    def fingerprint(self) -> str:
        """A digest that differs between different data, however they are stored."""
        ...


class LocalSource(ABC):
    """What sources have in common whose rows this process reads."""

    n_rows: int
    memory: PassMemory | None = None

    def remember_passes(self) -> None:
        self.memory = PassMemory(self.n_rows)

    @abstractmethod
    def blocks(self) -> Iterable[Block]: ...

    def total(self, add_up: Callable[[Iterable[Block]], np.ndarray]) -> np.ndarray:
        return add_up(self.blocks())

    def gather(self, function: Callable[[Iterable[Block]], Any]) -> list[Any]:
        return [function(self.blocks())]

    def lazily(self, write: Write, columns: tuple[int, ...], dtype: Any) -> None:
        return None
