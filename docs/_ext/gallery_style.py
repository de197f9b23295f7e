"""How the pictures look."""

import warnings

import matplotlib as mpl
from sklearn.exceptions import ConvergenceWarning


def reset(_configuration, _file):
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.figsize": (7, 4.2),
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "scatter.edgecolors": "none",
            "savefig.facecolor": "white",
        }
    )
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
