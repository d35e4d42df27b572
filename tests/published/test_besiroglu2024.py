"""Epoch's 240 points (Besiroglu et al. 2024, arXiv 2404.10102): optimum, likelihood and bootstrap errors."""

import numpy as np
import pytest
from scipy.optimize import minimize

from scalinglens.fit import fit
from scalinglens.numerics.bootstrap import resampling_weights
from scalinglens.runs import read_runs

FORM = "E + A/params^alpha + B/tokens^beta"


@pytest.fixture(scope="module")
def runs(table):
    kept = read_runs(table("epoch-chinchilla/svg_extracted_data.csv"), where="loss < 3.44")
    assert (len(kept), kept.rows_read) == (240, 245)
    return kept


@pytest.mark.parametrize("law", ["hoffmann2022", FORM])
def test_twenty_seeds_reach_the_optimum(runs, law):
    found = [fit(runs, law, seed=seed) for seed in range(20)]
    values = [f.value for f in found]
    assert all(f.status == "certified" for f in found)
    assert max(values) <= 0.0010182741
    assert max(values) - min(values) < 1e-9
    for f in found:
        # half a unit of the digits that two independent searches agree on (A 477.83, B 2143.4)
        assert f.values["A"] == pytest.approx(477.8, abs=0.06)
        assert f.values["B"] == pytest.approx(2143, abs=1)
        assert f.values["E"] == pytest.approx(1.8172, abs=6e-5)
        assert f.values["alpha"] == pytest.approx(0.3473, abs=6e-5)
        assert f.values["beta"] == pytest.approx(0.3672, abs=6e-5)


@pytest.mark.parametrize("law", ["hoffmann2022", FORM])
def test_profiled_likelihood_gives_the_published_parameters(runs, law):
    found = fit(runs, law, loss="likelihood")
    assert found.status == "certified"
    assert found.values["A"] == pytest.approx(482.0, abs=0.06)
    assert found.values["B"] == pytest.approx(2085.4, abs=0.5)
    assert found.values["E"] == pytest.approx(1.8169, abs=6e-5)
    assert found.values["alpha"] == pytest.approx(0.3478, abs=6e-5)
    assert found.values["beta"] == pytest.approx(0.3659, abs=1e-4)


def errors_of(found):
    draws = found.draws[np.all(np.isfinite(found.draws), axis=1)]
    assert len(draws) >= 0.997 * len(found.draws)
    columns = dict(zip(found.law.parameters, draws.T, strict=True))
    columns["a"] = columns["beta"] / (columns["alpha"] + columns["beta"])
    return {name: float(np.std(column)) for name, column in columns.items()}


def test_bootstrap_errors_of_the_plain_objective(runs):
    got = errors_of(fit(runs, "hoffmann2022", boot=4000, resample="rows"))
    published = {"A": 118, "B": 1430, "E": 0.0252, "alpha": 0.0149, "beta": 0.0203, "a": 0.0195}
    for name, value in published.items():
        # A and B are skewed: the error of a standard deviation from 4,000 draws is 4% for B, 1% for the others
        assert got[name] == pytest.approx(value, rel=0.10 if name in "AB" else 0.04), name


# The notebook's 4,000 resamples refitted by BFGS: 2.5, 50 and 97.5 percentiles.
PERCENTILES = {
    "A": (285, 470, 744), "B": (1042, 2203, 5810), "E": (1.769, 1.815, 1.871), "alpha": (0.317, 0.346, 0.373),
    "beta": (0.331, 0.369, 0.415), "a": (0.481, 0.516, 0.556),
}  # fmt: skip


@pytest.fixture(scope="module")
def likelihood(runs):
    return fit(runs, "hoffmann2022", loss="likelihood", boot=4000, resample="rows")


@pytest.mark.slow
@pytest.mark.parametrize("name", PERCENTILES)
def test_percentile_intervals_of_the_likelihood(likelihood, name):
    low, middle, high = PERCENTILES[name]
    got = likelihood.interval(name, level=0.95)
    width = high - low
    # an end of a 95% interval from 4,000 draws is known to 4% of its width, and so it is there; refits that stop early, as
    # in the notebook, give intervals a little narrower (next test)
    assert got.low == pytest.approx(low, abs=0.1 * width)
    assert got.high == pytest.approx(high, abs=0.1 * width)
    drawn = dict(zip(likelihood.law.parameters, likelihood.draws.T, strict=True))
    drawn["a"] = drawn["beta"] / (drawn["alpha"] + drawn["beta"])
    assert np.nanmedian(drawn[name]) == pytest.approx(middle, abs=0.05 * width)


@pytest.mark.slow
def test_the_exponent_of_the_frontier(likelihood):
    assert likelihood.derived["a"].value == pytest.approx(0.513, abs=1e-3)
    # print: an 80% interval 0.051 wide
    assert likelihood.interval("a", level=0.8).width == pytest.approx(0.051, rel=0.06)


def test_the_intervals_hoffmann_printed_are_implausible(runs):
    """Print: a of approach 3 is 0.454 to 0.455, as 600,000 runs would give; 240 runs leave forty times as much open."""
    found = fit(runs, "hoffmann2022", boot=300, resample="rows").interval("a", level=0.8)
    assert found.width / 0.001 > 40
    assert 0.4545 not in found


@pytest.mark.slow
def test_bootstrap_errors_of_the_likelihood(likelihood):
    got = errors_of(likelihood)
    published = {"A": 124.5, "B": 1293, "E": 0.0257, "alpha": 0.0154, "beta": 0.0206, "a": 0.0200}
    tolerance = {"A": 0.10, "B": 0.10, "E": 0.04, "beta": 0.04, "a": 0.045, "alpha": 0.07}
    # alpha: three seeds give .0161 to .0164, and a quasi-Newton search on the same resamples .0164 (next test). The
    # printed .0154 is low because refits stopped early: with numeric gradients and a start far off in the scale, as in
    # the notebook, the errors of the same resamples come out 3% smaller and the objectives a median 0.03 higher.
    for name, value in published.items():
        assert got[name] == pytest.approx(value, rel=tolerance[name]), name


@pytest.mark.slow
def test_likelihood_draws_are_those_of_an_independent_search(runs):
    """200 resamples refitted one at a time by BFGS with the gradient written out here."""
    lnN, lnD, lnL = (np.log(runs.column(name)) for name in ("params", "tokens", "loss"))
    delta = 1e-3

    def objective(u, w):
        a, b, e, alpha, beta, s = u
        terms = np.stack([a - alpha * lnN, b - beta * lnD, np.full_like(lnN, e)])
        top = terms.max(axis=0)
        share = np.exp(terms - top)
        total = share.sum(axis=0)
        share /= total
        z = (top + np.log(total) - lnL) / np.exp(s)
        c = np.clip(z, -delta, delta)
        g = w * c / np.exp(s)
        gradient = [
            g @ share[0],
            g @ share[1],
            g @ share[2],
            -g @ (share[0] * lnN),
            -g @ (share[1] * lnD),
            w.sum() - w @ (c * z),
        ]
        return w @ (c * (z - 0.5 * c)) + w.sum() * s, np.array(gradient)

    found = fit(runs, "hoffmann2022", loss="likelihood", boot=200, resample="rows")
    order = [found.law.parameters.index(n) for n in ("A", "B", "E", "alpha", "beta")]
    start = [6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083, np.log(1e-5)]
    peers, behind = [], []
    for draw, w in zip(found.draws[:, order], resampling_weights(np.arange(240), 200, seed=0), strict=True):
        peer = minimize(objective, start, args=(w,), jac=True, method="BFGS")
        peers.append([*np.exp(peer.x[:3]), *peer.x[3:5]])
        if np.all(np.isfinite(draw)):
            z = found.law.value(dict(zip(np.array(found.law.parameters)[order], draw, strict=True)), found.points)
            scale = float(found.loss.scale(np.log(z / found.observed), w))
            behind.append(objective([*np.log(draw[:3]), *draw[3:], np.log(scale)], w)[0] - peer.fun)
    # in units of the log likelihood, where 1.35 is a 90% interval: ours are as low to a thousandth, but for a few
    # resamples with two optima
    assert np.median(behind) < 1e-3
    assert np.quantile(behind, 0.95) < 1e-3
    np.testing.assert_allclose(np.nanstd(found.draws[:, order], axis=0), np.std(peers, axis=0), rtol=0.03)
