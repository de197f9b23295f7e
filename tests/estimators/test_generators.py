"""Generators that are used again."""

import numpy as np
from numpy.testing import assert_array_equal

from fastem import GaussianMixture
from fastem.estimators.generators import generator_of

ROWS = np.random.default_rng(0).normal(size=(60, 2))


def numbers(generator):
    return np.concatenate([generator.standard_normal(3), generator.uniform(size=3), generator.randint(9, size=3)])


def test_they_are_those_of_numpy_however_they_were_left():
    for seed in (0, 7, np.int64(7), 2**32 - 1):
        with generator_of(seed, lent=False) as generator:
            assert_array_equal(numbers(generator), numbers(np.random.RandomState(seed)))
            generator.standard_normal()  # one of a pair is left
    with generator_of(generator, lent=False) as same:
        assert same is generator


def test_one_within_another_is_its_own():
    with generator_of(0, lent=False) as outer, generator_of(0, lent=False) as inner:
        assert inner is not outer
        assert_array_equal(numbers(inner), numbers(outer))


def test_a_function_of_the_users_may_keep_its_generator():
    kept = []

    def labels(rows, n_components, random_state):
        kept.append(random_state)
        return np.arange(len(rows)) % n_components

    GaussianMixture(2, init_params=labels, random_state=0).fit(ROWS)
    state = kept[0].get_state()[1].copy()
    GaussianMixture(2, random_state=0).fit(ROWS)
    assert_array_equal(kept[0].get_state()[1], state)
