"""Scores against numbers worked out by hand, their own definitions, and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import scalinglens as sl
from scalinglens.fit.compare.baselines import BASELINES, View
from scalinglens.fit.compare.scores import SCORES, aicc, errors, score

NOTHING = np.array([np.nan, np.nan])


def test_by_hand() -> None:
    observed, predicted = np.array([2.0, 4.0]), np.array([2.2, 3.0])
    low, high = np.array([1.8, 2.0]), np.array([2.4, 3.5])
    found = score(observed, predicted, low, high, level=0.9, logs=True)
    assert found["are"] == pytest.approx((0.1 + 0.25) / 2)
    assert found["error"] == pytest.approx((math.log(1.1) + math.log(4 / 3)) / 2)
    assert found["rmsle"] == pytest.approx(math.sqrt((math.log(1.1) ** 2 + math.log(4 / 3) ** 2) / 2))
    assert found["r2"] == pytest.approx(1 - (0.2**2 + 1.0**2) / 2.0)
    assert found["coverage"] == 0.5
    assert found["width"] == pytest.approx((0.6 + 1.5) / 2)
    assert found["interval_score"] == pytest.approx((0.6 + 1.5 + 20 * 0.5) / 2)  # 2 / (1 - 0.9) = 20
    assert tuple(found) == SCORES


def test_interval_score_is_least_for_the_true_quantiles() -> None:
    """A strictly proper score: no other interval has a smaller expectation (Gneiting and Raftery 2007, section 6.2)."""
    level = 0.8
    z = norm.ppf(0.5 + level / 2)

    def expected(low: float, high: float) -> float:
        def at(y: float) -> float:
            one = np.array([y])
            return score(one, one, np.array([low]), np.array([high]), level=level, logs=False)["interval_score"]

        return quad(lambda y: at(y) * norm.pdf(y), -9, 9, points=[low, high], limit=200)[0]

    best = expected(-z, z)
    # of a standard normal: 2z + (2/alpha) 2 (phi(z) - z (1 - Phi(z)))
    closed = 2 * z + 2 / (1 - level) * 2 * (norm.pdf(z) - z * norm.sf(z))
    assert best == pytest.approx(closed, rel=1e-6)
    assert all(expected(*ends) > best for ends in ((-z - 0.2, z), (-z + 0.2, z), (-2 * z, 2 * z), (-0.5 * z, 0.5 * z)))


def test_what_does_not_exist_is_nan() -> None:
    one = np.array([2.0])
    lonely = score(one, one, one, one, level=0.9, logs=True)
    assert math.isnan(lonely["r2"])
    assert lonely["interval_score"] == 0.0
    without = score(np.array([1.0, 2.0]), np.array([1.0, 2.0]), NOTHING, NOTHING, level=0.9, logs=True)
    assert all(math.isnan(without[name]) for name in ("coverage", "width", "interval_score"))
    assert without["r2"] == 1.0
    signed = score(np.array([-1.0, 0.0]), np.array([1.0, 1.0]), NOTHING, NOTHING, level=0.9, logs=False)
    assert math.isnan(signed["rmsle"])
    assert math.isnan(signed["are"])  # relative to zero
    assert signed["error"] == 1.5
    assert all(math.isnan(value) for value in score(*[np.empty(0)] * 4, level=0.9, logs=True).values())


def test_intervals_of_some_rows_only() -> None:
    observed = np.array([1.0, 2.0, 3.0])
    low, high = np.array([0.5, np.nan, 3.5]), np.array([1.5, np.nan, 4.0])
    found = score(observed, observed, low, high, level=0.5, logs=True)
    assert found["coverage"] == 0.5
    assert found["interval_score"] == pytest.approx((1.0 + 0.5 + 4 * 0.5) / 2)


def test_open_ends_are_infinitely_wide() -> None:
    found = score(np.array([1.0, 2.0]), np.ones(2), np.zeros(2), np.array([np.inf, 3.0]), level=0.9, logs=True)
    assert found["coverage"] == 1.0
    assert found["width"] == math.inf


def test_forecasts_below_zero_are_infinitely_wrong() -> None:
    assert errors(np.array([2.0]), np.array([-1.0]), logs=True).tolist() == [math.inf]
    assert errors(np.array([2.0]), np.array([-1.0]), logs=False).tolist() == [3.0]


# ---- AICc -----------------------------------------------------------------------------------------------------------


def test_aicc_of_a_straight_line() -> None:
    """Against ordinary least squares: the likelihood is evaluated density by density."""
    rng = np.random.default_rng(3)
    x = np.geomspace(1e6, 1e9, 14)
    y = 7.0 * x**-0.1 * np.exp(0.02 * rng.standard_normal(14))
    runs = sl.read_runs({"params": x, "loss": y})
    fit = sl.fit(runs, "A/params^alpha", loss="squares")
    slope, intercept = np.polyfit(np.log(x), np.log(y), 1)
    residuals = np.log(y) - intercept - slope * np.log(x)
    density = norm.pdf(residuals, scale=np.sqrt(np.mean(residuals**2))) / y  # of y, not of ln y
    k, n = 3, 14
    expected = -2 * np.log(density).sum() + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    assert aicc(fit) == pytest.approx(expected, abs=1e-6)


def test_aicc_is_worse_for_a_parameter_that_does_nothing_and_without_a_likelihood_there_is_none() -> None:
    rng = np.random.default_rng(5)
    x = np.geomspace(1e6, 1e9, 20)
    runs = sl.read_runs({"params": x, "loss": 7.0 * x**-0.1 * np.exp(0.02 * rng.standard_normal(20))})
    free = sl.fit(runs, "E + A/params^alpha", loss="squares")
    held = sl.fit(runs, "E + A/params^alpha", loss="squares", pin={"E": 0.0001})
    assert aicc(held) < aicc(free)  # the floor is not there: one parameter less
    few = sl.fit(sl.read_runs({"params": x[:3], "loss": x[:3] ** -0.1}), "A/params^alpha")
    assert math.isnan(aicc(few))
    assert math.isnan(aicc(object()))


# ---- forecasts without a fit ----------------------------------------------------------------------------------------


def view(inputs: dict, extent, target, train, test) -> View:
    return View(
        {name: np.asarray(v, dtype=float) for name, v in inputs.items()},
        np.asarray(extent, dtype=float),
        np.asarray(target, dtype=float),
        np.asarray(train),
        np.asarray(test),
    )


def test_best_smaller_run_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    for sign in (1.0, -1.0):
        size = rng.permutation(np.repeat(np.arange(1.0, 21.0), 2))
        target = 5.0 - sign * 0.1 * size + 0.3 * rng.standard_normal(40)
        train, test = np.flatnonzero(size <= 14), np.flatnonzero(size > 10)
        got = BASELINES["best smaller run"](view({}, size, target, train, test))
        pick = min if sign > 0 else max
        expected = [pick(target[i] for i in train if size[i] <= size[j]) for j in test]
        np.testing.assert_array_equal(got, expected)
    without_size = view({}, [np.nan] * 4, [4, 3, 5, 1], [0, 1, 2], [3])
    assert BASELINES["best smaller run"](without_size).tolist() == [3]
    nothing_smaller = view({}, [5, 6, 1], [4, 3, 5], [0, 1], [2])
    assert BASELINES["best smaller run"](nothing_smaller).tolist() == [3]


def test_nearest_run_by_brute_force() -> None:
    rng = np.random.default_rng(1)
    n, d = 10 ** rng.uniform(6, 9, 40), 10 ** rng.uniform(8, 11, 40)
    loss = rng.uniform(2, 4, 40)
    train, test = np.arange(25), np.arange(25, 40)
    got = BASELINES["nearest run"](view({"params": n, "tokens": d}, n * d, loss, train, test))
    far = [[math.log(n[i] / n[j]) ** 2 + math.log(d[i] / d[j]) ** 2 for i in train] for j in test]
    np.testing.assert_array_equal(got, [loss[train[int(np.argmin(row))]] for row in far])
    signed = view({"day": [-1, 0, 5]}, [np.nan] * 3, [4, 3, 0], [0, 1], [2])
    assert BASELINES["nearest run"](signed).tolist() == [3]
    assert "share no input" in BASELINES["nearest run"](view({}, [1, 2], [4, 3], [0], [1]))


def test_log_log_line() -> None:
    size = np.array([1, 1, 2, 4, 8, 8, 100])
    loss = np.array([9.0, 8.0, 8.5, 4.0, 2.0, 3.0, 0.0])
    loss[-1] = 1.0
    got = BASELINES["log-log line"](view({}, size, loss, range(6), [6]))
    # the frontier runs from (1, 8) to (8, 2): exponent ln(1/4)/ln 8 = -2/3
    assert got.tolist() == pytest.approx([2.0 * (100 / 8) ** (-2 / 3)])
    rising = BASELINES["log-log line"](view({}, [1, 10, 100], [0.1, 0.2, 0.5], [0, 1], [2]))
    assert rising.tolist() == pytest.approx([0.4])  # an accuracy: larger is better
    single = view({}, [1, 2, 4], [2, 2, 1], [0, 1], [2])
    assert BASELINES["log-log line"](single) == "the frontier is a single run"
    assert "no logarithm" in BASELINES["log-log line"](view({}, [1, 2, 4], [-1, -2, -3], [0, 1], [2]))
    assert "how large" in BASELINES["log-log line"](view({}, [np.nan] * 3, [3, 2, 1], [0, 1], [2]))


def test_baselines_do_not_look_at_what_they_forecast() -> None:
    size, loss = np.arange(1.0, 11.0), np.linspace(4, 3, 10)
    for rule in BASELINES.values():
        before = rule(view({"params": size}, size, loss, range(6), range(6, 10)))
        changed = np.where(np.arange(10) < 6, loss, 77.0)
        np.testing.assert_array_equal(before, rule(view({"params": size}, size, changed, range(6), range(6, 10))))
