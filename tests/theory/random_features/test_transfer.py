"""Transfer functions and the density of time scales."""

import numpy as np
import pytest

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.optimizers import GradientDescent, WeightDecay
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.transfer import time_scales, transfer
from scalinglens.worlds.spectra import Spectrum, power_law

WHITE = Spectrum(np.ones(200), np.full(200, 1 / 200))


def test_values():
    found = transfer(RandomFeatures(power_law(1.5, 1.25, 1000), 64, 128), [1, 10], [3, 30])
    assert found.round(5).tolist() == [[0.09858, 0.02918], [0.85965, 0.43796]]
    white = transfer(RandomFeatures(WHITE, samples=400), 1, [1, 5], digits=12)
    assert white[0] == pytest.approx([0.4525101661, 0.0983322490], rel=1e-9)


def test_the_bias_is_the_sum_of_squares():
    spectrum = power_law(1.5, 1.25, 60)
    problem = RandomFeatures(spectrum, [20, np.inf, 30, np.inf], [np.inf, 15, 40, np.inf])
    times = [0, 0.5, 10, 300]
    H = transfer(problem, np.arange(1, 61), times)
    bias = np.einsum("k,bkt->bt", spectrum.target_power, H**2)
    assert solve(problem, times, parts=True).parts["bias"] == pytest.approx(bias, rel=1e-7)


def test_limits():
    spectrum = power_law(1.5, 1.25, 100)
    problem = RandomFeatures(spectrum, 20, 30)
    H = transfer(problem, [1, 7], [0, 1e12, np.inf])
    assert H[:, 0].tolist() == [1.0, 1.0]
    assert H[:, 1] == pytest.approx(H[:, 2], rel=1e-6)
    endless = transfer(RandomFeatures(spectrum), [1, 7], [2.0])
    assert endless[:, 0] == pytest.approx(np.exp(-2.0 * spectrum.eigenvalues[[0, 6]]), rel=1e-14)
    wide = transfer(RandomFeatures(spectrum, 1e9, 1e9), [1, 7], [2.0])
    assert wide == pytest.approx(endless, rel=1e-6)
    # features and samples play the same part in the one-point functions
    assert transfer(RandomFeatures(spectrum, 30, 20), [1, 7], [2, 50]) == pytest.approx(
        transfer(problem, [1, 7], [2, 50]), rel=1e-9
    )
    ridge = transfer(problem, [1, 7], [1e4, np.inf], WeightDecay(0.02))
    assert ridge[:, 1] == pytest.approx(ridge[:, 0], rel=1e-7)
    assert np.all(ridge[:, 1] > H[:, 2] + 0.01)  # decay keeps the modes from being learned
    steps = transfer(problem, [3], [200_000], GradientDescent(1e-5))
    assert steps == pytest.approx(transfer(problem, [3], [2.0]), rel=1e-4)


def test_time_scales_of_white_data_are_the_law_of_marchenko_and_pastur():
    for P, never in ((400, 0.0), (100, 0.5)):
        ratio = 200 / P
        low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2
        u = np.linspace(0.01, 1.1 * high, 60)
        found = time_scales(RandomFeatures(WHITE, samples=P), [1], u)
        law = np.sqrt(np.maximum((high - u) * (u - low), 0)) / (2 * np.pi * ratio * u)
        assert found.density[0] == pytest.approx(law, abs=1e-10)
        assert found.never == pytest.approx([never], abs=1e-12)
        # the same by other features on endless data
        assert time_scales(RandomFeatures(WHITE, P), [1], u).density == pytest.approx(found.density, abs=1e-12)


@pytest.mark.parametrize(("N", "P"), [(30, 60), (np.inf, 40), (25, 25)])
def test_the_density_adds_up_to_the_transfer_function(N, P):
    problem = RandomFeatures(power_law(1.4, 1.3, 300), N, P)
    x = np.linspace(-24, 3, 1600)
    found = time_scales(problem, [2, 9, 40], np.exp(x))
    times = np.array([0.0, 1, 30])
    part = np.trapezoid(found.density[:, None, :] * np.exp(x - np.outer(times, np.exp(x))), x, axis=-1)
    # square roots at the edges of bands, and the inverse one at rate zero where N = P, cost the trapezoid rule its order
    assert part + found.never[:, None] == pytest.approx(transfer(problem, [2, 9, 40], times), abs=3e-3)


def test_a_batch_is_its_members():
    spectrum = power_law(1.5, 1.25, 80)
    batch = RandomFeatures(spectrum, [[10, 20], [np.inf, np.inf]], [[30, np.inf], [15, np.inf]])
    found = transfer(batch, [1, 3], [0.5, 8])
    assert found.shape == (2, 2, 2, 2)
    for i, j in np.ndindex(2, 2):
        one = RandomFeatures(spectrum, batch.features[i, j], batch.samples[i, j])
        assert found[i, j] == pytest.approx(transfer(one, [1, 3], [0.5, 8]), rel=1e-10)


def test_bad_questions_are_refused():
    problem = RandomFeatures(Spectrum([1.0, 0.5], [1.0, 1.0]), 10)
    with pytest.raises(TheoryError, match="mode 3 is not a whole number from 1 to 2"):
        transfer(problem, 3, 1)
    with pytest.raises(TheoryError, match=r"mode 1\.5 is not"):
        transfer(problem, 1.5, 1)  # type: ignore[arg-type]
    with pytest.raises(TheoryError, match="give positive numbers"):
        time_scales(problem, 1, [0.0])
    with pytest.raises(TheoryError, match="the one rate lambda_k"):
        time_scales(RandomFeatures(problem.spectrum), 1, [1.0])
