"""Draws and intervals against brute force: refits one at a time, and a scan of the profile."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, norm
from scipy.stats import t as student_t

from scalinglens.fit import fit
from scalinglens.numerics.bootstrap import resampling_weights
from scalinglens.runs import read_runs

FORM = "E + A/params^alpha + B/tokens^beta"


def world(seed=0, rows=60, noise=0.01):
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7.5, 9.5, rows), 10 ** rng.uniform(9, 11, rows)
    loss = (1.8 + 450 / params**0.34 + 1900 / tokens**0.36) * np.exp(noise * rng.normal(size=rows))
    return read_runs(
        {"params": params, "tokens": tokens, "loss": loss, "site": [f"site {i // 4:02d}" for i in range(rows)]}
    )


def spread(draws, value, freedom=60 - 5):
    """Draws moved away from the estimate by Student's t over the normal: their scale is an estimate."""
    return value * (draws / value) ** (student_t.ppf(0.95, freedom) / norm.ppf(0.95))


def finite(found):
    """The draws whose refit converged; nearly all must."""
    good = np.all(np.isfinite(found.draws), axis=1)
    assert np.mean(good) >= 0.99
    return found.draws[good]


@pytest.fixture(scope="module")
def runs():
    return world()


@pytest.mark.parametrize("options", [{}, {"loss": "squares"}, {"loss": "likelihood"}, {"groups": "site"}])
def test_each_draw_is_a_fit_of_its_resample(runs, options):
    found = fit(runs, FORM, boot=20, resample="rows", seed=2, **options)
    groups = np.arange(len(runs)) // (4 if "groups" in options else 1)
    rest = {k: v for k, v in options.items() if k != "groups"}
    for draw, weights in zip(found.draws[:6], resampling_weights(groups, 6, seed=2), strict=True):
        alone = fit(runs, FORM, weights=weights, **rest)
        values = dict(zip(found.law.parameters, draw, strict=True))
        prediction = found.law.value(values, found.points)
        objective = found.loss.value(np.log(prediction / found.observed), weights)
        # objectives agree far below what a parameter is known to; the valley is flat, so parameters agree to less
        # (minus log likelihoods, with their kink at zero, to a thousandth of what moves an interval)
        close = {"abs": 1e-3} if options.get("loss") == "likelihood" else {"rel": 1e-8}
        assert float(objective) == pytest.approx(alone.value, **close)
        np.testing.assert_allclose(draw, [alone.values[name] for name in alone.law.parameters], rtol=3e-3)


def test_leaving_one_out_is_a_fit_without_it(runs):
    found = fit(runs, FORM, loss="squares", boot=100, resample="rows", interval="bca", groups="site")
    assert found.left_out is not None
    assert len(found.left_out) == 15
    for site in (0, 7, 14):
        alone = fit(runs.where(f"site != 'site {site:02d}'"), FORM, loss="squares")
        np.testing.assert_allclose(found.left_out[site], [alone.values[n] for n in alone.law.parameters], rtol=1e-4)


def scan(runs, best, name, level, options, statistic):
    """Ends of the profile interval by root finding on pinned fits."""
    critical = chi2.ppf(level, 1)

    def excess(value):
        return statistic(fit(runs, FORM, pin={name: float(value)}, starts=1, **options).value) - critical

    width = best.certificate.coordinate_errors[name]
    at = best.values[name]
    if name in ("E", "A", "B"):  # standard errors of logarithms
        reach = [at * np.exp(-6 * width), at * np.exp(6 * width)]
    else:
        reach = [max(at - 6 * width, 0.02), at + 6 * width]
    return [brentq(excess, reach[0], at, xtol=1e-4 * at), brentq(excess, at, reach[1], xtol=1e-4 * at)]


@pytest.mark.parametrize("name", ["alpha", "E"])
def test_profile_intervals_of_squares_are_those_of_a_scan(runs, name):
    options = {"loss": "squares"}
    best = fit(runs, FORM, interval="profile", **options)
    ends = scan(runs, best, name, 0.9, options, lambda v: len(runs) * np.log(v / best.value))
    estimate = best.parameters[name]
    width = ends[1] - ends[0]
    assert estimate.low == pytest.approx(ends[0], abs=0.01 * width)
    assert estimate.high == pytest.approx(ends[1], abs=0.01 * width)


def test_profile_intervals_of_the_likelihood_are_those_of_a_scan(runs):
    options = {"loss": "likelihood", "delta": 1.345}
    best = fit(runs, FORM, interval="profile", **options)
    ends = scan(runs, best, "beta", 0.9, options, lambda v: 2 * (v - best.value))
    estimate = best.parameters["beta"]
    width = ends[1] - ends[0]
    assert estimate.low == pytest.approx(ends[0], abs=0.01 * width)
    assert estimate.high == pytest.approx(ends[1], abs=0.01 * width)


def test_profile_of_squares_linear_in_its_parameters_is_the_text_book_interval():
    rng = np.random.default_rng(1)
    x = np.linspace(-3, 5, 40)
    y = 2 - 0.3 * x + 0.1 * rng.normal(size=40)
    found = fit(
        {"years": x, "loss": y}, "a + b*years where a real, b real", loss="squares", space="linear", interval="profile"
    )
    X = np.column_stack([np.ones(40), x])
    best, rest = np.linalg.lstsq(X, y, rcond=None)[:2]
    # RSS(b)/RSS = 1 + (b - best)^2 / (RSS C_bb), so the ends follow in closed form
    spread = np.sqrt(rest[0] * np.diag(np.linalg.inv(X.T @ X)) * np.expm1(chi2.ppf(0.9, 1) / 40))
    for i, name in enumerate("ab"):
        assert found.parameters[name].low == pytest.approx(best[i] - spread[i], rel=1e-6)
        assert found.parameters[name].high == pytest.approx(best[i] + spread[i], rel=1e-6)


def test_standard_errors_of_squares_are_those_of_the_linear_model():
    rng = np.random.default_rng(1)
    x = np.linspace(-3, 5, 40)
    y = 2 - 0.3 * x + 0.1 * rng.normal(size=40)
    found = fit({"years": x, "loss": y}, "a + b*years where a real, b real", loss="squares", space="linear")
    X = np.column_stack([np.ones(40), x])
    rest = np.linalg.lstsq(X, y, rcond=None)[1][0]
    errors = np.sqrt(rest / 38 * np.diag(np.linalg.inv(X.T @ X)))
    assert [found.certificate.coordinate_errors[n] for n in "ab"] == pytest.approx(errors.tolist(), rel=1e-9)


def test_intervals_of_three_kinds_agree_where_everything_is_nearly_normal():
    runs = world(seed=3, rows=200, noise=0.004)
    ends = {}
    for kind in ("percentile", "bca", "profile"):
        found = fit(runs, FORM, loss="squares", interval=kind, boot=0 if kind == "profile" else 600, level=0.9)
        ends[kind] = found.parameters["alpha"]
    width = ends["profile"].high - ends["profile"].low
    for kind in ("percentile", "bca"):  # 600 draws fix a 5% quantile to about 5% of the width
        assert ends[kind].low == pytest.approx(ends["profile"].low, abs=0.15 * width)
        assert ends[kind].high == pytest.approx(ends["profile"].high, abs=0.15 * width)


def test_predictions_carry_the_draws(runs):
    found = fit(runs, FORM, boot=200, resample="rows")
    frame = found.predict(params=[1e9, 7e10], tokens=[2e10, 1.4e12], noise=False)
    direct = np.array([
        [E + A / N**al + B / D**be for N, D in ((1e9, 2e10), (7e10, 1.4e12))]
        for E, A, al, B, be in finite(found)[:, [found.law.parameters.index(n) for n in ("E", "A", "alpha", "B", "beta")]]
    ])  # fmt: skip
    direct = spread(direct, frame["loss"].to_numpy())
    np.testing.assert_allclose(frame["low"], np.quantile(direct, 0.05, axis=0), rtol=1e-9)
    np.testing.assert_allclose(frame["high"], np.quantile(direct, 0.95, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.sample(params=[1e9, 7e10], tokens=[2e10, 1.4e12]), direct, rtol=1e-9)
    wide = found.predict(params=[1e9, 7e10], tokens=[2e10, 1.4e12])
    # a single run scatters by 1%: its interval is wider than the law's by about 1.645 times that, in quadrature
    scatter = np.std(found.residuals)
    for k in range(2):
        law_part = (frame["high"][k] - frame["low"][k]) / 2
        total = np.hypot(law_part, 1.645 * scatter * frame["loss"][k])
        assert (wide["high"][k] - wide["low"][k]) / 2 == pytest.approx(total, rel=0.25)


def test_frontier_intervals_are_those_of_the_draws(runs):
    found = fit(runs, FORM, boot=200, resample="rows")
    order = [found.law.parameters.index(n) for n in ("alpha", "beta")]
    draws = finite(found)
    a = spread(draws[:, order[1]] / draws[:, order].sum(axis=1), found.derived["a"].value)
    assert found.derived["a"].low == pytest.approx(np.quantile(a, 0.05))
    assert found.derived["a"].value == pytest.approx(
        found.values["beta"] / (found.values["alpha"] + found.values["beta"])
    )
    assert found.derived["a"].value + found.derived["b"].value == pytest.approx(1.0)
    # the frontier is where the law is least along N D = C/6: brute force on a grid of sizes
    sizes = np.geomspace(1e6, 1e12, 200001)
    for flops in (1e20, 1e23):
        best = sizes[np.argmin(found.law.value(found.values, {"params": sizes, "tokens": flops / 6 / sizes}))]
        assert found.derived["G"].value * (flops / 6) ** found.derived["a"].value == pytest.approx(best, rel=1e-3)


def test_few_groups_are_warned_about(runs):
    found = fit(runs, FORM, boot=20, resample="rows", groups=np.arange(len(runs)) % 4)
    assert any("only 4 groups are resampled" in warning for warning in found.warnings)


def test_draws_are_the_same_bits_on_one_processor_and_on_two(runs, monkeypatch):
    found = []
    for processors in ("1", "2"):
        monkeypatch.setenv("SCALINGLENS_PROCESSES", processors)
        found.append(fit(runs, FORM, loss="squares", boot=1100, resample="rows").draws)
    assert np.array_equal(found[0], found[1], equal_nan=True)
    assert found[0].shape == (1100, 5)
