"""One row for each family of mixtures: all laws run over this table, those of models and those of estimators.

A row's `case` makes a problem: rows of a mixture and its parameters, what SciPy and NumPy know of them (`log_joint`,
`em_step`, `expected_statistics`), and fastem's `model` and `mixture` with the same parameters. A new family or
structure is a row here.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import cases
import discrete_reference
import numpy as np
import pytest

from fastem import BayesianGaussianMixture, KMeans

FEW_SHAPES = [(1, 1, 1), (1, 3, 2), (33, 3, 5), (257, 7, 9), (150, 17, 6), (40, 2, 70)]


class Family(NamedTuple):
    """A family of mixtures.

    Attributes
    ----------
    case : callable
        `case(n_rows, n_features, n_components, seed=0)`: a problem whose rows follow the mixture.
    shapes : list of tuple
        Those at which densities are compared.
    n_parameters : int
        Free parameters of three components of four features; None where the case counts them.
    has_em_step : bool
        Whether the case has an oracle for an iteration of EM.
    tolerance : float
        Relative, of parameters after some iterations.
    closed_under : str
        The linear changes of the rows that lead from mixtures of the family to mixtures of the family, if any.
    options : dict
        Alternatives for the options of a model.
    """

    name: str
    case: Callable
    shapes: list
    n_parameters: int | None
    has_em_step: bool = True
    tolerance: float = 1e-9
    closed_under: str = ""
    options: dict = {}  # noqa: RUF012  a row does not change


def of_gaussians(structure):
    free, closed_under, has_em_step = cases.COVARIANCES[structure]
    shapes = cases.SHAPES if structure in cases.STRUCTURES else FEW_SHAPES[1:4]
    case = partial(cases.case, structure)
    return Family(structure, case, shapes, free + 3 * 4 + 2, has_em_step, closed_under=closed_under)


def of_students(structure):
    gaussian = of_gaussians(structure)
    return gaussian._replace(
        name=f"t {structure}",
        case=partial(cases.student_case, structure),
        shapes=FEW_SHAPES if structure in cases.STRUCTURES else FEW_SHAPES[2:3],
        n_parameters=gaussian.n_parameters + 3,
        tolerance=1e-5,  # that of the oracle's search for the degrees of freedom
        options={"freedom": ["free", "shared", "fixed"]},
    )


def of_counts(family):
    options = {"pseudo_count": [0.0, 1e-10, 0.5, 3.0], "fit_weights": [True, False]}
    return Family(family, partial(discrete_reference.case, family), discrete_reference.SHAPES, None, options=options)


FAMILIES = [
    *map(of_gaussians, cases.COVARIANCES),
    *map(of_students, cases.COVARIANCES),
    *map(of_counts, discrete_reference.FAMILIES),
]


def families(condition=lambda family: True):
    """Run a test for every family of which the condition holds."""
    chosen = [family for family in FAMILIES if condition(family)]
    return pytest.mark.parametrize("family", chosen, ids=[family.name for family in chosen])


every_family = families()


def linear_change(kind, n_features, seed=5):
    """A matrix (D, D) of a kind of linear changes."""
    rng = np.random.default_rng(seed)
    if kind == "scales of features":
        return np.diag(rng.uniform(0.3, 3.0, size=n_features))
    matrix = rng.normal(size=(n_features, n_features))
    return matrix if kind == "all" else 1.7 * np.linalg.qr(matrix)[0]


# estimators -----------------------------------------------------------------------------------------------------------


class BayesianCase(NamedTuple):
    """Rows of a Gaussian mixture, for its variational sister, which takes no parameters to begin with."""

    gaussian: cases.Case

    @property
    def rows(self):
        return self.gaussian.rows

    @property
    def same_start(self):
        """Options with which fits begin alike whatever rows are repeated."""
        edges = np.quantile(self.rows[:, 0], np.linspace(0, 1, len(self.gaussian.weights) + 1)[1:-1])
        return {"init_params": lambda rows, n_components, random_state: np.digitize(rows[:, 0], edges)}

    def mixture(self, **options):
        problem = self.gaussian
        start = {"covariance_type": problem.structure, "random_state": 0}
        return BayesianGaussianMixture(n_components=len(problem.weights), **(start | options))


class CentersCase(NamedTuple):
    """Rows of a Gaussian mixture, for k-means from its means."""

    gaussian: cases.Case

    @property
    def rows(self):
        return self.gaussian.rows

    def mixture(self, **options):
        return KMeans(len(self.gaussian.weights), init=self.gaussian.means, n_init=1, **options)


def of_sisters(name, make, structure="full"):
    return Family(name, lambda *shape, **seed: make(cases.case(structure, *shape, **seed)), [], None)


ESTIMATORS = [
    *FAMILIES,
    *(of_sisters(f"Bayesian {structure}", BayesianCase, structure) for structure in cases.STRUCTURES),
    of_sisters("k-means", CentersCase),
]
every_estimator = pytest.mark.parametrize("family", ESTIMATORS, ids=[family.name for family in ESTIMATORS])
