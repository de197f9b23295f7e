"""What the displays draw: the right ellipses, curves, images and words, where they were asked to."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images
from numpy.testing import assert_allclose
from scipy import stats

from fastem import BernoulliMixture, Chunks, GaussianMixture, KMeans, StudentTMixture

mpl.use("Agg")

import matplotlib.pyplot as plt

from fastem.plotting import ConvergenceDisplay, MixtureDisplay, ResponsibilityDisplay, SelectionDisplay
from fastem.plotting.components import Components

PICTURES = Path(__file__).parent / "pictures"


@pytest.fixture(autouse=True)
def close_figures():
    with plt.style.context(["default", {"text.parse_math": False}]):
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 4, 4))
    covariances = roots @ roots.swapaxes(1, 2) + np.eye(4)
    return GaussianMixture.from_parameters([0.5, 0.3, 0.2], 4 * rng.normal(size=(3, 4)), covariances, random_state=0)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_outlines_hold_their_share(structure, faithful):
    mixture = GaussianMixture(2, covariance_type=structure, random_state=0).fit(faithful)
    components = Components.of(mixture)
    rows, labels = mixture.set_params(random_state=0).sample(40_000)
    for k, level in [(0, 0.5), (1, 0.95)]:
        inside = mpl.path.Path(components.outline(k, level)).contains_points(rows[labels == k])
        assert_allclose(inside.mean(), level, atol=0.015)


def test_outlines_of_heavy_tails_hold_their_share(faithful):
    robust = StudentTMixture(1, degrees_of_freedom=3.0, random_state=0).fit(faithful)
    rows, _ = robust.sample(40_000)
    inside = mpl.path.Path(Components.of(robust).outline(0, 0.9)).contains_points(rows)
    assert_allclose(inside.mean(), 0.9, atol=0.01)


def test_one_feature_is_a_density(mixture):
    rows, _ = mixture.sample(3_000)
    display = MixtureDisplay.from_estimator(mixture, rows, features=2)
    total, *components = [line.get_ydata() for line in display.ax_.lines]
    x = display.ax_.lines[0].get_xdata()
    expected = [
        w * stats.norm(m, np.sqrt(v)).pdf(x)
        for w, m, v in zip(mixture.weights_, mixture.means_[:, 2], mixture.covariances_[:, 2, 2], strict=True)
    ]
    assert_allclose(components, expected, rtol=1e-9, atol=1e-12)
    assert_allclose(total, np.sum(expected, axis=0), rtol=1e-9, atol=1e-12)
    heights = sum(patch.get_width() * patch.get_height() for patch in display.ax_.patches)
    assert_allclose(heights, 1.0, rtol=1e-9)
    assert display.ax_.get_xlabel() == "feature 2"


def test_few_rows_are_points_and_many_an_image(mixture):
    rows, _ = mixture.sample(20_000)
    few = MixtureDisplay.from_estimator(mixture, rows[:100], features=[0, 3])
    points = np.asarray(few.ax_.collections[0].get_offsets())
    assert_allclose(points[np.argsort(points[:, 0])], rows[np.argsort(rows[:100, 0])][:, [0, 3]])
    assert few.rows.caption == "100 rows"
    many = MixtureDisplay.from_estimator(mixture, rows, features=[0, 3])
    image = many.ax_.collections[0].get_array()
    inside = np.all(
        [(rows[:, j] >= f[0]) & (rows[:, j] <= f[1]) for j, f in zip([0, 3], _frames(many), strict=True)], 0
    )
    assert image.sum() == inside.sum()
    assert many.rows.caption == f"image of 20,000 rows, {(~inside).sum()} outside of the frame"


def _frames(display):
    return [display.components.frame(j) for j in range(2)]


def test_weights_and_sources_make_the_same_image(mixture):
    rows, _ = mixture.sample(300)
    weights = np.arange(300) % 3
    repeated = MixtureDisplay.from_estimator(mixture, np.repeat(np.tile(rows, (40, 1)), np.tile(weights, 40), axis=0))
    chunks = Chunks(lambda: (rows for _ in range(40)), n_features=4)
    weighted = MixtureDisplay.from_estimator(mixture, chunks, sample_weight=np.tile(weights, 40))
    for pair, image in repeated.rows.images.items():
        assert_allclose(weighted.rows.images[pair], image)


def test_more_features_are_a_grid(mixture):
    display = MixtureDisplay.from_estimator(mixture)
    assert display.axes_.shape == (4, 4)
    assert [axes.get_xlabel() for axes in display.axes_[-1]] == [f"feature {j}" for j in range(4)]
    assert not display.axes_[0, 1].get_visible()
    frame = display.components.of_features([1, 2]).frame(0)
    assert display.axes_[2, 1].get_xlim() == pytest.approx(frame)


def test_axes_that_were_given_are_drawn_on(mixture):
    figure, (left, right) = plt.subplots(1, 2)
    assert MixtureDisplay.from_estimator(mixture, features=0, ax=left).ax_ is left
    grid = MixtureDisplay.from_estimator(mixture, features=[0, 1, 2], ax=right)
    assert grid.figure_ is figure
    assert all(axes.get_position().x0 > 0.4 for axes in grid.axes_.flat)


def test_names_and_the_cycle_in_force(faithful):
    table = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    mixture = GaussianMixture(2, random_state=0).fit(table)
    with plt.rc_context({"axes.prop_cycle": plt.cycler(color=["#123456", "#654321"])}):
        display = MixtureDisplay.from_estimator(mixture, table, features=["waiting", "eruptions"])
    assert display.ax_.get_xlabel() == "waiting"
    assert {line.get_color() for line in display.ax_.lines} == {"#123456", "#654321"}


@pytest.mark.parametrize("features", [4, -5, "height", [0, 0], []])
def test_unknown_features_are_refused(mixture, features):
    with pytest.raises(ValueError, match=r"[Ff]eature"):
        MixtureDisplay.from_estimator(mixture, features=features)


def test_other_estimators_are_refused(faithful):
    with pytest.raises(TypeError, match="got KMeans"):
        MixtureDisplay.from_estimator(KMeans(2, random_state=0).fit(faithful))


def test_convergence(iris):
    fits = [GaussianMixture(3, random_state=s, init_params="random", acceleration=None).fit(iris) for s in range(2)]
    display = ConvergenceDisplay.from_estimator(*fits)
    for line, fit in zip(display.ax_.lines, fits, strict=True):
        assert_allclose(line.get_ydata(), fit.lower_bounds_)
        assert_allclose(line.get_xdata(), np.arange(1, fit.n_iter_ + 1))
    gaps = ConvergenceDisplay.from_estimator(*fits, gap=True).ax_
    assert gaps.get_yscale() == "log"
    best = max(fit.lower_bounds_[-1] for fit in fits)
    assert_allclose(gaps.lines[0].get_ydata()[0], best - fits[0].lower_bounds_[0])
    with pytest.raises(TypeError, match="no `lower_bounds_`"):
        ConvergenceDisplay.from_estimator(KMeans(2, random_state=0).fit(iris))


def test_starts_are_drawn_apart(iris, tmp_path):
    options = {"n_init": 3, "init_params": "random_from_data", "random_state": 0, "max_iter": 300}
    fit = GaussianMixture(3, **options).fit(iris)
    starts = fit.lower_bounds_of_starts_
    assert len(starts) == 3
    assert fit.lower_bounds_ in starts
    lines = ConvergenceDisplay.from_estimator(fit).ax_.lines
    assert [line.get_label() for line in lines] == [f"start {number}" for number in range(3)]
    for line, bounds in zip(lines, starts, strict=True):
        assert_allclose(line.get_ydata(), bounds)
    kept = GaussianMixture(3, checkpoint=tmp_path / "fit", **options).fit(iris)
    assert kept.fit(iris).lower_bounds_of_starts_ == starts  # read from the file


def test_rows_with_gaps(faithful):
    rows = faithful.copy()
    rows[::10, 0] = np.nan
    mixture = GaussianMixture(2, missing="em", random_state=0).fit(rows)
    display = MixtureDisplay.from_estimator(mixture, rows)
    assert display.rows.caption == "272 rows, 28 with a gap"
    assert_allclose(np.sort(display.rows.sample, axis=0), np.sort(rows[~np.isnan(rows[:, 0])], axis=0))
    assert ResponsibilityDisplay.from_estimator(mixture, rows).caption == "272 rows"


def test_uncertainty_of_rows(faithful):
    mixture = GaussianMixture(2, random_state=0).fit(faithful)
    display = ResponsibilityDisplay.from_estimator(mixture, faithful)
    order = np.lexsort(display.rows.T)
    assert_allclose(display.rows[order], faithful[np.lexsort(faithful.T)])
    expected = 1 - mixture.predict_proba(display.rows).max(axis=1)
    assert_allclose(display.uncertainty, expected)
    sizes = np.concatenate([points.get_sizes() for points in display.ax_.collections])
    assert_allclose(sizes.max() - sizes.min(), 84 * (expected.max() - expected.min()))
    assert display.caption == "272 rows"


def test_uncertainty_of_other_families():
    rows = np.random.default_rng(0).integers(2, size=(6_000, 5))
    mixture = BernoulliMixture(2, random_state=0, max_iter=5, tol=1).fit(rows)
    display = ResponsibilityDisplay.from_estimator(mixture, rows)
    assert display.caption == "5,000 of 6,000 rows, at random"
    assert display.ax_.get_xlabel() == "uncertainty"


def test_selection_rings_the_best():
    table = {"full": [5.0, 3.0, np.nan], "tied": [6.0, 2.5, 4.0], "none": [np.nan] * 3}
    axes = SelectionDisplay([1, 2, 3], table, "BIC").plot().ax_
    rings = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(2, 2.5)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(table)


@pytest.mark.parametrize("name", ["ellipses", "grid"])
def test_pictures_look_as_they_did(name, faithful, iris, tmp_path):
    """Regenerate with `savefig` as below when a change of looks is meant."""
    rows, k = {"ellipses": (faithful, 2), "grid": (iris, 3)}[name]
    labels = np.arange(len(rows)) * k // len(rows) if name == "grid" else (rows[:, 0] < 3).astype(int)
    mixture = GaussianMixture(k, init_params=labels, max_iter=20, tol=0.5).fit(rows)
    with plt.rc_context({"font.size": 0.01}):  # fonts differ from machine to machine
        figure = MixtureDisplay.from_estimator(mixture, rows).figure_
        figure.savefig(tmp_path / "now.png", dpi=40, metadata={"Software": None})
    assert compare_images(PICTURES / f"{name}.png", tmp_path / "now.png", tol=8) is None


def test_without_matplotlib_the_error_names_the_extra():
    code = "import sys; sys.modules['matplotlib'] = None; import fastem.plotting"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "fastem[plot]"' in answer.stderr
