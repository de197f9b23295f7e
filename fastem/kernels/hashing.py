"""SplitMix64, used as a hash of a counter (Steele, Lea and Flood 2014): 64 bits, each of which depends on all."""

import numpy as np

from fastem.kernels.compilation import inlined

GOLDEN, FIRST, SECOND = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def mixed(state):
    """The finaliser: a permutation of the integers of 64 bits, numpy.uint64."""
    state = (state ^ (state >> np.uint64(30))) * FIRST
    state = (state ^ (state >> np.uint64(27))) * SECOND
    return state ^ (state >> np.uint64(31))


mixed_inline = inlined(mixed)  # for jitted functions


def hashed(start: int | np.uint64, *counters: int | np.uint64) -> np.uint64:
    """The random number that belongs to some counters: each is moved by that of those before it, the first by `start`.

    Of one counter and zero it is what SplitMix64 draws.
    """
    key = np.uint64(start)
    with np.errstate(over="ignore"):
        for counter in counters:
            key = mixed((key + np.uint64(counter) + np.uint64(1)) * GOLDEN)
    return key
