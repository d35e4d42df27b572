"""Surfaces: they follow runs of a known law, say how sure they are, and refuse to leave the region of the runs."""

import numpy as np
import pytest

from scalinglens.errors import FitError, PredictionError, RunsError
from scalinglens.fit import fit
from scalinglens.fit.forecast import Forecast
from scalinglens.fit.surface import surface
from scalinglens.fit.surface.region import Region

TRUTH = {"E": 1.8172, "A": 477.8, "B": 2143.0, "alpha": 0.3473, "beta": 0.3672}


def loss_of(params, tokens):
    return TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"] + TRUTH["B"] / tokens ** TRUTH["beta"]


def world(count=120, noise=0.004, seed=0):
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7.5, 10, count), 10 ** rng.uniform(9, 11.5, count)
    loss = loss_of(params, tokens) * np.exp(noise * rng.normal(size=count))
    return {"params": params, "tokens": tokens, "loss": loss}


@pytest.fixture(scope="module")
def kernel():
    return surface(world(), "kernel", boot=40)


@pytest.fixture(scope="module")
def network():
    return surface(world(), members=4, boot=24)


@pytest.mark.parametrize("kind", ["network", "kernel"])
def test_a_surface_follows_a_law_it_has_not_been_told(kind):
    found = surface(world(noise=0), kind, members=3)
    ahead = world(60, 0, seed=1)
    p = found.predict(params=ahead["params"], tokens=ahead["tokens"])["loss"].to_numpy()
    inside = found.region.inside(np.log(np.stack([ahead["params"], ahead["tokens"]], axis=1)))
    assert found.status == "certified"
    assert 40 < inside.sum() < 60
    # the law spans 1.9 to 5.7 and the runs are 120: 2e-3 is a third of a percent of the range
    assert np.sqrt(np.mean(np.log(p / ahead["loss"])[inside] ** 2)) < 2e-3


def test_a_surface_is_a_forecast_like_a_fit(kernel):
    law = fit(world(), "hoffmann2022", boot=40)
    assert isinstance(kernel, Forecast)
    here = {"params": [1e8, 1e9], "tokens": 1e10}
    one, other = kernel.predict(**here), law.predict(**here)
    assert list(one.columns) == list(other.columns)
    assert one.index.equals(other.index)
    np.testing.assert_array_equal(one[["params", "tokens"]], other[["params", "tokens"]])
    assert kernel.sample(**here).shape == law.sample(**here).shape == (40, 2)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=0.02)
    # a frame, Runs or texts say the same as keywords
    assert kernel.predict(one)["loss"].tolist() == one["loss"].tolist()
    assert kernel.predict(params="100M", tokens="10B")["loss"].iloc[0] == pytest.approx(one["loss"].iloc[0], rel=1e-12)


def test_intervals_hold_new_runs_and_the_truth(network, kernel):
    hits, true = [], []
    for found, seed in ((network, 5), (kernel, 6)):
        ahead = world(150, seed=seed)
        p = found.predict(params=ahead["params"], tokens=ahead["tokens"])
        narrow = found.predict(params=ahead["params"], tokens=ahead["tokens"], noise=False)
        ok = np.isfinite(p["low"].to_numpy())
        truth = loss_of(ahead["params"], ahead["tokens"])
        hits.append(np.mean((p["low"] < ahead["loss"])[ok] & (ahead["loss"] < p["high"])[ok]))
        true.append(np.mean((narrow["low"] < truth)[ok] & (truth < narrow["high"])[ok]))
        assert np.mean((p["high"] - p["low"])[ok]) > 1.2 * np.mean((narrow["high"] - narrow["low"])[ok])
    # 150 runs each and one surface each: 90% nominal, errors of neighbouring places go together
    assert min(hits) > 0.82
    assert np.mean(true) > 0.75


def test_nothing_is_known_outside(kernel):
    points = {"params": [1e9, 1e11, 3e7, 1e9], "tokens": [1e10, 1e10, 1e9 / 2, 1e13]}
    p = kernel.predict(points)
    assert np.isfinite(p["loss"]).all()
    np.testing.assert_array_equal(np.isnan(p["low"]), [False, True, True, True])
    np.testing.assert_array_equal(np.isnan(p["high"]), [False, True, True, True])
    assert np.isnan(kernel.sample(points)).all(axis=0).tolist() == [False, True, True, True]
    said = kernel.extrapolation(points)
    assert len(said) == 1
    assert "3 of 4 points" in said[0]
    assert "1B, tokens 10T" in said[0]
    assert kernel.extrapolation(params=1e9, tokens=1e10) == ()


def test_the_hull_is_what_runs_enclose():
    corner = np.log([[1e6, 1e8], [1e6, 1e10], [1e8, 1e10]])  # the fourth corner of the box was never trained
    region = Region.of(corner)
    assert region.inside(corner).all()
    assert region.inside(corner.mean(axis=0)[None]).all()
    missing = region.factor(np.log([[1e8, 1e8]]))[0]
    # its distance to the line from the first to the third corner is ln(100)/sqrt(2)
    assert missing == pytest.approx(100 ** (1 / np.sqrt(2)), rel=1e-9)
    assert region.inside(region.places()).all()
    one = Region.of(np.log([[1e6], [1e8]]))
    np.testing.assert_allclose(one.factor(np.log([[1e5], [1e7], [1e9]])), [10, 1, 10])


def test_runs_on_a_line_identify_no_surface():
    rng = np.random.default_rng(0)
    params = 10 ** rng.uniform(7, 9, 40)
    found = surface({"params": params, "tokens": 20 * params, "loss": loss_of(params, 20 * params)}, "kernel", boot=40)
    assert found.status == "not_identified"
    assert "move together" in found.refusal
    assert found.sample(params=1e8, tokens=2e9).shape == (0, 1)
    assert np.isnan(found.predict(params=1e8, tokens=2e9)["low"]).all()


def test_a_loss_that_rises_with_size_is_said_and_where():
    data = world(noise=0)
    data["loss"] = data["loss"] * np.exp(0.15 * np.log(data["params"] / 3e8).clip(0) ** 2)
    found = surface(data, "kernel")
    rise = found.rises["params"]
    # d ln loss / d ln params > 0 where the planted bend, 0.3 ln(params/3e8), beats the law's slope
    rng = np.random.default_rng(7)
    n, d = np.exp(found.region.places()[rng.integers(0, 1000, 4000)].T)
    law = -TRUTH["alpha"] * TRUTH["A"] * n ** -TRUTH["alpha"] / loss_of(n, d)
    assert rise.share == pytest.approx(np.mean(law + 0.3 * np.log(n / 3e8).clip(0) > 0), abs=0.04)
    assert rise.where["params"] > 3e9
    assert any("rises with params" in warning for warning in found.warnings)
    clean = surface(world(noise=0), "kernel")
    assert clean.rises["params"].share == clean.rises["tokens"].share == 0
    assert not any("rises" in warning for warning in clean.warnings)


def test_one_and_three_inputs():
    rng = np.random.default_rng(1)
    n, d, b = 10 ** rng.uniform(7, 9, 150), 10 ** rng.uniform(9, 11, 150), 10 ** rng.uniform(4, 6, 150)
    best = 1e5
    loss = loss_of(n, d) * np.exp(0.02 * np.log(b / best) ** 2)
    found = surface({"params": n, "tokens": d, "batch_tokens": b, "loss": loss}, "kernel",
                    inputs=("params", "tokens", "batch_tokens"))  # fmt: skip
    p = found.predict(params=1e8, tokens=1e10, batch_tokens=[2e4, 1e5, 5e5])["loss"].to_numpy()
    truth = loss_of(1e8, 1e10) * np.exp(0.02 * np.log(np.array([2e4, 1e5, 5e5]) / best) ** 2)
    np.testing.assert_allclose(p, truth, rtol=0.01)
    assert "batch_tokens" not in found.rises  # more of it is not better
    line = surface({"params": n, "loss": 1.8 + 400 / n**0.34}, members=2, inputs="params")
    assert line.predict(params=1e8)["loss"].iloc[0] == pytest.approx(1.8 + 400 / 1e8**0.34, rel=1e-3)


@pytest.mark.parametrize(("kind", "options"), [("network", {"members": 10}), ("kernel", {"boot": 20})])
def test_same_seed_same_bits_whatever_the_processors(monkeypatch, kind, options):
    runs = world(40)
    one, other = (surface(runs, kind, seed=seed, **options) for seed in (3, 4))
    monkeypatch.setenv("SCALINGLENS_PROCESSES", "1")
    same = surface(runs, kind, seed=3, **options)
    for name in ("members", "draws"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(*(found.draws if kind == "kernel" else found.members for found in (one, other)))


def test_groups_are_resampled_whole():
    data = world(80)
    groups = np.arange(80) // 8
    by_row, by_group = (surface(data, "kernel", boot=20, groups=g) for g in (None, groups))
    assert not np.array_equal(by_row.draws, by_group.draws)
    assert by_group.groups.max() == 9


def test_text_and_dictionary_say_what_is_known(kernel):
    text = repr(kernel)
    for part in ("kernel regression", "120 runs", "certified", "40 bootstrap refits", "outside"):
        assert part in text
    found = kernel.to_dict()
    assert found["schema"] == 1
    assert found["rows"]["used"] == 120
    assert found["region"]["params"] == [kernel.points["params"].min(), kernel.points["params"].max()]
    assert kernel.noise.scale == pytest.approx(0.004, rel=0.25)


@pytest.mark.parametrize(("change", "options", "error", "words"), [
    ({}, {"kind": "networks"}, FitError, 'did you mean "network"'),
    ({}, {"inputs": ()}, FitError, "one to 4 different inputs"),
    ({}, {"inputs": ("params", "params")}, FitError, "one to 4 different inputs"),
    ({}, {"inputs": ("params", "loss")}, FitError, "cannot be an input"),
    ({}, {"inputs": ("params", "width")}, RunsError, "no column 'width'"),
    ({}, {"members": 0}, FitError, "members is a whole number"),
    ({}, {"boot": 5}, FitError, "does not show the ends"),
    ({}, {"delta": 0.0}, FitError, "delta is a positive number"),
    ({}, {"ridge": -1.0}, FitError, "ridge is a positive number"),
    ({}, {"level": 90}, FitError, "write 0.9"),
    ({}, {"groups": np.zeros(3)}, FitError, "group labels"),
    ({"tokens": 1e9}, {}, FitError, "in all 120 runs"),
    ({"loss": 3.0}, {}, FitError, "column loss"),
])  # fmt: skip
def test_what_cannot_be_done_is_refused_with_a_remedy(change, options, error, words):
    data = world() | {name: np.full(120, value) for name, value in change.items()}
    options = {"kind": "kernel", **options}
    with pytest.raises(error, match=words):
        surface(data, options.pop("kind"), **options)


def test_too_few_runs_and_missing_values():
    data = world(12)
    data["loss"][:3] = np.nan
    with pytest.raises(FitError, match="9 runs do not show a surface"):
        surface(data, "kernel")
    data = world(60)
    data["loss"][:3] = np.nan
    assert len(surface(data, "kernel").observed) == 57


@pytest.mark.parametrize(("points", "words"), [
    ({"params": 1e9}, 'needs "tokens"'),
    ({"params": 1e9, "tokens": 1e10, "token": 1}, 'did you mean "tokens"'),
    ({"params": -1.0, "tokens": 1e10}, "positive"),
    ({"params": np.nan, "tokens": 1e10}, "positive"),
    ({"params": "many", "tokens": 1e10}, "many"),
    ({"params": [1e9, 2e9], "tokens": [1e10] * 3}, "different lengths"),
    ({"params": [], "tokens": []}, "no points"),
])  # fmt: skip
def test_points_that_cannot_be_predicted(kernel, points, words):
    with pytest.raises((PredictionError, ValueError), match=words):
        kernel.predict(**points)
