"""Wild and parametric refits and the delta method against closed forms of the linear model."""

import numpy as np
import pytest
from scipy.stats import t as student_t

from scalinglens.errors import FitError
from scalinglens.fit import fit

LINE = "a + b*years where a real, b real"
OPTIONS = {"loss": "squares", "space": "linear"}


def line(rows=40, seed=1, groups=0, noise=0.1):
    rng = np.random.default_rng(seed)
    x = np.linspace(-3, 5, rows)
    site = np.arange(rows) if not groups else np.arange(rows) // (rows // groups)
    error = noise * rng.normal(size=site.max() + 1)[site] if groups else noise * rng.normal(size=rows)
    return {"years": x, "loss": 3 - 0.3 * x + error + 0.01 * rng.normal(size=rows), "site": site}


def least_squares(table):
    X = np.column_stack([np.ones(len(table["years"])), table["years"]])
    best, rest = np.linalg.lstsq(X, table["loss"], rcond=None)[:2]
    return X, best, np.sqrt(rest[0] / (len(X) - 2) * np.diag(np.linalg.inv(X.T @ X)))


def sandwich(table, groups):
    """Cluster-robust standard errors, written out."""
    X, best, _ = least_squares(table)
    r = table["loss"] - X @ best
    bread = np.linalg.inv(X.T @ X)
    scores = np.array([X[groups == g].T @ r[groups == g] for g in np.unique(groups)])
    n, g = len(X), len(scores)
    return np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread) * g / (g - 1) * (n - 1) / (n - 2))


@pytest.mark.parametrize("groups", [None, "site"])
def test_delta_intervals_are_those_of_the_sandwich(groups):
    table = line(groups=8 if groups else 0)
    found = fit(table, LINE, interval="delta", groups=groups, **OPTIONS)
    labels = table["site"]
    errors = sandwich(table, labels)
    freedom = 38 if groups is None else 8 - found.absorbed
    for name, error in zip("ab", errors, strict=True):
        estimate = found.parameters[name]
        assert estimate.method == "delta"
        half = student_t.ppf(0.95, freedom) * error
        # a is positive here, so its interval is one of its logarithm
        low = estimate.value * np.exp(-half / estimate.value) if estimate.value > 0 else estimate.value - half
        assert estimate.low == pytest.approx(low, rel=1e-4)
    assert len(found.draws) == 1000
    assert found.draws.std(axis=0) == pytest.approx(errors, rel=0.08)


def test_groups_absorb_what_their_means_determine():
    table = line(groups=8)
    found = fit(table, LINE, groups="site", interval="delta", **OPTIONS)
    X, _, _ = least_squares(table)
    P = np.equal.outer(table["site"], table["site"]) / 5
    assert found.absorbed == pytest.approx(np.trace(P @ X @ np.linalg.inv(X.T @ X) @ X.T), rel=1e-6)
    assert fit(table, LINE, **OPTIONS).absorbed == pytest.approx(2.0)


@pytest.mark.parametrize("resample", ["wild", "parametric", "rows"])
def test_every_bootstrap_has_the_errors_of_the_linear_model(resample):
    table = line(rows=80)
    found = fit(table, LINE, boot=1500, resample=resample, **OPTIONS)
    assert found.draws.std(axis=0) == pytest.approx(least_squares(table)[2], rel=0.2)
    assert found.settings["resample"] == resample


@pytest.mark.parametrize("resample", ["wild", "parametric"])
def test_made_up_noise_is_shared_within_groups(resample):
    table = line(rows=120, groups=24)
    found = fit(table, LINE, boot=800, resample=resample, groups="site", **OPTIONS)
    alone = fit(table, LINE, boot=800, resample=resample, **OPTIONS)
    assert found.draws.std(axis=0) == pytest.approx(sandwich(table, table["site"]), rel=0.3)
    # negative control: taken as independent, five rows of one site count five times
    assert np.all(alone.draws.std(axis=0) < 0.7 * found.draws.std(axis=0))


def test_predictions_of_the_delta_method_are_the_text_book_intervals():
    table = line(rows=60)
    found = fit(table, LINE, interval="delta", **OPTIONS)
    X, best, _ = least_squares(table)
    at = np.array([1.0, 9.0])
    where = found.predict(years=9.0, noise=False).iloc[0]
    r = table["loss"] - X @ best
    bread = np.linalg.inv(X.T @ X)
    covariance = bread @ ((X.T * r**2) @ X) @ bread * 60 / 59 * 59 / 58
    half = student_t.ppf(0.95, 58) * np.sqrt(at @ covariance @ at)
    assert where.low == pytest.approx((at @ best) * np.exp(-half / (at @ best)), rel=1e-4)
    wide = found.predict(years=9.0).iloc[0]
    assert wide.high - wide.low > 1.5 * (where.high - where.low)


def test_the_same_numbers_on_one_processor_and_on_two(monkeypatch):
    draws = []
    for processors in ("1", "2"):
        monkeypatch.setenv("SCALINGLENS_PROCESSES", processors)
        draws.append(fit(line(), LINE, boot=1100, resample="wild", **OPTIONS).draws)
    assert np.array_equal(*draws)


def test_sample_is_what_predict_summarises():
    table = {"params": np.geomspace(1e6, 1e9, 30), "loss": 2 + 90 / np.geomspace(1e6, 1e9, 30) ** 0.3}
    table["loss"] = table["loss"] * np.exp(0.01 * np.random.default_rng(0).normal(size=30))
    found = fit(table, "E + A/params^alpha", boot=400)
    for noise in (False, True):
        drawn = found.sample(params=[1e10, 1e11], noise=noise)
        frame = found.predict(params=[1e10, 1e11], noise=noise)
        assert drawn.shape == (400, 2)
        np.testing.assert_allclose(np.quantile(drawn, 0.05, axis=0), frame["low"], rtol=1e-12)
    assert fit(table, "E + A/params^alpha").sample(params=1e10).shape == (0, 1)


def test_unknown_ways_are_refused():
    with pytest.raises(FitError, match=r'unknown resample "wildd" \(did you mean "wild"'):
        fit(line(), LINE, boot=20, resample="wildd", **OPTIONS)


def test_a_curve_takes_the_column_that_varies_or_the_one_named():
    x = np.geomspace(10, 1e4, 20)
    table = {"examples": x, "loss": 0.5 + 3 * x**-0.4}
    named = fit(table, "alabdulmohsin2022.M2", x="examples")
    assert named.values["e_inf"] == pytest.approx(0.5, rel=1e-3)
    assert fit({"steps": x, "loss": table["loss"]}, "alabdulmohsin2022.M2").values == pytest.approx(
        named.values, rel=1e-3
    )
    with pytest.raises(FitError, match=r"several columns of the table vary \(tokens, params\).*--x COLUMN"):
        fit({"params": x, "tokens": x[::-1], "loss": table["loss"]}, "alabdulmohsin2022.M2")
    with pytest.raises(FitError, match="has no x; it runs over params"):
        fit({"params": x, "loss": table["loss"]}, "E + A/params^alpha", x="params")
    with pytest.raises(FitError, match="is the column that is fitted"):
        fit(table, "alabdulmohsin2022.M2", x="loss")
