"""Random samples of rows by hashing their numbers.

A row's key is a hash of the seed and of its number among the rows of positive weight; a sample is made of the rows with
the smallest keys. It does not depend on the pieces in which rows are met, and the beginning of a sample is a sample.
"""

import numpy as np

from fastem.kernels.compilation import jitted
from fastem.kernels.hashing import GOLDEN, mixed_inline

LARGEST_KEY = np.uint64(2**64 - 1)


@jitted
def select(seed, first, weights, count, threshold, numbers, keys):
    """Numbers and keys of those of `count` rows that have a positive weight and a key below `threshold`.

    `first` rows of positive weight came before; `weights` is (count,) or empty for ones. Returns how many there are,
    more than fit into `numbers` perhaps.
    """
    state = mixed_inline(np.uint64(seed) + GOLDEN) + np.uint64(first) * GOLDEN
    found = 0
    for i in range(count):
        if weights.size == 0 or weights[i] > 0:
            state += GOLDEN
            key = mixed_inline(state)
            if key < threshold:
                if found < numbers.size:
                    numbers[found] = i
                    keys[found] = key
                found += 1
    return found
