"""The problems that drive the property tests: every structure by every awkward shape."""

from functools import cache
from typing import NamedTuple

import numpy as np
import reference
from scipy.special import digamma

from fastem import GaussianMixture, StudentTMixture
from fastem.families.covariances import STRUCTURES as STRUCTURE_OF
from fastem.families.covariances import Moments
from fastem.families.gaussian import GaussianMixtureModel
from fastem.families.gaussian import Statistics as GaussianStatistics
from fastem.families.student_t import Statistics as StudentTStatistics
from fastem.families.student_t import StudentTMixtureModel


class Structure(NamedTuple):
    """A structure of covariances.

    Attributes
    ----------
    n_parameters : int
        Free parameters for three components of four features, as mclust counts them.
    closed_under : str
        The linear changes of the rows that lead from covariances of the structure to covariances of it.
    has_em_step : bool
        Whether its M-step has a formula; where parts of the covariances are equal it takes iterations.
    """

    n_parameters: int
    closed_under: str = "similarities"
    has_em_step: bool = False


COVARIANCES = {
    "full": Structure(30, "all", True),
    "tied": Structure(10, "all", True),
    "diag": Structure(12, "scales of features", True),
    "spherical": Structure(3, "similarities", True),
    "EII": Structure(1, "similarities", True),
    "EEI": Structure(4, "scales of features", True),
    "VEI": Structure(6, "scales of features"),
    "EVI": Structure(10, "scales of features"),
    "EEE": Structure(10, "all", True),
    "VEE": Structure(12, "all"),
    "EVE": Structure(16),
    "VVE": Structure(18),
    "EEV": Structure(22),
    "VEV": Structure(24),
    "EVV": Structure(28, "all"),
}
STRUCTURES = ("full", "tied", "diag", "spherical")
MODELS = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")

# Rows, features, components: around the sizes of vectors (8), panels (32), tiles (256, and halves of them) and register
# blocks (4), one of everything, and more components than rows.
SHAPES = [
    (1, 1, 1),
    (1, 3, 2),
    (2, 1, 3),
    (7, 2, 1),
    (8, 4, 3),
    (31, 1, 4),
    (33, 3, 5),
    (64, 4, 8),
    (100, 5, 7),
    (127, 6, 2),
    (128, 9, 6),
    (255, 8, 3),
    (257, 7, 9),
    (129, 9, 13),
    (200, 16, 4),
    (150, 17, 6),
    (140, 31, 3),
    (100, 33, 5),
    (70, 64, 2),
    (1000, 2, 1),
    (40, 2, 70),
]


class Case(NamedTuple):
    """Rows of a mixture with weights of their own, and parameters near those that made them."""

    structure: str
    rows: np.ndarray
    sample_weight: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    # what is known without fastem -------------------------------------------------------------------------------------

    @property
    def matrices(self):
        return reference.matrices(self.structure, self.covariances, *self.means.shape)

    @property
    def log_joint(self):
        return reference.log_joint(self.rows, self.weights, self.means, self.matrices)

    @property
    def shares(self):
        """Responsibilities times sample weights."""
        return reference.responsibilities(self.log_joint) * self.sample_weight[:, None]

    @property
    def parameters(self):
        return {"weights": self.weights, "means": self.means, "covariances": self.covariances}

    def em_step(self):
        """The case after one iteration of EM; structures that tie parts of the covariances need another oracle."""
        weights, means, covariances = reference.em_step(*self)
        return self._replace(weights=weights, means=means, covariances=covariances)

    def permuted(self, order):
        """The same mixture with its components in this order."""
        shared = reference.one_for_all(self.structure)
        covariances = self.covariances if shared else self.covariances[order]
        return self._replace(weights=self.weights[order], means=self.means[order], covariances=covariances)

    def moved(self, matrix, offset):
        """The mixture and the rows after an affine change that leads to covariances of the same structure."""
        covariances = reference.of_matrices(self.structure, matrix @ self.matrices @ matrix.T)
        rows, means = (points @ matrix.T + offset for points in (self.rows, self.means))
        return self._replace(rows=rows, means=means, covariances=covariances)

    # what fastem makes of it ------------------------------------------------------------------------------------------

    def model(self, **options):
        structure = STRUCTURE_OF[self.structure]
        whiteners, singular = structure.whiten(self.covariances)
        assert not singular.any()
        return GaussianMixtureModel(structure, self.weights, self.means, self.covariances, whiteners, **options)

    @property
    def start(self):
        """Parameters of an estimator that begins at those of the case."""
        precisions = np.linalg.inv(self.matrices)
        if self.structure == "tied":
            precisions = precisions[0]
        elif reference.numbers(self.structure):
            precisions = precisions[:, 0, 0]
        elif reference.variances(self.structure):
            precisions = np.diagonal(precisions, axis1=1, axis2=2)
        return {"weights_init": self.weights, "means_init": self.means, "precisions_init": precisions}

    def mixture(self, **options):
        return GaussianMixture(len(self.weights), covariance_type=self.structure, **(self.start | options))

    def expected_moments(self, weight):
        """What so much weight of rows of the mixture adds up to, on average."""
        counts, matrices = weight * self.weights, self.matrices
        second = counts[:, None, None] * matrices
        if reference.one_for_all(self.structure):  # the scatter of all rows
            centred = self.means - self.weights @ self.means
            second = second.sum(axis=0) + np.einsum("k,ki,kj->ij", counts, centred, centred)
        elif reference.numbers(self.structure):
            second = np.trace(second, axis1=1, axis2=2)
        elif reference.variances(self.structure):
            second = np.diagonal(second, axis1=1, axis2=2)
        return Moments(counts, np.zeros_like(self.means), second)

    def expected_statistics(self, weight):
        return GaussianStatistics(np.nan, self.expected_moments(weight))


@cache
def case(structure, n_rows, n_features, n_components, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    means = 2.0 * rng.normal(size=(n_components, n_features)) + 5.0
    covariances = random_covariances(structure, n_components, n_features, rng)
    matrices = reference.matrices(structure, covariances, n_components, n_features)
    labels = rng.choice(n_components, p=weights, size=n_rows)
    rows = np.stack([rng.multivariate_normal(means[k], matrices[k]) for k in labels])
    return Case(structure, rows, random_weights(n_rows, rng), weights, means, covariances)


def random_weights(n_rows, rng):
    """Weights of rows, a fifth of them zero, but not the first."""
    sample_weight = rng.random(n_rows) * (rng.random(n_rows) > 0.2)
    sample_weight[0] = 1.0
    return sample_weight


def random_covariances(structure, n_components, n_features, rng):
    if structure not in STRUCTURES:
        return decomposed(structure, n_components, n_features, rng)
    factors = rng.normal(size=(n_components, n_features, n_features))
    matrices = factors @ factors.swapaxes(1, 2) / n_features + 0.5 * np.eye(n_features)
    return {
        "full": lambda: matrices,
        "tied": lambda: matrices[0],
        "diag": lambda: rng.uniform(0.3, 3.0, size=(n_components, n_features)),
        "spherical": lambda: rng.uniform(0.3, 3.0, size=n_components),
    }[structure]()


def decomposed(structure, n_components, n_features, rng):
    """lambda_k Q_k A_k Q_k^T of which volumes, shapes and axes are equal (E), variable (V), or those of I."""
    logs = 0.6 * rng.normal(size=(n_components, n_features))
    parts = [
        rng.uniform(0.3, 3.0, size=(n_components, 1, 1)),
        np.exp(logs - logs.mean(axis=1, keepdims=True))[:, :, None] * np.eye(n_features),
        np.linalg.qr(rng.normal(size=(n_components, n_features, n_features)))[0],
    ]
    unit = [np.ones((1, 1, 1)), np.eye(n_features)[None], np.eye(n_features)[None]]
    choices = zip(structure, parts, unit, strict=True)
    volumes, shapes, axes = ({"V": own, "E": own[:1], "I": one}[letter] for letter, own, one in choices)
    matrices = volumes * (axes @ shapes @ axes.swapaxes(1, 2))
    return reference.of_matrices(structure, np.broadcast_to(matrices, (n_components, n_features, n_features)))


class StudentCase(NamedTuple):
    """The same with Student's t: the covariances are scales."""

    gaussian: Case
    degrees_of_freedom: np.ndarray
    freedom: str = "free"

    @property
    def rows(self):
        return self.gaussian.rows

    @property
    def sample_weight(self):
        return self.gaussian.sample_weight

    @property
    def weights(self):
        return self.gaussian.weights

    @property
    def log_joint(self):
        problem = self.gaussian
        return reference.t_log_joint(
            problem.rows, problem.weights, problem.means, problem.matrices, self.degrees_of_freedom
        )

    @property
    def parameters(self):
        own = self.gaussian.parameters
        own["scales"] = own.pop("covariances")
        return own | {"degrees_of_freedom": self.degrees_of_freedom}

    def em_step(self):
        weights, means, scales, nu = reference.t_em_step(*self.gaussian, *self[1:])
        return self._replace(
            gaussian=self.gaussian._replace(weights=weights, means=means, covariances=scales), degrees_of_freedom=nu
        )

    def permuted(self, order):
        return self._replace(gaussian=self.gaussian.permuted(order), degrees_of_freedom=self.degrees_of_freedom[order])

    def moved(self, matrix, offset):
        return self._replace(gaussian=self.gaussian.moved(matrix, offset))

    def model(self, freedom=None, **options):
        freedom, nu = freedom or self.freedom, self.degrees_of_freedom
        return StudentTMixtureModel(
            self.gaussian.model(**options), np.full_like(nu, 3.0) if freedom == "shared" else nu, freedom
        )

    @property
    def start(self):
        problem = self.gaussian
        scales = problem.covariances
        if reference.one_for_all(problem.structure) and problem.structure != "tied":  # users see one for each component
            scales = np.repeat(scales, len(problem.weights), axis=0)
        return {
            "weights_init": problem.weights,
            "means_init": problem.means,
            "scales_init": scales,
            "degrees_of_freedom_init": self.degrees_of_freedom,
        }

    def mixture(self, **options):
        structure = self.gaussian.structure
        return StudentTMixture(len(self.weights), covariance_type=structure, **(self.start | options))

    def expected_statistics(self, weight):
        """E[u] = 1, E[u (x - mu)(x - mu)^T] = Sigma, E[log u] = psi(nu/2) - log(nu/2)."""
        moments, half = self.gaussian.expected_moments(weight), self.degrees_of_freedom / 2
        return StudentTStatistics(
            np.nan, moments.counts, moments.counts * (digamma(half) - np.log(half) - 1.0), moments
        )


def student_case(structure, n_rows, n_features, n_components, seed=0):
    problem = case(structure, n_rows, n_features, n_components, seed)
    return StudentCase(problem, np.geomspace(0.7, 60.0, n_components))
