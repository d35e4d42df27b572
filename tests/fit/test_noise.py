"""The noise model against known noise, and against analysis of variance by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize

from scalinglens.fit.noise import _growth, estimate_noise


def noise_of(deviations, prediction, groups=None, free=0, absorbed=None):
    groups = np.arange(len(deviations)) if groups is None else groups
    return estimate_noise(deviations, prediction, groups, free, free if absorbed is None else absorbed)


@pytest.mark.parametrize("truth", [0.0, 2.0, 5.0])
def test_growth_is_recovered_without_bias(truth):
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        prediction = np.exp(rng.uniform(0.7, 1.4, 200))
        found.append(noise_of(0.01 * (prediction / np.e) ** truth * rng.normal(size=200), prediction).growth)
    # one estimate has a standard error of about .5; shrinking pulls the small ones to zero
    assert np.mean(found) == pytest.approx(truth, abs=0.25)
    if truth == 0.0:
        assert np.mean(np.array(found) == 0.0) > 0.5


def test_stray_runs_do_not_set_the_growth():
    rng = np.random.default_rng(0)
    prediction = np.exp(np.linspace(0.7, 1.4, 200))
    deviations = 0.01 * rng.normal(size=200)
    deviations[-6:] += 0.2
    assert abs(noise_of(deviations, prediction).growth) < 1.5
    # negative control: squares would see a growth of several
    spread = [np.std(part) for part in np.split(deviations, 2)]
    assert np.log(spread[1] / spread[0]) / 0.35 > 3.0


def test_scale_allows_for_the_parameters():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        x = rng.normal(size=(12, 4))
        y = 0.01 * rng.normal(size=12)
        rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        found.append(noise_of(rest, np.full(12, 2.0), free=4).scale ** 2)
    assert np.sqrt(np.mean(found)) == pytest.approx(0.01, rel=0.04)


def test_group_share_is_that_of_the_analysis_of_variance():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(300), 4)
    deviations = 0.03 * rng.normal(size=300)[groups] + 0.01 * rng.normal(size=1200)
    found = noise_of(deviations, np.full(1200, 2.0), groups)
    assert found.shared == pytest.approx(0.9, abs=0.02)
    assert found.scale == pytest.approx(np.hypot(0.03, 0.01), rel=0.06)
    assert noise_of(rng.normal(size=1200), np.full(1200, 2.0), groups).shared < 0.05


def test_draws_have_the_scale_of_the_place():
    rng = np.random.default_rng(3)
    prediction = np.exp(rng.uniform(0.7, 1.4, 400))
    found = noise_of(0.01 * (prediction / 2.5) ** 3 * rng.normal(size=400), prediction)
    places = np.array([2.0, 4.0])
    drawn = found.sample(np.tile(places, (20000, 1)), np.random.default_rng(4))
    assert drawn.std(axis=0) == pytest.approx(found.at(places), rel=0.05)
    assert found.at(4.0) / found.at(2.0) == pytest.approx(2**found.growth)
    assert found.growth == pytest.approx(3.0, abs=1.0)


def test_a_law_through_every_run_has_no_noise():
    found = noise_of(np.zeros(10), np.linspace(2, 3, 10), free=3)
    assert found.scale == 0.0
    assert np.all(found.sample(np.full((5, 2), 2.0), np.random.default_rng(0)) == 0.0)


def test_growth_is_the_maximum_of_the_likelihood():
    """Against a general optimiser, before the shrinkage: with many runs and a strong growth there is next to none."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=400)
    deviations = 0.01 * rng.standard_t(4, size=400) * np.exp(1.5 * z)

    def cost(at):
        log_sd = at[0] + at[1] * z
        return np.sum(log_sd + 2.5 * np.log1p((deviations * np.exp(-log_sd)) ** 2 / 4))

    best = minimize(
        cost, [-4.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
    ).x[1]
    error = 1 / np.sqrt(8 / 7 * 400 * np.var(z))
    assert _growth(deviations, z) == pytest.approx(best * (1 - (error / best) ** 2), rel=1e-6)
