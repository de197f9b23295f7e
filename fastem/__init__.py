"""Expectation-maximisation, fast and in bounded memory, with scikit-learn's interface.

Importing fastem is cheap: a public name brings in its module, and with it NumPy and Numba, when it is first used.
"""

import os
from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any

from fastem.registry import ESTIMATORS as ESTIMATORS
from fastem.registry import PUBLIC, __version__

if TYPE_CHECKING:
    from fastem import inference
    from fastem.em.estimator import EM
    from fastem.estimators.bayesian_gaussian_mixture import BayesianGaussianMixture
    from fastem.estimators.bernoulli_mixture import BernoulliMixture
    from fastem.estimators.categorical_mixture import CategoricalMixture
    from fastem.estimators.gaussian_mixture import GaussianMixture
    from fastem.estimators.kmeans import KMeans
    from fastem.estimators.mixed_mixture import MixedMixture
    from fastem.estimators.multinomial_mixture import MultinomialMixture
    from fastem.estimators.poisson_mixture import PoissonMixture
    from fastem.estimators.student_t_mixture import StudentTMixture
    from fastem.inference import standard_errors
    from fastem.inference.bounds import free_energy, kl_gap, lower_bound
    from fastem.inference.divergences import entropy, kl_divergence
    from fastem.selection import select
    from fastem.sources.array_files import ArrayFile
    from fastem.sources.chunks import Chunks
    from fastem.sources.tables import Table
    from fastem.storage.models import load, save

__all__ = [
    "EM",
    "ArrayFile",
    "BayesianGaussianMixture",
    "BernoulliMixture",
    "CategoricalMixture",
    "Chunks",
    "GaussianMixture",
    "KMeans",
    "MixedMixture",
    "MultinomialMixture",
    "PoissonMixture",
    "StudentTMixture",
    "Table",
    "__version__",
    "entropy",
    "free_energy",
    "inference",
    "kl_divergence",
    "kl_gap",
    "load",
    "lower_bound",
    "save",
    "select",
    "standard_errors",
]

_SUBMODULES = {"inference"}

# Modules that import each other come out half-made when threads begin with different ones of them: one at a time.
_loading = RLock()
if hasattr(os, "register_at_fork"):  # a child must not inherit it from a thread that it does not have
    os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        with _loading:
            return import_module(f"fastem.{name}")
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _loading:
        value = globals()[name] = getattr(import_module(PUBLIC[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
