"""Which model: the number of components, and the structure of their covariances."""

from fastem.selection.selection import Selection, select

__all__ = ["Selection", "select"]
