"""Pictures of mixtures, with matplotlib, in the manner of scikit-learn's displays.

Every display draws into the Axes it is given or makes some, follows the style and the colour cycle in force, and keeps
what it has drawn on.
"""

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError('plotting needs matplotlib: pip install "fastem[plot]"') from error

from fastem.plotting.convergence import ConvergenceDisplay
from fastem.plotting.mixture import MixtureDisplay
from fastem.plotting.responsibilities import ResponsibilityDisplay
from fastem.plotting.selection import SelectionDisplay

__all__ = ["ConvergenceDisplay", "MixtureDisplay", "ResponsibilityDisplay", "SelectionDisplay"]
