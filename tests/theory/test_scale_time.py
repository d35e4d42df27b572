"""Size and time: the linear risk against draws and quadrature, the flow against its limit, where the collapse fails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.scale_time import (
    linear_gd_risk,
    random_subspace_flow,
    scale_time_collapse,
    subspace_risk,
)
from scalinglens.worlds.spectra import Spectrum, power_law


def _drawn(n, d, t, draws, rng):
    losses = []
    for _ in range(draws):
        X, w = rng.standard_normal((n, d)), rng.standard_normal(d)
        w /= np.linalg.norm(w)
        y = X @ w + 0.5 * rng.standard_normal(n)
        values, vectors = np.linalg.eigh(X.T @ X / n)
        values = np.maximum(values, 1e-12)
        fitted = vectors @ (-np.expm1(-values * t) / values * (vectors.T @ X.T @ y / n))
        losses.append(((fitted - w) ** 2).sum())
    return np.mean(losses), np.std(losses, ddof=1) / np.sqrt(draws)


def test_linear_risk_against_draws_and_stored_digits():
    rng = np.random.default_rng(0)
    for n, d, t, stored in ((100, 50, 10, 0.2108), (100, 200, 10, 0.7383), (100, 100, 100, 1.570)):
        found = linear_gd_risk(d, n, time=t, noise=0.25)
        assert found == pytest.approx(stored, rel=5e-4)
        mean, stderr = _drawn(n, d, t, 40, rng)
        # near d = n finite sizes matter
        assert found == pytest.approx(mean, **({"rel": 0.15} if n == d else {"abs": 3 * stderr}))


def test_linear_risk_against_quadrature():
    for g, t in ((0.1, 30.0), (0.5, 10.0), (0.9, 3.0), (2.0, 10.0), (9.0, 0.3)):
        low, high = (1 - g**0.5) ** 2, (1 + g**0.5) ** 2

        def f(x, g=g, t=t, low=low, high=high):
            density = np.sqrt((high - x) * (x - low)) / (2 * np.pi * g * x)
            return density * (2 * np.exp(-2 * x * t) + 0.3 * g * (1 - np.exp(-x * t)) ** 2 / x)

        exact = 2 * max(0, 1 - 1 / g) + quad(f, low, high, limit=500, epsabs=1e-13)[0]
        assert linear_gd_risk(g * 100, 100, time=t, signal=2.0, noise=0.3) == pytest.approx(exact, rel=1e-10)


def test_linear_risk_is_the_dynamical_model_on_a_flat_spectrum():
    flat = Spectrum([1.0], [1.0 / 50], [50.0])
    times = np.array([0.3, 3.0, 30.0])
    known = solve(RandomFeatures(flat, np.inf, 80, 0.2), times).test
    assert linear_gd_risk(50, 80, time=times, noise=0.2) == pytest.approx(known, rel=1e-6)


def test_linear_risk_ends():
    assert linear_gd_risk(50, 100, time=0.0, signal=3.0, noise=1.0) == 3.0
    late = linear_gd_risk([50, 200, 100], 100, time=np.inf, noise=0.25)
    assert late.tolist() == [0.25, 0.5 + 0.25, np.inf]
    assert linear_gd_risk([50, 200], 100, time=1e5, noise=0.25) == pytest.approx(late[:2], rel=1e-6)
    assert linear_gd_risk(100, 100, time=np.inf) == 0
    # double descent in d at a late time, none at an early one
    sizes = np.array([50, 100, 400])
    assert np.argmax(linear_gd_risk(sizes, 100, time=1e3, noise=0.25)) == 1
    assert np.argmax(linear_gd_risk(sizes, 100, time=1.0, noise=0.25)) == 2


@pytest.fixture(scope="module")
def deviations():
    """Relative deviation from the endless flow at tau = 1 and excess loss, for growing p, means of 8 draws."""
    rng = np.random.default_rng(0)
    r, P = 6, 1500
    K = rng.standard_normal((r, P)) / np.sqrt(P)
    A = rng.standard_normal((r, r))
    A, c = A @ A.T / r + 0.3 * np.eye(r), rng.standard_normal(r)

    def loss(a):
        return 0.5 * (a - c) @ A @ (a - c) + np.log(np.cosh(a - 0.5)).sum()

    def gradient(a):
        return A @ (a - c) + np.tanh(a - 0.5)

    limit = random_subspace_flow(gradient, K, size=np.inf, scaled_times=[1.0])[0]
    sizes, off, gap = np.array([16, 64, 256, 1024]), [], []
    for p in sizes:
        flows = [random_subspace_flow(gradient, K, size=p, scaled_times=[1.0], seed=s)[0] for s in range(8)]
        off.append(np.mean([np.linalg.norm(a - limit) / np.linalg.norm(limit) for a in flows]))
        gap.append(np.mean([loss(a) for a in flows]) / loss(limit) - 1)
    return sizes, np.array(off), np.array(gap)


def test_flow_deviates_by_the_root_of_the_size(deviations):
    sizes, off, gap = deviations
    scaled = off * np.sqrt(sizes / 6)
    assert np.all((scaled > 0.2) & (scaled < 0.7))
    assert np.polyfit(np.log(sizes), np.log(off), 1)[0] == pytest.approx(-0.5, abs=0.15)
    assert np.all(np.abs(gap[1:]) < np.abs(gap[0]) / 4)
    assert abs(gap[-1]) < 0.01


def test_flow_of_a_quadratic_is_an_exponential():
    K = np.array([[1.0, 2.0], [0.0, 1.0]])
    found = random_subspace_flow(lambda a: a - 1.0, K, size=np.inf, scaled_times=[0.0, 0.4], start=[2.0, 0.0])
    values, vectors = np.linalg.eigh(K @ K.T)
    exact = 1 + vectors @ (np.exp(-0.4 * values) * (vectors.T @ np.array([1.0, -1.0])))
    assert found[0].tolist() == [2.0, 0.0]
    assert found[1] == pytest.approx(exact, rel=1e-7)


SIZES, SAMPLES, NOISE = np.array([1200.0, 300.0, 150.0, 40.0]), 150, 0.05
SPECTRUM = power_law(1.5, 1.5, 800)


def test_the_collapse_breaks_down_and_it_is_said():
    """Stored: one draw of the target, so several percent away from the mean over targets."""
    found = subspace_risk(SPECTRUM, sizes=SIZES, scaled_times=[10, 1e3, 1e5], samples=SAMPLES, noise=NOISE)
    stored = [[0.66, 0.26, 0.28], [0.66, 0.33, 0.51], [0.71, 0.39, 2.07], [0.74, 0.67, 0.67]]
    assert found == pytest.approx(np.array(stored), rel=0.09)
    tau = np.geomspace(0.1, 1e5, 61)
    losses = subspace_risk(SPECTRUM, sizes=SIZES, scaled_times=tau, samples=SAMPLES, noise=NOISE)
    all_of_it = scale_time_collapse(SIZES, tau / SIZES[:, None], losses=losses)
    assert all_of_it.holds.tolist() == [True, False, False, False]
    assert all_of_it.residual_at_one > 0.3
    early = tau <= 10
    part = scale_time_collapse(SIZES, tau[early] / SIZES[:, None], losses=losses[:, early])
    assert part.exponent == pytest.approx(1, abs=0.1)
    assert part.residual_at_one < 0.05
    assert part.residual_apart > 5 * part.residual_at_one
    assert part.holds.tolist() == [True, True, True, False]  # p = 40 follows until p t = 4
    # the smaller the size, the earlier it leaves
    assert np.all(np.diff(all_of_it.holds_until) < 0)
    assert all_of_it.holds_until[1] > 10
    frame = all_of_it.to_frame()
    assert frame.worst[0] == 0
    assert frame["size"].tolist() == SIZES.tolist()


@pytest.mark.slow
def test_subspaces_against_draws():
    rng = np.random.default_rng(0)
    lam, w = np.arange(1.0, 801.0) ** -1.5, np.ones(800)
    tau = np.array([10, 1e3])
    for p in (40, 300):
        losses = []
        for _ in range(8):
            X = rng.standard_normal((SAMPLES, 800)) * np.sqrt(lam)
            R = rng.standard_normal((800, p))
            truth = w * rng.choice([-1.0, 1.0], 800)
            y = X @ truth + np.sqrt(NOISE) * rng.standard_normal(SAMPLES)
            features = X @ R / np.sqrt(p)
            values, vectors = np.linalg.eigh(features.T @ features / SAMPLES)
            values = np.maximum(values, 1e-13)
            right = vectors.T @ features.T @ y / SAMPLES
            theta = vectors @ (-np.expm1(-np.outer(values, tau)) / values[:, None] * right[:, None])
            losses.append((lam[:, None] * (R @ theta / np.sqrt(p) - truth[:, None]) ** 2).sum(0))
        theory = subspace_risk(SPECTRUM, sizes=[p], scaled_times=tau, samples=SAMPLES, noise=NOISE)[0]
        stderr = np.std(losses, axis=0, ddof=1) / np.sqrt(8)
        assert np.all(np.abs(np.mean(losses, axis=0) - theory) < 4 * stderr + 0.01 * theory)


@pytest.mark.parametrize("a", [0.5, 1.0, 1.7])
def test_collapse_finds_the_exponent_of_rows_of_any_length(a):
    sizes = [10.0, 100.0, 1000.0]
    times = [np.geomspace(1, 1e4, 80), np.geomspace(0.1, 1e3, 65), np.geomspace(0.01, 1e2, 70)]
    losses = [1 / (1 + 0.01 * p**a * t) for p, t in zip(sizes, times, strict=True)]
    found = scale_time_collapse(sizes, times, losses=losses)
    assert found.exponent == pytest.approx(a, abs=2e-3)
    assert bool(found.holds.all()) == (a == 1.0)
    rooted = scale_time_collapse(sizes, times, losses=losses, effective=np.sqrt)
    assert rooted.exponent == pytest.approx(2 * a, abs=4e-3)


def test_curves_of_time_alone_are_no_collapse():
    t = np.geomspace(1, 1e4, 40)
    found = scale_time_collapse([10, 40], t, losses=np.stack([t**-0.5, t**-0.5]))
    assert found.exponent == pytest.approx(0, abs=1e-3)
    assert not found.holds.all()
    assert found.residual_at_one > 0.3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: scale_time_collapse([1, 1], [1, 2, 3], losses=np.ones((2, 3))), "at least two differ"),
        (lambda: scale_time_collapse([1, 2], [1, 2, 3], losses=np.ones((2, 3))), "do not change"),
        (lambda: scale_time_collapse([1, 2], [1, 2, 3], losses=[[1, 2, 3]]), "1 rows for 2 sizes"),
        (lambda: scale_time_collapse([1, 2], [1, 2, 3], losses=[[1, 2, 3], [1, 2]]), "size 2 has"),
        (lambda: scale_time_collapse([1, 2], [3, 2, 1], losses=[[1, 2, 3], [1, 2, 4]]), "rising"),
        (lambda: scale_time_collapse([1, 2], [1, 2, 3], losses=[[1, 2, 3], [1, 2, 0]]), "losses of size 2"),
        (lambda: scale_time_collapse([1, 1e9], [1, 2, 3], losses=[[3, 2, 1], [4, 2, 1]]), "share no p t"),
        (lambda: linear_gd_risk(0, 3, time=1), "positive"),
        (lambda: linear_gd_risk(1, 3, time=-1), "time is 0 or more"),
        (lambda: linear_gd_risk(1, 3, time=1, noise=-1), "noise is -1"),
        (lambda: linear_gd_risk([1, 2], [1, 2, 3], time=1), "shapes do not go together"),
        (lambda: random_subspace_flow(lambda a: a, np.eye(2), size=1.5, scaled_times=[1.0]), "whole number"),
        (lambda: random_subspace_flow(lambda a: a, np.eye(2), size=2, scaled_times=[2.0, 1.0]), "rising"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(TheoryError, match=says):
        call()
