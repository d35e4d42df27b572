"""Pools of laws: weights, draws, growth of the error, files, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.errors import FitError, PredictionError, SavedFitError
from scalinglens.fit.compare.growth import BackTest, ErrorGrowth, back_test, distance, origins_of
from scalinglens.fit.compare.pool import PooledFit, pool, pooled, skill_weights
from scalinglens.fit.forecast import Forecast

TRUE = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 900.0, "beta": 0.31}


def runs(rows: int = 60, noise: float = 0.003, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9.5, rows), 10 ** rng.uniform(8.5, 11, rows)
    loss = TRUE["E"] + TRUE["A"] / N ** TRUE["alpha"] + TRUE["B"] / D ** TRUE["beta"]
    return pd.DataFrame({"params": N, "tokens": D, "loss": loss * np.exp(noise * rng.normal(size=rows))})


@pytest.fixture(scope="module")
def fits():
    table = runs()
    laws = ("hoffmann2022", "A/params^alpha + B/tokens^beta", "E + (A/params + B/tokens)^c")
    return [sl.fit(table, law, boot=60) for law in laws]


@pytest.fixture(scope="module")
def both(fits):
    return pool(fits)


class TestMean:
    def test_is_the_weighted_mean_of_logarithms(self, fits):
        shares = (0.5, 0.3, 0.2)
        found = pool(fits, weights=shares).predict(params=[1e10, 1e11], tokens=1e12)["loss"]
        each = [np.log(fit.predict(params=[1e10, 1e11], tokens=1e12)["loss"]) for fit in fits]
        assert found.to_numpy() == pytest.approx(np.exp(np.average(each, axis=0, weights=shares)), rel=1e-12)

    def test_median_of_three_is_the_middle_one(self, fits):
        found = pool(fits, how="median").predict(params=1e10, tokens=1e12)["loss"].item()
        each = sorted(fit.predict(params=1e10, tokens=1e12)["loss"].item() for fit in fits)
        assert found == pytest.approx(each[1], rel=1e-12)

    def test_weighted_median_by_hand(self):
        values = np.array([[0.0], [1.0], [5.0]])
        # cumulative middles .1, .5, .9: the second value exactly
        assert pooled(values, np.array([[0.2], [0.6], [0.2]]), "median") == pytest.approx([1.0])
        # .35, .8, .95: a third of the way from the first to the second
        assert pooled(values, np.array([[0.7], [0.2], [0.1]]), "median") == pytest.approx([1 / 3])

    def test_a_member_without_a_value_is_left_aside(self):
        values = np.array([[np.nan, 1.0], [2.0, 3.0]])
        assert pooled(values, np.full((2, 1), 0.5), "mean").tolist() == [2.0, 2.0]

    def test_one_weight_makes_it_that_fit(self, fits):
        alone = pool(fits, weights=[1, 0, 0])
        assert alone.predict(params=3e9, tokens=1e11)["loss"].item() == pytest.approx(
            fits[0].predict(params=3e9, tokens=1e11)["loss"].item(), rel=1e-12
        )


class TestSkill:
    def test_the_true_law_gets_most(self, fits):
        found = pool(fits, weights="skill")
        assert found.weights[0] > 0.8
        assert sum(found.weights) == pytest.approx(1.0)
        ahead = [row["ahead"] for row in found.tried]
        assert ahead[0] == min(ahead)

    def test_weights_are_inverse_squares(self):
        assert skill_weights(np.array([1.0, 2.0, np.nan])) == pytest.approx([2 / 3, 1 / 6, 1 / 6])
        assert skill_weights(np.array([np.nan, np.nan])) == pytest.approx([0.5, 0.5])

    def test_back_test_is_a_fit_of_the_smaller_runs(self, fits):
        """Against `fit` itself on the rows below the first origin."""
        tested = back_test(fits[:1], fits[0].points, ("params", "tokens"))
        assert tested is not None
        edge = tested.edges[0]
        table = runs()
        small = table[np.log(table.params) + np.log(table.tokens) <= edge + 1e-9]
        again = sl.fit(small, "hoffmann2022")
        expected = again.predict(params=table.params, tokens=table.tokens)["loss"]
        assert np.exp(tested.predicted[0, 0]) == pytest.approx(expected.to_numpy(), rel=1e-3)


class TestIntervals:
    def test_grow_with_the_distance_and_hold_the_members(self, both, fits):
        near, far = (both.predict(params=1e9 * k, tokens=1e10 * k, noise=False) for k in (1, 100))
        width = [float(np.log(f["high"] / f["low"]).item()) for f in (near, far)]
        assert width[1] > 3 * width[0]
        each = [fit.predict(params=1e11, tokens=1e12)["loss"].item() for fit in fits]
        assert far["low"].item() <= np.median(each) <= far["high"].item()

    def test_wider_than_any_single_law(self, both, fits):
        point = {"params": 1e11, "tokens": 1e13}
        single = [np.log(f.predict(**point)["high"] / f.predict(**point)["low"]).item() for f in fits[:1]]
        whole = both.predict(**point)
        assert np.log(whole["high"] / whole["low"]).item() > max(single)

    def test_level_and_noise(self, both):
        point = {"params": 3e9, "tokens": 3e10}
        narrow, wide = (both.predict(**point, level=level) for level in (0.5, 0.95))
        assert wide["low"].item() < narrow["low"].item() < narrow["high"].item() < wide["high"].item()
        law = both.predict(**point, noise=False)
        run = both.predict(**point, noise=True)
        assert (run["high"] - run["low"]).item() > (law["high"] - law["low"]).item()

    def test_same_seed_same_draws(self, both):
        first, second = (both.sample(params=1e10, tokens=1e11) for _ in range(2))
        assert first.shape == (60, 1)
        assert np.array_equal(first, second)

    def test_no_draws_no_interval(self):
        table = runs(20)
        plain = pool([sl.fit(table, "hoffmann2022"), sl.fit(table, "A/params^alpha + B/tokens^beta")])
        assert plain.sample(params=1e9, tokens=1e10).shape == (0, 1)
        assert np.isnan(plain.predict(params=1e9, tokens=1e10)["low"].item())

    def test_growth_is_measured_per_e_fold(self):
        """Made errors of .1 per e-fold, noise-free, from two origins."""
        size = np.log(2.0 ** np.arange(8))
        edges = size[[5, 3]]
        observed = np.zeros(8)
        predicted = np.stack([np.maximum(size - edge, 0) * 0.1 for edge in edges])[None]
        found = BackTest(observed, size, edges, predicted, 0.0).growth(np.ones(1), "mean")
        assert found is not None
        assert found.rate == pytest.approx(0.1)
        assert found.at(np.array([0.0, 2.0])) == pytest.approx([0.0, 0.2])

    def test_noise_alone_is_no_growth(self):
        rng = np.random.default_rng(0)
        size = np.linspace(0, 5, 400)
        predicted = rng.normal(0, 0.1, (1, 1, 400))
        found = BackTest(np.zeros(400), size, np.array([2.0]), predicted, 0.1).growth(np.ones(1), "mean")
        assert found is not None
        assert found.rate < 0.1 * 0.5

    def test_pushes_have_the_scale_of_their_origins(self):
        rng = np.random.default_rng(0)
        few, many = (ErrorGrowth(1.0, n).pushes(200_000, rng) for n in (1, 50))
        assert np.std(many) == pytest.approx(np.sqrt(1 + 1 / 50), rel=0.02)
        assert np.quantile(np.abs(few), 0.99) > np.quantile(np.abs(many), 0.99)

    def test_distance_and_origins(self):
        points = {"params": np.array([1e6, 1e8]), "tokens": np.array([1e9, 1e10])}
        asked = {"params": np.array([1e8, 1e9]), "tokens": np.array([1e9, 1e11])}
        assert distance(asked, points, ("params", "tokens")) == pytest.approx([0.0, np.log(100)])
        assert len(origins_of(np.log(np.arange(1.0, 4.0)), 5)) == 0


class TestViews:
    def test_is_a_forecast(self, both):
        assert isinstance(both, Forecast)
        assert both.inputs == ("params", "tokens")
        assert both.status == "certified"
        assert both.refusal == ""

    def test_text_says_how_it_came_about(self, both):
        text = repr(both)
        for words in ("pool of 3 laws fitted to 60 runs", "hoffmann2022", "weighted mean of logarithms", "back-test"):
            assert words in text

    def test_file_brings_it_back(self, both, tmp_path):
        both.save(tmp_path / "pool.json")
        again = PooledFit.load(tmp_path / "pool.json")
        point = {"params": [1e9, 1e12], "tokens": 1e12}
        pd.testing.assert_frame_equal(both.predict(**point), again.predict(**point))
        assert repr(again) == repr(both)
        json.dumps(both.to_dict(), allow_nan=False)
        assert both.to_dict()["members"][0]["weight"] == pytest.approx(1 / 3)

    def test_a_fit_is_no_pool(self, fits, tmp_path):
        fits[0].save(tmp_path / "fit.json")
        with pytest.raises(SavedFitError, match="fit of one law"):
            PooledFit.load(tmp_path / "fit.json")

    def test_extrapolation_and_citations(self, both):
        assert any("params 1T is" in text for text in both.extrapolation(params=1e12, tokens=1e10))
        assert any("Bates and Granger" in text for text in both.citations())
        assert both.to_frame().index.tolist() == [fit.law.name for fit in both.members]


class TestBadInput:
    def test_members(self, fits):
        with pytest.raises(FitError, match="two or more fits"):
            pool(fits[:1])
        other = sl.fit(runs(40, seed=1), "hoffmann2022")
        with pytest.raises(FitError, match="pool fits of the same runs"):
            pool([fits[0], other])

    @pytest.mark.parametrize("weights", [[1, 1], [1, -1, 1], [0, 0, 0], [1, np.nan, 1], "skil"])
    def test_weights(self, fits, weights):
        with pytest.raises(FitError, match="weights"):
            pool(fits, weights=weights)

    def test_how(self, fits):
        with pytest.raises(FitError, match='"mean" or "median"'):
            pool(fits, how="mode")

    def test_points(self, both):
        with pytest.raises(PredictionError, match='needs "tokens"'):
            both.predict(params=1e9)
        with pytest.raises(PredictionError, match="different lengths"):
            both.predict(params=[1e9, 2e9], tokens=[1e9, 1e10, 1e11])
        with pytest.raises(PredictionError, match='no input "tokns"'):
            both.predict(params=1e9, tokens=1e10, tokns=1.0)
        with pytest.raises(PredictionError, match="params"):
            both.predict(params=-1.0, tokens=1e10)
        with pytest.raises(FitError, match="level"):
            both.predict(params=1e9, tokens=1e10, level=90)
