"""The covariances of a structure as coordinates in which their complete-data information is the number of rows.

Near a component's Sigma = F F^T (F = L^-1, the lower Cholesky factor) a symmetric matrix is written
F (I + sum_a t_a T_a) F^T. The basis T spans what the structure allows and is orthonormal, tr(T_a T_b) / 2 = [a = b]:
then the score of N(x | mu, Sigma) by t_a at t = 0 is phi_a(z) = (z^T T_a z - tr T_a) / 2 with the standardised row
z = L (x - mu): the second Hermite polynomials over their norms, whose expected products are [a = b].

Throughout, `counts` is N = sum r, `first` M = sum r z and `second` H = sum r phi(z), over rows with responsibilities r.
"""

from abc import ABC, abstractmethod

import numpy as np


class Coordinates(ABC):
    """The formulas in which structures differ; one component at a time."""

    @abstractmethod
    def size(self, n_features: int) -> int:
        """Number of coordinates."""

    @abstractmethod
    def features(self, standard: np.ndarray) -> np.ndarray:
        """phi of standardised rows (n, D), (n, size)."""

    @abstractmethod
    def curvature(self, counts: float, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minus the second derivatives of sum r log N(x | mu, Sigma): by means and t (D, size), by t twice."""

    @abstractmethod
    def least_scatter(self, counts: float, second: np.ndarray, n_features: int) -> float:
        """The least variance of the standardised rows in any direction the structure knows: 1 at an optimum."""

    @abstractmethod
    def entries(self, n_features: int) -> list[tuple[int, ...]]:
        """Indices of the distinct entries of a covariance, in order."""

    @abstractmethod
    def jacobian(self, factor: np.ndarray) -> np.ndarray:
        """Derivatives of these entries by t, (size, size), from F (D, D)."""

    def pack(self, covariances: np.ndarray) -> np.ndarray:
        """The distinct entries of covariances of this structure, (K or 1, size)."""
        return covariances.reshape(-1, self.size(covariances.shape[-1]))

    def unpack(self, entries: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What `pack` was given."""
        return entries.reshape(shape)


class MatrixCoordinates(Coordinates):
    """Full and tied: the lower triangle, row by row; T_jj = sqrt(2) e_j e_j^T, T_ij = e_i e_j^T + e_j e_i^T."""

    def size(self, n_features):
        return n_features * (n_features + 1) // 2

    def features(self, standard):
        rows, columns = np.tril_indices(standard.shape[1])
        products = standard[:, rows] * standard[:, columns]
        diagonal = rows == columns
        products[:, diagonal] = (products[:, diagonal] - 1.0) / np.sqrt(2.0)
        return products

    def curvature(self, counts, first, second):
        basis = self._basis(len(first))
        deviation = np.einsum("a,aij->ij", second, basis)  # of the scatter sum r z z^T from N I
        products = basis.reshape(len(basis), -1)
        by_t = products @ (basis @ deviation).reshape(len(basis), -1).T
        return (basis @ first).T, counts * np.eye(len(basis)) + 0.5 * (by_t + by_t.T)

    def least_scatter(self, counts, second, n_features):
        deviation = np.einsum("a,aij->ij", second, self._basis(n_features))
        return float(1.0 + np.linalg.eigvalsh(deviation)[0] / counts)

    def entries(self, n_features):
        return [(int(i), int(j)) for i, j in zip(*np.tril_indices(n_features), strict=True)]

    def jacobian(self, factor):
        rows, columns = np.tril_indices(len(factor))
        straight = factor[np.ix_(rows, rows)] * factor[np.ix_(columns, columns)]
        crossed = factor[np.ix_(rows, columns)] * factor[np.ix_(columns, rows)]
        return np.where(rows == columns, np.sqrt(2.0) * straight, straight + crossed)

    def pack(self, covariances):
        rows, columns = np.tril_indices(covariances.shape[-1])
        return covariances.reshape(-1, *covariances.shape[-2:])[:, rows, columns]

    def unpack(self, entries, shape):
        rows, columns = np.tril_indices(shape[-1])
        matrices = np.empty((len(entries), *shape[-2:]))
        matrices[:, rows, columns] = matrices[:, columns, rows] = entries
        return matrices.reshape(shape)

    def _basis(self, n_features: int) -> np.ndarray:
        rows, columns = np.tril_indices(n_features)
        numbers = np.arange(len(rows))
        basis = np.zeros((len(rows), n_features, n_features))
        basis[numbers, rows, columns] = basis[numbers, columns, rows] = np.where(rows == columns, np.sqrt(2.0), 1.0)
        return basis


class DiagonalCoordinates(Coordinates):
    """Diag: T_j = sqrt(2) e_j e_j^T."""

    def size(self, n_features):
        return n_features

    def features(self, standard):
        return (standard**2 - 1.0) / np.sqrt(2.0)

    def curvature(self, counts, first, second):
        return np.sqrt(2.0) * np.diag(first), np.diag(counts + np.sqrt(8.0) * second)

    def least_scatter(self, counts, second, n_features):
        return float(1.0 + np.sqrt(2.0) * second.min() / counts)

    def entries(self, n_features):
        return [(j,) for j in range(n_features)]

    def jacobian(self, factor):
        return np.sqrt(2.0) * np.diag(np.diagonal(factor) ** 2)


class IsotropicCoordinates(Coordinates):
    """Spherical: T = sqrt(2 / D) I."""

    def size(self, n_features):
        return 1

    def features(self, standard):
        n_features = standard.shape[1]
        return ((standard**2).sum(axis=1, keepdims=True) - n_features) / np.sqrt(2.0 * n_features)

    def curvature(self, counts, first, second):
        root = np.sqrt(2.0 / len(first))
        return root * first[:, None], np.array([[counts + 2.0 * root * second[0]]])

    def least_scatter(self, counts, second, n_features):
        return float(1.0 + np.sqrt(2.0 / n_features) * second[0] / counts)

    def entries(self, n_features):
        return [()]

    def jacobian(self, factor):
        return np.array([[np.sqrt(2.0 / len(factor)) * factor[0, 0] ** 2]])

    def pack(self, covariances):
        return covariances.reshape(-1, 1)
