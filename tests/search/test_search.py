"""What every family's search for a start has in common."""

import numpy as np
import pytest

from fastem import BernoulliMixture, GaussianMixture, PoissonMixture, StudentTMixture
from fastem.engine import loop


def rows_of(family):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3_000, 3)) + 3.0 * rng.integers(0, 3, size=(3_000, 1))
    if family is BernoulliMixture:
        return (rows > 3).astype(float)
    return np.floor(np.abs(rows)) if family is PoissonMixture else rows


@pytest.mark.parametrize("at", [2, 7])
@pytest.mark.parametrize("family", [GaussianMixture, StudentTMixture, BernoulliMixture, PoissonMixture])
def test_an_interruption_of_the_search_ends_the_fit(family, at, monkeypatch):
    iterate, calls = loop._advance, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == at:
            raise KeyboardInterrupt
        return iterate(*args)

    monkeypatch.setattr(loop, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        family(5, random_state=0).fit(rows_of(family))
    assert len(calls) == at
