"""How sure a mixture is of the components of rows."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.features import feature_indices
from fastem.plotting.axes import add_caption, axes_or_new, colors, name_of
from fastem.plotting.rows import sample_of
from fastem.sources.chunks import Chunks

LEAST, MOST = 6.0, 90.0  # areas of the points of the surest and of the most uncertain row


class ResponsibilityDisplay:
    """The uncertainty of rows, one less their greatest responsibility.

    It is best made with `from_estimator`. Two features: a point for each row, in the colour of its most probable
    component, the greater the less sure that is. Otherwise the share of a component's rows up to each uncertainty.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        In the features that are shown.
    responsibilities : ndarray of shape (n, K)
    names : list of str
        Of the features; two for points.
    caption : str

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure

    Examples
    --------
    >>> import numpy as np
    >>> from fastem.plotting import ResponsibilityDisplay
    >>> shares = np.array([[1.0, 0.0], [0.6, 0.4], [0.1, 0.9]])
    >>> display = ResponsibilityDisplay(np.eye(3, 2), shares, ["width", "height"], "3 rows").plot()
    >>> display.uncertainty.round(1).tolist()
    [0.0, 0.4, 0.1]
    """

    ax_: Any
    figure_: Any

    def __init__(self, rows: np.ndarray, responsibilities: np.ndarray, names: list[str], caption: str):
        self.rows, self.responsibilities, self.names, self.caption = rows, responsibilities, names, caption

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, sample_weight: Any = None, features: Any = None, ax: Any = None
    ) -> "ResponsibilityDisplay":
        """Draw the uncertainty of rows in a fitted mixture, of a random sample if there are many.

        Parameters
        ----------
        estimator : mixture
            Any of fastem's, fitted.
        X : array-like, path or other source of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
        features : pair of int or str, default=None
            Those to show as points; by default both if there are two.
        ax : Axes, default=None

        Returns
        -------
        display : ResponsibilityDisplay

        Raises
        ------
        ValueError
            If a feature is unknown, there are not two, or X does not fit.
        """
        check_is_fitted(estimator)
        everything = range(estimator.n_features_in_)
        chosen = feature_indices(estimator, everything) if features is None else feature_indices(estimator, features)
        if features is not None and len(chosen) != 2:
            raise ValueError(f"features must be two, got {features!r}.")
        rows, n_rows = sample_of(estimator, X, sample_weight)
        caption = f"{n_rows:,} rows" if len(rows) == n_rows else f"{len(rows):,} of {n_rows:,} rows, at random"
        shares = estimator.predict_proba(Chunks(lambda: [rows], n_features=rows.shape[1]))  # which need no names
        return cls(rows[:, chosen], shares, [name_of(estimator, j) for j in chosen], caption).plot(ax)

    @property
    def uncertainty(self) -> np.ndarray:
        """One less the greatest responsibility of each row, (n,)."""
        return 1.0 - self.responsibilities.max(axis=1)

    def plot(self, ax: Any = None) -> "ResponsibilityDisplay":
        """Draw it, perhaps once more.

        Parameters
        ----------
        ax : Axes, default=None

        Returns
        -------
        self : ResponsibilityDisplay
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        labels, uncertainty = self.responsibilities.argmax(axis=1), self.uncertainty
        for k, color in enumerate(colors(self.responsibilities.shape[1])):
            mine = labels == k
            if not mine.any():
                continue
            if len(self.names) == 2:
                sizes = LEAST + (MOST - LEAST) * uncertainty[mine]
                self.ax_.scatter(*self.rows[mine].T, s=sizes, color=color, alpha=0.7, linewidths=0, label=f"{k}")
            else:
                self.ax_.ecdf(uncertainty[mine], color=color, label=f"{k}")
        points = len(self.names) == 2
        self.ax_.set(
            xlabel=self.names[0] if points else "uncertainty", ylabel=self.names[1] if points else "share of rows"
        )
        self.ax_.legend(title="component")
        add_caption(self.ax_, self.caption)
        return self
