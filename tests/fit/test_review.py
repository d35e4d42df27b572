"""Promises a user relies on: weights have no unit, failed refits are not hidden, far points are named."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student_t

import scalinglens as sl
from scalinglens.errors import FitError, FormulaError, PredictionError, SavedFitError

FORM = "E + A/params^alpha"


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(3)
    params = np.tile(np.geomspace(1e6, 1e9, 12), 3)
    loss = (1.8 + 90 / params**0.3) * np.exp(0.004 * rng.normal(size=params.size))
    return sl.read_runs({"params": params, "loss": loss})


@pytest.mark.parametrize("loss", ["huber", "squares", "lad", "likelihood"])
@pytest.mark.parametrize("factor", [1e-4, 100.0])
def test_a_common_factor_of_the_weights_changes_the_objective_alone(runs, loss, factor):
    plain = sl.fit(runs, FORM, loss=loss, interval="profile")
    scaled = sl.fit(runs, FORM, loss=loss, interval="profile", weights=np.full(len(runs), factor))
    assert scaled.status == plain.status
    assert scaled.value == pytest.approx(factor * plain.value, rel=1e-9)
    for name, estimate in plain.parameters.items():
        # a search ends where the objective can fall by 1e-12 of itself: a millionth of a standard error from the optimum
        assert abs(scaled.parameters[name].value - estimate.value) < 1e-6 * estimate.width
        assert scaled.parameters[name].low == pytest.approx(estimate.low, rel=1e-6)
        assert scaled.parameters[name].high == pytest.approx(estimate.high, rel=1e-6)


def test_intervals_are_refused_when_many_refits_fail(runs):
    from dataclasses import replace

    found = sl.fit(runs, FORM, boot=40)
    broken = found.draws.copy()
    broken[:8] = np.nan
    refused = replace(found, draws=broken)
    assert "8 of 40 refits found no optimum" in refused.refusal
    assert all(estimate.low is None for estimate in refused.parameters.values())
    assert refused.predict(params=1e9)["low"].isna().all()
    broken[2:8] = found.draws[2:8]
    assert not replace(found, draws=broken).refusal


def test_interval_at_another_level(runs):
    found = sl.fit(runs, FORM, boot=200)
    narrow, wide = found.interval("alpha", 0.5), found.interval("alpha", 0.98)
    assert wide.low < narrow.low < found.values["alpha"] < narrow.high < wide.high
    assert (narrow.level, wide.level) == (0.5, 0.98)
    assert found.interval("alpha") == found.parameters["alpha"]
    with pytest.raises(FitError, match='no "alhpa"'):
        found.interval("alhpa")
    profiled = sl.fit(runs, FORM, interval="profile")
    with pytest.raises(FitError, match=r"fit again with level=0\.5"):
        profiled.interval("alpha", 0.5)


def test_predictions_of_a_bca_fit_are_bca(runs):
    from scalinglens.numerics.bootstrap import bca_interval

    found = sl.fit(runs, FORM, boot=200, interval="bca")
    E, A, alpha = found.draws.T
    left = found.left_out.T
    value = found.predict(params=1e10)["loss"][0]
    widening = student_t.ppf(0.95, 36 - 3) / norm.ppf(0.95)
    low, high = bca_interval(
        (value * ((E + A / 1e10**alpha) / value) ** widening)[:, None],
        np.array([value]),
        (left[0] + left[1] / 1e10 ** left[2])[:, None],
        0.9,
    )
    row = found.predict(params=1e10, noise=False).iloc[0]
    assert (row.low, row.high) == pytest.approx((low[0], high[0]), rel=1e-12)


def test_points_far_outside_the_runs_are_named(runs):
    found = sl.fit(runs, FORM)
    assert found.extrapolation(params=[1e6, 5e9]) == ()
    (said,) = found.extrapolation(params="1T")
    assert said == "params 1T is 1e+03 times above the largest of the fit, 1B"
    (said,) = found.extrapolation(params=70)
    assert "below the smallest of the fit, 1M" in said


def test_predict_takes_polars_text_and_refuses_nothing(runs):
    polars = pytest.importorskip("polars")
    found = sl.fit(runs, FORM)
    assert found.predict(polars.DataFrame({"params": [7e9]}))["loss"][0] == found.predict(params="7B")["loss"][0]
    with pytest.raises(PredictionError, match="no points"):
        found.predict(params=[])


def test_residuals_are_differences_where_the_law_is_negative():
    params = np.geomspace(1e7, 1e10, 40)
    rng = np.random.default_rng(0)
    loss = np.abs(0.3 - 0.05 * np.log(params / 1e7) + 0.004 * rng.normal(size=40)) + 1e-3
    law = "c - k*log(params/1e7) where c real, k real"
    found = sl.fit({"params": params, "loss": loss}, law, space="linear", loss="squares", boot=30)
    assert not found.ratios
    np.testing.assert_allclose(found.residuals, found.predict(params=params)["loss"] - loss, atol=1e-15)
    assert found.predict(params=1e10)["low"][0] < found.predict(params=1e10, noise=False)["low"][0] < 0


def test_what_cannot_be_fitted_is_refused(runs):
    with pytest.raises(FitError, match=r"no name in the law .* is an input.*did you mean"):
        sl.fit(runs, "E + A/exp(parms*alpha)")
    evaluated = sl.fit(runs, FORM, pin={"E": 1.8, "A": 90.0, "alpha": 0.3})
    assert any("nothing was fitted" in warning for warning in evaluated.warnings)
    with pytest.raises(FitError, match="20 at least"):
        sl.fit(runs, FORM, boot=1)
    with pytest.raises(FitError, match="boot is a number"):
        sl.fit(runs, FORM, boot=True)
    with pytest.raises(FormulaError, match='names "gamma", which is not a parameter'):
        sl.fit(runs, FORM, tie={"alpha": "gamma"})
    with pytest.raises(FormulaError, match='names "params", which is an input'):
        sl.fit(runs, FORM, tie={"alpha": "params"})


def test_a_verdict_cannot_be_edited(runs, tmp_path):
    import json

    path = tmp_path / "fit.json"
    sl.fit(runs, FORM).save(path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"status": "not_identified"}))
    with pytest.raises(SavedFitError, match="altered"):
        sl.Fit.load(path)


def test_a_parameter_without_an_upper_end_is_not_identified():
    """Saturation that the data never reach: every large R gives the same straight line."""
    rng = np.random.default_rng(1)
    tokens = np.tile(np.geomspace(1e8, 1e10, 8), 4)
    loss = (2 + tokens / 1e10) * np.exp(0.003 * rng.normal(size=tokens.size))
    found = sl.fit({"tokens": tokens, "loss": loss}, "E + K*R*(1 - exp(-tokens/R))", boot=20)
    assert found.status in ("at_bound", "not_identified"), found
    assert any(reason.startswith("R ") for reason in found.certificate.reasons)
    assert found.parameters["R"].low is found.parameters["R"].high is None
