"""The batched minimiser against finite differences, scipy.optimize and its own promises about lanes."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize

from scalinglens.numerics.newton import Objective, expand, minimise


@dataclass(frozen=True)
class Curve:
    """m = exp(u0) + exp(u1 - u2 x), the ten-line twin of a saturating power law; derivatives by hand."""

    x: np.ndarray
    size = 3
    block = 7

    def evaluate(self, u):
        floor, term = np.exp(u[:, :1]), np.exp(u[:, 1:2] - u[:, 2:3] * self.x)
        return floor + term, (np.broadcast_to(floor, term.shape), term)

    def assemble(self, state, first, gauss, curve, majorant):
        floor, term = state
        slopes = np.stack([floor, term, -term * self.x], axis=1)
        second = np.zeros((len(floor), 3, 3, len(self.x)))
        second[:, 0, 0] = floor
        second[:, 1, 1], second[:, 2, 2] = term, term * self.x**2
        second[:, 1, 2] = second[:, 2, 1] = -term * self.x
        products = slopes[:, :, None] * slopes[:, None]
        return (
            np.einsum("lr,lpr->lp", first, slopes),
            np.einsum("lr,lpqr->lpq", gauss, products) + np.einsum("lr,lpqr->lpq", curve, second),
            np.einsum("lr,lpqr->lpq", majorant, products),
        )


@dataclass(frozen=True)
class Straight:
    """m = X u: what is minimised is then convex."""

    rows: np.ndarray
    block = 7

    @property
    def size(self):
        return self.rows.shape[1]

    def evaluate(self, u):
        return u @ self.rows.T, None

    def assemble(self, state, first, gauss, curve, majorant):
        X = self.rows
        hessian, scale = (np.einsum("lr,rp,rq->lpq", part, X, X) for part in (gauss, majorant))
        return first @ X, hessian, scale


def log_link(m):
    return np.log(m), 1 / m, -1 / m**2


TRUTH = np.array([0.5, 1.2, 0.8])


def problem(rows=60, noise=0.02, threshold=1e-3, seed=0, link=None, asymmetry=1.0):
    rng = np.random.default_rng(seed)
    model = Curve(rng.uniform(0, 4, rows))
    clean = model.evaluate(TRUTH[None])[0][0]
    target = (clean if link is None else np.log(clean)) + noise * rng.standard_t(3, rows)
    return Objective(model, target, rng.uniform(0.5, 2.0, rows), threshold, link, asymmetry)


def value(objective, u):
    """The sum written from its definition, row by row."""
    m = objective.model.evaluate(np.asarray(u)[None])[0][0]
    z = (m if objective.link is None else objective.link(m)[0]) - objective.target
    d = objective.threshold
    rho = np.where(np.abs(z) <= d, z**2 / 2, d * (np.abs(z) - d / 2) if np.isfinite(d) else 0.0)
    return float(np.sum(objective.weights * rho * np.where(z > 0, objective.asymmetry, 1.0)))


def residuals(objective, u):
    m = objective.model.evaluate(np.asarray(u)[None])[0][0]
    return (m if objective.link is None else objective.link(m)[0]) - objective.target


def gradient(objective, u, step=1e-6):
    eye = np.eye(len(u))
    return np.array([(value(objective, u + step * e) - value(objective, u - step * e)) / (2 * step) for e in eye])


@pytest.mark.parametrize("threshold", [np.inf, 0.05, 1e-3])
@pytest.mark.parametrize("link", [None, log_link])
@pytest.mark.parametrize("asymmetry", [1.0, 10.0])
def test_gradient_hessian_and_majorant_are_those_of_the_definition(threshold, link, asymmetry):
    objective = problem(threshold=threshold, link=link, asymmetry=asymmetry)
    u = TRUTH + np.array([0.02, -0.03, 0.05])
    size, step = np.abs(residuals(objective, u)), 1e-6
    # the second derivative jumps at the corners; no residual may cross one inside the step
    assert np.min(size) > 10 * step
    assert np.min(np.abs(size - threshold)) > 10 * step
    here = expand(objective, u[None])
    assert here.value[0] == pytest.approx(value(objective, u), rel=1e-13)
    # central differences: truncation h^2 = 1e-12, rounding 1e-16/h = 1e-10 of the value
    np.testing.assert_allclose(here.gradient[0], gradient(objective, u), rtol=1e-7, atol=1e-8)
    eye = np.eye(3)
    ahead = expand(objective, u + step * eye).gradient
    behind = expand(objective, u - step * eye).gradient
    numeric = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(here.hessian[0], numeric, rtol=1e-6, atol=1e-7 * np.abs(numeric).max())
    slopes = np.stack(
        [(residuals(objective, u + step * e) - residuals(objective, u - step * e)) / (2 * step) for e in eye]
    )
    z = residuals(objective, u)
    weights = objective.weights * np.where(z > 0, asymmetry, 1.0) * np.minimum(1.0, threshold / np.abs(z))
    np.testing.assert_allclose(here.majorant[0], (slopes * weights) @ slopes.T, rtol=1e-7)


def test_the_majorant_lies_above_a_robust_sum_of_straight_residuals():
    rng = np.random.default_rng(1)
    objective = Objective(Straight(rng.normal(size=(40, 4))), rng.normal(size=40), rng.uniform(0.5, 2, 40), 0.1)
    u = rng.normal(size=4)
    here = expand(objective, u[None])
    for length in (1e-3, 0.1, 1.0, 10.0):
        for _ in range(20):
            step = length * rng.normal(size=4)
            above = here.value[0] + here.gradient[0] @ step + 0.5 * step @ here.majorant[0] @ step
            assert value(objective, u + step) <= above * (1 + 1e-12)


@pytest.mark.parametrize("threshold", [1.0, 0.02, 1e-3])
@pytest.mark.parametrize("seed", range(4))
def test_minimum_is_as_low_as_least_squares_with_huber_loss_gets(threshold, seed):
    objective = problem(threshold=threshold, seed=seed)
    root = np.sqrt(objective.weights)  # scipy weighs inside the corner: make weights equal for the comparison
    objective = replace(objective, weights=np.ones_like(root))
    found = minimise(objective, TRUTH[None] + 0.1)
    peer = least_squares(
        lambda u: residuals(objective, u), TRUTH + 0.1, loss="huber", f_scale=threshold,
        xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=4000,
    )  # fmt: skip
    assert found.converged[0]
    # scipy's cost is exactly this objective; it may stop early, never lower
    assert found.value[0] <= peer.cost * (1 + 1e-9)
    if threshold >= 0.02:  # where scipy converges the minima agree to its tolerance
        assert found.value[0] == pytest.approx(peer.cost, rel=1e-7)
        np.testing.assert_allclose(found.u[0], peer.x, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("link", [None, log_link])
@pytest.mark.parametrize("asymmetry", [1.0, 4.0])
def test_minimum_is_as_low_as_quasi_newton_with_tight_tolerances_gets(link, asymmetry):
    objective = problem(threshold=0.01, link=link, asymmetry=asymmetry, seed=3)
    found = minimise(objective, TRUTH[None] + 0.2)
    peer = minimize(
        lambda u: 1e4 * value(objective, u), TRUTH + 0.2,
        jac=lambda u: 1e4 * expand(objective, u[None]).gradient[0],
        method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-10},
    )  # fmt: skip
    assert found.converged[0]
    assert found.value[0] <= peer.fun / 1e4 * (1 + 1e-10)
    assert found.value[0] == pytest.approx(peer.fun / 1e4, rel=1e-5)
    assert found.value[0] == pytest.approx(value(objective, found.u[0]), rel=1e-13)


def test_straight_squares_are_solved_exactly():
    rng = np.random.default_rng(5)
    X, y, w = rng.normal(size=(30, 4)), rng.normal(size=30), rng.uniform(0.1, 2, 30)
    found = minimise(Objective(Straight(X), y, w), np.zeros((1, 4)))
    root = np.sqrt(w)
    exact = np.linalg.lstsq(X * root[:, None], y * root, rcond=None)[0]
    np.testing.assert_allclose(found.u[0], exact, rtol=1e-10)


def test_bounds_hold_and_the_optimum_on_them_is_that_of_a_bounded_solver():
    objective = problem(threshold=np.inf)
    lower, upper = np.array([-np.inf, -np.inf, 0.9]), np.array([0.45, np.inf, np.inf])
    found = minimise(objective, np.array([[0.1, 1.0, 1.5], [0.44, 2.0, 0.95]]), lower=lower, upper=upper)
    peer = least_squares(
        lambda u: np.sqrt(objective.weights) * residuals(objective, u), [0.1, 1.0, 1.5],
        bounds=(lower, upper), xtol=1e-15, ftol=1e-15, gtol=1e-15,
    )  # fmt: skip
    assert np.all(found.converged)
    assert np.all((found.u >= lower) & (found.u <= upper))
    np.testing.assert_allclose(found.value, peer.cost, rtol=1e-8)
    np.testing.assert_allclose(found.u, np.stack([peer.x, peer.x]), atol=1e-5)


def test_equal_bounds_hold_a_coordinate_and_the_rest_is_the_smaller_problem():
    objective = problem(threshold=0.01)
    held = 0.7
    low, high = np.array([-np.inf, -np.inf, held]), np.array([np.inf, np.inf, held])
    found = minimise(objective, np.array([[0.4, 1.0, 0.7]]), lower=low, upper=high)
    peer = minimize(lambda v: value(objective, [*v, held]), [0.4, 1.0], method="Nelder-Mead",
                    options={"xatol": 1e-10, "fatol": 1e-16, "maxiter": 4000})  # fmt: skip
    assert found.u[0, 2] == held
    assert found.value[0] == pytest.approx(peer.fun, rel=1e-8)


@pytest.mark.parametrize("block", [1, 7, 96, 1000])
def test_a_lane_ends_at_the_same_point_whatever_its_company(block):
    rng = np.random.default_rng(8)
    objective = problem(threshold=1e-3)
    lanes = 130
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=lanes).astype(float)
    objective = replace(objective, weights=weights)
    starts = TRUTH + 0.05 * rng.normal(size=(lanes, 3))
    together = minimise(objective, starts)
    apart = minimise(objective, starts, block=block)
    order = rng.permutation(lanes)
    mixed = minimise(objective.lanes(order), starts[order], block=block)
    # the same arithmetic in another order of summation: objectives equal to rounding, points where they are sharp
    np.testing.assert_allclose(apart.value, together.value, rtol=1e-12)
    np.testing.assert_allclose(mixed.value, together.value[order], rtol=1e-12)
    np.testing.assert_allclose(apart.u, together.u, atol=1e-6)


def test_thresholds_may_differ_from_lane_to_lane():
    thresholds = np.array([np.float64(0.5), 0.02, 1e-3])
    objective = replace(problem(), threshold=thresholds)
    found = minimise(objective, np.broadcast_to(TRUTH, (3, 3)).copy())
    for lane, threshold in enumerate(thresholds):
        alone = minimise(replace(objective, threshold=float(threshold)), TRUTH[None])
        assert found.value[lane] == pytest.approx(alone.value[0], rel=1e-12)


def test_a_start_in_nonsense_spoils_no_other_lane():
    objective = problem(threshold=1e-3)
    found = minimise(objective, np.array([TRUTH, [800.0, 0.0, 0.0], [np.nan, 0, 0], TRUTH + 0.1]))
    assert found.converged[[0, 3]].all()
    assert not found.converged[2]
    assert np.isinf(found.value[2])
    # the second may crawl out of its overflow into some valley, but what it reports there must be true
    assert np.isinf(found.value[1]) or found.value[1] == pytest.approx(value(objective, found.u[1]), rel=1e-12)
    assert found.value[0] == pytest.approx(found.value[3], rel=1e-10)


def test_data_without_noise_are_met_to_rounding():
    found = minimise(problem(noise=0.0, threshold=1e-3), TRUTH[None] + 0.3)
    assert found.converged[0]
    np.testing.assert_allclose(found.u[0], TRUTH, atol=1e-9)


def test_a_coordinate_without_influence_stays_and_the_others_are_fitted():
    rng = np.random.default_rng(2)
    X = np.column_stack([rng.normal(size=(20, 2)), np.zeros(20)])
    y = rng.normal(size=20)
    found = minimise(Objective(Straight(X), y, np.ones(20)), np.full((1, 3), 0.5))
    np.testing.assert_allclose(found.u[0, :2], np.linalg.lstsq(X[:, :2], y, rcond=None)[0], rtol=1e-9)
    assert found.u[0, 2] == 0.5


def test_progress_counts_every_lane_once():
    seen = []
    minimise(problem(), TRUTH + np.zeros((20, 3)), block=6, progress=lambda done, lanes: seen.append((done, lanes)))
    assert seen[-1] == (20, 20)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
