"""The problems that drive the property tests: every structure by every awkward shape."""

from typing import NamedTuple

import numpy as np
import reference

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


def case(structure, n_rows, n_features, n_components, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    means = 2.0 * rng.normal(size=(n_components, n_features)) + 5.0
    covariances = random_covariances(structure, n_components, n_features, rng)
    matrices = reference.matrices(structure, covariances, n_components, n_features)
    labels = rng.choice(n_components, p=weights, size=n_rows)
    rows = np.stack([rng.multivariate_normal(means[k], matrices[k]) for k in labels])
    sample_weight = rng.random(n_rows) * (rng.random(n_rows) > 0.2)
    sample_weight[0] = 1.0
    return Case(structure, rows, sample_weight, weights, means, covariances)


def random_covariances(structure, n_components, n_features, rng):
    factors = rng.normal(size=(n_components, n_features, n_features))
    matrices = factors @ factors.swapaxes(1, 2) / n_features + 0.5 * np.eye(n_features)
    return {
        "full": lambda: matrices,
        "tied": lambda: matrices[0],
        "diag": lambda: rng.uniform(0.3, 3.0, size=(n_components, n_features)),
        "spherical": lambda: rng.uniform(0.3, 3.0, size=n_components),
    }[structure]()
