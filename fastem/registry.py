"""What every room may know: the version, where each public name lives, how to warn; it imports nothing of fastem."""

import os
import sys
import warnings

__version__ = "0.2.0"

# The estimators and their modules; also the only classes that a model file may name.
ESTIMATORS = {
    "BayesianGaussianMixture": "fastem.estimators.bayesian_gaussian_mixture",
    "BernoulliMixture": "fastem.estimators.bernoulli_mixture",
    "CategoricalMixture": "fastem.estimators.categorical_mixture",
    "GaussianMixture": "fastem.estimators.gaussian_mixture",
    "KMeans": "fastem.estimators.kmeans",
    "MixedMixture": "fastem.estimators.mixed_mixture",
    "MultinomialMixture": "fastem.estimators.multinomial_mixture",
    "PoissonMixture": "fastem.estimators.poisson_mixture",
    "StudentTMixture": "fastem.estimators.student_t_mixture",
}

PUBLIC = {
    **ESTIMATORS,
    "ArrayFile": "fastem.sources.array_files",
    "Chunks": "fastem.sources.chunks",
    "EM": "fastem.em.estimator",
    "Table": "fastem.sources.tables",
    "entropy": "fastem.inference.divergences",
    "free_energy": "fastem.inference.bounds",
    "kl_divergence": "fastem.inference.divergences",
    "kl_gap": "fastem.inference.bounds",
    "load": "fastem.storage.models",
    "lower_bound": "fastem.inference.bounds",
    "save": "fastem.storage.models",
    "select": "fastem.selection.selection",
    "standard_errors": "fastem.inference",
}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning that points at the user's line: the first outside of fastem and of what wraps its methods."""
    files = [str(sys.modules[name].__file__) for name in ("fastem", "sklearn", "joblib") if name in sys.modules]
    folders = tuple(file.rpartition(os.sep)[0] + os.sep for file in files)
    if sys.version_info >= (3, 12):
        warnings.warn(message, category, skip_file_prefixes=folders)
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(folders):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
