"""The limits of the random-feature problem against numbers computed by other means, and their exponents."""

import numpy as np
import pytest

from scalinglens.errors import ScalingLensError
from scalinglens.theory.random_features import RandomFeatures

HARD = RandomFeatures(modes=1000, capacity=1.25, source=1.5, noise=0.0)


def test_static_losses_agree_with_the_contour_integral():
    # theory-dynamical-model.md T3, P = infinity, M = 1000, t = 1e4: for N <= 64 converged to the static limit
    np.testing.assert_allclose(HARD.loss_of_params([8, 16, 64]), [1.355959, 0.998152, 0.462890], rtol=2e-6)


def test_unlimited_params_is_a_sum_over_modes():
    k = np.arange(1, 1001)
    for steps in (0, 1, 7, 300):
        by_hand = sum(k_**-1.5 * (1 - 0.3 * k_**-1.25) ** (2 * steps) for k_ in k.astype(float))
        assert float(HARD.loss_of_steps(steps, learning_rate=0.3)) == pytest.approx(by_hand, rel=1e-12)


def test_limits_at_nothing_and_everything():
    problem = RandomFeatures(modes=500, noise=0.3)
    start = problem.target_power.sum() + 0.3
    assert float(problem.loss_of_steps(0, learning_rate=0.4)) == pytest.approx(start, rel=1e-14)
    assert float(problem.loss_of_params(1e-6)) == pytest.approx(start, rel=1e-5)
    assert float(problem.loss_of_params(500)) == 0.3
    assert float(problem.loss_of_steps(1e9, learning_rate=0.4)) == pytest.approx(0.3, rel=1e-12)
    widths = problem.loss_of_params(np.arange(1, 500, 20))
    assert (np.diff(widths) < 0).all()


@pytest.mark.parametrize(("source", "capacity"), [(2.25, 2.0), (1.75, 2.0), (2.0, 1.5)])
def test_exponents_of_the_limits(source, capacity):
    # 2e5 modes put the cut-off far beyond N = 400 and t = 1e5; what is left are the corrections of relative order 1/N
    # to the width law and the cut-off's (k/M)^(a-1), below 3 percent of the exponent
    problem = RandomFeatures(modes=200_000, capacity=capacity, source=source, noise=0.0)
    low, high = problem.loss_of_params([200, 400])
    assert np.log2(low / high) == pytest.approx(problem.width_exponent, rel=0.03)
    low, high = problem.loss_of_steps([1e4, 4e4], learning_rate=0.4)
    assert np.log(low / high) / np.log(4) == pytest.approx(problem.steps_exponent, rel=0.03)


def test_the_width_exponent_of_an_easy_target_is_the_capacity():
    # a - 1 = 2 > b = 1.25: a single model cannot profit from the target's ease (dossier item 0.2, T11: slope -1.2438)
    problem = RandomFeatures(modes=100_000, capacity=1.25, source=3.0, noise=0.0)
    assert problem.width_exponent == 1.25
    low, high = problem.loss_of_params([256, 1024])
    assert np.log(low / high) / np.log(4) == pytest.approx(1.25, rel=0.05)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"capacity": 1.0}, "capacity is 1, but the spectrum must have a finite sum: choose capacity > 1"),
        ({"source": 0.5}, "choose source > 1"),
        ({"modes": 1}, "choose several hundred"),
        ({"noise": -1.0}, "a variance cannot be negative"),
    ],
)
def test_impossible_problems_are_refused(wrong, message):
    with pytest.raises(ScalingLensError, match=message):
        RandomFeatures(**wrong)
