"""What tells one data set from another, for checkpoints."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from fastem.sources.source import Block

PIECE = 2**17  # numbers that are copied at a time where they are not doubles in rows: they stay in the cache


class Fingerprint:
    """A digest of all rows and their weights, as doubles in the order of the rows: `add` the blocks, take the `digest`.

    How the rows are cut into blocks and lie in memory does not matter; neither does whether weights of one are given.
    """

    def __init__(self) -> None:
        self._rows, self._weights = blake2b(digest_size=16), blake2b(digest_size=16)
        self._shape = 0, 0

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> str:
        """The digest of these blocks."""
        fingerprint = cls()
        for rows, weights in blocks:
            fingerprint.add(rows, weights)
        return fingerprint.digest()

    def add(self, rows: np.ndarray, weights: np.ndarray | None) -> None:
        """The next rows of the source."""
        self._shape = self._shape[0] + len(rows), rows.shape[1]
        step = max(1, PIECE // rows.shape[1])
        for first in range(0, len(rows), step):
            self._rows.update(_as_bytes(rows[first : first + step]))
        self._weights.update(_as_bytes(np.ones(len(rows)) if weights is None else weights))

    def digest(self) -> str:
        """In hexadecimal digits."""
        whole = blake2b(repr(self._shape).encode(), digest_size=16)
        whole.update(self._rows.digest() + self._weights.digest())
        return whole.hexdigest()


def _as_bytes(numbers: np.ndarray) -> memoryview:
    return np.ascontiguousarray(numbers, dtype="<f8").reshape(-1).view(np.uint8).data
