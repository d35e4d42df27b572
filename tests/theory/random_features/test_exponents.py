"""Exponents: what is predicted, what exact theory gives, and what a direct simulation of the projection says."""

import numpy as np
import pytest

from benchmarks.exponents import MEASURED, PAIRS, measured
from scalinglens.theory.random_features.exponents import exponents
from scalinglens.theory.random_features.frontier import frontier
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.static import static_loss
from scalinglens.theory.simulate import simulate
from scalinglens.worlds.spectra import power_law


@pytest.mark.parametrize(
    ("a", "b", "by_features", "by_samples"),
    [
        (1.5, 1.25, -0.4985, -0.4998),
        (2, 1.25, -0.957, -0.9997),
        (1.75, 2, -0.7499, -0.7498),
        (3, 1.25, -1.2438, -1.9839),
    ],
)
def test_slopes_of_the_bottlenecks(a, b, by_features, by_samples):
    spectrum = power_law(a, b)
    sizes = np.array([2048, 8192])
    narrow, few = RandomFeatures(spectrum, sizes), RandomFeatures(spectrum, np.inf, sizes)
    found = [float(np.diff(np.log(static_loss(problem)[0]))[0] / np.log(4)) for problem in (narrow, few)]
    assert found == pytest.approx([by_features, by_samples], abs=1.01e-4 if a != 2 else 5e-4)
    if a != 2:  # at a - 1 close to b the approach is slow
        assert -found[0] == pytest.approx(exponents(a, b).features, abs=0.01)
        assert -found[1] == pytest.approx(exponents(a, b).samples, abs=0.02)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_every_exponent_on_both_sides_of_both_borders(a, b):
    """a - 1 = b and a = 2b; what is left of faster terms is small, but not where a - 1 is close to b."""
    found, known = measured(a, b), exponents(a, b)
    near = 0 < a - 1 - b < 0.3
    for name in MEASURED:
        slow = near and name in ("features", "early_features", "compute")
        assert found[name] == pytest.approx(getattr(known, name), abs=0.02 if slow else 3e-3), name
    if a - 1 > b:  # what is printed is excluded, by much more than the distance from what is predicted
        for name, printed in (("compute", known.published_compute), ("features", known.bias_features)):
            assert abs(found[name] - printed) > 10 * abs(found[name] - getattr(known, name)), name
            assert abs(found[name] - printed) > 0.03, name


def test_the_pairs_lie_on_both_sides_of_both_borders():
    signs = {(a - 1 > b, a > 2 * b) for a, b in PAIRS}
    assert signs == {(False, False), (True, False), (True, True)}  # a > 2b and b > 1 imply a - 1 > b


def test_the_bias_falls_faster_than_the_loss():
    problem = RandomFeatures(power_law(3, 1.25), [128, 512, 2048, 8192])
    bias = solve(problem, 1e13, parts=True, digits=11).parts["bias"][:, 0]
    assert np.diff(np.log(bias)) / np.log(4) == pytest.approx([-1.927, -1.967, -1.985], abs=1.5e-3)
    assert exponents(3, 1.25).bias_features == 2.0


def test_losses_by_size():
    sizes = np.array([32, 128, 512, 2048, 8192])
    narrow = static_loss(RandomFeatures(power_law(1.5, 1.25), sizes))[0]
    few = static_loss(RandomFeatures(power_law(1.5, 1.25), np.inf, sizes))[0]
    # two units of the last printed digit: those numbers rest on a coarser sum over the modes
    assert narrow == pytest.approx([0.8946562, 0.4705106, 0.2393276, 0.1203702, 0.0603079], abs=2e-7)
    assert few == pytest.approx([0.7074184, 0.3601156, 0.1808562, 0.0905277, 0.0452763], abs=2e-7)


def test_width_costs_one_over_n_before_it_binds():
    problem = RandomFeatures(power_law(1.5, 1.25), [1e2, 1e3, 1e4, 1e5, np.inf])
    loss = solve(problem, [10, 1e3], digits=12).test
    slopes = np.diff(np.log10(loss[:-1] - loss[-1]), axis=0)
    assert slopes[:3, 0] == pytest.approx([-0.977, -0.998, -1.000], abs=1e-3)
    assert slopes[:3, 1] == pytest.approx([-0.691, -0.939, -0.994], abs=1e-3)


def test_time_alone():
    found = solve(RandomFeatures(power_law(1.5, 1.25)), [1e5, 1e6], slopes=True)
    assert -found.slopes["times"] == pytest.approx([0.4, 0.4], abs=1e-3)


def test_the_simulated_projection_excludes_the_published_width_exponent():
    """a - 1 > b: the loss of one model falls as N^-b = N^-1.25, not as the bias, N^-2."""
    spectrum = power_law(3, 1.25, 1000)
    theory = static_loss(RandomFeatures(spectrum, [16, 64]))[0]
    drawn = [simulate(RandomFeatures(spectrum, n), np.inf, seeds=60, targets=8, seed=1) for n in (16, 64)]
    mean, error = (np.array([float(x.mean[0]) for x in drawn]), np.array([float(x.stderr[0]) for x in drawn]))
    # real draws lie a relative 0.3/N to 1.5/N above the theory of leading order
    assert np.all(abs(mean - theory) < 3 * error + 1.5 * theory / [16, 64])
    fall, spread = mean[0] / mean[1], mean[0] / mean[1] * np.hypot(*(error / mean))
    assert abs(fall - theory[0] / theory[1]) < 3 * spread + 0.1 * fall
    assert fall < 4**2 - 4 * spread  # what the exponent 2 would give is excluded by four standard errors


@pytest.mark.slow
def test_the_projection_at_three_widths_over_a_range_of_sixteen():
    spectrum = power_law(3, 1.25, 4000)
    theory = static_loss(RandomFeatures(spectrum, [16, 64, 256]))[0]
    assert theory == pytest.approx([0.1955, 0.04041, 0.006367], rel=2e-4)
    published = {16: (0.2125, 0.0108), 64: (0.04096, 0.0019), 256: (0.006229, 0.00028)}
    found = {}
    for (n, (value, spread)), expected in zip(published.items(), theory, strict=True):
        drawn = simulate(RandomFeatures(spectrum, n), np.inf, seeds=60, targets=8)
        mean, error = float(drawn.mean[0]), float(drawn.stderr[0])
        assert abs(mean - value) < 3.5 * np.hypot(error, spread)
        assert abs(mean - expected) < 3 * error + 1.5 * expected / n
        found[n] = mean
    assert 25 < found[16] / found[256] < 45  # N^-b gives 32, the published exponent 256


FRONTIERS = [
    (1.5, 1.25, -0.2220, 0.4448, (0.032384, 4.665e4, 2.144e4)),
    (1.75, 2.0, -0.2499, 0.3333, (0.009790, 2757, 3.628e5)),
    (3, 1.25, -0.6658, 0.5827, (3.9653e-6, 5.237e5, 1910)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b", "loss_slope", "size_slope", "at"), FRONTIERS)
def test_the_compute_optimal_frontier(a, b, loss_slope, size_slope, at):
    found = frontier(power_law(a, b), np.geomspace(1e7, 1e9, 9))
    ends = np.log(1e9 / 1e7)
    assert np.log(found.loss[-1] / found.loss[0]) / ends == pytest.approx(loss_slope, abs=2e-4)
    assert np.log(found.features[-1] / found.features[0]) / ends == pytest.approx(size_slope, abs=2e-3)
    assert found.loss[-1] == pytest.approx(at[0], rel=1e-4)
    # the optimum is flat: sizes that were found by minimising the loss itself are good to three digits
    assert [found.features[-1], found.times[-1]] == pytest.approx(at[1:], rel=2e-3)
    known = exponents(a, b)
    assert -found.slopes["loss"][-1] == pytest.approx(known.compute, abs=2e-3)
    assert found.slopes["features"][-1] == pytest.approx(known.compute_features, abs=3e-3)


def test_the_frontier_at_two_budgets():
    assert frontier(power_law(1.5, 1.25), 1e7).loss == pytest.approx([0.0900213], rel=2e-5)
    found = frontier(power_law(3, 1.25), [1e7, 1e9])
    assert found.loss == pytest.approx([8.50896e-5, 3.9653e-6], rel=2e-5)
    slope = np.log(found.loss[1] / found.loss[0]) / np.log(100)
    assert slope == pytest.approx(-2 / 3, abs=2e-3)
    assert exponents(3, 1.25).published_compute == pytest.approx(0.889, abs=1e-3)  # which would be 0.22 off
