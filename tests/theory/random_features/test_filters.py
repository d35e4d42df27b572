"""Optimizers as contours: sum_i w_i/(s_i + x) = p_t(x), and filters against their recursions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from scalinglens.errors import ScheduleError, TheoryError
from scalinglens.laws.schedule import Schedule
from scalinglens.theory.random_features.optimizers import (
    ContinuousMomentum,
    GradientDescent,
    GradientFlow,
    HeavyBall,
    Nesterov,
    WeightDecay,
)
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.scheduled import ScheduledDescent
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.spectra import Spectrum, power_law


def stepped(optimizer, x, times):
    """p_t(x) by the recursion of the weights themselves, for a quadratic loss of curvature x."""
    eta, mu = optimizer.learning_rate, getattr(optimizer, "momentum", 0.0)
    found, before, now = {}, np.ones_like(x), np.ones_like(x)
    for t in range(int(max(times)) + 1):
        found[t] = now
        ahead = now + mu * (now - before)
        slope = x * ahead if isinstance(optimizer, Nesterov) else x * now
        before, now = now, ahead - eta * slope
    return np.array([found[int(t)] for t in times])


@pytest.mark.parametrize(
    "optimizer",
    [GradientDescent(0.3), HeavyBall(0.3, 0.9), Nesterov(0.2, 0.9), HeavyBall(0.3, 0.0), Nesterov(0.2, 0.0)],
)
def test_filters_are_the_recursions(optimizer):
    x, times = np.concatenate(([0.0], np.geomspace(1e-6, 3, 40))), np.array([0.0, 1, 2, 3, 17, 200, 1000])
    assert optimizer.filter(x, times) == pytest.approx(
        stepped(optimizer, x, times), abs=3e-11
    )  # of rounding after a thousand steps
    # momentum zero is plain descent
    if getattr(optimizer, "momentum", None) == 0.0:
        assert optimizer.filter(x, times) == pytest.approx(GradientDescent(optimizer.learning_rate).filter(x, times))


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(["flow", "decay", "gd", "heavy", "nesterov", "momentum", "schedule"]),
    share=st.floats(0.02, 0.95),
    mu=st.sampled_from([0.0, 0.3, 0.8]),
    first=st.integers(1, 300),
    spread=st.floats(1, 1e5),
    edge=st.floats(0.2, 30),
)
def test_contours_give_the_filter(kind, share, mu, first, spread, edge):
    eta = share / edge
    optimizer = {
        "flow": GradientFlow(),
        "decay": WeightDecay(share),
        "gd": GradientDescent(2 * eta),
        "heavy": HeavyBall(2 * (1 + mu) * eta, mu),
        "nesterov": Nesterov(eta, mu),
        "momentum": ContinuousMomentum(10 ** (4 * mu - 2) / eta),
        "schedule": None,
    }[kind]
    times = np.unique(np.round(np.geomspace(first, first * spread, 5)))
    if kind == "schedule":
        times = np.unique(np.minimum(times, 20_000))
        steps = int(times[-1])
        optimizer = ScheduledDescent(Schedule.cosine(2 * eta, steps=steps, end=mu * eta, warmup=steps // 7))
    x = edge * np.concatenate(([0.0], np.geomspace(1e-9, 1, 50)))
    for rule in optimizer.rules(times, edge, 9.0):
        found = 2 * np.real((1 / (rule.s + x[:, None])) @ rule.weights).T
        # the sum over nodes at x = 0 cancels where the times span many decades; 9 digits were asked for
        assert found == pytest.approx(optimizer.filter(x, times[rule.which]), abs=3e-7)


def test_a_filter_can_be_told_from_another():
    rule = GradientDescent(0.3).rules(np.array([40.0]), 3.0, 9.0)[0]
    found = 2 * np.real((1 / (rule.s + 0.5)) @ rule.weights)
    assert abs(found - HeavyBall(0.3, 0.1).filter(np.array([0.5]), np.array([40.0]))).max() > 1e-4


@pytest.mark.parametrize(
    "optimizer",
    [
        HeavyBall(0.2, 0.8),
        Nesterov(0.2, 0.8),
        WeightDecay(0.05),
        GradientDescent(0.3),
        ContinuousMomentum(0.05),
        ContinuousMomentum(3.0),
        ScheduledDescent(Schedule.wsd(0.5, steps=25, decay_from=20, end=0.01, warmup=3)),
    ],
)
def test_white_data_are_integrals_over_marchenko_and_pastur(optimizer):
    """N = inf and lambda_k = 1: the mean loss is that of p_t over the eigenvalues of a Wishart matrix."""
    M, P, times = 200, 400, np.array([1.0, 4, 25])
    problem = RandomFeatures(Spectrum(np.ones(M), np.full(M, 1 / M)), samples=P)
    ratio = M / P
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
    nodes, weights = np.polynomial.legendre.leggauss(400)
    angle = np.pi / 2 * (nodes + 1)
    x = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
    density = np.pi / 2 * weights * ((high - low) / 2 * np.sin(angle)) ** 2 / (2 * np.pi * ratio * x)
    assert density.sum() == pytest.approx(1, rel=1e-12)
    left = optimizer.filter(x, times)
    found = solve(problem, times, optimizer, digits=11)
    assert found.test == pytest.approx((left**2) @ density, rel=1e-8)
    # the signal's share of the train loss is sum x p_t^2
    assert found.train == pytest.approx((left**2) @ (density * x), rel=1e-8)


def test_weight_decay_ends_in_ridge_regression():
    """N = inf: z of s = rho is the renormalised ridge, and the loss (t0 + sigma^2 g)/(1 - g) of kernel ridge regression."""
    spectrum, P, rho, noise = power_law(1.5, 1.25, 300), 50, 0.02, 0.3
    lam, power = spectrum.eigenvalues, spectrum.target_power
    low, high = rho, 100.0
    for _ in range(200):
        z = (low + high) / 2
        low, high = (z, high) if z * (1 - (lam / (z + lam)).sum() / P) < rho else (low, z)
    g = ((lam / (z + lam)) ** 2).sum() / P
    loss = ((power * (z / (z + lam)) ** 2).sum() + noise * g) / (1 - g)
    found = solve(RandomFeatures(spectrum, samples=P, noise=noise), [1e5, 1e8, np.inf], WeightDecay(rho))
    assert found.test == pytest.approx([loss] * 3, rel=1e-7)
    assert found.warnings == ()


def test_flow_with_momentum_is_its_differential_equation():
    """beta p'' + p' = -x p from p = 1, p' = 0, by the exponential of its matrix: overdamped, critical, oscillating."""
    beta, times = 0.5, np.array([0.0, 0.3, 2.0, 11.0])
    x = np.array([0.0, 1e-3, 0.4, 0.5 - 1e-13, 0.5, 0.5 + 1e-9, 0.6, 7.0, 300.0])
    direct = [[expm(np.array([[0.0, 1.0], [-k / beta, -1 / beta]]) * t)[0, 0] for k in x] for t in times]
    assert ContinuousMomentum(beta).filter(x, times) == pytest.approx(np.array(direct), abs=1e-11)


def test_momentum_between_its_limits():
    problem, times = RandomFeatures(power_law(1.5, 1.25, 200), 40, 60, 0.1), np.array([2.0, 20.0])
    flow = solve(problem, times).test
    # first order in beta, and gone with it
    off = [np.abs(solve(problem, times, ContinuousMomentum(beta)).test / flow - 1).max() for beta in (1e-3, 1e-4)]
    assert off[0] == pytest.approx(10 * off[1], rel=0.05)
    assert solve(problem, times, ContinuousMomentum(1e-7)).test == pytest.approx(flow, rel=1e-6)
    # heavy ball with small steps: n of them are time n eta/(1 - mu), the inertia is eta/(1 - mu)^2
    inertia, off = 1.5, []
    for share in (0.01, 0.001):  # 1 - mu
        ball = HeavyBall(inertia * share**2, 1 - share)
        steps = np.round(times / (inertia * share))
        aim = solve(problem, steps * inertia * share, ContinuousMomentum(inertia)).test
        off.append(np.abs(solve(problem, steps, ball).test / aim - 1).max())
    assert off[1] < 1e-3
    assert off[0] == pytest.approx(10 * off[1], rel=0.1)


def test_a_constant_schedule_is_descent():
    problem, eta, steps = (
        RandomFeatures(power_law(1.5, 1.25, 1000), 128, 256, 0.1),
        0.4,
        np.array([1.0, 7, 60, 900, 5000]),
    )
    plain = solve(problem, steps, GradientDescent(eta), digits=11)
    for schedule in ("constant(0.4, steps=5000)", np.full(5000, eta), Schedule.constant(eta, steps=5000)):
        found = solve(problem, steps, ScheduledDescent(schedule), digits=11)
        assert found.test == pytest.approx(plain.test, rel=1e-9)
        assert found.train == pytest.approx(plain.train, rel=1e-9)
    other = solve(problem, steps, ScheduledDescent("linear(0.4, steps=5000)"))
    assert np.abs(other.test / plain.test - 1)[2:].min() > 1e-4  # and another schedule is told apart


def test_the_order_of_the_steps_does_not_matter():
    """The factors of the product commute: a schedule backwards ends at the same loss."""
    rates = Schedule.cosine(0.5, steps=700, warmup=40).rates
    problem = RandomFeatures(power_law(1.5, 1.25, 300), 60, 100, 0.2)
    ends = [solve(problem, 700, ScheduledDescent(each), digits=11).test[0] for each in (rates, rates[::-1])]
    assert ends[0] == pytest.approx(ends[1], rel=1e-10)


def test_rates_that_have_been_zero_so_far_leave_the_beginning():
    problem = RandomFeatures(power_law(1.5, 1.25), 64, 128)
    rates = np.concatenate((np.zeros(4), np.full(5, 0.3)))
    found = solve(problem, [0, 1, 4, 5], ScheduledDescent(rates)).test
    np.testing.assert_allclose(found[1:3], found[0], rtol=1e-7)
    assert found[3] < 0.99 * found[0]


def test_what_a_schedule_does_not_reach_is_refused():
    problem = RandomFeatures(power_law(1.5, 1.25, 200), 40, 60)
    method = ScheduledDescent("cosine(0.3, steps=100)")
    for times in (101, [5, np.inf]):
        with pytest.raises(TheoryError, match="lies beyond the 100 steps of the schedule; give a longer one"):
            solve(problem, times, method)
    with pytest.raises(TheoryError, match=r"rates make the descent diverge: by step 9 .*keep them below 2/"):
        solve(problem, [2, 9], ScheduledDescent(np.full(9, 3.0)))
    with pytest.raises(ScheduleError, match="cannot read the schedule"):
        ScheduledDescent("parabola(3)")  # type: ignore[arg-type]


def test_small_steps_are_the_flow_and_small_decay_is_none():
    problem = RandomFeatures(power_law(1.5, 1.25, 200), 40, 60, 0.1)
    flow = solve(problem, [2, 20]).test
    assert solve(problem, [20_000, 200_000], GradientDescent(1e-4)).test == pytest.approx(flow, rel=2e-4)
    # after the first 1/(1 - mu) steps momentum mu is a learning rate 1/(1 - mu) times as large
    assert solve(problem, [40_000], HeavyBall(1e-4 / 2, 0.9)).test == pytest.approx(flow[1:], rel=1e-3)
    assert solve(problem, [2, 20], WeightDecay(1e-7)).test == pytest.approx(flow, rel=1e-5)


@pytest.mark.parametrize("optimizer", [GradientDescent(2.0), HeavyBall(9.0, 0.5), Nesterov(9.0, 0.5)])
def test_steps_that_diverge_are_refused(optimizer):
    with pytest.raises(TheoryError, match=r"makes the descent diverge: the largest eigenvalue is .* choose it below"):
        solve(RandomFeatures(power_law(1.5, 1.25, 200), 10, 60), [10], optimizer)
