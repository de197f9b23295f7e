"""Random samples of rows by hashing their numbers.

A row's key is a hash of the seed and of its number among the rows of positive weight; a sample is made of the rows with
the smallest keys. It does not depend on the pieces in which rows are met, and the beginning of a sample is a sample.
"""

import numpy as np

from fastem.kernels import assignments
from fastem.kernels.compilation import inlined, jitted

INCREMENT, FIRST, SECOND = map(np.uint64, (assignments.GOLDEN, assignments.FIRST, assignments.SECOND))
LARGEST_KEY = np.uint64(2**64 - 1)


@inlined
def mixed(value):
    """The finaliser of SplitMix64: 64 bits into 64 bits, each of which depends on all."""
    value = (value ^ (value >> np.uint64(30))) * FIRST
    value = (value ^ (value >> np.uint64(27))) * SECOND
    return value ^ (value >> np.uint64(31))


@jitted
def select(seed, first, weights, count, threshold, numbers, keys):
    """Numbers and keys of those of `count` rows that have a positive weight and a key below `threshold`.

    `first` rows of positive weight came before; `weights` is (count,) or empty for ones. Returns how many there are,
    more than fit into `numbers` perhaps.
    """
    state = mixed(np.uint64(seed) + INCREMENT) + np.uint64(first) * INCREMENT
    found = 0
    for i in range(count):
        if weights.size == 0 or weights[i] > 0:
            state += INCREMENT
            key = mixed(state)
            if key < threshold:
                if found < numbers.size:
                    numbers[found] = i
                    keys[found] = key
                found += 1
    return found
