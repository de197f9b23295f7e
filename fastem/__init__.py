"""Expectation-maximisation, fast and in bounded memory, with scikit-learn's interface.

Importing fastem is cheap: a public name brings in its module, and with it NumPy and Numba, when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastem import inference
    from fastem.bayesian_gaussian_mixture import BayesianGaussianMixture
    from fastem.bernoulli_mixture import BernoulliMixture
    from fastem.bounds import free_energy, kl_gap, lower_bound
    from fastem.categorical_mixture import CategoricalMixture
    from fastem.divergences import entropy, kl_divergence
    from fastem.em import EM
    from fastem.gaussian_mixture import GaussianMixture
    from fastem.inference import standard_errors
    from fastem.kmeans import KMeans
    from fastem.multinomial_mixture import MultinomialMixture
    from fastem.persistence import load, save
    from fastem.poisson_mixture import PoissonMixture
    from fastem.sources.array_files import ArrayFile
    from fastem.sources.chunks import Chunks
    from fastem.sources.tables import Table
    from fastem.student_t_mixture import StudentTMixture

__version__ = "0.1.0"

__all__ = [
    "EM",
    "ArrayFile",
    "BayesianGaussianMixture",
    "BernoulliMixture",
    "CategoricalMixture",
    "Chunks",
    "GaussianMixture",
    "KMeans",
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
    "standard_errors",
]

# The estimators and the modules they live in; also the only classes that a model file may name.
ESTIMATORS = {
    "BayesianGaussianMixture": "fastem.bayesian_gaussian_mixture",
    "BernoulliMixture": "fastem.bernoulli_mixture",
    "CategoricalMixture": "fastem.categorical_mixture",
    "GaussianMixture": "fastem.gaussian_mixture",
    "KMeans": "fastem.kmeans",
    "MultinomialMixture": "fastem.multinomial_mixture",
    "PoissonMixture": "fastem.poisson_mixture",
    "StudentTMixture": "fastem.student_t_mixture",
}

_MODULES = {
    **ESTIMATORS,
    "ArrayFile": "fastem.sources.array_files",
    "Chunks": "fastem.sources.chunks",
    "EM": "fastem.em",
    "Table": "fastem.sources.tables",
    "entropy": "fastem.divergences",
    "free_energy": "fastem.bounds",
    "kl_divergence": "fastem.divergences",
    "kl_gap": "fastem.bounds",
    "load": "fastem.persistence",
    "lower_bound": "fastem.bounds",
    "save": "fastem.persistence",
    "standard_errors": "fastem.inference",
}

_SUBMODULES = {"inference"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES and name not in _SUBMODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _SUBMODULES:
        return import_module(f"fastem.{name}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
