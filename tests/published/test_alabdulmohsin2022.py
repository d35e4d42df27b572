"""Alabdulmohsin et al. 2022, arXiv 2209.06640, Tables 2 and 3: M1 and M2 on the curves of the released benchmark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

import scalinglens as sl
from scalinglens.laws.catalogue import law
from scalinglens.laws.domain import Domain

# RMSLE beyond half of the largest x; the printed M1 of the language tables
M1_BIG_BENCH = {
    ("date", "1-shot"): 0.0319,
    ("date", "2-shot"): 0.0286,
    ("ling", "1-shot"): 0.0166,
    ("ling", "2-shot"): 0.0170,
    ("qa", "1-shot"): 0.0043,
    ("qa", "2-shot"): 0.0044,
    ("mult", "1-shot"): 0.0107,
    ("mult", "2-shot"): 0.0157,
    ("unit", "1-shot"): 0.0083,
    ("unit", "2-shot"): 0.0107,
}
NMT = ("6 Enc, 6 Dec", "28 Enc, 6 Dec", "6 Enc, 28 Dec", "Dec-only", "TEnc-LSTM")
M1_NMT = (0.2619, 0.1708, 0.2340, 0.2520, 0.1899)
M2_NMT_LOGS = (0.0561, 0.0636, 0.0661, 0.0376, 0.0174)  # least squares of ln y
M2_NMT_AUTHORS = (0.0385, 0.0564, 0.0527, 0.0103, 0.0126)  # the authors' procedure, recomputed with their code


@pytest.fixture(scope="module")
def language(table):
    return pd.read_csv(table("revisiting-scaling-benchmark/benchmark.lang.csv"))


def curve(frame, domain, task, model):
    rows = frame[(frame.Domain == domain) & (frame.Task == task) & (frame.Model == model)].drop_duplicates()
    seen, ahead = rows[rows.Training == 1], rows[rows.Training == 0]
    return seen["Seen Examples"].to_numpy(float), seen["Loss"].to_numpy(float), ahead


def rmsle(found, ahead):
    predicted = found.predict(x=ahead["Seen Examples"].to_numpy(float))["loss"].to_numpy()
    return float(np.sqrt(np.mean((np.log(predicted) - np.log(ahead["Loss"].to_numpy())) ** 2)))


def test_the_language_table_holds_687_duplicates(language):
    assert (len(language), len(language.drop_duplicates())) == (1399, 712)


@pytest.mark.parametrize(("task", "printed"), list(M1_BIG_BENCH.items()))
def test_m1_on_big_bench(language, task, printed):
    x, y, ahead = curve(language, "BB", str(task), "262M")
    found = sl.fit({"x": x, "loss": y}, "alabdulmohsin2022.M1", loss="squares")
    slope, offset = np.polyfit(np.log(x), np.log(y), 1)
    assert found.values["c"] == pytest.approx(slope, rel=1e-6)
    assert np.log(found.values["b"]) == pytest.approx(offset, rel=1e-6)
    assert rmsle(found, ahead) == pytest.approx(printed, abs=5.1e-5)


@pytest.mark.parametrize(("model", "printed"), list(zip(NMT, M1_NMT, strict=True)))
def test_m1_on_translation(language, model, printed):
    x, y, ahead = curve(language, "NMT", "log_perplexity", model)
    found = sl.fit({"x": x, "loss": y}, "alabdulmohsin2022.M1", loss="squares")
    assert rmsle(found, ahead) == pytest.approx(printed, abs=5.1e-5)


@pytest.mark.parametrize(("model", "value"), list(zip(NMT, M2_NMT_LOGS, strict=True)))
def test_m2_on_translation(language, model, value):
    x, y, ahead = curve(language, "NMT", "log_perplexity", model)
    found = sl.fit({"x": x, "loss": y}, "alabdulmohsin2022.M2", loss="squares")
    assert rmsle(found, ahead) == pytest.approx(value, abs=1.1e-4)


@pytest.mark.parametrize(("model", "printed"), list(zip(NMT, M2_NMT_AUTHORS, strict=True)))
def test_m2_of_the_authors_is_a_local_optimum_of_another_objective(language, model, printed):
    """Their numbers belong to sum (ln(y - e) - ln b - c ln x)^2 at its inner stationary point in e.

    The notes this was planned from call it least squares on the raw scale, which gives .0655 .0857 .0822 .0543 .0162 by two
    solvers. The printed decoder-only cell (.039) repeats the row of 6E6D; this procedure gives .0103.
    """
    x, y, ahead = curve(language, "NMT", "log_perplexity", model)
    basis = np.stack([np.log(x), np.ones(len(x))], axis=1)

    def at(floor):
        line, squares, *_ = np.linalg.lstsq(basis, np.log(y - floor), rcond=None)
        return float(squares[0]), line

    floors = y.min() * (1 - np.geomspace(0.99, 1e-5, 3000))
    values = np.array([at(floor)[0] for floor in floors])
    inner = np.flatnonzero((values[1:-1] < values[:-2]) & (values[1:-1] < values[2:])) + 1
    assert len(inner) == 1
    floor = floors[inner[0]]
    c, b = at(floor)[1]
    predicted = np.exp(c * np.log(ahead["Seen Examples"].to_numpy(float)) + b) + floor
    error = np.sqrt(np.mean((np.log(predicted) - np.log(ahead["Loss"].to_numpy())) ** 2))
    assert error == pytest.approx(printed, abs=1.5e-4)
    # on the squares of ln y, the objective stated for all four laws, the certified fit is better
    found = sl.fit({"x": x, "loss": y}, "alabdulmohsin2022.M2", loss="squares")
    assert found.status in ("certified", "at_bound")
    theirs = 0.5 * np.sum((np.log(np.exp(basis @ [c, b]) + floor) - np.log(y)) ** 2)
    assert found.value < theirs
    # and where even without a floor theirs falls below the inner point, that point is no global optimum
    assert (values[0] < values[inner[0]]) == (model in ("6 Enc, 6 Dec", "Dec-only", "TEnc-LSTM"))


@pytest.mark.parametrize("model", NMT)
def test_m3_optimum_is_that_of_scipy(language, model):
    x, y, _ = curve(language, "NMT", "log_perplexity", model)
    found = sl.fit({"x": x, "loss": y}, "alabdulmohsin2022.M3", loss="squares")
    z = x / x.max()
    best = min(
        least_squares(
            lambda t: t[0] + t[1] * np.log(1 / z + np.exp(t[2])) - np.log(y), [np.log(y[-1]), 0.3, g], max_nfev=500
        ).cost
        for g in np.linspace(-6, 6, 7)
    )
    assert found.value == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("task", [("date", "1-shot"), ("mult", "1-shot"), ("unit", "2-shot")])
def test_m4_is_never_worse_than_m2_which_it_holds(language, task):
    """On noisy curves the optimum of M4 is at a = 0, where e0 has no influence: the search must stop at the bound."""
    x, y, _ = curve(language, "BB", str(task), "262M")
    form = law("alabdulmohsin2022.M4")
    domains = {**dict(form.domains), "a": Domain(0.0, 20.0, False), "e0": Domain(0.0, 20.0 * y.max())}
    runs = {"x": x, "loss": y}
    m4 = sl.fit(runs, replace(form, domains=domains), loss="squares", starts=8)
    m2 = sl.fit(runs, "alabdulmohsin2022.M2", loss="squares")
    assert m4.value <= m2.value * (1 + 1e-9)
    if m4.value > m2.value * (1 - 1e-9):
        assert m4.certificate.starts_agree >= 2


def test_recency_weights_turn_m2_round(language):
    """Weights (x/x_max)^2 take the mean error of M2 on translation from .048 to .016: the law is misspecified."""
    errors = []
    for power in (0, 2):
        each = []
        for model in NMT:
            x, y, ahead = curve(language, "NMT", "log_perplexity", model)
            found = sl.fit({"x": x, "loss": y}, "alabdulmohsin2022.M2", loss="squares", weights=(x / x.max()) ** power)
            each.append(rmsle(found, ahead))
        errors.append(np.mean(each))
    assert errors[0] == pytest.approx(0.0482, rel=0.01)
    assert errors[1] == pytest.approx(0.016, rel=0.05)
