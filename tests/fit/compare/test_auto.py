"""`fit(runs, "auto")`: curves and tables, what is chosen and why, and how good it is on worlds with a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.errors import FitError, RunsError
from scalinglens.fit.compare.auto import auto_fit, candidate_laws
from scalinglens.fit.compare.pool import PooledFit
from scalinglens.fit.curves.curve import curve_laws
from scalinglens.fit.curves.rule import recency
from scalinglens.runs import read_runs


def curve(kind: str, rows: int = 30, noise: float = 0.003, seed: int = 0, scale: float = 1.0):
    """x, y in the range and the truth at two, four and eight times its end."""
    rng = np.random.default_rng(seed)
    x = np.geomspace(1.0, 300.0, rows)
    ahead = 300.0 * np.array([2.0, 4.0, 8.0])
    truth = {
        "power": lambda x: 0.4 + x**-0.4,
        "no floor": lambda x: x**-0.25,
        "break": lambda x: 0.2 + x**-0.05 * (1 + (x / 30) ** 2) ** -0.15,
        "exponential": lambda x: 0.3 + 0.7 * np.exp(-x / 60),
    }[kind]
    return x * scale, truth(x) * np.exp(noise * rng.normal(size=rows)), ahead * scale, truth(ahead)


class TestCurves:
    @pytest.mark.parametrize(
        ("kind", "bound"), [("power", 0.04), ("no floor", 0.08), ("break", 0.11), ("exponential", 0.14)]
    )
    def test_forecasts_known_truths_up_to_eight_times_as_far(self, kind, bound):
        """Below these bounds; a straight line in logarithms misses by .35, .0006 (it is the truth), .29, .27.

        The exponential was .085 before the pool held two powers and is .122 since: what gains on other curves loses here.
        """
        x, y, ahead, truth = curve(kind)
        found = auto_fit({"x": x, "loss": y}, boot=60)
        shown = found.predict(x=ahead, noise=False)
        error = np.max(np.abs(np.log(shown["loss"].to_numpy() / truth)))
        assert error < bound
        if kind != "no floor":
            slope, offset = np.polyfit(np.log(x), np.log(y), 1)
            assert error < 0.5 * np.max(np.abs(slope * np.log(ahead) + offset - np.log(truth)))
        assert np.all(np.diff(np.log(shown["high"] / shown["low"])) > 0)  # less sure the further
        assert found.settings["rule"] == "curve"

    @pytest.mark.parametrize(
        ("truth", "rows"),
        [
            (lambda x: x**-0.25, 5),
            (lambda x: x**-0.25, 30),
            (lambda x: 0.4 + x**-0.4, 7),
            (lambda x: (1 / x + 0.002) ** 0.3, 7),
            (lambda x: 0.2 + x**-0.2 + 2 * x**-0.8, 12),
            (lambda x: 0.3 + 0.7 * np.exp(-((x / 150) ** 0.6)), 12),
        ],
        ids=["power law, few", "power law", "floor", "M3", "two powers", "stretched"],
    )
    def test_a_law_without_noise_is_followed(self, truth, rows):
        """To eight times the range within 1%."""
        x = np.geomspace(1.0, 300.0, rows)
        found = auto_fit({"x": x, "loss": truth(x)})
        assert found.settings["exact"] == 1.0
        assert found.predict(x=2400.0)["loss"].item() == pytest.approx(truth(2400.0), rel=0.01)

    def test_a_noisy_power_law_is_followed_where_runs_are_many(self):
        """Eighty runs with 0.3% of noise: on average within 2% at eight times the range, where recency alone misses by 5%."""
        misses = []
        for seed in range(6):
            x, y, ahead, truth = curve("no floor", rows=80, seed=seed)
            misses.append(abs(np.log(auto_fit({"x": x, "loss": y}).predict(x=ahead)["loss"].to_numpy() / truth)[-1]))
        assert np.mean(misses) < 0.02

    def test_intervals_hold_truths_that_no_member_is(self):
        """Nominal 90%, at 2, 4 and 8 times the range, four kinds of curves: at least three in four hold."""
        hits = []
        for kind in ("break", "exponential", "power", "no floor"):
            for seed in range(2):
                x, y, ahead, truth = curve(kind, rows=20, noise=0.005, seed=seed)
                shown = auto_fit({"x": x, "loss": y}, boot=60).predict(x=ahead, noise=False)
                hits.append((shown["low"].to_numpy() <= truth) & (truth <= shown["high"].to_numpy()))
        assert np.mean(hits) >= 0.75

    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e12])
    def test_units_of_x_do_not_matter(self, scale):
        x, y, ahead, _ = curve("power", rows=15, scale=scale)
        plain = curve("power", rows=15)
        found = auto_fit({"x": x, "loss": y}).predict(x=ahead)["loss"].to_numpy()
        expected = auto_fit({"x": plain[0], "loss": plain[1]}).predict(x=plain[2])["loss"].to_numpy()
        assert found == pytest.approx(expected, rel=2e-3)

    def test_units_of_the_column_do_not_matter(self):
        x, y, ahead, _ = curve("power", rows=15)
        small, large = (auto_fit({"x": x, "loss": y * k}).predict(x=ahead)["loss"].to_numpy() / k for k in (1, 1e3))
        assert small == pytest.approx(large, rel=2e-3)

    def test_five_rows_suffice_and_say_so(self):
        found = auto_fit({"x": [1, 2, 4, 8, 16], "loss": [4.0, 3.2, 2.7, 2.4, 2.2]}, boot=40)
        assert [row["law"] for row in found.tried] == [f"alabdulmohsin2022.{name}" for name in ("M1", "M2", "M3")]
        assert any("too few to forecast from earlier origins" in text for text in found.warnings)
        assert 1.9 < found.predict(x=32)["loss"].item() < 2.15

    def test_a_rising_accuracy_stays_below_one(self):
        x = np.geomspace(1, 100, 15)
        found = auto_fit({"x": x, "accuracy": 1 - 0.6 * x**-0.4}, target="accuracy", boot=40)
        assert found.link == "1 - y"
        shown = found.predict(x=[1000.0, 1e6], noise=False)
        assert shown["accuracy"][0] == pytest.approx(1 - 0.6 * 1000**-0.4, abs=0.01)
        assert np.all(shown["high"] < 1)
        assert np.all(shown["low"] < shown["high"])

    def test_a_rising_score_without_a_ceiling(self):
        x = np.geomspace(1, 100, 15)
        found = auto_fit({"x": x, "loss": 5 * x**0.3}, boot=40)
        assert found.link == "1/y"
        assert found.predict(x=200)["loss"].item() == pytest.approx(5 * 200**0.3, rel=0.02)

    def test_noise_is_refused(self):
        rng = np.random.default_rng(3)
        x = np.geomspace(1, 100, 25)
        found = auto_fit({"x": x, "loss": 2 * np.exp(0.02 * rng.normal(size=25))}, boot=40)
        assert "a constant explains" in found.refusal
        assert found.status == "not_identified"
        assert np.isnan(found.predict(x=200)["low"].item())

    def test_weights_follow_the_noise(self):
        clean, noisy = (
            auto_fit({"x": curve("break", noise=n)[0], "loss": curve("break", noise=n)[1]}) for n in (3e-4, 0.02)
        )
        assert clean.settings["recency"] == 1.0
        assert 0.05 <= noisy.settings["recency"] < 0.3
        assert noisy.settings["noise"] == pytest.approx(0.02, rel=0.4)
        assert "signal-to-noise" in repr(noisy)

    def test_recency_by_hand(self):
        assert recency(np.array([1.0, 10.0]), 0.1) == pytest.approx([1 / (1 + 0.1 * 99), 1.0])

    def test_a_break_has_runs_on_either_side(self):
        x = np.arange(1.0, 21.0)
        low, high = (getattr(curve_laws(x, 1 / x)["broken"].domain("d1"), end) for end in ("low", "high"))
        assert (low, high) == (3.0, 18.0)

    def test_order_of_the_rows_does_not_matter(self):
        x, y, ahead, _ = curve("power", rows=12)
        order = np.random.default_rng(1).permutation(12)
        first, second = (auto_fit({"x": x[o], "loss": y[o]}, boot=30) for o in (np.arange(12), order))
        pd.testing.assert_frame_equal(first.predict(x=ahead), second.predict(x=ahead))
        assert np.array_equal(second.observed, y[order])

    def test_groups_and_weights_are_heard(self):
        x, y, ahead, _ = curve("power", rows=12)
        runs = {"x": x, "loss": y, "w": np.r_[np.zeros(3), np.ones(9)]}
        without = auto_fit({"x": x[3:], "loss": y[3:]}).predict(x=ahead)["loss"]
        weighted = auto_fit(runs, weights="w").predict(x=ahead)["loss"]
        assert weighted.to_numpy() == pytest.approx(without.to_numpy(), rel=0.01)
        assert len(auto_fit(runs, boot=30, groups=np.arange(12) // 3).sample(x=ahead)) == 30


class TestTables:
    def test_the_true_law_leads(self):
        rng = np.random.default_rng(0)
        N, D = 10 ** rng.uniform(7, 9.5, 60), 10 ** rng.uniform(8.5, 11, 60)
        loss = (1.7 + 400 / N**0.34 + 900 / D**0.31) * np.exp(0.002 * rng.normal(size=60))
        found = sl.fit({"params": N, "tokens": D, "loss": loss}, "auto", boot=40)
        assert isinstance(found, PooledFit)
        assert found.settings["rule"] == "table"
        best = max(found.tried, key=lambda row: row["weight"])
        assert best["law"] in ("hoffmann2022", "busbridge2025", "droppo2021")  # the last two hold the first
        by_name = {row["law"]: row for row in found.tried}
        assert by_name["powers without floor"]["weight"] < 0.1
        shown = found.predict(params=1e11, tokens=1e12, noise=False)
        assert shown["loss"].item() == pytest.approx(1.7 + 400 / 1e11**0.34 + 900 / 1e12**0.31, rel=0.02)
        assert shown["low"].item() < shown["loss"].item() < shown["high"].item()

    def test_candidates_depend_on_what_varies(self):
        base = {"params": [1e7, 1e8, 1e9], "tokens": [1e9, 4e9, 2e9], "loss": [4.0, 3.0, 2.5]}
        assert "hoffmann2022" in candidate_laws(read_runs(base))
        unique = read_runs({**base, "tokens_unique": [1e9, 1e9, 2e9]})
        assert next(iter(candidate_laws(unique))) == "muennighoff2023"
        experts = read_runs({"params_dense": [1e7, 1e8, 1e9], "experts": [1, 2, 4], "loss": [4.0, 3.0, 2.5]})
        assert all("experts" in law.formula for law in candidate_laws(experts).values())
        streams = read_runs({"params_nonembedding": [1e7, 1e8, 1e9], "streams": [1, 2, 4], "loss": [4.0, 3.0, 2.5]})
        assert "parscale2025" in candidate_laws(streams)

    def test_a_law_that_fails_is_listed_with_its_reason(self):
        table = {"params": [1e7, 1e8, 1e9, 3e9, 1e10, 2e10], "tokens": [1e9, 4e9, 2e9, 9e9, 3e10, 8e9]}
        loss = [4.0, 3.2, 2.9, 2.6, 2.4, 2.45]
        found = auto_fit({**table, "loss": loss})
        failed = [row for row in found.tried if row["status"] == "failed"]
        assert failed
        assert all("too few" in row["reason"] for row in failed)

    def test_one_size_is_a_curve_over_the_other(self):
        D = np.geomspace(1e8, 1e11, 12)
        found = auto_fit({"params": np.full(12, 1e8), "tokens": D, "loss": 2 + 300 / D**0.3}, x="tokens")
        assert found.settings["rule"] == "curve"
        assert found.predict(x=4e11)["loss"].item() == pytest.approx(2 + 300 / 4e11**0.3, rel=0.01)

    def test_parallel_streams_reach_the_goal(self, table):
        """Fitted to at most four streams, forecasts eight: R2 of .996 on both corpora (published results, 11)."""
        source = pd.read_csv(table("parscale/losses.csv"))
        for corpus in source["dataset"].unique():
            rows = read_runs(
                source[source["dataset"] == corpus],
                params_nonembedding="non_embedding_params",
                streams="parallel_streams",
            ).frame[["params_nonembedding", "streams", "loss"]]
            seen, ahead = rows[rows.streams <= 4], rows[rows.streams == 8]
            found = sl.fit(seen, "auto")
            error = found.predict(ahead)["loss"].to_numpy() - ahead["loss"].to_numpy()
            assert 1 - np.sum(error**2) / np.sum((ahead["loss"] - ahead["loss"].mean()) ** 2) > 0.996, corpus


class TestBadInput:
    @pytest.mark.parametrize(
        ("runs", "options", "error", "message"),
        [
            ({"x": [1, 2, 3, 4], "loss": [4, 3, 2, 1.5]}, {}, FitError, "4 different x"),
            ({"x": [1] * 8, "loss": np.arange(1, 9)}, {}, FitError, "1 different x"),
            ({"x": [1, 2, 3, 4, 5, 6], "loss": [6, 5, 4, 3, 2, 1]}, {"pin": {"a": 1}}, FitError, "pin concerns"),
            ({"x": [1, 2, 3, 4, 5, 6], "loss": [6, 5, 4, 3, 2, 1]}, {"boot": -1}, FitError, "boot"),
            ({"x": [1, 2, 3, 4, 5, 6], "loss": [6, 5, 4, 3, 2, 1]}, {"level": 90}, FitError, "level"),
            ({"x": [1, 2, 3, 4, 5, 6], "loss": [6, 5, 4, 3, 2, 1]}, {"x": "xs"}, RunsError, "xs"),
            ({"x": [1, 2, 3, 4, 5, 6], "loss": [6, 5, 4, 3, 2, 1]}, {"target": "los"}, RunsError, "los"),
            ({"x": [-1, 2, 3, 4, 5, 6], "loss": [6, 5, 4, 3, 2, 1]}, {}, FitError, "positive"),
        ],
    )
    def test_says_what_is_wrong(self, runs, options, error, message):
        with pytest.raises(error, match=message):
            auto_fit(runs, **options)
