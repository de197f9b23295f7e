"""Each identity of vector and matrix derivatives against central differences, at random matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fastem import derivatives

SIZES = [1, 2, 3, 5]
STEP = 1e-5


def derivative(function, x=0.0):
    """d function / dx by central differences; the function may return an array."""
    return (function(x + STEP) - function(x - STEP)) / (2 * STEP)


def gradient(function, A):
    """df / dA_ij for every entry."""
    found = np.empty(A.shape)
    for place in np.ndindex(A.shape):
        unit = np.zeros(A.shape)
        unit[place] = 1.0
        found[place] = derivative(lambda x, unit=unit: function(A + x * unit))
    return found


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def random_positive(n, seed=0):
    """Neither symmetric nor near singular, of positive determinant."""
    A = random(n, n, seed=seed)
    return A @ A.T + np.eye(n) + 0.3 * np.triu(random(n, n, seed=seed + 1), 1)


def curve(n, seed=0):
    """A matrix that depends on a number: A(x), and dA / dx at zero."""
    A, B, C = random_positive(n, seed), random(n, n, seed=seed + 2), random(n, n, seed=seed + 3)
    return lambda x: A + np.sin(x) * B + x**2 * C, A, B


@pytest.mark.parametrize("n", SIZES)
def test_gradient_of_a_linear_form(n):
    a, x = random(n), random(n, seed=1)
    assert_allclose(derivatives.linear_form_gradient(a), gradient(lambda x: a @ x, x), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_jacobian_of_a_linear_map(n):
    A, x = random(n + 1, n), random(n, seed=1)
    rows = np.stack([gradient(lambda x, i=i: (A @ x)[i], x) for i in range(n + 1)])
    assert_allclose(derivatives.linear_map_jacobian(A), rows, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_gradient_of_a_quadratic_form(n):
    A, x = random(n, n), random(n, seed=1)
    assert_allclose(derivatives.quadratic_form_gradient(A, x), gradient(lambda x: x @ A @ x, x), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n", SIZES)
def test_derivative_of_a_product(n):
    (first, A, dA), (second, B, dB) = curve(n), curve(n, seed=10)
    expected = derivative(lambda x: first(x) @ second(x))
    assert_allclose(derivatives.product_derivative(A, dA, B, dB), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n", SIZES)
def test_derivative_of_an_inverse(n):
    of_x, A, dA = curve(n)
    expected = derivative(lambda x: np.linalg.inv(of_x(x)))
    assert_allclose(derivatives.inverse_derivative(A, dA), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n", SIZES)
def test_derivative_of_ln_det(n):
    of_x, A, dA = curve(n)
    expected = derivative(lambda x: np.log(np.linalg.det(of_x(x))))
    assert_allclose(derivatives.log_det_derivative(A, dA), expected, rtol=1e-7)


@pytest.mark.parametrize("n", SIZES)
def test_gradient_of_tr_AB_is_B_transposed(n):
    A, B = random(n, n + 2), random(n + 2, n, seed=1)
    expected = gradient(lambda A: np.trace(A @ B), A)
    assert_allclose(derivatives.trace_of_product_gradient(B), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n", SIZES)
def test_gradient_of_tr_A_transposed_B_is_B(n):
    A, B = random(n, n + 2), random(n, n + 2, seed=1)
    expected = gradient(lambda A: np.trace(A.T @ B), A)
    assert_allclose(derivatives.inner_product_gradient(B), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n", SIZES)
def test_gradient_of_det_A(n):
    A = random_positive(n)
    expected = gradient(np.linalg.det, A)
    assert_allclose(derivatives.det_gradient(A), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("n", SIZES)
def test_gradient_of_ln_det_A(n):
    A = random_positive(n)
    expected = gradient(lambda A: np.log(np.linalg.det(A)), A)
    assert_allclose(derivatives.log_det_gradient(A), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n", SIZES)
def test_gradient_of_tr_A_inverse_B(n):
    A, B = random_positive(n), random(n, n, seed=5)
    expected = gradient(lambda A: np.trace(np.linalg.inv(A) @ B), A)
    assert_allclose(derivatives.trace_of_inverse_gradient(A, B), expected, rtol=1e-6, atol=1e-8)


@given(st.integers(1, 4), st.integers(0, 10_000))
def test_gradients_and_derivatives_agree_along_any_curve(n, seed):
    """df / dx = tr(gradient^T dA / dx)."""
    _, A, dA = curve(n, seed)
    along = np.sum(derivatives.log_det_gradient(A) * dA)
    assert_allclose(along, derivatives.log_det_derivative(A, dA), rtol=1e-8, atol=1e-10)
    B = random(n, n, seed=seed + 7)
    along = np.sum(derivatives.trace_of_inverse_gradient(A, B) * dA)
    assert_allclose(along, np.trace(derivatives.inverse_derivative(A, dA) @ B), rtol=1e-8, atol=1e-8)


def test_stacks_of_matrices():
    stack = np.stack([random_positive(3, seed) for seed in (0, 5, 9)])
    others = random(3, 3, 3)
    for function in (derivatives.det_gradient, derivatives.log_det_gradient, derivatives.trace_of_product_gradient):
        assert_allclose(function(stack), [function(A) for A in stack])
    for function in (derivatives.inverse_derivative, derivatives.log_det_derivative):
        assert_allclose(function(stack, others), [function(*pair) for pair in zip(stack, others, strict=True)])
    assert_allclose(
        derivatives.trace_of_inverse_gradient(stack, others),
        [derivatives.trace_of_inverse_gradient(A, B) for A, B in zip(stack, others, strict=True)],
    )
