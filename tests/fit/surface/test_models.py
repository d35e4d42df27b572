"""Network, kernel and the posterior they share: derivatives, a direct solution, and the evidence in closed form."""

import numpy as np
import pytest

from scalinglens.fit.surface.kernel import Kernel, gaussians
from scalinglens.fit.surface.network import Network
from scalinglens.fit.surface.posterior import estimate


@pytest.mark.parametrize(("inputs", "width"), [(1, 3), (2, 8), (4, 5)])
def test_the_jacobian_of_a_network_is_its_derivative(inputs, width):
    rng = np.random.default_rng(0)
    model = Network(inputs, width)
    theta, x = model.start(3, rng), rng.normal(size=(7, inputs))
    value, J = model.jacobian(theta, x)
    np.testing.assert_array_equal(value, model.values(theta, x))
    step = 1e-6 * np.eye(model.parameters)
    numeric = np.stack([(model.values(theta + e, x) - model.values(theta - e, x)) / 2e-6 for e in step], axis=-1)
    np.testing.assert_allclose(J, numeric, atol=1e-8)  # truncation 1e-12, rounding 1e-10
    assert len(model.groups) == model.parameters == J.shape[2]


def test_a_network_is_the_formula_written_out():
    from math import erf, sqrt

    model = Network(2, 2)
    theta = np.arange(1.0, model.parameters + 1) / 10
    gelu = lambda z: 0.5 * z * (1 + erf(z / sqrt(2)))  # noqa: E731
    x = (0.3, -0.7)
    W1, b1, W2, b2 = theta[:4].reshape(2, 2), theta[4:6], theta[6:10].reshape(2, 2), theta[10:12]
    W3, b3, line = theta[12:14], theta[14], theta[15:17]
    a = [gelu((x[0] * W1[0, j] + x[1] * W1[1, j]) / sqrt(2) + b1[j]) for j in (0, 1)]
    c = [gelu((a[0] * W2[0, j] + a[1] * W2[1, j]) / sqrt(2) + b2[j]) for j in (0, 1)]
    expected = (c[0] * W3[0] + c[1] * W3[1]) / sqrt(2) + b3 + x[0] * line[0] + x[1] * line[1]
    assert model.values(theta[None], np.array([x]))[0, 0] == pytest.approx(expected, rel=1e-14)


def test_kernel_regression_is_the_published_recipe():
    """Reference twin: solve (W K + lambda I) c = W y again and again with Huber's weights."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 2))
    y = np.sin(x[:, 0]) + 0.3 * x[:, 1] + 0.05 * rng.standard_t(2, size=60)
    delta, ridge = 0.02, 1e-2
    K = np.exp(-0.5 * (x[:, :1] - x[:, 0]) ** 2) + np.exp(-0.5 * (x[:, 1:] - x[:, 1]) ** 2)
    K += np.exp(-0.5 * ((x[:, None] - x) ** 2).sum(-1))
    w = np.ones(60)
    for _ in range(2000):
        c = np.linalg.solve(w[:, None] * K + ridge * np.eye(60), w * y)
        w = np.minimum(1, delta / np.maximum(np.abs(y - K @ c), 1e-300))
    model = Kernel.build(x)
    found = estimate(model, x, y, np.ones((1, 60)), model.start(1, rng), delta=delta, ridge=ridge)
    assert found.converged.all()
    at = rng.normal(size=(40, 2))
    # the search stops at a relative progress of 1e-3 of the objective: a hundredth of the noise in the function
    np.testing.assert_allclose(model.values(found.theta, at)[0], gaussians(at, x) @ c, atol=5e-3)


def test_the_evidence_of_a_linear_model_satisfies_mackays_equations():
    rng = np.random.default_rng(2)

    class Line:
        parameters, groups = 3, np.zeros(3, dtype=int)

        def values(self, theta, x):
            return theta @ x.T

        def jacobian(self, theta, x):
            return theta @ x.T, np.broadcast_to(x, (len(theta), *x.shape))

    x = rng.normal(size=(50, 3))
    y = x @ [1.0, -0.5, 0.2] + 0.3 * rng.normal(size=50)
    found = estimate(Line(), x, y, np.ones((1, 50)), np.zeros((1, 3)), delta=1e3)  # delta so large: squares
    alpha, beta = 1.0, 1.0
    for _ in range(500):  # MacKay 1992, fixed point with the exact posterior
        A = beta * x.T @ x + alpha * np.eye(3)
        mean = beta * np.linalg.solve(A, x.T @ y)
        gamma = 3 - alpha * np.trace(np.linalg.inv(A))
        alpha, beta = gamma / (mean @ mean), (50 - gamma) / np.sum((y - x @ mean) ** 2)
    np.testing.assert_allclose(found.theta[0], mean, rtol=2e-3)
    assert found.determined[0] == pytest.approx(gamma, rel=1e-2)


def test_lanes_do_not_know_of_each_other():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 2))
    y = x[:, 0] ** 2 + 0.1 * rng.normal(size=40)
    model = Network(2, 4)
    start = model.start(3, rng)
    weights = rng.integers(0, 3, size=(3, 40)).astype(float)
    together = estimate(model, x, y, weights, start, delta=0.05)
    alone = [estimate(model, x, y, weights[[i]], start[[i]], delta=0.05).theta[0] for i in range(3)]
    np.testing.assert_allclose(together.theta, alone, rtol=1e-6, atol=1e-9)


def test_a_stray_run_does_not_pull_the_surface():
    rng = np.random.default_rng(4)
    x = np.linspace(-2, 2, 60)[:, None]
    y = np.sin(x[:, 0]) + 0.01 * rng.normal(size=60)
    spoilt = y.copy()
    spoilt[30] += 5
    model = Kernel.build(x)
    found = [
        model.values(estimate(model, x, t, np.ones((1, 60)), model.start(1, rng), delta=1e-3).theta, x)[0]
        for t in (y, spoilt)
    ]
    assert np.max(np.abs(found[1] - found[0])) < 0.02
