"""The version, and where each public name lives; this module imports nothing of fastem."""

__version__ = "0.1.0"

# The estimators and their modules; also the only classes that a model file may name.
ESTIMATORS = {
    "BayesianGaussianMixture": "fastem.estimators.bayesian_gaussian_mixture",
    "BernoulliMixture": "fastem.estimators.bernoulli_mixture",
    "CategoricalMixture": "fastem.estimators.categorical_mixture",
    "GaussianMixture": "fastem.estimators.gaussian_mixture",
    "KMeans": "fastem.estimators.kmeans",
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
