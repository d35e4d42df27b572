"""Losses against numbers that were computed by other programs: quadrature of the Marchenko-Pastur law, two-time matrices, Talbot
contours on dense sums. Each is held to the digits that were printed."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import zeta

from scalinglens.theory.random_features.optimizers import GradientDescent
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.static import static_loss
from scalinglens.worlds.spectra import Spectrum, power_law

ENDLESS = power_law(1.5, 1.25)
THOUSAND = power_law(1.5, 1.25, 1000)


def printed(digits):
    """One unit of the last printed digit."""
    return 1.01 * 10.0**-digits


def test_white_data_follow_the_law_of_marchenko_and_pastur():
    M, P, times = 200, 400, [1, 5, 20]
    white = RandomFeatures(Spectrum(np.ones(M), np.full(M, 1 / M)), samples=P)
    ratio = M / P
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2

    def mean(f):
        # x = (low + high)/2 + (high - low)/2 cos(angle): the square roots at both edges go away
        def part(angle):
            x = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
            return f(x) * ((high - low) / 2 * np.sin(angle)) ** 2 / (2 * np.pi * ratio * x)

        return quad(part, 0, np.pi, epsabs=1e-14, epsrel=1e-13)[0]

    curves = solve(white, times, digits=12)
    for t, test, train in zip(times, curves.test, curves.train, strict=True):
        assert test == pytest.approx(mean(lambda x, t=t: np.exp(-2 * x * t)), rel=1e-10)
        assert train == pytest.approx(mean(lambda x, t=t: x * np.exp(-2 * x * t)), rel=1e-10)
    assert curves.test.round(10).tolist() == [0.2675907475, 0.0329040510, 0.0005140266]
    assert curves.train.round(10).tolist() == [0.1192317192, 0.0061894328, 0.0000602434]


def test_descent_on_few_modes():
    curves = solve(RandomFeatures(power_law(1.5, 1.25, 60), 24, 32), [1, 5, 10, 20], GradientDescent(0.3), digits=11)
    assert curves.test.round(8).tolist() == [1.72336815, 1.06944435, 0.89147394, 0.77469854]
    assert curves.train.round(8).tolist() == [1.60824755, 0.83560637, 0.60941105, 0.44271465]


def test_flow_on_a_thousand_modes():
    curves = solve(RandomFeatures(THOUSAND, 128, 256), [1, 10, 100, 1e3, 1e5])
    assert curves.test.round(6).tolist() == [1.326912, 0.585171, 0.401612, 0.497219, 0.578323]
    assert curves.train.round(6).tolist() == [1.288956, 0.495011, 0.218314, 0.148652, 0.144581]
    widths = solve(RandomFeatures(THOUSAND, [8, 16, 32, 64, 128]), [10, 1e4]).test
    assert widths[:, 0].round(6).tolist() == [1.357295, 1.017999, 0.775541, 0.631451, 0.553631]
    assert widths[:, 1].round(6).tolist() == [1.355959, 0.998152, 0.696785, 0.462890, 0.289162]


def test_late_times_are_the_closed_form():
    problem = RandomFeatures(THOUSAND, [64, 128, 256, 128], [np.inf, 256, 64, 256], [0, 0, 0, 0.25])
    test, train = static_loss(problem)
    assert test.round(6).tolist() == [0.462890, 0.578323, 0.533691, 0.828323]
    late = solve(problem, [1e4, 1e12])
    assert late.test[:, 1] == pytest.approx(test, rel=1e-6)
    assert late.train[:, 1] == pytest.approx(train, rel=1e-6, abs=1e-9)
    assert late.test[3, 0] == pytest.approx(0.82796, abs=printed(5))
    assert late.train[3, 0] == pytest.approx(0.26958, abs=printed(5))


def test_descent_on_a_thousand_modes():
    curves = solve(RandomFeatures(THOUSAND, 128, 256), [5, 50, 500], GradientDescent(0.2))
    assert curves.test.round(6).tolist() == [1.291747, 0.583862, 0.401615]
    assert curves.train.round(6).tolist() == [1.253088, 0.493576, 0.218265]


def test_ensembles():
    curves = solve(RandomFeatures(THOUSAND, 64, 128), [3, 30], parts=True)
    found = [curves.test, *(curves.parts[name] for name in ("same_data", "same_features", "bias"))]
    expected = [[0.93521, 0.62331], [0.86947, 0.43301], [0.91158, 0.52998], [0.85232, 0.39783]]
    assert np.round(found, 5).tolist() == expected
    parts = curves.decomposition()
    assert sum(parts.values()) == pytest.approx(curves.test, rel=1e-12)
    # at equal compute one wide model beats four narrow ones, and here even endlessly many
    wide = solve(RandomFeatures(ENDLESS, [64, 256]), [10, 100, 1e3], parts=True)
    table = [wide.test[0], wide.ensemble(4)[0], wide.ensemble(np.inf)[0], wide.test[1]]
    expected = [
        [0.751324, 0.653450, 0.653146],
        [0.644028, 0.473218, 0.469399],
        [0.608262, 0.413141, 0.408151],
        [0.593178, 0.358401, 0.336330],
    ]
    assert np.array(table) == pytest.approx(np.array(expected), abs=2 * printed(6))


def test_endless_modes():
    problem = RandomFeatures(ENDLESS, [512, np.inf, 128], [1024, 128, np.inf])
    curves = solve(problem, [1, 1e2, 1e4, np.inf])
    test = [[1.367815, 0.318065, 0.471587, 0.478655], [1.378358, 0.378141, 0.360116, 0.360116]]
    test.append([1.386065, 0.475593, 0.470511, 0.470511])
    assert curves.test == pytest.approx(np.array(test), abs=printed(6))
    train = [[1.355716, 0.232408, 0.119694], [1.283534, 0.018763, 0.0]]
    assert curves.train[:2, :3] == pytest.approx(np.array(train), abs=printed(6))
    times = np.geomspace(1, 1e6, 25)
    stopped = solve(RandomFeatures(ENDLESS, 512, [128, 256, 1024]), times)
    assert stopped.test.min(axis=-1) == pytest.approx([0.473941, 0.393217, 0.302607], abs=printed(6))
    assert times[stopped.test.argmin(axis=-1)] == pytest.approx([100, 100, 177.8], rel=1e-3)
    assert static_loss(stopped.problem)[0] == pytest.approx([0.516952, 0.591718, 0.478655], abs=printed(6))


@pytest.mark.parametrize("size", [32, 128, 2048])
def test_the_static_loss_of_endless_modes_from_a_million_of_them(size):
    """kappa and the loss by plain sums; beyond a million modes lambda is far below kappa, and tails are zeta functions."""
    k = np.arange(1.0, 1e6)
    lam, power = k**-1.25, k**-1.5

    def dof(kappa):
        return (lam / (lam + kappa)).sum() + zeta(1.25, 1e6) / kappa - zeta(2.5, 1e6) / kappa**2

    kappa = brentq(lambda x: dof(x) - size, 1e-8, 10, xtol=1e-15)
    loss = (power * kappa / (lam + kappa)).sum() + zeta(1.5, 1e6) - zeta(2.75, 1e6) / kappa
    found = float(static_loss(RandomFeatures(ENDLESS, size))[0])
    assert found == pytest.approx(loss, rel=2e-8)


@pytest.mark.parametrize(
    ("a", "b", "amplitude", "expected"),
    [
        (1.5, 1.25, "features", [41.3326, 105.860, 267.173, 671.895, 1688.17]),
        (1.5, 1.25, "samples", [23.3348, 58.9299, 148.151, 372.188, 934.901]),
        (1.5, 1.25, "gap", [86.8867, 218.700, 549.527, 1380.39, 3466.92]),
        (2, 1.25, "features", [10.24, None, None, None, 13.93]),
        (2, 1.25, "samples", [2.5104, None, None, None, 2.5230]),
        (2, 1.25, "gap", [6.166, None, None, None, 6.179]),
    ],
)
def test_amplitudes_of_early_times(a, b, amplitude, expected):
    """size (L(size) - L(inf)) at a size of 1e9. The difference loses nine digits, so the contour is asked for twelve."""
    size, times = 1e9, [1e2, 1e3, 1e4, 1e5, 1e6]
    spectrum = power_law(a, b)
    finite = RandomFeatures(spectrum, size) if amplitude == "features" else RandomFeatures(spectrum, np.inf, size)
    curves = solve(finite, times, slopes=True, digits=12)
    if amplitude == "gap":
        found = size * (curves.test - curves.train)
    else:
        found = size * (curves.test - solve(RandomFeatures(spectrum), times).test)
        # the exact slope -dL/d ln(size) loses no digits; where t^(1/b) is far below the size it is the same number
        exact = -size * curves.slopes[amplitude] * curves.test
        assert found == pytest.approx(exact, rel=1e-4)
    for value, wanted in zip(found, expected, strict=True):
        if wanted is not None:
            digits = len(str(wanted).replace(".", ""))
            assert value == pytest.approx(wanted, rel=10.0 ** (1 - digits))


@pytest.mark.parametrize(
    ("a", "b", "features", "samples", "gap"),
    [
        (1.5, 1.25, 0.400, 0.400, 0.400),
        (3, 1.25, -0.200, -0.799, -0.800),
        (5, 1.5, -0.333, -1.334, -2.0),
    ],
)
def test_slopes_of_the_amplitudes(a, b, features, samples, gap):
    # by exact slopes: their differences in t have no cancellation
    times = [1e4, 1e5]
    wide = solve(RandomFeatures(power_law(a, b), 1e9), times, slopes=True, digits=12, tolerance=1)
    many = solve(RandomFeatures(power_law(a, b), np.inf, 1e9), times, slopes=True, digits=12, tolerance=1)
    amplitudes = [-wide.slopes["features"] * wide.test, -many.slopes["samples"] * many.test, many.test - many.train]
    found = [np.log10(x[1] / x[0]) for x in amplitudes]
    assert found == pytest.approx([features, samples, gap], abs=0.01)
