"""Derivatives by vectors and matrices: the identities that the M-step and the score of a Gaussian mixture rest on.

A gradient by a matrix A has the entries df / dA_ij, so that df = sum_ij gradient_ij dA_ij = tr(gradient^T dA); all
entries of A are free, symmetric or not. Matrices may come in stacks: leading axes are those of NumPy's `matmul`. The
formulas are those of Petersen and Pedersen, The Matrix Cookbook (2012), sections 2.1 to 2.5.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def linear_form_gradient(a: ArrayLike) -> Array:
    """d(a^T x) / dx = a, the gradient (n,) of a linear form."""
    return np.asarray(a, dtype=np.float64)


def linear_map_jacobian(A: ArrayLike) -> Array:
    """d(A x) / dx = A, the Jacobian (m, n): row i is the gradient of the i-th value."""
    return np.asarray(A, dtype=np.float64)


def quadratic_form_gradient(A: ArrayLike, x: ArrayLike) -> Array:
    """d(x^T A x) / dx = (A + A^T) x, (..., n); for a symmetric A that is 2 A x."""
    A, x = _arrays(A, x)
    return np.einsum("...ij,...j->...i", A + _transposed(A), x)


def product_derivative(A: ArrayLike, dA: ArrayLike, B: ArrayLike, dB: ArrayLike) -> Array:
    """d(A B) / dx = (dA/dx) B + A (dB/dx), from A, B and their derivatives by a number x."""
    A, dA, B, dB = _arrays(A, dA, B, dB)
    return dA @ B + A @ dB


def inverse_derivative(A: ArrayLike, dA: ArrayLike) -> Array:
    """d(A^-1) / dx = -A^-1 (dA/dx) A^-1, from A and its derivative by a number x."""
    A, dA = _arrays(A, dA)
    inverse = np.linalg.inv(A)
    return -inverse @ dA @ inverse


def log_det_derivative(A: ArrayLike, dA: ArrayLike) -> Array:
    """d ln det A / dx = tr(A^-1 dA/dx), from A of positive determinant and its derivative by a number x."""
    A, dA = _arrays(A, dA)
    return np.trace(np.linalg.solve(A, dA), axis1=-2, axis2=-1)


def trace_of_product_gradient(B: ArrayLike) -> Array:
    """d tr(A B) / dA = B^T, whatever A is."""
    return _transposed(np.asarray(B, dtype=np.float64))


def inner_product_gradient(B: ArrayLike) -> Array:
    """d tr(A^T B) / dA = B, whatever A is: tr(A^T B) = sum_ij A_ij B_ij."""
    return np.asarray(B, dtype=np.float64)


def det_gradient(A: ArrayLike) -> Array:
    """d det(A) / dA = det(A) A^-T."""
    (A,) = _arrays(A)
    return np.linalg.det(A)[..., None, None] * _transposed(np.linalg.inv(A))


def log_det_gradient(A: ArrayLike) -> Array:
    """d ln det A / dA = A^-T: `det_gradient` over det A."""
    (A,) = _arrays(A)
    return _transposed(np.linalg.inv(A))


def trace_of_inverse_gradient(A: ArrayLike, B: ArrayLike) -> Array:
    """d tr(A^-1 B) / dA = -(A^-1 B A^-1)^T: the derivative of an inverse in that of a trace."""
    A, B = _arrays(A, B)
    inverse = np.linalg.inv(A)
    return -_transposed(inverse @ B @ inverse)


def _arrays(*operands: ArrayLike) -> tuple[Array, ...]:
    return tuple(np.asarray(operand, dtype=np.float64) for operand in operands)


def _transposed(matrices: NDArray[np.floating[Any]]) -> Array:
    return np.swapaxes(matrices, -1, -2)
