"""What tells one data set from another, for checkpoints."""

from hashlib import blake2b

import numpy as np

from fastem.sources.source import Block


class Fingerprint:
    """A digest of the number of rows and of a sample of them with their weights."""

    SIZE, SEED = 1_000, 0x0F1E2D3C

    @staticmethod
    def of(n_rows: int, n_candidates: int, sample: Block) -> str:
        digest = blake2b(digest_size=16)
        digest.update(np.array([n_rows, n_candidates, *sample.rows.shape]).tobytes())
        digest.update(np.ascontiguousarray(sample.rows, dtype=np.float64).tobytes())
        weights = np.ones(len(sample.rows)) if sample.weights is None else sample.weights
        digest.update(np.ascontiguousarray(weights, dtype=np.float64).tobytes())
        return digest.hexdigest()
