"""Forgetting, and the cut of a stream into batches."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fastem.engine.stepwise import Schedule, batches
from fastem.sources import Block


def test_a_whole_batch_has_the_share_of_the_literature():
    schedule = Schedule(decay=0.7, offset=10.0, batch_size=100, prior=50.0)
    for t in range(20, 40):  # once it is more than the share of the batch in all rows
        assert schedule.rate(seen=100.0 * (t - 1), weight=100.0) == pytest.approx((10.0 + t) ** -0.7)


def test_at_first_nothing_is_forgotten():
    schedule = Schedule(decay=0.7, offset=1e6, batch_size=100, prior=50.0)
    assert schedule.rate(seen=0.0, weight=100.0) == pytest.approx(100 / 150)
    assert schedule.rate(seen=300.0, weight=10.0) == pytest.approx(10 / 360)


def test_parts_of_a_batch_make_forget_what_they_make_forget_together():
    schedule = Schedule(decay=0.6, offset=5.0, batch_size=64, prior=10.0)
    seen, retained = 1e6, 1.0
    for _ in range(64):
        retained *= 1.0 - schedule.rate(seen, 1.0)
    assert retained == pytest.approx(1.0 - schedule.rate(seen, 64.0))


@given(st.integers(1, 40), st.lists(st.integers(0, 25), max_size=12), st.booleans())
def test_batches_do_not_depend_on_blocks(size, lengths, weighted):
    rows = np.arange(2.0 * sum(lengths)).reshape(-1, 2)
    weights = np.arange(float(len(rows))) if weighted else None
    cuts = np.cumsum([0, *lengths])
    parts = [slice(a, b) for a, b in pairwise(cuts)]
    found = list(batches([Block(rows[part], None if weights is None else weights[part]) for part in parts], size))
    assert [len(batch.rows) for batch in found[:-1]] == [size] * (len(found) - 1)
    assert sum(len(batch.rows) for batch in found) == len(rows)
    if found:
        assert_array_equal(np.concatenate([batch.rows for batch in found]), rows)
        assert 0 < len(found[-1].rows) <= size
    if found and weighted:
        assert_array_equal(np.concatenate([batch.weights for batch in found]), weights)


def test_a_rest_survives_that_its_source_fills_the_buffer_again():
    buffer = np.empty((3, 1))

    def blocks():
        for n in range(4):
            buffer[:] = n
            yield Block(buffer, None)

    found = [batch.rows.copy() for batch in batches(blocks(), 5)]
    assert_array_equal(np.concatenate(found).ravel(), np.repeat(np.arange(4.0), 3))
