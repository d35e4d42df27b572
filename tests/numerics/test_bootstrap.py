"""Resampling weights and intervals against their definitions and scipy.stats."""

import numpy as np
import pytest
from scipy import stats

from scalinglens.numerics.bootstrap import bca_interval, percentile_interval, resampling_weights


def test_weights_are_the_same_bits_however_the_work_is_divided():
    groups = np.arange(37)
    whole = resampling_weights(groups, 1700, seed=5)
    parts = [resampling_weights(groups, n, seed=5, first=f) for f, n in ((0, 500), (500, 1000), (1500, 200))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole, resampling_weights(groups, 1700, seed=5))
    assert np.array_equal(whole[:120], resampling_weights(groups, 120, seed=5))
    assert not np.array_equal(whole, resampling_weights(groups, 1700, seed=6))


def test_whole_groups_are_drawn_and_as_many_as_there_are():
    groups = np.array([0, 0, 0, 1, 2, 2])
    weights = resampling_weights(groups, 400, seed=1)
    assert np.all(weights[:, 0] == weights[:, 1])
    assert np.all(weights[:, 4] == weights[:, 5])
    assert np.all(weights[:, [0, 3, 4]].sum(axis=1) == 3)
    assert np.array_equal(weights, np.round(weights))


def test_counts_have_the_moments_of_a_multinomial():
    rows = 20
    weights = resampling_weights(np.arange(rows), 20000, seed=2)
    # mean 1, variance 1 - 1/n, covariance -1/n; standard errors about 0.007 and 0.01
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.04)
    np.testing.assert_allclose(weights.var(axis=0), 1 - 1 / rows, atol=0.06)
    assert np.cov(weights[:, 0], weights[:, 1])[0, 1] == pytest.approx(-1 / rows, abs=0.04)


def test_percentiles_leave_failed_refits_aside():
    draws = np.random.default_rng(0).normal(size=(999, 2))
    low, high = percentile_interval(draws, 0.8)
    np.testing.assert_allclose(low, np.quantile(draws, 0.1, axis=0))
    np.testing.assert_allclose(high, np.quantile(draws, 0.9, axis=0))
    holes = np.concatenate([draws, np.full((50, 2), np.nan), np.full((3, 2), np.inf)])
    for end, same in zip(percentile_interval(holes, 0.8), (low, high), strict=True):
        np.testing.assert_allclose(end, same)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_bca_of_a_mean_is_that_of_scipy(level):
    rng = np.random.default_rng(3)
    sample = rng.exponential(size=25)
    draws = sample[rng.integers(0, 25, (4000, 25))].mean(axis=1)
    jackknife = (sample.sum() - sample) / 24
    low, high = bca_interval(draws[:, None], np.array([sample.mean()]), jackknife[:, None], level)
    peer = stats.bootstrap((sample,), np.mean, confidence_level=level, method="BCa", n_resamples=0,
                           bootstrap_result=Distribution(draws))  # fmt: skip
    # scipy counts draws below the estimate as percentile of score "mean" and interpolates alike
    assert low[0] == pytest.approx(peer.confidence_interval.low, rel=1e-6)
    assert high[0] == pytest.approx(peer.confidence_interval.high, rel=1e-6)


class Distribution:
    """What scipy.stats.bootstrap reads of an earlier result: its draws."""

    def __init__(self, draws):
        self.bootstrap_distribution = draws


def test_bca_without_bias_or_skewness_is_the_percentile_interval():
    draws = np.linspace(-1, 1, 2001)[:, None]
    jackknife = np.array([[-1.0], [-0.3], [0.3], [1.0]])
    low, high = bca_interval(draws, np.zeros(1), jackknife, 0.9)
    plain = percentile_interval(draws, 0.9)
    assert low[0] == pytest.approx(plain[0][0], abs=1e-9)
    assert high[0] == pytest.approx(plain[1][0], abs=1e-9)


def test_bca_of_draws_all_on_one_side_stays_finite():
    low, high = bca_interval(np.linspace(1, 2, 100)[:, None], np.zeros(1), np.zeros((5, 1)), 0.9)
    assert 1 <= low[0] <= high[0] <= 2
