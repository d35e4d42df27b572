"""The result: saved and loaded, as text, as a frame, with its citations."""

import json
import math
import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import PredictionError, SavedFitError, ScalingLensError
from scalinglens.fit import Fit, fit

RUNS = {"params": [1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9, 3e9], "loss": [4.20, 3.81, 3.40, 3.04, 2.80, 2.55, 2.41, 2.24]}
FORM = "E + A/params^alpha"

FROZEN = """\
law fitted to 8 runs of frame: certified
  loss = E + A/params^alpha
       = 1.507 + 25.95/params^0.1633

         value   90% interval
  E      1.507   -
  A      25.95   -
  alpha  0.1633  -

  objective   squares (log space, summed) = 0.0002360117765
  certificate gradient <tiny>, Hessian positive, all of the starts agree, condition 6e+03
  intervals   none asked for (boot=1000 or interval='profile')"""


@pytest.fixture(scope="module")
def small():
    return fit(RUNS, FORM, loss="squares")


@pytest.fixture(scope="module")
def drawn():
    return fit(RUNS, FORM, loss="squares", boot=60)


CASES = {
    "plain": {},
    "draws": {"boot": 30},
    "bca": {"boot": 30, "interval": "bca"},
    "profile": {"interval": "profile"},
    "likelihood": {"loss": "likelihood", "delta": 1.345},
    "pinned": {"pin": {"E": 1.5}, "boot": 20},
    "linear": {"space": "linear", "loss": "squares"},
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_saved_fit_comes_back_the_same(case, tmp_path):
    found = fit(RUNS, FORM, **CASES[case])
    path = tmp_path / "fit.json"
    found.save(path)
    back = Fit.load(path)
    assert repr(back) == repr(found)
    assert back._repr_html_() == found._repr_html_()
    assert back.parameters == found.parameters
    assert back.status == found.status
    assert back.citations() == found.citations()
    pd.testing.assert_frame_equal(back.to_frame(), found.to_frame())
    pd.testing.assert_frame_equal(back.predict(params=[1e7, 1e12]), found.predict(params=[1e7, 1e12]))
    assert np.array_equal(back.draws, found.draws, equal_nan=True)
    back.save(tmp_path / "again.json")
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("fit.json", "again.json"))
    assert one == two


def test_infinite_domains_survive_saving(tmp_path):
    """JSON has no infinity: the ends of `real` and `negative` are null there."""
    found = fit(RUNS, "E + A*params^c where c < 0, E real", loss="squares")
    found.save(tmp_path / "fit.json")
    back = Fit.load(tmp_path / "fit.json")
    assert [back.law.domain(name) for name in "EAc"] == [found.law.domain(name) for name in "EAc"]
    pd.testing.assert_frame_equal(back.predict(params=1e9), found.predict(params=1e9))


def test_a_named_tied_and_refused_fit_comes_back_too(tmp_path):
    rng = np.random.default_rng(0)
    runs = {
        "params": 10 ** rng.uniform(7, 9, 30),
        "tokens": 10 ** rng.uniform(9, 11, 30),
        "loss": rng.uniform(2, 4, 30),
    }
    for options in ({"tie": {"beta": "alpha"}}, {"boot": 20}):
        found = fit(runs, "hoffmann2022", **options)
        found.save(tmp_path / "fit.json")
        back = Fit.load(tmp_path / "fit.json")
        assert repr(back) == repr(found)
        np.testing.assert_array_equal(
            back.predict(params=1e9, tokens=1e10).to_numpy(), found.predict(params=1e9, tokens=1e10).to_numpy()
        )


def test_saved_files_are_standard_json_and_whole(drawn, tmp_path):
    path = tmp_path / "fit.json"
    drawn.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["fit.json"]

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    document = json.loads(path.read_text(), parse_constant=refuse)
    assert document["parameters"]["alpha"]["value"] == drawn.values["alpha"]
    assert document["rows"] == {"read": 8, "used": 8, "dropped": []}
    assert document["objective"]["name"] == "squares"
    json.dumps(drawn.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("damage", "words"), [
    (lambda text: text[: len(text) // 2], "not complete JSON"),
    (lambda text: "{}", "is not a saved fit"),
    (lambda text: text.replace('"schema": 1', '"schema": 99'), "has schema 99"),
    (lambda text: text.replace('"observed": [4.2', '"observed": [4.3'), "was altered"),
])  # fmt: skip
def test_damaged_files_are_refused_in_words(drawn, tmp_path, damage, words):
    path = tmp_path / "fit.json"
    drawn.save(path)
    before = path.read_text()
    path.write_text(damage(before))
    assert path.read_text() != before
    with pytest.raises(SavedFitError, match=words):
        Fit.load(path)
    with pytest.raises(SavedFitError, match="there is no saved fit"):
        Fit.load(tmp_path / "nothing.json")
    with pytest.raises(ScalingLensError, match="cannot write"):
        drawn.save(tmp_path / "no" / "folder.json")


def test_text_of_a_small_fit(small):
    text = repr(small)
    text = re.sub(r"gradient \S+e-1\d,", "gradient <tiny>,", text)
    assert re.sub(r"(\d+) of \1 starts", "all of the starts", text) == FROZEN


def test_html_holds_the_same_numbers_and_is_escaped(drawn):
    page = drawn._repr_html_()
    assert page.count("<tr>") == 1 + len(drawn.parameters)
    for name, estimate in drawn.parameters.items():
        assert f"<td style='text-align:left'>{name}</td>" in page
        assert estimate.low < estimate.value < estimate.high
    odd = fit(RUNS | {"a<b": [1.0] * 8}, FORM, weights="a<b")
    assert "<b</" not in odd._repr_html_()


def test_the_frame_has_one_row_per_parameter_and_derived_quantity(drawn):
    frame = drawn.to_frame()
    assert frame.index.tolist() == ["E", "A", "alpha"]
    assert frame["how"].unique().tolist() == ["parameter"]
    assert frame.loc["alpha", "low"] == drawn.parameters["alpha"].low
    pinned = fit(RUNS, FORM, pin={"alpha": 0.2}).to_frame()
    assert pinned.loc["alpha", "how"] == "pinned"
    assert math.isnan(pinned.loc["E", "low"])
    two = fit({**RUNS, "tokens": [1e9, 8e8, 5e9, 2e9, 3e10, 7e9, 1e11, 5e10]}, "hoffmann2022").to_frame()
    assert two.index.tolist() == ["E", "A", "alpha", "B", "beta", "a", "b", "gamma", "G"]


def test_citations_name_the_law_and_the_methods():
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform(7, 9, 40), 10 ** rng.uniform(9, 11, 40)
    runs = {
        "params": params,
        "tokens": tokens,
        "loss": 1.8 + 450 / params**0.34 + 1900 / tokens**0.36 + 0.01 * rng.normal(size=40),
    }
    cited = fit(runs, "hoffmann2022", boot=20, interval="bca").citations()
    assert "Hoffmann" in cited[0]
    assert [any(word in text for text in cited) for word in ("Huber 1964", "Efron 1979", "Efron 1987")] == [True] * 3
    assert any("Venzon" in text for text in fit(runs, "hoffmann2022", loss="squares", interval="profile").citations())
    assert fit(RUNS, FORM, loss="squares").citations() == ()


def test_an_infinite_bound_survives_the_file(tmp_path):
    rng = np.random.default_rng(7)
    params, tokens = 10 ** rng.uniform(7.5, 9.5, 60), 10 ** rng.uniform(9, 11, 60)
    runs = {
        "params": params,
        "tokens": tokens,
        "loss": (1.8 + 1900 / tokens**0.36) * np.exp(0.01 * rng.normal(size=60)),
    }
    found = fit(runs, "hoffmann2022")
    found = replace(found, certificate=replace(found.certificate, bounds={"A": math.inf, "E": 0.0}))
    found.save(tmp_path / "fit.json")
    assert Fit.load(tmp_path / "fit.json").certificate.bounds == {"A": math.inf, "E": 0.0}


def test_points_to_predict_at_come_in_any_shape(small):
    value = small.values["E"] + small.values["A"] / 1e10 ** small.values["alpha"]
    for points in ({"params": 1e10}, {"params": [1e10]}, pd.DataFrame({"params": [1e10], "other": [3]})):
        assert small.predict(points)["loss"].tolist() == pytest.approx([value])
    assert small.predict(params=np.full(3, 1e10)).shape == (3, 4)
    with pytest.raises(PredictionError, match="params"):
        small.predict(tokens=1e9)
    with pytest.raises(PredictionError):
        small.predict(params=-1.0)


def test_residuals_are_log_ratios_of_the_prediction(small):
    at_data = small.predict(params=RUNS["params"])["loss"].to_numpy()
    np.testing.assert_allclose(small.residuals, np.log(at_data / np.array(RUNS["loss"])), atol=1e-14)
    assert small.value == pytest.approx(0.5 * np.sum(small.residuals**2))


def test_a_fit_that_fails_is_a_result_not_an_exception():
    for seed in range(4):
        runs = {"params": np.full(12, 1e8), "loss": np.random.default_rng(seed).uniform(2, 3, 12)}
        found = fit(runs, FORM)
        assert found.status != "certified"
        repr(found)
        found._repr_html_()
        json.dumps(found.to_dict(), allow_nan=False)


def test_nothing_is_said_on_standard_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(RUNS, FORM, boot=20)
