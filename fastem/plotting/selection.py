"""Criteria of several models side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from fastem.plotting.axes import axes_or_new


class SelectionDisplay:
    """A criterion over the number of components, a line for each kind of model.

    Parameters
    ----------
    n_components : array-like of shape (n,)
    criterion : mapping of str to array-like of shape (n,)
        Values by kind of model, NaN where there is none; the lower the better.
    name : str
        Of the criterion.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure

    Examples
    --------
    >>> from fastem.plotting import SelectionDisplay
    >>> display = SelectionDisplay([1, 2, 3], {"full": [5.0, 3.0, 4.0]}, "BIC").plot()
    >>> display.ax_.get_ylabel()
    'BIC'
    """

    ax_: Any
    figure_: Any

    def __init__(self, n_components: Any, criterion: Mapping[str, Any], name: str):
        self.n_components, self.criterion, self.name = np.asarray(n_components), criterion, name

    def plot(self, ax: Any = None) -> "SelectionDisplay":
        """Draw it, perhaps once more; the best model has a ring.

        Parameters
        ----------
        ax : Axes, default=None

        Returns
        -------
        self : SelectionDisplay
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        table = {kind: np.asarray(values, dtype=float) for kind, values in self.criterion.items()}
        for kind, values in table.items():
            (line,) = self.ax_.plot(self.n_components, values, marker=".", label=kind)
            if np.isfinite(values).any() and np.nanmin(values) == min(map(_least, table.values())):
                best = int(np.nanargmin(values))
                ring = {"mfc": "none", "mec": line.get_color(), "ms": 12, "mew": 1.5}
                self.ax_.plot(self.n_components[best], values[best], marker="o", **ring)
        self.ax_.set(xlabel="number of components", ylabel=self.name)
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.ax_.legend()
        return self


def _least(values: np.ndarray) -> float:
    return float(np.nanmin(values)) if np.isfinite(values).any() else np.inf
