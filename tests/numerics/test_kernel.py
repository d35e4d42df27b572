"""The density at zero of samples whose density is known."""

import numpy as np
import pytest
from scipy import stats

from scalinglens.numerics.kernel import robust_scale, share_within


def test_scale_of_a_normal_sample_is_its_standard_deviation():
    sample = 0.3 * np.random.default_rng(0).normal(size=20000)
    assert robust_scale(sample) == pytest.approx(0.3, rel=0.03)
    assert robust_scale(np.array([])) == 0.0


@pytest.mark.parametrize("half_width", [1e-6, 1e-3, 0.5])
def test_share_of_a_normal_sample_within_a_window(half_width):
    sample = np.random.default_rng(1).normal(size=20000)
    exact = stats.norm.cdf(half_width) - stats.norm.cdf(-half_width)
    # a kernel of bandwidth h flattens the peak by h^2/2, here 1%; the rest is counting error
    assert share_within(sample, half_width) == pytest.approx(exact, rel=0.06)


def test_weights_count_like_repeated_rows():
    rng = np.random.default_rng(2)
    sample = rng.normal(size=200)
    weights = rng.integers(1, 4, 200).astype(float)
    wide = 3.0 * robust_scale(sample)
    repeated = share_within(np.repeat(sample, weights.astype(int)), wide)
    assert share_within(sample, wide, weights) == pytest.approx(repeated)
    assert 0 < share_within(sample, 1e-9, weights) < 1e-6
