"""Components of a mixture over the rows they were fitted to."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from fastem.estimators.features import feature_indices
from fastem.plotting.axes import add_caption, axes_or_new, colors, name_of
from fastem.plotting.components import Components
from fastem.plotting.rows import Shown, show

CURVE = 400  # points of a curve
LEAST_BINS = 25  # of a histogram: the rules that count them know one hill
MOST_FEATURES = 6  # of a grid, unless more are asked for
LEVELS = (0.5, 0.95)


class MixtureDisplay:
    """The components of a mixture in some of its features, over its rows.

    It is best made with `from_estimator`. One feature: a histogram, the components and their sum. Two: ellipses that
    hold shares of the components, over points or an image of the rows. More: a grid of all pairs. What is shown of a
    component is its marginal distribution; up to 5,000 rows are points, more are an image of all of them, made in one
    pass over any source.

    Parameters
    ----------
    components : Components
        In the features that are shown.
    rows : Shown or None
    names : list of str
        Of the features.

    Attributes
    ----------
    ax_ : Axes
        Of one or two features.
    axes_ : ndarray of Axes of shape (d, d)
        Of a grid; what is above its diagonal is not visible.
    figure_ : Figure

    Examples
    --------
    >>> import numpy as np
    >>> from fastem import GaussianMixture
    >>> from fastem.plotting import MixtureDisplay
    >>> X = np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 1.0], [8.0, 8.0], [9.0, 8.5], [8.5, 9.0]])
    >>> display = MixtureDisplay.from_estimator(GaussianMixture(2, random_state=0).fit(X), X)
    >>> display.ax_.get_xlabel()
    'feature 0'
    """

    ax_: Any
    axes_: Any
    figure_: Any

    def __init__(self, components: Components, rows: Shown | None, names: list[str]):
        self.components, self.rows, self.names = components, rows, names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        sample_weight: Any = None,
        features: Any = None,
        ax: Any = None,
        **options,
    ) -> "MixtureDisplay":
        """Draw a fitted mixture.

        Parameters
        ----------
        estimator : GaussianMixture, BayesianGaussianMixture or StudentTMixture
            Fitted.
        X : array-like, path or other source of shape (n_samples, n_features), default=None
            Rows to draw it over.
        sample_weight : array-like of shape (n_samples,), default=None
        features : int, str or sequence of these, default=None
            Which to show; by default all, up to the first six.
        ax : Axes, default=None
            Where to draw; a grid takes their place.
        **options
            See `plot`.

        Returns
        -------
        display : MixtureDisplay

        Raises
        ------
        TypeError
            If the estimator is another one.
        ValueError
            If a feature is unknown, or X does not fit.
        """
        everything = Components.of(estimator)
        first = range(min(estimator.n_features_in_, MOST_FEATURES))
        chosen = feature_indices(estimator, first if features is None else features)
        components = everything.of_features(chosen)
        frames = [components.frame(j) for j in range(len(chosen))]
        rows = None if X is None else show(estimator, X, sample_weight, chosen, frames)
        return cls(components, rows, [name_of(estimator, j) for j in chosen]).plot(ax, **options)

    def plot(self, ax: Any = None, *, levels: Any = LEVELS) -> "MixtureDisplay":
        """Draw it, perhaps once more.

        Parameters
        ----------
        ax : Axes, default=None
        levels : sequence of float, default=(0.5, 0.95)
            Shares of a component that its ellipses hold.

        Returns
        -------
        self : MixtureDisplay
        """
        n_features = len(self.names)
        if n_features > 2:
            self._plot_grid(ax, levels)
        else:
            self.ax_ = axes_or_new(ax)
            self.figure_ = self.ax_.figure
            if n_features == 1:
                self._plot_one(self.ax_, 0)
                self.ax_.set(xlabel=self.names[0], ylabel="density")
            else:
                self._plot_two(self.ax_, 0, 1, levels)
                self.ax_.set(xlabel=self.names[0], ylabel=self.names[1])
        if self.rows is not None:
            add_caption(self.ax_ if n_features <= 2 else self.axes_, self.rows.caption)
        return self

    def _plot_grid(self, ax: Any, levels: Any) -> None:
        n = len(self.names)
        self.figure_ = plt.figure(figsize=(2 * n, 2 * n), layout="constrained") if ax is None else ax.figure
        if ax is None:
            grid = self.figure_.add_gridspec(n, n)
        else:
            ax.set_axis_off()
            grid = ax.get_subplotspec().subgridspec(n, n)
        self.axes_ = grid.subplots(sharex="col", squeeze=False)
        for (i, j), cell in np.ndenumerate(self.axes_):
            if j > i:
                cell.set_visible(False)
                continue
            if i == j:
                self._plot_one(cell, i)
                cell.set_yticks([])
            else:
                self._plot_two(cell, j, i, levels)
            cell.set(xlabel=self.names[j] if i == n - 1 else "", ylabel=self.names[i] if j == 0 and i > 0 else "")

    def _plot_one(self, ax: Any, j: int) -> None:
        """A histogram, the components and their sum."""
        alone = self.components.of_features([j])
        if self.rows is not None and self.rows.n_rows:
            self._plot_histogram(ax, j)
        x = np.linspace(*alone.frame(0), CURVE)
        densities = alone.densities(x)
        ax.plot(x, densities.sum(axis=1), color=plt.rcParams["text.color"], lw=2.5)
        for k, color in zip(alone.alive, colors(len(alone.alive)), strict=True):
            ax.plot(x, densities[:, k], color=color, lw=1.2)
        ax.set(xlim=(x[0], x[-1]), ylim=(0, None))

    def _plot_histogram(self, ax: Any, j: int) -> None:
        assert self.rows is not None
        style = {"color": "0.6", "alpha": 0.45, "density": True}
        if self.rows.by_points:
            values = self.rows.sample[:, j]
            bins = max(LEAST_BINS, len(np.histogram_bin_edges(values, "auto")) - 1)
            ax.hist(values, bins=bins, **style)
        else:
            edges = self.rows.edges[j]
            ax.hist(0.5 * (edges[1:] + edges[:-1]), bins=edges, weights=self.rows.counts[j], **style)

    def _plot_two(self, ax: Any, i: int, j: int, levels: Any) -> None:
        """Ellipses over points or an image."""
        pair, shown = self.components.of_features([i, j]), self.rows
        if shown is not None and shown.by_points:
            ax.scatter(*shown.sample[:, [i, j]].T, s=8, color="0.5", alpha=0.5, linewidths=0)
        elif shown is not None:
            image = shown.images[i, j].T
            ax.pcolormesh(
                shown.edges[i],
                shown.edges[j],
                np.ma.masked_equal(image, 0.0),
                norm=LogNorm(),
                cmap="Greys",
                rasterized=True,
            )
        for k, color in zip(pair.alive, colors(len(pair.alive)), strict=True):
            for level in levels:
                ax.plot(*pair.outline(k, level).T, color=color, lw=1.5)
            ax.plot(*pair.means[k], marker="+", ms=8, mew=2, color=color)
        ax.set(xlim=pair.frame(0), ylim=pair.frame(1))
