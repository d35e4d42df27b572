"""The best vocabulary: the published example, brute force, and what does not depend on what."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.vocabulary import APPROACHES, vocabulary_sizes


def test_seven_billion():
    """Tao et al. 2024: 7e9 parameters without vocabulary, width 4096."""
    found = vocabulary_sizes(7e9, 4096)
    assert f"{found.flops[0]:.4e}" == "7.0524e+21"
    assert {name: round(float(v[0])) for name, v in found.sizes.items()} == {
        "approach1": 62281,
        "approach2": 67450,
        "approach3": 59548,
    }
    assert list(found.sizes) == list(APPROACHES)


def test_the_least_loss_by_brute_force():
    sizes, widths = np.array([1e8, 3e9, 7e10]), np.array([768, 2560, 8192])
    found = vocabulary_sizes(sizes, widths, flops=1e22)
    vocab = np.exp(np.linspace(np.log(1e3), np.log(1e6), 200_001))
    for i in range(3):
        loss = law("tao2024.approach3").value(params_nonvocab=sizes[i], vocab=vocab, width=widths[i], flops=1e22)
        assert found.sizes["approach3"][i] == pytest.approx(vocab[np.argmin(loss)], rel=1e-4)
        good = vocab[loss <= loss.min() + 1e-3 * abs(loss.min())]
        np.testing.assert_allclose(found.near_optimal[i], [good.min(), good.max()], rtol=1e-3)


def test_parameters_of_the_vocabulary_grow_slower_than_the_rest():
    found = vocabulary_sizes([1e8, 1e10], 4096)
    for name, value in found.sizes.items():
        exponent = np.log(value[1] / value[0]) / np.log(100)
        assert 0.8 < exponent < 0.87, name  # the paper: about 0.83, whatever the approach


def test_more_compute_more_vocabulary():
    found = vocabulary_sizes("7B", 4096, flops=["1e21", "1e23"])
    assert found.sizes["approach1"][1] > found.sizes["approach1"][0]
    assert found.sizes["approach3"][1] > found.sizes["approach3"][0]
    assert found.sizes["approach2"][1] == found.sizes["approach2"][0]
    assert list(found.to_frame().columns[3:6]) == list(APPROACHES)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((-7e9, 4096), {}, "params_nonvocab must be positive and finite, got -7e"),
        (("7B tokens", 4096), {}, "is in tokens, but params_nonvocab is measured in"),
        ((7e9, "wide"), {}, "'wide' does not begin with a number"),
        ((7e9, 4096), {"flops": 0}, "flops must be positive"),
        ((7e9, 4096), {"tolerance": 5}, "tolerance is a share of the loss"),
        (([1e9, 2e9], [1, 2, 3]), {}, "lengths 2, 3"),
    ],
)
def test_bad_vocabularies(arguments, options, says):
    with pytest.raises(PlanError, match=says):
        vocabulary_sizes(*arguments, **options)
