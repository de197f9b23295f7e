"""Mixtures whose columns are of different kinds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import bernoulli, norm, poisson
from sklearn.base import clone

import fastem
from fastem import MixedMixture

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
DIAG = {"covariance_type": "diag"}
BLOCKS = [("gaussian", [5, 0], DIAG), ("poisson", [2]), ("bernoulli", 1), ("categorical", slice(3, 5))]
LEVELS = [3, 4]


def rows_of(n=600, seed=0):
    """Two Gaussian columns (5 and 0), bits (1), counts (2), levels (3, 4) of three groups, and the groups."""
    rng = np.random.default_rng(seed)
    z = rng.integers(0, 3, size=n)
    p = rng.dirichlet(np.ones(4) / 2, size=(2, 3))
    columns = [
        rng.normal(np.array([0.0, 4.0, 8.0])[z], 1.0),
        rng.random(n) < np.array([0.1, 0.8, 0.4])[z],
        rng.poisson(np.array([1.0, 6.0, 9.0])[z]),
        [rng.choice(3, p=p[0, k, :3] / p[0, k, :3].sum()) for k in z],
        [rng.choice(4, p=p[1, k]) for k in z],
        rng.normal(np.array([100.0, 110.0, 90.0])[z], 2.0),
    ]
    rows = np.column_stack(columns).astype(float)
    rows[0, 3:5], rows[1, 3:5] = 2, (0, 3)  # every level occurs
    return rows, z


def mixture(**options):
    return MixedMixture(BLOCKS, 3, **({"random_state": 0} | options))


def log_joint(fitted, rows):
    """log w_k p(x | k) (n, K) by SciPy."""
    gaussian, counts, bits, levels = fitted.estimators_
    columns = []
    for k, weight in enumerate(fitted.weights_):
        h = np.log(weight) + norm(gaussian.means_[k], np.sqrt(gaussian.covariances_[k])).logpdf(rows[:, [5, 0]]).sum(1)
        h += poisson(counts.rates_[k]).logpmf(rows[:, [2]])[:, 0]
        h += bernoulli(bits.probabilities_[k]).logpmf(rows[:, [1]].astype(int))[:, 0]
        for j, table in zip((3, 4), levels.probabilities_, strict=True):
            h += np.log(table[k, rows[:, j].astype(int)])
        columns.append(h)
    return np.stack(columns, axis=1)


def test_densities_are_products_of_those_of_scipy():
    rows, z = rows_of()
    fitted = mixture().fit(rows)
    joint = log_joint(fitted, rows)
    density = logsumexp(joint, axis=1)
    assert_allclose(fitted.score_samples(rows), density, rtol=1e-12)
    assert_allclose(fitted.predict_proba(rows), np.exp(joint - density[:, None]), atol=1e-12)
    assert_array_equal(fitted.predict(rows), joint.argmax(axis=1))
    assert_allclose(fitted.score(rows), density.mean(), rtol=1e-12)
    assert_allclose(fitted.log_likelihood_, density.mean(), rtol=1e-12)
    best = [np.bincount(fitted.predict(rows)[z == k], minlength=3).max() for k in range(3)]
    assert sum(best) > 0.97 * len(rows)


def test_an_iteration_is_that_of_numpy():
    rows, _ = rows_of()
    weights = np.random.default_rng(1).uniform(0.5, 2.0, size=len(rows))
    options = [("gaussian", [5, 0], DIAG | {"reg_covar": 0.0}), *BLOCKS[1:]]
    fits = [
        MixedMixture(options, 3, tol=0.0, max_iter=n, random_state=0).fit(rows, sample_weight=weights) for n in (2, 3)
    ]
    joint = log_joint(fits[0], rows)
    density = logsumexp(joint, axis=1)
    r = weights[:, None] * np.exp(joint - density[:, None])
    n = r.sum(axis=0)
    gaussian, counts, bits, levels = fits[1].estimators_
    x = rows[:, [5, 0]]
    means = r.T @ x / n[:, None]
    assert_allclose(fits[1].weights_, n / n.sum(), rtol=1e-10)
    assert_allclose(gaussian.means_, means, rtol=1e-10)
    assert_allclose(gaussian.covariances_, r.T @ x**2 / n[:, None] - means**2, rtol=1e-7)
    assert_allclose(counts.rates_, r.T @ rows[:, [2]] / n[:, None], rtol=1e-7)
    assert_allclose(bits.probabilities_, r.T @ rows[:, [1]] / n[:, None], rtol=1e-7)
    for j, n_levels, table in zip((3, 4), LEVELS, levels.probabilities_, strict=True):
        assert_allclose(table, r.T @ np.eye(n_levels)[rows[:, j].astype(int)] / n[:, None], atol=1e-9)
    assert_allclose(fits[0].log_likelihood_, weights @ density / weights.sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("block", "alone"),
    [
        (("gaussian", [0, 5]), fastem.GaussianMixture(3)),
        (("gaussian", [5, 0], {"covariance_type": "tied", "reg_covar": 1e-3}), None),
        (("poisson", [2]), fastem.PoissonMixture(3)),
        (("categorical", [3, 4], {"pseudo_count": 0.5, "n_levels": [3, 5]}), None),
        (("bernoulli", [1]), fastem.BernoulliMixture(3)),
    ],
)
def test_one_block_alone_has_the_bits_of_its_family(block, alone):
    rows, _ = rows_of()
    kind, columns, options = (*block, {})[:3]
    family = getattr(fastem, f"{kind.capitalize()}Mixture")
    for settings in ({"max_iter": 30}, {"init_params": "random_from_data", "subsampling": False, "max_iter": 5}):
        alone = family(3, random_state=0, **options, **settings).fit(rows[:, columns])
        found = MixedMixture([block], 3, random_state=0, **settings).fit(rows)
        assert_array_equal(found.lower_bounds_, alone.lower_bounds_)
        assert_array_equal(found.weights_, alone.weights_)
        assert found.log_likelihood_ == alone.log_likelihood_
        assert found.n_parameters_ == alone.n_parameters_
        for name in ("means_", "covariances_", "rates_"):
            if hasattr(alone, name):
                assert_array_equal(getattr(found.estimators_[0], name), getattr(alone, name))
        assert_array_equal(found.predict_proba(rows), alone.predict_proba(rows[:, columns]))


def test_parameters_are_counted_once():
    rows, _ = rows_of()
    fitted = mixture().fit(rows)
    own = 3 * 4 + 3 * 1 + 3 * 1 + 3 * (2 + 3)
    assert fitted.n_parameters_ == own + 2
    total = fitted.log_likelihood_ * len(rows)
    assert_allclose(fitted.bic(rows), -2 * total + (own + 2) * np.log(len(rows)), rtol=1e-12)


@pytest.mark.filterwarnings("error::fastem.engine.loop.LowerBoundWarning")
def test_the_bound_never_falls():
    rows, _ = rows_of(200)
    for acceleration in (None, "squarem"):
        fitted = mixture(acceleration=acceleration, tol=0.0, max_iter=100, init_params="random").fit(rows)
        assert np.diff(fitted.lower_bounds_).min() > -1e-10


def test_integer_weights_are_repeated_rows():
    rows, z = rows_of()
    times = np.random.default_rng(1).integers(0, 3, size=len(rows))
    options = {"tol": 0.0, "max_iter": 4}
    weighted = mixture(init_params=z, **options).fit(rows, sample_weight=times)
    repeated = mixture(init_params=np.repeat(z, times), **options).fit(np.repeat(rows, times, axis=0))
    assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-11)
    assert_allclose(weighted.estimators_[0].means_, repeated.estimators_[0].means_, rtol=1e-11)


def test_names_masks_and_indices_choose_the_same_columns(tmp_path):
    pandas = pytest.importorskip("pandas")
    rows, _ = rows_of()
    frame = pandas.DataFrame(rows, columns=list("abcdef"))
    expected = mixture(max_iter=5).fit(rows)
    named = [("gaussian", ["f", "a"], DIAG), ("poisson", "c"), ("bernoulli", ["b"]), ("categorical", ["d", "e"])]
    mask = np.isin(np.arange(6), [3, 4])
    others = [("gaussian", [-1, 0], DIAG), ("poisson", 2), ("bernoulli", np.array([1])), ("categorical", mask)]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    for blocks, X in ((named, frame), (named, str(tmp_path / "rows.csv")), (others, rows)):
        fitted = MixedMixture(blocks, 3, random_state=0, max_iter=5).fit(X)
        assert_array_equal(fitted.estimators_[0].means_, expected.estimators_[0].means_)
        assert_array_equal(fitted.predict_proba(X), expected.predict_proba(rows))
    assert fitted.columns_[0].tolist() == [5, 0]
    by_name = MixedMixture(named, 3, random_state=0, max_iter=5).fit(frame)
    assert by_name.estimators_[0].feature_names_in_.tolist() == ["f", "a"]


def test_streams_files_of_models_and_checkpoints_have_the_same_bits(tmp_path):
    rows, _ = rows_of()
    fitted = mixture(tol=0.0, max_iter=6).fit(rows)
    chunks = fastem.Chunks(lambda: np.array_split(rows, 7), n_features=6)
    fastem.save(fitted, tmp_path / "model")
    path = str(tmp_path / "state")
    mixture(tol=0.0, max_iter=3, checkpoint=path).fit(rows)
    same = [mixture(tol=0.0, max_iter=6).fit(chunks), fastem.load(tmp_path / "model"), clone(fitted).fit(rows)]
    same.append(
        mixture(tol=0.0, max_iter=3, checkpoint=path).fit(rows).set_params(checkpoint=None, max_iter=6).fit(rows)
    )
    for other in same:
        assert_array_equal(other.predict_proba(rows), fitted.predict_proba(rows))
        assert_array_equal(other.weights_, fitted.weights_)
    loaded = same[1]
    assert loaded.blocks[3][1] == slice(3, 5)
    assert loaded.blocks[0][2] == DIAG
    assert clone(loaded).fit(rows).n_components == 3


def test_samples_are_of_the_kinds_of_the_columns():
    rows, _ = rows_of()
    fitted = MixedMixture(BLOCKS[:2], 3, random_state=0).fit(rows)
    drawn, labels = fitted.sample(6000)
    assert drawn.shape == (6000, 6)
    assert np.isnan(drawn[:, [1, 3, 4]]).all()
    for k in range(3):
        assert_allclose(drawn[labels == k][:, [5, 0]].mean(axis=0), fitted.estimators_[0].means_[k], atol=0.25)
        assert_allclose(drawn[labels == k][:, 2].mean(), fitted.estimators_[1].rates_[k, 0], rtol=0.1)
    assert_array_equal(drawn[:, 2], np.round(drawn[:, 2]))


def test_select_counts_the_groups():
    rows, _ = rows_of()
    found = fastem.select(rows, range(1, 5), estimator=mixture())
    assert found.best_estimator_.n_components == 3


def test_known_labels_and_streams_of_batches():
    rows, z = rows_of()
    known = np.where(np.arange(len(rows)) < 60, (z + 1) % 3, -1)
    fitted = mixture().fit(rows, labels=known)
    assert np.mean(fitted.predict(rows) == (z + 1) % 3) > 0.95
    learner = mixture(batch_size=100)
    for part in np.array_split(np.tile(rows, (3, 1)), 6):
        learner.partial_fit(part)
    assert learner.score(rows) > fitted.score(rows) - 0.1


def test_the_summary_has_the_columns_of_all_blocks():
    rows, _ = rows_of()
    summary = mixture().fit(rows).summary()
    assert len(summary.headings) == 2 + 1 + 1 + 3 + 4
    assert summary.facts["parameters"] == "35"


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "at least one"),
        ([("gaussian",)], "must be"),
        (
            [("student", [0])],
            "one of bernoulli, categorical, gaussian, multinomial, poisson, got",
        ),
        ([("gaussian", [0], {"tol": 1.0})], "options of a block 'gaussian' are covariance_type, reg_covar, not 'tol'"),
        ([("gaussian", [6])], "no column 6: X has 6"),
        ([("gaussian", ["a"])], "no column 'a': X has no names"),
        ([("gaussian", [])], "are none"),
        ([("gaussian", [True, False])], "mask of columns has 2 entries"),
        ([("gaussian", [0, 1]), ("bernoulli", [1])], "Column 1 is in more than one block"),
        (
            [("poisson", [2, 0])],
            r"PoissonMixture.*counted in the block \[2, 0\]",
        ),
        ([("gaussian", [0], {"covariance_type": "round"})], "covariance_type"),
    ],
)
def test_wrong_blocks_are_refused(blocks, message):
    with pytest.raises(ValueError, match=message):
        MixedMixture(blocks, 2).fit(rows_of(50)[0])


def test_unseen_levels_and_missing_numbers_are_refused():
    rows, _ = rows_of()
    fitted = mixture(max_iter=2).fit(rows)
    rows[7, 4] = 9
    with pytest.raises(ValueError, match=r"knows the levels 0, \.\.\., 3"):
        fitted.predict(rows)
    rows[7, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        mixture().fit(rows)
