"""Axes, colours and names that all displays need."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np


def axes_or_new(ax: Any) -> Any:
    """The Axes that were given, or new ones."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def colors(n: int) -> list[str]:
    """One colour a component, from the cycle in force, again and again."""
    cycle = plt.rcParams["axes.prop_cycle"].by_key().get("color", ["black"])
    return [cycle[k % len(cycle)] for k in range(n)]


def name_of(estimator: Any, feature: int) -> str:
    """The name of a feature, its number if it has none."""
    names = getattr(estimator, "feature_names_in_", None)
    return f"feature {feature}" if names is None else str(names[feature])


def add_caption(axes: Any, text: str) -> None:
    """A line below the Axes, or below a whole grid of them."""
    if isinstance(axes, np.ndarray):
        axes.flat[0].figure.supxlabel(text, fontsize="small")
    else:
        axes.text(1.0, 1.01, text, transform=axes.transAxes, ha="right", va="bottom", fontsize="small")
