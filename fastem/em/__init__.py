"""EM for models that users write, and the types that describe them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastem.em.estimator import BLOCK_ROWS, EM, Block, Callback, Flat, LowerBoundWarning, Model, Statistics

__all__ = ["BLOCK_ROWS", "EM", "Block", "Callback", "Flat", "LowerBoundWarning", "Model", "Statistics"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module("fastem.em.estimator"), name)
    return value
