"""The information bound: chain rule by brute force, the teacher's draws, the best split and its trends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from scalinglens.errors import TheoryError
from scalinglens.theory.information import (
    bayes_excess_log_loss,
    info_bound,
    info_optimal_allocation,
    misspecification,
)

SIZES = {"dimension": 10, "complexity": 10}


def test_chain_rule_on_linear_regression():
    rng = np.random.default_rng(0)
    excess, information = [], []
    for _ in range(300):
        X = rng.standard_normal((200, 8))
        y = X @ rng.standard_normal(8) + 0.5 * rng.standard_normal(200)
        found = bayes_excess_log_loss(X, y, prior_variance=1.0, noise_variance=0.25)
        excess.append(found[0][-1] / 200)
        information.append(found[1][-1] / 200)
    stderr = np.std(excess, ddof=1) / np.sqrt(300)
    assert np.mean(excess) == pytest.approx(np.mean(information), abs=3 * stderr)
    assert np.mean(excess) == pytest.approx(0.1319, abs=3 * 0.0008 * np.sqrt(2))
    assert np.mean(information) == pytest.approx(0.1333, abs=3e-4)


def test_excess_log_loss_is_the_log_evidence():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal((2, 12))
    excess, information = bayes_excess_log_loss(X, y, prior_variance=0.7, noise_variance=0.3)
    entropy = 0.5 * np.log(2 * np.pi * np.e * 0.3)
    for k in range(1, 13):
        covariance = 0.7 * X[:k] @ X[:k].T + 0.3 * np.eye(k)
        evidence = [multivariate_normal(np.zeros(k), covariance).logpdf(row[:k]) for row in y]
        assert excess[:, k - 1] == pytest.approx(-np.array(evidence) - k * entropy, rel=1e-9, abs=1e-9)
        assert information[k - 1] == pytest.approx(0.5 * np.linalg.slogdet(covariance / 0.3)[1], rel=1e-10)


def test_units_of_a_teacher():
    found = {n: misspecification(n, dimension=10, complexity=50, repeats=60) for n in (16, 64, 256, 1024)}
    scaled = np.array([n * one.mse / 50 for n, one in found.items()])
    # 0.46, 0.69, 0.49, 0.53 in other draws: flat, so 1/n
    assert np.all((scaled > 0.38) & (scaled < 0.75))
    assert abs(np.polyfit(np.log(list(found)), np.log(scaled), 1)[0]) < 0.1
    for n, one in found.items():
        assert 0.7 < one.divergence / (one.mse / 8) <= 1
        assert 0.03 < n * one.divergence / 50 < 0.09
        assert one.distinct == pytest.approx(50 * np.log1p(n / 50), rel=0.05)


def test_best_split_against_another_minimiser():
    for C in (1e4, 1e8, 1e16):
        found = info_optimal_allocation(C, **SIZES)
        other = minimize_scalar(
            lambda x, C=C: float(info_bound(np.exp(x), C / np.exp(x), **SIZES).total),
            bounds=(0, np.log(C)),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert found.bound == pytest.approx(other.fun, rel=1e-12)
        assert np.log(found.params) == pytest.approx(other.x, abs=1e-5)
        assert found.params * found.samples == pytest.approx(C, rel=1e-12)


def test_slope_rises_towards_one_half():
    C = np.geomspace(1e8, 1e20, 7)
    found = info_optimal_allocation(C, **SIZES)
    slope = np.diff(np.log(found.params)) / np.diff(np.log(C))
    assert np.all((slope > 0.40) & (slope < 0.50))
    assert np.all(np.diff(slope) > 0)
    assert slope[[0, -1]] == pytest.approx([0.414, 0.471], abs=1e-3)
    assert found.slope == pytest.approx(np.gradient(np.log(found.params), np.log(C)), abs=0.02)
    loss = np.diff(np.log(found.bound)) / np.diff(np.log(C))
    assert loss[[0, -1]] == pytest.approx([-0.41, -0.47], abs=6e-3)


def test_share_of_the_model_rises_with_dimension_and_complexity():
    ratio = [info_optimal_allocation(1e8, dimension=d, complexity=10.0) for d in (1.0, 10.0, 100.0)]
    assert [float(one.params / one.samples) for one in ratio] == pytest.approx([0.0106, 0.0234, 0.0809], abs=6e-5)
    other = info_optimal_allocation(1e8, dimension=10.0, complexity=[1.0, 10.0, 100.0])
    assert other.params == pytest.approx([float(one.params) for one in ratio], rel=1e-9)


def test_parts_of_the_bound():
    found = info_bound([1e3, 1e6], [1e6, 1e3], **SIZES)
    assert found.misspecification == pytest.approx([0.05, 5e-5])
    assert found.estimation[0] == pytest.approx(100 * np.log(11) * np.log(10001) / 1e6)
    assert found.total == pytest.approx(found.misspecification + found.estimation)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: info_bound(0, 1, **SIZES), "params is 0"),
        (lambda: info_optimal_allocation(-1, **SIZES), "flops is -1"),
        (lambda: bayes_excess_log_loss([1.0], [1.0], prior_variance=1, noise_variance=1), "X has shape"),
        (lambda: bayes_excess_log_loss([[1.0]], [1.0], prior_variance=1, noise_variance=0), "noise_variance is 0"),
        (lambda: bayes_excess_log_loss([[np.nan]], [1.0], prior_variance=1, noise_variance=1), "finite"),
        (lambda: misspecification(0, dimension=1, complexity=1), "units is 0"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(TheoryError, match=says):
        call()
