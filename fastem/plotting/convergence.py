"""How a fit came to its end."""

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from sklearn.utils.validation import check_is_fitted

from fastem.plotting.axes import axes_or_new


class ConvergenceDisplay:
    """The bound of each pass of one or several fits.

    It is best made with `from_estimator`.

    Parameters
    ----------
    bounds : dict of str to sequence of float
        Of each fit, by its name.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure

    Examples
    --------
    >>> from fastem.plotting import ConvergenceDisplay
    >>> display = ConvergenceDisplay({"a fit": [-3.0, -2.0, -1.9]}).plot()
    >>> display.ax_.get_xlabel()
    'pass'
    """

    ax_: Any
    figure_: Any

    def __init__(self, bounds: dict[str, Any]):
        self.bounds = bounds

    @classmethod
    def from_estimator(cls, *estimators: Any, ax: Any = None, gap: bool = False) -> "ConvergenceDisplay":
        """Draw the fits of estimators that have `lower_bounds_`, each of several starts by itself.

        Parameters
        ----------
        *estimators : estimator
            One fit, or several to compare: other starts, other settings.
        ax : Axes, default=None
        gap : bool, default=False
            See `plot`.

        Returns
        -------
        display : ConvergenceDisplay

        Raises
        ------
        TypeError
            If a fit has left no bounds.
        """
        bounds: dict[str, Any] = {}
        for number, estimator in enumerate(estimators):
            check_is_fitted(estimator)
            if not hasattr(estimator, "lower_bounds_"):
                raise TypeError(f"A {type(estimator).__name__} that was fitted in this way has no `lower_bounds_`.")
            name, starts = f"{type(estimator).__name__} {number}", getattr(estimator, "lower_bounds_of_starts_", [])
            if len(starts) > 1:
                prefix = f"{name}, " if len(estimators) > 1 else ""
                bounds |= {f"{prefix}start {start}": of_start for start, of_start in enumerate(starts)}
            else:
                bounds[name] = estimator.lower_bounds_
        return cls(bounds).plot(ax, gap=gap)

    def plot(self, ax: Any = None, *, gap: bool = False) -> "ConvergenceDisplay":
        """Draw it, perhaps once more.

        Parameters
        ----------
        ax : Axes, default=None
        gap : bool, default=False
            Draw the distance to the greatest bound of all, on a logarithmic scale, in place of the bounds.

        Returns
        -------
        self : ConvergenceDisplay
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        best = max((max(bounds) for bounds in self.bounds.values() if len(bounds)), default=0.0)
        for name, bounds in self.bounds.items():
            passes = np.arange(1, len(bounds) + 1)
            values = best - np.asarray(bounds) if gap else np.asarray(bounds)
            shown = values > 0 if gap else np.isfinite(values)
            self.ax_.plot(passes[shown], values[shown], marker=".", label=name)
        self.ax_.set(xlabel="pass", ylabel="nats below the best" if gap else "lower bound (nats per unit weight)")
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        if gap:
            self.ax_.set_yscale("log")
        if len(self.bounds) > 1:
            self.ax_.legend()
        return self
