"""Bahri's regimes by the kernel, Sharma and Kaplan's exponent by interpolation, and the dimension of clouds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from scalinglens.errors import TheoryError
from scalinglens.theory.joint_data_model import optimal_ridge
from scalinglens.theory.manifold import manifold_exponent, two_nn
from scalinglens.theory.regimes import regimes
from scalinglens.worlds.spectra import power_law


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0])
def test_four_regimes(alpha):
    found = regimes(power_law(1 + alpha, 1 + alpha), features=[1e4, 1e8, 1e5], samples=[1e8, 1e4, 1e5])
    assert found.resolution_features == pytest.approx(alpha, rel=5e-4)
    assert found.resolution_samples == pytest.approx(alpha, rel=5e-4)
    assert found.variance_samples[0] == pytest.approx(1, abs=0.01)
    assert found.variance_features[1] == pytest.approx(1, abs=0.01)
    assert found.limit.tolist() == ["features", "samples", "both"]
    # the short one sets the loss, the other hardly matters
    assert found.by_features[0] == pytest.approx(alpha, rel=0.01)
    assert found.by_samples[0] < 0.01
    assert found.by_samples[1] == pytest.approx(found.by_features[0], rel=1e-6)  # duality


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0])
def test_slope_along_equal_sizes(alpha):
    sizes = np.array([1e6, 1e7])
    found = optimal_ridge(power_law(1 + alpha, 1 + alpha), features=sizes, samples=sizes).test
    assert np.diff(np.log10(found)) == pytest.approx(-alpha, abs=1e-4)
    local = regimes(power_law(1 + alpha, 1 + alpha), features=1e6, samples=1e6)
    assert local.by_features + local.by_samples == pytest.approx(alpha, abs=1e-4)


def test_label_noise_changes_the_exponent_by_samples():
    clean = regimes(power_law(2, 2), features=1e8, samples=1e4)
    noisy = regimes(power_law(2, 2), features=1e8, samples=1e4, noise=1.0)
    assert clean.by_samples > 0.9
    assert noisy.by_samples == pytest.approx(0.5, abs=0.05)  # alpha/(1 + alpha)


@pytest.mark.parametrize(("d", "stored"), [(1, -4.20), (2, -2.09), (3, -1.39)])
def test_interpolation_on_a_manifold(d, stored):
    """Mean square error of multilinear interpolation of a smooth target against the number of its points."""
    per_side = {1: (8, 16, 32), 2: (8, 16, 32), 3: (8, 12, 18)}[d]
    at = np.random.default_rng(0).uniform(size=(20_000, d))

    def target(x):
        return np.sin(3 * x).prod(axis=-1) + np.cos(2 * x.sum(axis=-1))

    errors = []
    for m in per_side:
        axes = [np.linspace(0, 1, m)] * d
        grid = np.array(list(itertools.product(*axes))).reshape(*(m,) * d, d)
        errors.append(((RegularGridInterpolator(axes, target(grid))(at) - target(at)) ** 2).mean())
    size = np.array(per_side, dtype=float) ** d
    slope = np.log(errors[-1] / errors[-2]) / np.log(size[-1] / size[-2])
    assert slope == pytest.approx(-manifold_exponent(d), rel=0.1)
    assert slope == pytest.approx(stored, rel=0.05)
    assert -slope >= manifold_exponent(d)


def test_dimension_of_clouds():
    rng = np.random.default_rng(0)
    for d, stored in ((2, 2.06), (4, 3.87), (8, 7.17)):
        flat = rng.uniform(size=(3000, d)) @ np.linalg.qr(rng.standard_normal((20, d)))[0].T  # in 20 dimensions
        found = two_nn(flat)
        assert found.value == pytest.approx(stored, rel=0.05)
        assert found.stderr == pytest.approx(found.value / np.sqrt(2700), rel=1e-6)
    assert found.value < 8 - 2 * found.stderr  # low at 8, as stored
    repeated = np.concatenate([flat, flat])
    assert two_nn(repeated).value == pytest.approx(found.value, rel=1e-12)
    assert two_nn(repeated).points == 3000


def test_stderr_covers():
    values = [two_nn(np.random.default_rng(s).uniform(size=(400, 1))) for s in range(60)]
    off = np.array([(one.value - np.mean([v.value for v in values])) / one.stderr for one in values])
    assert 0.7 < off.std() < 1.7  # neighbours share distances, so the ratios are not quite independent


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: two_nn(np.zeros((50, 2))), "1 different points"),
        (lambda: two_nn(np.arange(50.0)[:, None]), "at one distance"),
        (lambda: two_nn([[np.nan, 1.0]] + [[float(k), 0.0] for k in range(30)]), "not finite"),
        (lambda: two_nn(np.random.default_rng(0).uniform(size=(50, 2)), discard=1.0), "discard is 1.0"),
        (lambda: two_nn([["a"]]), "no table of numbers"),
        (lambda: manifold_exponent(0), "dimension is 0"),
        (lambda: manifold_exponent(1, pieces="cubic"), "linear or constant"),
        (lambda: regimes(power_law(2, 2), features=0.1, samples=10), "features"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(TheoryError, match=says):
        call()
