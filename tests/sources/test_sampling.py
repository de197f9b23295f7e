"""Samples by keys, against SplitMix64 in Python integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fastem.sources.arrays import ArraySource
from fastem.sources.sampling import Sampler, sampled_numbers

MASK = 2**64 - 1


def mixed(value):
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def reference(n_rows, weights, size, seed):
    increment = 0x9E3779B97F4A7C15
    state = mixed((seed + increment) & MASK)
    candidates = [n for n in range(n_rows) if weights is None or weights[n] > 0]
    keys = {n: mixed((state + (rank + 1) * increment) & MASK) for rank, n in enumerate(candidates)}
    return sorted(candidates, key=keys.__getitem__)[:size]


@given(st.integers(0, 200), st.integers(0, 60), st.integers(0, 2**31 - 1), st.booleans())
def test_the_rows_with_the_smallest_keys(n_rows, size, seed, weighted):
    weights = np.random.default_rng(n_rows).integers(0, 3, n_rows).astype(float) if weighted else None
    assert sampled_numbers(n_rows, weights, size, seed).tolist() == reference(n_rows, weights, size, seed)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(1, 30), st.booleans())
def test_rows_that_pass_by_give_the_sample_of_the_array(lengths, size, weighted):
    n_rows = sum(lengths)
    rows = np.arange(2.0 * n_rows).reshape(n_rows, 2)
    weights = np.random.default_rng(1).integers(0, 2, n_rows).astype(float) if weighted else None
    sampler, first = Sampler(5, size), 0
    for length in lengths:
        part = slice(first, first + length)
        sampler.add(rows[part], None if weights is None else weights[part])
        first += length
    found, expected = sampler.sample(size), ArraySource(rows, weights, seed=5).sample(size)
    assert_array_equal(found.rows, expected.rows)
    if weighted:
        assert_array_equal(found.weights, expected.weights)


def test_the_beginning_of_a_sample_is_a_sample():
    source = ArraySource(np.random.default_rng(0).normal(size=(5_000, 2)), seed=1)
    assert_array_equal(source.sample(2_000).rows[:100], source.sample(100).rows)


def test_every_row_is_as_likely_as_every_other():
    counts = np.zeros(50)
    for seed in range(4_000):
        counts[sampled_numbers(50, None, 10, seed)] += 1
    deviation = np.sqrt(4_000 * 0.2 * 0.8)
    assert np.abs(counts - 800).max() < 4.5 * deviation


@pytest.mark.parametrize("size", [1, 100, 20_000])
def test_a_share_of_many_rows(size):
    numbers = sampled_numbers(300_000, None, size, 3)
    assert len(set(numbers.tolist())) == size
    assert_array_equal(numbers, sampled_numbers(300_000, None, 300_000, 3)[:size])
