"""Discrete mixtures written down plainly, with SciPy's densities: one array of rows by components after another."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import bernoulli, multinomial, poisson

from fastem import BernoulliMixture, CategoricalMixture, MultinomialMixture, PoissonMixture

FAMILIES = ("bernoulli", "categorical", "multinomial", "poisson")

# Rows, features, components: around the sizes of vectors (8), panels (32), tiles (256) and register blocks (4).
SHAPES = [
    (1, 1, 1),
    (2, 1, 3),
    (7, 3, 1),
    (33, 2, 5),
    (128, 4, 8),
    (257, 5, 9),
    (150, 17, 6),
    (300, 9, 17),
    (40, 2, 70),
]


class Case(NamedTuple):
    """Rows of a mixture with weights of their own, and parameters near those that made them.

    `table` is (K, C), column after column for categorical data; `n_levels` is (D,) there, else None.
    """

    family: str
    rows: np.ndarray
    sample_weight: np.ndarray
    weights: np.ndarray
    table: np.ndarray
    n_levels: np.ndarray | None = None

    @property
    def log_joint(self):
        return log_joint(self.family, self.rows, self.weights, self.table, self.n_levels)

    @property
    def log_density(self):
        return logsumexp(self.log_joint, axis=1)

    @property
    def shares(self):
        """Responsibilities times sample weights."""
        return self.sample_weight[:, None] * np.exp(self.log_joint - self.log_density[:, None])

    @property
    def columns(self):
        """The table as one array per column."""
        return columns_of(self.table, self.n_levels)


def columns_of(table, n_levels):
    return np.split(table, np.cumsum(n_levels)[:-1], axis=1)


def case(family, n_rows, n_features, n_components, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    labels = rng.choice(n_components, p=weights, size=n_rows)
    n_levels = None
    if family == "bernoulli":
        table = rng.uniform(0.05, 0.95, size=(n_components, n_features))
        rows = (rng.random((n_rows, n_features)) < table[labels]).astype(float)
    elif family == "poisson":
        table = rng.gamma(2.0, 2.0, size=(n_components, n_features))
        rows = rng.poisson(table[labels]).astype(float)
    elif family == "multinomial":
        table = rng.dirichlet(np.full(n_features, 2.0), size=n_components)
        totals = rng.integers(0, 30, size=n_rows)
        rows = np.stack([rng.multinomial(n, table[k]) for n, k in zip(totals, labels, strict=True)]).astype(float)
    else:
        n_levels = rng.integers(1, 7, size=n_features)
        columns = [rng.dirichlet(np.full(n, 2.0), size=n_components) for n in n_levels]
        table = np.hstack(columns)
        rows = np.array([[rng.choice(len(c[k]), p=c[k]) for c in columns] for k in labels], dtype=float)
    sample_weight = rng.random(n_rows) * (rng.random(n_rows) > 0.2)
    sample_weight[0] = 1.0
    return Case(family, rows, sample_weight, weights, table, n_levels)


def log_joint(family, rows, weights, table, n_levels=None):
    """log w_k p(x | k), (n, K)."""
    rows = rows.astype(int)
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    if family == "bernoulli":
        parts = [bernoulli.logpmf(rows, p).sum(axis=1) for p in table]
    elif family == "poisson":
        parts = [poisson.logpmf(rows, rate).sum(axis=1) for rate in table]
    elif family == "multinomial":
        parts = [multinomial.logpmf(rows, rows.sum(axis=1), p) for p in table]
    else:
        with np.errstate(divide="ignore"):
            logs = [np.log(column) for column in columns_of(table, n_levels)]
        parts = [sum(log[k, rows[:, j]] for j, log in enumerate(logs)) for k in range(len(weights))]
    return log_weights + np.stack(parts, axis=1)


def em_step(family, rows, sample_weight, weights, table, n_levels=None, pseudo_count=0.0):
    """The next weights and table."""
    joint = log_joint(family, rows, weights, table, n_levels)
    r = sample_weight[:, None] * np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    counts, a = r.sum(axis=0), pseudo_count
    if family == "bernoulli":
        table = (r.T @ rows + a) / (counts[:, None] + 2 * a)
    elif family == "poisson":
        mean = (sample_weight @ rows + 0.5) / sample_weight.sum()
        table = (r.T @ rows + a * mean) / (counts[:, None] + a)
    elif family == "multinomial":
        smoothed = r.T @ rows + a
        table = smoothed / smoothed.sum(axis=1, keepdims=True)
    else:
        columns = []
        for j, n in enumerate(n_levels):
            sums = np.stack([r[rows[:, j] == v].sum(axis=0) for v in range(n)], axis=1)
            columns.append((sums + a) / (counts[:, None] + n * a))
        table = np.hstack(columns)
    return counts / counts.sum(), table


def log_prior(family, rows, sample_weight, table, pseudo_count):
    """Up to a constant."""
    if family == "poisson":
        mean = (sample_weight @ rows + 0.5) / sample_weight.sum()
        return pseudo_count * (mean * np.log(table) - table).sum()
    logs = np.log(table).sum() + (np.log1p(-table).sum() if family == "bernoulli" else 0.0)
    return pseudo_count * logs


# estimators that begin at the parameters of a case -------------------------------------------------------------------

ESTIMATORS = {
    "bernoulli": BernoulliMixture,
    "categorical": CategoricalMixture,
    "multinomial": MultinomialMixture,
    "poisson": PoissonMixture,
}


def start(problem):
    table = problem.table if problem.n_levels is None else problem.columns
    name = "rates_init" if problem.family == "poisson" else "probabilities_init"
    return {"weights_init": problem.weights, name: table}


def mixture_of(problem, **options):
    levels = {} if problem.n_levels is None else {"n_levels": problem.n_levels}
    return ESTIMATORS[problem.family](len(problem.weights), **(start(problem) | levels | options))
