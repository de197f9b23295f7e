"""`fastem.EM` with models that users might write, right and wrong."""

import pickle
import warnings
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastem import EM, Chunks, GaussianMixture
from fastem.em import BLOCK_ROWS, LowerBoundWarning
from fastem.em.user_models import accumulated, layout_of
from fastem.sources import as_source


class Moments(NamedTuple):
    lower_bound: float
    counts: np.ndarray
    first: np.ndarray
    second: np.ndarray


class PlainMixture(NamedTuple):
    """A Gaussian mixture as one would write it down."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def e_step(self, block):
        joint = reference.log_joint(block.rows, *self)
        shares = reference.responsibilities(joint) * block.weights[:, None]
        first = reference.first_moments(block.rows, shares, self.means)
        second = reference.second_moments(block.rows, shares, self.means)
        return Moments(block.weights @ reference.log_density(joint), shares.sum(axis=0), first, second)

    def m_step(self, sums):
        shift = sums.first / sums.counts[:, None]
        outer = np.einsum("ki,kj->kij", shift, shift)
        covariances = sums.second / sums.counts[:, None, None] - outer
        return PlainMixture(sums.counts / sums.counts.sum(), self.means + shift, covariances)


class Sums(NamedTuple):
    lower_bound: float
    heads: float
    tosses: float


class Coin(NamedTuple):
    """A coin: heads with probability p. Nothing is latent, so the first M-step ends at the maximum."""

    p: float

    def e_step(self, block):
        y, w = block.rows[:, 0], block.weights
        return Sums(w @ np.log(np.where(y == 1, self.p, 1 - self.p)), w @ y, w.sum())

    def m_step(self, sums):
        return type(self)(sums.heads / sums.tosses)


TOSSES = np.array([[1.0], [1], [0], [1], [0], [0], [1], [0], [1], [1]])


def fit(model, X=TOSSES, sample_weight=None, **options):
    """A fit that says nothing of having stopped at `max_iter`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return EM(model, **options).fit(X, sample_weight=sample_weight)


def start(seed, n_components, n_features, n_rows=300):
    rng = np.random.default_rng(seed)
    centres = 3 * rng.normal(size=(n_components, n_features))
    X = centres[rng.integers(n_components, size=n_rows)] + rng.normal(size=(n_rows, n_features))
    means = centres + rng.normal(scale=0.3, size=centres.shape)
    factors = rng.normal(scale=0.3, size=(n_components, n_features, n_features))
    covariances = np.eye(n_features) + factors @ factors.transpose(0, 2, 1)
    return X, rng.uniform(0.5, 2.0, n_rows), PlainMixture(rng.dirichlet(np.full(n_components, 5.0)), means, covariances)


# the same as the built-in mixtures --------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_a_plain_mixture_takes_the_steps_of_the_built_in_one(seed, n_components, n_features, weighted):
    X, sample_weight, model = start(seed, n_components, n_features)
    sample_weight = sample_weight if weighted else None
    em = fit(model, X, sample_weight, tol=0.0, max_iter=4)
    mixture = GaussianMixture(
        n_components,
        tol=0.0,
        max_iter=4,
        reg_covar=0.0,
        acceleration=None,
        weights_init=model.weights,
        means_init=model.means,
        precisions_init=np.linalg.inv(model.covariances),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(X, sample_weight=sample_weight)
    assert_allclose(em.lower_bounds_, mixture.lower_bounds_, rtol=1e-8)
    assert_allclose(em.model_.weights, mixture.weights_, rtol=1e-8)
    assert_allclose(em.model_.means, mixture.means_, rtol=1e-8, atol=1e-8)
    assert_allclose(em.model_.covariances, mixture.covariances_, rtol=1e-8, atol=1e-8)
    assert_allclose(em.score(X, sample_weight=sample_weight), mixture.log_likelihood_, rtol=1e-8)


@given(st.lists(st.integers(0, 2 * BLOCK_ROWS + 7), max_size=5), st.booleans(), st.sampled_from(["f4", "f8"]))
def test_the_same_bits_for_any_chunking(cuts, weighted, dtype):
    X, sample_weight, model = start(0, 2, 2, 2 * BLOCK_ROWS + 7)
    X = np.asfortranarray(X, dtype=dtype)
    sample_weight = sample_weight if weighted else None

    def chunks():
        for rows in np.split(np.arange(len(X)), sorted(cuts)):
            yield X[rows] if sample_weight is None else (X[rows], sample_weight[rows])

    whole = fit(model, X, sample_weight, max_iter=2)
    parts = fit(model, Chunks(chunks, n_features=2), max_iter=2)
    assert whole.lower_bounds_ == parts.lower_bounds_
    for one, other in zip(whole.model_, parts.model_, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("n_rows", [1, 2, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1])
def test_every_row_counts_once(n_rows):
    y = (np.arange(n_rows) % 3 == 0).astype(float)[:, None]
    model = Coin(0.4).m_step(Coin(0.4).e_step(layout_block(y)))
    assert fit(Coin(0.4), y, max_iter=1).model_ == model
    assert model.p == y.mean()


def layout_block(rows):
    return NamedTuple("AnyBlock", [("rows", np.ndarray), ("weights", np.ndarray)])(rows, np.ones(len(rows)))


# weights ----------------------------------------------------------------------------------------------------------


def test_integer_weights_are_repeated_rows():
    weights = np.arange(10) % 4
    weighted, repeated = fit(Coin(0.3), TOSSES, weights), fit(Coin(0.3), np.repeat(TOSSES, weights, axis=0))
    assert_allclose(weighted.model_, repeated.model_, rtol=1e-14)
    assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-14)


class Deaf(Coin):
    def e_step(self, block):
        return super().e_step(block._replace(weights=np.ones(len(block.rows))))


def test_a_model_that_ignores_weights_is_found_out():
    em = fit(Deaf(0.3), sample_weight=np.ones(10))
    with pytest.raises(ValueError, match=r"does not multiply its sums by `block\.weights`"):
        fit(Deaf(0.3), sample_weight=np.arange(10))
    with pytest.raises(ValueError, match=r"does not multiply its sums by `block\.weights`"):
        em.score(TOSSES, sample_weight=np.arange(10))


class Pairs(NamedTuple):
    lower_bound: float
    weight: float
    heads: float


class PairedCoin(Coin):
    """Each row counts as two."""

    def e_step(self, block):
        sums = super().e_step(block)
        return Pairs(2 * sums.lower_bound, 2 * sums.tosses, 2 * sums.heads)

    def m_step(self, sums):
        return PairedCoin(sums.heads / sums.weight)


def test_bounds_are_per_unit_of_the_weight_that_the_model_names():
    assert_allclose(fit(PairedCoin(0.3)).lower_bounds_, fit(Coin(0.3)).lower_bounds_, rtol=1e-14)


# what the loop does -----------------------------------------------------------------------------------------------


def test_it_stops_at_the_maximum():
    em = EM(Coin(0.3)).fit(TOSSES)
    assert em.converged_
    assert em.model_.p == 0.6
    assert em.n_iter_ == em.n_passes_ == len(em.lower_bounds_) == 3
    assert_allclose(em.lower_bound_, 0.6 * np.log(0.6) + 0.4 * np.log(0.4), rtol=1e-14)
    assert em.score(TOSSES) == em.lower_bound_
    assert_allclose(em.score([[1.0]]), np.log(0.6))


def test_max_iter_ends_it_with_a_warning():
    with pytest.warns(ConvergenceWarning, match="max_iter=1 "):
        em = EM(Coin(0.3), max_iter=1).fit(TOSSES)
    assert not em.converged_


def test_without_iterations_the_start_is_kept():
    em = EM(Coin(0.3), max_iter=0).fit(TOSSES)
    assert em.model_ == Coin(0.3)
    assert em.lower_bounds_ == []
    assert em.lower_bound_ == -np.inf


def test_callbacks_see_every_iteration():
    seen, others = [], []
    em = EM(Coin(0.3), callbacks=[lambda *report: seen.append(report), lambda *report: others.append(report)])
    em.fit(TOSSES)
    assert seen == others == [(i + 1, Coin(0.6), bound) for i, bound in enumerate(em.lower_bounds_)]


def test_a_callback_may_stop_the_fit():
    def enough(iteration, model, bound):
        if iteration == 2:
            raise StopIteration

    em = EM(Coin(0.3), tol=0.0, callbacks=[enough]).fit(TOSSES)
    assert em.n_iter_ == len(em.lower_bounds_) == 2
    assert em.model_.p == 0.6
    assert not em.converged_


def test_ctrl_c_leaves_what_has_been_reached():
    def press(iteration, model, bound):
        if iteration == 2:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="Ctrl-C ended EM after 2 iterations"):
        em = EM(Coin(0.3), tol=0.0, callbacks=[press]).fit(TOSSES)
    assert em.model_.p == 0.6
    assert len(em.lower_bounds_) == 2


class Exhausted(Coin):
    def m_step(self, sums):
        return next(iter(()))


def test_a_model_cannot_stop_the_fit_by_mistake():
    with pytest.raises(StopIteration):
        EM(Exhausted(0.3)).fit(TOSSES)


class LeftToItself(Coin):
    """An M-step that goes the wrong way."""

    def m_step(self, sums):
        return type(self)(self.p / 2)


class Excused(LeftToItself):
    bound_slack = 10.0


def test_a_bound_that_falls_is_reported():
    with pytest.warns(LowerBoundWarning, match="at iteration 2"):
        fit(LeftToItself(0.5), max_iter=2)
    assert np.diff(fit(Excused(0.5), max_iter=3, tol=0.0).lower_bounds_).max() < 0


class Believer(Coin):
    """Beta(3, 2) prior."""

    @property
    def log_prior(self):
        return 2 * np.log(self.p) + np.log(1 - self.p)

    def m_step(self, sums):
        return Believer((sums.heads + 2) / (sums.tosses + 3))


def test_a_log_prior_is_part_of_the_bound_once():
    y = np.tile(TOSSES, (BLOCK_ROWS // 4, 1))
    em = EM(Believer(0.3)).fit(y)
    p = (y.sum() + 2) / (len(y) + 3)
    assert_allclose(em.model_.p, p, rtol=1e-14)
    log_posterior = (y.sum() + 2) * np.log(p) + (len(y) - y.sum() + 1) * np.log(1 - p)
    assert_allclose(em.lower_bound_, log_posterior / len(y), rtol=1e-12)


class Censored(NamedTuple):
    """Exponential lifetimes, most of them cut off, so that EM is slow. Rows: time, whether it ended."""

    rate: float

    def e_step(self, block):
        (time, ended), w = block.rows.T, block.weights
        return Sums(w @ (ended * np.log(self.rate) - self.rate * time), w.sum(), w @ (time + (1 - ended) / self.rate))

    def m_step(self, sums):
        return type(self)(sums.heads / sums.tosses)


class FlatCensored(Censored):
    def flatten(self, reference):
        return [self.rate - reference.rate]

    def unflatten(self, coordinates):
        return FlatCensored(self.rate + coordinates[0])


def censored():
    time = np.random.default_rng(0).exponential(2.0, 500)
    return np.column_stack([np.minimum(time, 0.2), time < 0.2])


def test_squarem_needs_fewer_passes():
    X = censored()
    plain = EM(FlatCensored(0.3), tol=1e-12).fit(X)
    fast = EM(FlatCensored(0.3), tol=1e-12, acceleration="squarem").fit(Chunks(lambda: [X[:99], X[99:]], n_features=2))
    closed_form = X[:, 1].sum() / X[:, 0].sum()
    assert_allclose([plain.model_.rate, fast.model_.rate], closed_form, rtol=1e-4)
    assert fast.n_iter_ < plain.n_iter_ / 3
    assert np.diff(fast.lower_bounds_).min() > -1e-12


def test_the_gap_rule_is_not_taken_in_by_small_gains():
    X = censored()
    best = X[:, 1].sum() / X[:, 0].sum()
    gain, gap = (EM(Censored(0.3), tol=1e-6, stopping=stopping).fit(X) for stopping in ("gain", "gap"))
    assert abs(gap.model_.rate - best) < abs(gain.model_.rate - best) / 2


def test_passes_over_a_stream_are_counted():
    em = EM(Coin(0.3)).fit(Chunks(lambda: [TOSSES[:3], TOSSES[3:]], n_features=1))
    assert em.n_passes_ == em.n_iter_ + 1  # the survey
    assert em.score(Chunks(lambda: [TOSSES[:3], TOSSES[3:]], n_features=1)) == em.score(TOSSES)


class Overshooting(FlatCensored):
    """Extrapolates to where its density is no number."""

    def unflatten(self, coordinates):
        return Overshooting(np.inf)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_an_extrapolation_to_nowhere_is_refused():
    X = censored()
    plain = EM(Censored(0.3), max_iter=2000, tol=1e-12).fit(X)
    fast = EM(Overshooting(0.3), max_iter=2000, tol=1e-12, acceleration="squarem").fit(X)
    assert_allclose(fast.model_.rate, plain.model_.rate, rtol=1e-5)
    assert np.isfinite(fast.lower_bounds_).all()


# checkpoints ------------------------------------------------------------------------------------------------------


def pressed_at(last):
    def press(iteration, model, bound):
        if iteration >= last:
            raise KeyboardInterrupt

    return press


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("options", [{}, {"acceleration": "squarem"}, {"stopping": "gap"}], ids=str)
def test_an_interrupted_fit_goes_on_with_the_same_bits(tmp_path, options, every):
    X = censored()
    source = Chunks(lambda: [X[:99], X[99:]], n_features=2)
    options = {"tol": 1e-10, "checkpoint_every": every, **options}
    whole = EM(FlatCensored(0.3), **options).fit(source)
    for last in (1, 3, whole.n_iter_ // 2):
        with pytest.raises(KeyboardInterrupt):
            EM(FlatCensored(0.3), checkpoint=tmp_path / "em", callbacks=[pressed_at(last)], **options).fit(source)
    for _ in range(2):  # the second time from the end
        resumed = EM(FlatCensored(0.3), checkpoint=tmp_path / "em", **options).fit(source)
        assert resumed.lower_bounds_ == whole.lower_bounds_
        assert resumed.model_ == whole.model_
        assert resumed.n_iter_ == whole.n_iter_
        assert resumed.converged_


def test_a_fit_that_max_iter_ended_goes_on(tmp_path):
    X, _, model = start(0, 2, 2)
    whole = fit(model, X, max_iter=6, tol=0.0)
    fit(model, X, max_iter=2, tol=0.0, checkpoint=tmp_path / "em")
    resumed = fit(model, X, max_iter=6, tol=0.0, checkpoint=str(tmp_path / "em"))
    assert resumed.lower_bounds_ == whole.lower_bounds_
    assert_array_equal(resumed.model_.covariances, whole.model_.covariances)
    assert resumed.n_passes_ == 4


def test_checkpoints_of_other_fits_are_refused(tmp_path):
    path = tmp_path / "em"
    fit(Coin(0.3), max_iter=1, checkpoint=path)
    with pytest.raises(ValueError, match="other data"):
        fit(Coin(0.3), TOSSES[1:], checkpoint=path)
    with pytest.raises(ValueError, match=r"tol=1e-06, this one has tol=0\.1"):
        fit(Coin(0.3), tol=0.1, checkpoint=path)
    with pytest.raises(ValueError, match="with model="):
        fit(Coin(0.4), checkpoint=path)
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="damaged"):
        fit(Coin(0.3), checkpoint=path)


class Opaque:
    def __init__(self, p):
        self.p = p

    e_step, m_step = Coin.e_step, Coin.m_step


def test_what_a_checkpoint_cannot_hold_is_said_before_the_work(tmp_path):
    class Local(Coin):
        pass

    for model, message in ((Opaque(0.3), "a Opaque cannot be kept"), (Local(0.3), "known inside a function only")):
        assert fit(model).model_.p == 0.6
        with pytest.raises(TypeError, match=f"NamedTuples of numbers, text and arrays: .*{message}"):
            fit(model, checkpoint=tmp_path / "em")
    with pytest.raises(OSError, match="cannot be written"):
        fit(Coin(0.3), checkpoint=tmp_path / "nowhere" / "em")


# what a model is given --------------------------------------------------------------------------------------------


class Vandal(Coin):
    """Works in the memory that it is given."""

    def e_step(self, block):
        assert block.rows.dtype == block.weights.dtype == np.float64
        assert block.rows.flags.c_contiguous
        assert block.rows.shape == (len(block.weights), 1)
        sums = super().e_step(block)
        block.rows[:] = block.weights[:] = np.nan
        return sums


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_a_model_may_write_on_its_blocks(dtype):
    y, weights = TOSSES.astype(dtype), np.full(10, 2.0)
    assert fit(Vandal(0.3), y, weights).model_.p == 0.6
    assert_array_equal(y, TOSSES)
    assert_array_equal(weights, 2.0)


@dataclass(frozen=True)
class Record:
    lower_bound: np.float32
    n: int
    table: np.ndarray


class Recorded(Coin):
    """A dataclass of whatever numbers there are."""

    def e_step(self, block):
        sums = super().e_step(block)
        table = np.array([[[sums.heads], [sums.tosses]]], dtype=np.float32)
        return Record(np.float32(sums.lower_bound), round(sums.tosses), table)

    def m_step(self, record):
        assert isinstance(record, Record)
        assert isinstance(record.lower_bound, float)
        assert record.table.shape == (1, 2, 1)
        return Recorded(float(record.table[0, 0, 0] / record.n))


def test_statistics_may_be_a_dataclass():
    assert fit(Recorded(0.3)).model_ == Recorded(0.6)


def test_what_a_source_runs_can_be_sent_elsewhere_and_parts_add_up():
    source = as_source(TOSSES)
    add_up = pickle.loads(pickle.dumps(partial(accumulated, Coin(0.3), layout_of(Coin(0.3), source))))
    parts = add_up(as_source(TOSSES[:3]).blocks()) + add_up(as_source(TOSSES[3:]).blocks()) + add_up(iter([]))
    assert_allclose(parts, source.total(add_up), rtol=1e-14)


def test_it_is_an_estimator():
    em = clone(EM(Coin(0.3), tol=0.1))
    assert em.get_params()["model"] == Coin(0.3)
    assert "tol=0.1" in repr(em)
    with pytest.raises(NotFittedError):
        em.score(TOSSES)
    with pytest.raises(ValueError, match="'tol' parameter"):
        EM(Coin(0.3), tol=-1.0).fit(TOSSES)
    with pytest.raises(ValueError, match="NaN"):
        em.fit([[np.nan]])
    with pytest.raises(ValueError, match="2 features, but EM is expecting 1"):
        em.fit(TOSSES).score([[1.0, 2.0]])


# wrong models -----------------------------------------------------------------------------------------------------


def returning(statistics):
    """A model with an E-step that returns what `statistics` makes of a block."""

    class Wrong(Coin):
        def e_step(self, block):
            return statistics(block)

    return Wrong(0.3)


class NoBound(NamedTuple):
    heads: float


class Loose(NamedTuple):
    lower_bound: float
    sums: object


class Weighty(NamedTuple):
    lower_bound: float
    weight: float


WRONG = {
    "a dict": (lambda block: {"lower_bound": 0.0}, TypeError, "NamedTuple or a dataclass, not dict"),
    "nothing": (lambda block: None, TypeError, "not NoneType"),
    "a class": (lambda block: Record, TypeError, "not type"),
    "no bound": (lambda block: NoBound(0.0), TypeError, "NoBound without a field `lower_bound`"),
    "a bound for each row": (lambda block: Loose(block.rows[:, 0], 0.0), TypeError, "`lower_bound` .* is an array"),
    "a text": (lambda block: Loose(0.0, "heads"), TypeError, "`sums` .* not made of real numbers"),
    "complex numbers": (lambda block: Loose(0.0, 1j), TypeError, "complex128"),
    "shapes of the rows": (lambda block: Loose(0.0, block.rows), ValueError, "do not add up"),
    "NaN": (lambda block: Loose(0.0, [np.nan]), ValueError, "no numbers: sums"),
    "a bound without end": (lambda block: Loose(-np.inf, 0.0), ValueError, "infinite or no numbers: lower_bound"),
    "no weight": (lambda block: Weighty(0.0, 0.0), ValueError, "weight of all rows is 0"),
}


@pytest.mark.parametrize(("statistics", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_statistics_are_refused(statistics, error, message):
    with pytest.raises(error, match=message):
        EM(returning(statistics)).fit(TOSSES)


class Forgetful(Coin):
    def m_step(self, sums):
        return sums.heads / sums.tosses


def test_wrong_models_are_refused():
    with pytest.raises(TypeError, match="The model, object, has no method `e_step` and no `m_step`"):
        EM(object()).fit(TOSSES)
    with pytest.raises(TypeError, match="What m_step returned, float, has no method `e_step`"):
        EM(Forgetful(0.3)).fit(TOSSES)
    with pytest.raises(TypeError, match="acceleration='squarem': the model, Coin, has no method `flatten`"):
        EM(Coin(0.3), acceleration="squarem").fit(TOSSES)
