"""Variable projection: against published optima, another solver, and brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from scalinglens.fit import fit
from scalinglens.plan.methods.projection import project
from scalinglens.plan.methods.task import Refused


def made(alpha=0.34, beta=0.28, noise=0.0, count=80, seed=0):
    rng = np.random.default_rng(seed)
    n, d = 10 ** rng.uniform((7, 9), (10, 12), (count, 2)).T
    loss = 1.69 + 406.4 / n**alpha + 410.7 / d**beta
    return n, d, loss * np.exp(noise * rng.normal(size=count))


def test_the_published_optimum_of_squares(table):
    """tests/published/test_vpnls.py has the same numbers from the other solver."""
    source = pd.read_csv(table("isoflop-collection/isoflops.csv"))
    part = source[source["experiment"] == "ml_scalefit__massivetext__chinchilla"]
    found = project(*(part[name].to_numpy(float) for name in ("params", "tokens", "loss")), groups=np.arange(124))
    e, a, b, alpha, beta = found.values
    assert found.squares == pytest.approx(0.0485403, abs=1e-7)
    scaled = (alpha, beta, e, a * 1e6**-alpha, b * 1e9**-beta)
    assert scaled == pytest.approx((0.38846, 0.43345, 1.91759, 4.54831, 1.06987), abs=2e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.34, 0.28), (0.5, 0.15), (0.2, 0.6)])
def test_exact_without_noise(alpha, beta):
    n, d, loss = made(alpha, beta)
    found = project(n, d, loss, groups=np.arange(80))
    assert found.values == pytest.approx((1.69, 406.4, 410.7, alpha, beta), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_certified_solver_finds_the_same_optimum(seed):
    n, d, loss = made(noise=0.01, seed=seed)
    found = project(n, d, loss, groups=np.arange(80))
    other = fit({"params": n, "tokens": d, "loss": loss}, "hoffmann2022", loss="squares", space="linear")
    assert found.squares == pytest.approx(2 * other.value, rel=1e-9)
    assert dict(zip(("E", "A", "B", "alpha", "beta"), found.values, strict=True)) == pytest.approx(
        other.values, rel=1e-3
    )


def test_no_cell_of_a_fine_grid_is_below():
    n, d, loss = made(noise=0.01)
    found = project(n, d, loss, groups=np.arange(80))
    least = min(
        nnls(np.stack([np.ones(80), n**-a, d**-b], axis=1), loss)[1] ** 2
        for a in np.arange(0.1, 0.6, 0.02)
        for b in np.arange(0.1, 0.6, 0.02)
    )
    assert found.squares <= least


def test_resamples_are_fits_of_resampled_groups():
    n, d, loss = made(noise=0.005)
    found = project(n, d, loss, groups=np.arange(80), boot=20, seed=1)
    assert found.draws.shape == (20, 5)
    again = project(n, d, loss, groups=np.arange(80), boot=20, seed=1)
    np.testing.assert_array_equal(found.draws, again.draws)
    # noise shared within pairs: pairs resampled whole show a wider scatter than single runs do
    rng = np.random.default_rng(5)
    pairs = np.repeat(np.arange(40), 2)
    n, d = n[::2].repeat(2), d[::2].repeat(2)
    loss = (1.69 + 406.4 / n**0.34 + 410.7 / d**0.28) * np.exp(0.005 * rng.normal(size=40)[pairs])
    whole = project(n, d, loss, groups=pairs, boot=40, seed=1).draws[:, 3].std()
    single = project(n, d, loss, groups=np.arange(80), boot=40, seed=1).draws[:, 3].std()
    assert whole > 1.15 * single


def test_a_term_that_vanishes_is_refused():
    n, d, _ = made()
    with pytest.raises(Refused, match="lacks a term") as caught:
        project(n, d, 1.69 + 406.4 / n**0.34, groups=np.arange(80))
    assert caught.value.kind == "clamped"
