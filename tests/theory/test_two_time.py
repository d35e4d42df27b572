"""Contour integrals against the two-time equations, and those against the plainest way to write them."""

import numpy as np
import pytest

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.optimizers import GradientDescent, HeavyBall, Nesterov
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.scheduled import ScheduledDescent
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.transfer import transfer
from scalinglens.theory.two_time import two_times
from scalinglens.worlds.spectra import Spectrum, power_law

CONFIGURATIONS = [
    (RandomFeatures(power_law(1.5, 1.25, 60), 24, 32), GradientDescent(0.3)),
    (RandomFeatures(power_law(2.0, 1.5, 40), 30, 12, 0.3), GradientDescent(0.5)),
    (RandomFeatures(power_law(3.0, 1.2, 80), 16, 16, 0.1), HeavyBall(0.2, 0.7)),
    (RandomFeatures(power_law(1.3, 2.0, 50), np.inf, 20, 1.0), HeavyBall(0.4, 0.5)),
    (RandomFeatures(Spectrum([2.0, 1.0, 0.1], [1.0, 0.2, 3.0], [4, 20, 30]), 25), GradientDescent(0.2)),
]


@pytest.mark.parametrize(("problem", "optimizer"), CONFIGURATIONS)
def test_contours_agree_with_two_time_equations_to_eight_digits(problem, optimizer):
    steps = [1, 2, 5, 12, 24]
    slow = two_times(problem, 24, optimizer)
    fast = solve(problem, steps, optimizer, digits=11)
    assert fast.test == pytest.approx(slow.test[steps], rel=1e-8)
    assert fast.train == pytest.approx(slow.train[steps], rel=1e-8)
    assert np.all(abs(solve(problem, steps, optimizer).test - slow.test[steps]) < 1e-6 * slow.test[steps])


def test_transfer_functions_agree_with_two_time_equations():
    problem, optimizer = CONFIGURATIONS[0]
    slow = two_times(problem, 24, optimizer)
    fast = transfer(problem, [1, 5, 60], [1, 7, 24], optimizer, digits=11)
    assert fast == pytest.approx(slow.H[[0, 4, 59]][:, [1, 7, 24]], rel=1e-8)


def test_heavy_ball_at_a_thousand_modes():
    problem = RandomFeatures(power_law(1.5, 1.25, 1000), 128, 256)
    slow = two_times(problem, 100, HeavyBall(0.2, 0.8))
    fast = solve(problem, [5, 20, 100], HeavyBall(0.2, 0.8), digits=10)
    assert fast.test == pytest.approx(slow.test[[5, 20, 100]], rel=1e-8)
    assert fast.train == pytest.approx(slow.train[[5, 20, 100]], rel=1e-8)
    assert fast.test.round(6).tolist() == [1.042862, 0.511479, 0.402082]


def memory(steps, eta, mu):
    """S of heavy ball: what a push at step s has moved at step t."""
    T = steps + 1
    return np.array([[eta * sum(mu**j for j in range(t - s)) for s in range(T)] for t in range(T)])


def plain(problem, S):
    """The equations of the dossier as T x T matrices, mode by mode, without a thought for speed."""
    T = len(S)
    N, P, noise = float(problem.features), float(problem.samples), float(problem.noise)
    modes = [
        (lam, power)
        for lam, power, many in zip(
            problem.spectrum.eigenvalues, problem.spectrum.target_power, problem.spectrum.multiplicity, strict=True
        )
        for _ in range(int(many))
    ]
    one, R1, R3 = np.eye(T), np.eye(T), np.eye(T)
    for _ in range(2 * T):
        H = [np.linalg.inv(one + lam * S @ R3 @ R1) for lam, _ in modes]
        R02 = -sum(lam * h @ S @ R3 for (lam, _), h in zip(modes, H, strict=True))
        R24 = -sum(lam * R1 @ h @ S for (lam, _), h in zip(modes, H, strict=True))
        R1, R3 = np.linalg.inv(one - R02 / P), np.linalg.inv(one - R24 / N)
    C1 = C3 = np.zeros((T, T))
    for _ in range(2 * T):
        C0, C2 = np.zeros((T, T)), np.zeros((T, T))
        for (lam, power), h in zip(modes, H, strict=True):
            moved = lam * R1 @ h
            own = power / lam * np.ones((T, T)) + S @ C3 @ S.T / N
            C0 += lam * h @ (own + S @ R3 @ (lam * C1 / P) @ R3.T @ S.T) @ h.T
            C2 += moved @ own @ moved.T + (one - moved @ S @ R3) @ (lam * C1 / P) @ (one - moved @ S @ R3).T
        C1 = R1 @ (C0 + noise) @ R1.T
        C3 = R3 @ C2 @ R3.T
    return np.diag(C0), np.diag(C1)


@pytest.mark.parametrize("mu", [0.0, 0.6])
def test_power_series_agree_with_plain_matrices(mu):
    spectrum = Spectrum([1.0, 0.5, 0.2], [1.0, 2.0, 0.5], [1, 2, 6])
    problem = RandomFeatures(spectrum, 4, 6, 0.3)
    found = two_times(problem, 6, HeavyBall(0.3, mu) if mu else GradientDescent(0.3))
    test, train = plain(problem, memory(6, 0.3, mu))
    assert found.test == pytest.approx(test, rel=1e-12)
    assert found.train == pytest.approx(train, rel=1e-12)


def test_schedules_agree_with_plain_matrices():
    """Responses are no functions of differences of times any more, but as matrices they take any rates."""
    rates = np.array([0.05, 0.2, 0.5, 0.5, 0.4, 0.25, 0.1, 0.02])
    problem = RandomFeatures(Spectrum([1.0, 0.5, 0.2], [1.0, 2.0, 0.5], [1, 2, 6]), 4, 6, 0.3)
    S = np.tril(np.broadcast_to(np.append(rates, 0.0), (9, 9)), -1)
    test, train = plain(problem, S)
    found = solve(problem, np.arange(9), ScheduledDescent(rates), digits=12)
    assert found.test == pytest.approx(test, rel=1e-10)
    assert found.train == pytest.approx(train, rel=1e-10)


def test_negative_control_another_step_is_told_apart():
    problem = CONFIGURATIONS[0][0]
    slow = two_times(problem, 5, GradientDescent(0.3)).test[5]
    assert abs(float(solve(problem, 5, GradientDescent(0.3001)).test[0]) / slow - 1) > 1e-5


def test_what_it_does_not_do_is_refused():
    problem = CONFIGURATIONS[0][0]
    with pytest.raises(TheoryError, match="those of GradientDescent and HeavyBall, got Nesterov"):
        two_times(problem, 5, Nesterov(0.1, 0.5))  # type: ignore[arg-type]
    with pytest.raises(TheoryError, match="from 0 to 2000, or take solve"):
        two_times(problem, 3000, GradientDescent(0.1))
    with pytest.raises(TheoryError, match="one problem at a time"):
        two_times(RandomFeatures(problem.spectrum, [4, 5]), 5, GradientDescent(0.1))
