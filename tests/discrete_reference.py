"""Discrete mixtures written down plainly, with SciPy's densities: one array of rows by components after another.

`FAMILIES` has a row for each family; all rows have the same functions, of parameters that are a `table` (K, C), and of
`n_levels` (D,), which only categorical columns have.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from cases import random_weights
from scipy import stats
from scipy.special import logsumexp

from fastem import BernoulliMixture, CategoricalMixture, MultinomialMixture, PoissonMixture
from fastem.families.bernoulli import BernoulliMixtureModel
from fastem.families.categorical import CategoricalMixtureModel
from fastem.families.discrete import Statistics
from fastem.families.multinomial import MultinomialMixtureModel
from fastem.families.poisson import PoissonMixtureModel

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


# the families ---------------------------------------------------------------------------------------------------------


class Bernoulli:
    estimator, model, start = BernoulliMixture, BernoulliMixtureModel, "probabilities_init"

    @staticmethod
    def table(rng, n_features, n_components, n_levels):
        return rng.uniform(0.05, 0.95, size=(n_components, n_features))

    @staticmethod
    def rows(rng, table, labels, n_levels):
        return rng.random((len(labels), table.shape[1])) < table[labels]

    @staticmethod
    def log_mass(rows, parameters, n_levels):
        return stats.bernoulli.logpmf(rows, parameters).sum(axis=1)

    @staticmethod
    def m_step(rows, shares, a, n_levels):
        return (shares.T @ rows + a) / (shares.sum(axis=0)[:, None] + 2 * a)

    @staticmethod
    def log_prior(rows, sample_weight, table):
        return np.log(table).sum() + np.log1p(-table).sum()

    @staticmethod
    def n_free(n_features, n_levels):
        return n_features


class Poisson:
    estimator, model, start = PoissonMixture, PoissonMixtureModel, "rates_init"

    @staticmethod
    def table(rng, n_features, n_components, n_levels):
        return rng.gamma(2.0, 2.0, size=(n_components, n_features))

    @staticmethod
    def rows(rng, table, labels, n_levels):
        return rng.poisson(table[labels])

    @staticmethod
    def log_mass(rows, parameters, n_levels):
        return stats.poisson.logpmf(rows, parameters).sum(axis=1)

    @staticmethod
    def m_step(rows, shares, a, n_levels):
        mean = (shares.sum(axis=1) @ rows + 0.5) / shares.sum()
        return (shares.T @ rows + a * mean) / (shares.sum(axis=0)[:, None] + a)

    @staticmethod
    def log_prior(rows, sample_weight, table):
        mean = (sample_weight @ rows + 0.5) / sample_weight.sum()
        return (mean * np.log(table) - table).sum()

    @staticmethod
    def n_free(n_features, n_levels):
        return n_features


class Multinomial:
    estimator, model, start = MultinomialMixture, MultinomialMixtureModel, "probabilities_init"

    @staticmethod
    def table(rng, n_features, n_components, n_levels):
        return rng.dirichlet(np.full(n_features, 2.0), size=n_components)

    @staticmethod
    def rows(rng, table, labels, n_levels):
        totals = rng.integers(0, 30, size=len(labels))
        return np.stack([rng.multinomial(n, table[k]) for n, k in zip(totals, labels, strict=True)])

    @staticmethod
    def log_mass(rows, parameters, n_levels):
        return stats.multinomial.logpmf(rows, rows.sum(axis=1), parameters)

    @staticmethod
    def m_step(rows, shares, a, n_levels):
        smoothed = shares.T @ rows + a
        return smoothed / smoothed.sum(axis=1, keepdims=True)

    @staticmethod
    def log_prior(rows, sample_weight, table):
        return np.log(table).sum()

    @staticmethod
    def n_free(n_features, n_levels):
        return n_features - 1


class Categorical:
    estimator, model, start = CategoricalMixture, CategoricalMixtureModel, "probabilities_init"

    @staticmethod
    def table(rng, n_features, n_components, n_levels):
        return np.hstack([rng.dirichlet(np.full(n, 2.0), size=n_components) for n in n_levels])

    @staticmethod
    def rows(rng, table, labels, n_levels):
        columns = columns_of(table, n_levels)
        return np.array([[rng.choice(len(column[k]), p=column[k]) for column in columns] for k in labels])

    @staticmethod
    def log_mass(rows, parameters, n_levels):
        with np.errstate(divide="ignore"):
            logs = columns_of(np.log(parameters), n_levels)
        return sum(log[rows[:, j]] for j, log in enumerate(logs))

    @staticmethod
    def m_step(rows, shares, a, n_levels):
        columns = []
        for j, n in enumerate(n_levels):
            sums = np.stack([shares[rows[:, j] == v].sum(axis=0) for v in range(n)], axis=1)
            columns.append((sums + a) / (shares.sum(axis=0)[:, None] + n * a))
        return np.hstack(columns)

    @staticmethod
    def log_prior(rows, sample_weight, table):
        return np.log(table).sum()

    @staticmethod
    def n_free(n_features, n_levels):
        return (n_levels - 1).sum()


FAMILIES = {"bernoulli": Bernoulli, "categorical": Categorical, "multinomial": Multinomial, "poisson": Poisson}


def columns_of(table, n_levels):
    return np.split(table, np.cumsum(n_levels)[:-1], axis=-1)


# their problems -------------------------------------------------------------------------------------------------------


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

    # what is known without fastem -------------------------------------------------------------------------------------

    @property
    def log_joint(self):
        """log w_k p(x | k), (n, K)."""
        rows, log_mass = self.rows.astype(int), FAMILIES[self.family].log_mass
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return log_weights + np.stack([log_mass(rows, parameters, self.n_levels) for parameters in self.table], axis=1)

    @property
    def log_density(self):
        return logsumexp(self.log_joint, axis=1)

    @property
    def shares(self):
        """Responsibilities times sample weights."""
        joint = self.log_joint
        return self.sample_weight[:, None] * np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    @property
    def columns(self):
        """The table as one array per column."""
        return columns_of(self.table, self.n_levels)

    @property
    def parameters(self):
        return {"weights": self.weights, "means": self.table}

    @property
    def n_parameters(self):
        n_components = len(self.weights)
        return n_components * FAMILIES[self.family].n_free(self.rows.shape[1], self.n_levels) + n_components - 1

    def em_step(self, pseudo_count=0.0):
        """The case after one iteration of EM."""
        shares = self.shares
        counts = shares.sum(axis=0)
        table = FAMILIES[self.family].m_step(self.rows, shares, pseudo_count, self.n_levels)
        return self._replace(weights=counts / counts.sum(), table=table)

    @property
    def log_prior(self):
        """For a pseudo-count of one, up to a constant."""
        return FAMILIES[self.family].log_prior(self.rows, self.sample_weight, self.table)

    def permuted(self, order):
        """The same mixture with its components in this order."""
        return self._replace(weights=self.weights[order], table=self.table[order])

    # what fastem makes of it ------------------------------------------------------------------------------------------

    @property
    def levels(self):
        return {} if self.n_levels is None else {"n_levels": self.n_levels}

    def model(self, **options):
        return FAMILIES[self.family].model(self.weights, self.table, **self.levels, **options)

    @property
    def start(self):
        """Parameters of an estimator that begins at those of the case."""
        table = self.table if self.n_levels is None else self.columns
        return {"weights_init": self.weights, FAMILIES[self.family].start: table}

    def mixture(self, **options):
        estimator = FAMILIES[self.family].estimator
        return estimator(len(self.weights), **(self.start | self.levels | options))

    def expected_statistics(self, weight):
        """What so much weight of rows of the mixture adds up to, on average; multinomial rows of one event each."""
        counts = weight * self.weights
        return Statistics(np.nan, 0.0, counts, counts[:, None] * self.table)


@cache
def case(family, n_rows, n_features, n_components, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    labels = rng.choice(n_components, p=weights, size=n_rows)
    n_levels = rng.integers(1, 7, size=n_features) if family == "categorical" else None
    table = FAMILIES[family].table(rng, n_features, n_components, n_levels)
    rows = FAMILIES[family].rows(rng, table, labels, n_levels).astype(float)
    return Case(family, rows, random_weights(n_rows, rng), weights, table, n_levels)
