"""Frontiers: those of a law are known in closed form; a surface of runs of that law finds the same one."""

import numpy as np
import pytest

from scalinglens.errors import FitError
from scalinglens.fit import fit
from scalinglens.fit.surface import frontier, surface

E, A, B, ALPHA, BETA = 1.8172, 477.8, 2143.0, 0.3473, 0.3672
SHARE, GAMMA = BETA / (ALPHA + BETA), ALPHA * BETA / (ALPHA + BETA)


def world(noise=0.0, count=160, seed=0):
    rng = np.random.default_rng(seed)
    n, d = 10 ** rng.uniform(7.5, 10, count), 10 ** rng.uniform(9, 11.5, count)
    loss = (E + A / n**ALPHA + B / d**BETA) * np.exp(noise * rng.normal(size=count))
    return {"params": n, "tokens": d, "loss": loss}


@pytest.fixture(scope="module")
def law():
    return fit(world(0.005), "hoffmann2022", boot=40)


@pytest.fixture(scope="module")
def found_frontier(law):
    return frontier(law, count=40)


def test_the_frontier_of_a_law_is_its_closed_form(law, found_frontier):
    found, got = law, found_frontier
    v = found.values
    G = (v["alpha"] * v["A"] / (v["beta"] * v["B"])) ** (1 / (v["alpha"] + v["beta"]))
    kept = got.table[got.table["clipped"] == ""]
    expected = G * (kept["flops"] / 6) ** found.derived["a"].value
    np.testing.assert_allclose(kept["params"], expected, rtol=2e-3)  # a parabola through three points of a grid of 100
    np.testing.assert_allclose(kept["params"] * kept["tokens"] * 6, kept["flops"], rtol=1e-12)
    np.testing.assert_allclose(
        kept["loss"], found.law.value(v, {n: kept[n].to_numpy() for n in found.inputs}), rtol=1e-7
    )
    assert got.a.value == pytest.approx(found.derived["a"].value, abs=1e-4)
    assert got.b.value == pytest.approx(found.derived["b"].value, abs=1e-4)
    assert got.gamma.value == pytest.approx(found.derived["gamma"].value, abs=1e-4)
    assert got.disagreement < 1e-2
    # the same draws, once through the exponents and once through forty searches
    for mine, theirs in ((got.a, found.derived["a"]), (got.b, found.derived["b"])):
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-3)


@pytest.mark.parametrize("kind", ["network", "kernel"])
def test_a_surface_finds_the_exponents_of_the_law_behind_its_runs(kind):
    got = surface(world(), kind, members=3).frontier(count=30)
    assert got.a.value == pytest.approx(SHARE, abs=0.01)
    assert got.b.value == pytest.approx(1 - SHARE, abs=0.01)
    assert got.gamma.value == pytest.approx(GAMMA, abs=0.005)
    assert got.loss_fit.values["E"] == pytest.approx(E, abs=0.02)


def test_intervals_of_a_surface_hold_the_truth():
    got = surface(world(0.003), "kernel", boot=24).frontier(count=15)
    assert got.a.low < SHARE < got.a.high
    assert 0.005 < got.a.width < 0.2
    assert got.a.method == "percentile"


def test_budgets_whose_optimum_is_not_inside_are_clipped():
    found = fit(world(), "hoffmann2022")
    got = frontier(found, count=60)
    ends = {name: (found.points[name].min(), found.points[name].max()) for name in found.inputs}
    step = {name: (high / low) ** (1 / 99) for name, (low, high) in ends.items()}
    G = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    params = G * (got.table["flops"] / 6) ** SHARE
    tokens = got.table["flops"] / 6 / params
    inside = np.ones(60, dtype=bool)
    for name, values in (("params", params), ("tokens", tokens)):
        inside &= ((values > ends[name][0] * step[name]) & (values < ends[name][1] / step[name])).to_numpy()
    kept = (got.table["clipped"] == "").to_numpy()
    assert 0 < (~inside).sum() < 60
    assert np.sum(kept != inside) <= 2  # one at each end may fall on the last grid step
    # a surface is clipped by the hull of the runs as well
    hull = surface(world(), "kernel").frontier(count=60).table
    assert (hull["clipped"] == "").sum() < kept.sum()


def test_too_few_budgets_inside_give_no_exponents():
    got = fit(world(), "hoffmann2022")
    far = frontier(got, budgets=np.geomspace(1e25, 1e27, 5))
    assert far.a is far.b is far.gamma is None
    assert "only 0 of 5 budgets" in far.warnings[0]
    assert "frontier over 0 of 5" in repr(far)


@pytest.mark.parametrize("kind", ["network", "kernel"])
def test_noise_has_no_exponents(kind):
    """Negative control: the loss does not depend on anything."""
    for seed in range(3):
        data = world(count=80)
        data["loss"] = np.exp(1 + 0.05 * np.random.default_rng(seed).normal(size=80))
        found = surface(data, kind, members=2)
        assert any("explain only" in warning for warning in found.warnings)
        got = found.frontier(count=10)
        assert got.a is got.b is got.gamma is None
        assert any("no exponents" in warning for warning in got.warnings)


def test_text_and_dictionary(found_frontier):
    assert "params ~ flops^a" in repr(found_frontier)
    found = found_frontier.to_dict()
    assert found["exponents"]["a"]["value"] == found_frontier.a.value
    assert len(found["rows"]) == len(found_frontier.to_frame()) == 40


@pytest.mark.parametrize(("options", "words"), [
    ({"inputs": ("params", "examples")}, "over params, tokens"),
    ({"count": 2}, "count is 4 at least"),
    ({"factor": 0.0}, "factor positive"),
    ({"budgets": [1e20, -1.0]}, "positive finite"),
])  # fmt: skip
def test_what_cannot_be_done_is_refused(options, words):
    with pytest.raises(FitError, match=words):
        frontier(fit(world(), "hoffmann2022"), **options)
