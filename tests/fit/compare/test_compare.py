"""`compare` finds the law that made the table, cannot tell twins apart, and says why whatever failed did."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.errors import (
    FitError,
    FormulaError,
    HoldoutError,
    OutputError,
    PredictionError,
    RunsError,
    ScalingLensError,
    UnknownLawError,
)
from scalinglens.fit.compare import Comparison, compare
from scalinglens.fit.compare.baselines import BASELINES
from scalinglens.fit.compare.contenders import contenders
from scalinglens.fit.compare.scores import aicc

TRUTH = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 1500.0, "beta": 0.36}
LAW = "E + A/params^alpha + B/tokens^beta"
NO_FLOOR = "A/params^alpha + B/tokens^beta"


def ladder(noise: float = 0.003, seed: int = 0) -> sl.Runs:
    """Twelve sizes with five token counts each, of a law with a floor."""
    rng = np.random.default_rng(seed)
    params = np.repeat(np.geomspace(2e7, 5e9, 12), 5)
    tokens = params * np.tile([5, 10, 20, 40, 80], 12)
    loss = sl.law("hoffmann2022").value(TRUTH, {"params": params, "tokens": tokens})
    return sl.read_runs({"params": params, "tokens": tokens, "loss": loss * np.exp(noise * rng.standard_normal(60))})


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(ladder(), ["hoffmann2022", NO_FLOOR, "E + A/params^alpha"], boot=60)


# ---- what is found --------------------------------------------------------------------------------------------------


def test_the_law_that_made_the_table_wins(found: Comparison) -> None:
    assert found.best == "hoffmann2022"
    assert found.table.index[0] == "hoffmann2022"
    assert found.test(NO_FLOOR).verdict == "worse"
    assert found.test("E + A/params^alpha").verdict == "worse"
    assert all(found.test(name).verdict == "worse" for name in BASELINES)
    assert found.verdict[0].startswith("hoffmann2022 forecasts best: an average error of 0.")
    assert any(sentence.startswith("It beats") and NO_FLOOR in sentence for sentence in found.verdict)
    assert found.clusters == "params"


def test_scores_are_those_of_fits_made_by_hand(found: Comparison) -> None:
    """Every origin again, without any of the machinery: fit, predict, subtract."""
    runs = ladder()
    flops = runs.column("flops")
    frame = runs.to_frame()
    assert [fold.origin for fold in found.folds] == list(range(1, len(found.folds) + 1))
    everything = []
    for fold in found.folds:
        edge, reach = flops[fold.train].max(), flops[fold.test].max()
        train, test = frame[flops <= edge], frame[(flops > edge) & (flops <= reach)]
        assert (len(train), len(test)) == (len(fold.train), len(fold.test))
        fit = sl.fit(train[["params", "tokens", "loss"]], NO_FLOOR, boot=60)
        value = fit.predict(test, level=0.9, noise=True)
        y, p = test["loss"].to_numpy(), value["loss"].to_numpy()
        row = found.by_origin.query("law == @NO_FLOOR and origin == @fold.origin").iloc[0]
        assert row["are"] == pytest.approx(np.mean(np.abs(p / y - 1)), rel=1e-9)
        assert row["rmsle"] == pytest.approx(np.sqrt(np.mean(np.log(p / y) ** 2)), rel=1e-9)
        assert row["r2"] == pytest.approx(1 - np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2), rel=1e-9)
        assert row["coverage"] == np.mean((value["low"] <= y) & (y <= value["high"]))
        assert row["width"] == pytest.approx(np.mean(value["high"] - value["low"]), rel=1e-9)
        assert row["aicc"] == pytest.approx(aicc(fit), rel=1e-9)
        assert row["factor"] == reach / edge
        assert row["status"] == fit.status
        everything.append(np.log(p / y))
    pooled = found.table.loc[NO_FLOOR]
    missed = np.concatenate(everything)
    assert pooled["rmsle"] == pytest.approx(np.sqrt(np.mean(missed**2)), rel=1e-9)
    assert pooled["error"] == pytest.approx(np.mean(np.abs(missed)), rel=1e-9)
    assert pooled["runs"] == len(missed)
    assert pooled["aicc"] == found.by_origin.query("law == @NO_FLOOR")["aicc"].iloc[-1]


def test_every_forecast_is_there(found: Comparison) -> None:
    tested = np.concatenate([fold.test for fold in found.folds])
    for name in (*found.laws, *BASELINES):
        part = found.predictions[found.predictions["law"] == name]
        assert sorted(part["row"]) == sorted(tested)
    best = found.forecasts("hoffmann2022")
    np.testing.assert_array_equal(best["observed"], ladder().column("loss")[best["row"]])
    assert np.all(best["low"] < best["predicted"])
    assert np.all(best["ahead"] > 1)


def test_intervals_of_the_right_law_hold() -> None:
    """Pooled over ten tables of the same law, 90% intervals hold about 90% of the runs held out."""
    inside = []
    for seed in range(10):
        one = compare(ladder(seed=seed), "hoffmann2022", boot=100, origins=1, baselines=False).forecasts("hoffmann2022")
        inside += list((one["low"] <= one["observed"]) & (one["observed"] <= one["high"]))
    assert 0.8 <= np.mean(inside) <= 0.98  # errors of one fit go together, so the mean scatters by about 4%


def test_twins_are_not_distinguishable() -> None:
    twins = compare(ladder(), {"one": LAW, "other": LAW.replace("alpha", "a").replace("beta", "b")}, boot=0)
    (test,) = (t for t in twins.tests if t.law in ("one", "other"))
    assert test.verdict == "not distinguishable"
    assert abs(test.difference) < 1e-6
    assert any("Not distinguishable from it" in sentence for sentence in twins.verdict)


def test_best_is_the_least_mean_error_of_a_law(found: Comparison) -> None:
    laws = found.table[found.table["kind"] == "law"]
    assert laws["error"].is_monotonic_increasing
    assert found.best == laws["error"].idxmin()


def test_a_table_of_a_power_law_is_not_beaten_by_more_parameters() -> None:
    rng = np.random.default_rng(4)
    params = np.repeat(np.geomspace(1e6, 1e9, 20), 2)
    loss = 9.0 * params**-0.07 * np.exp(0.003 * rng.standard_normal(40))
    laws = ["A/params^alpha", "E + A/params^alpha"]
    got = compare({"params": params, "loss": loss}, laws, holdout="top:params:0.5", boot=0)
    (test,) = (t for t in got.tests if t.law in laws)
    assert test.verdict == "not distinguishable"  # the floor comes out as nothing: which is ahead is chance


def test_best_baseline_is_said_to_be_better_where_it_is() -> None:
    size = np.geomspace(1e6, 1e9, 30)
    flat = {"params": size, "loss": np.where(size < 3e7, 4 - 0.5 * np.log10(size / 1e6), 3.26)}  # a broken law
    got = compare(flat, "A/params^alpha", holdout="above:params:40M", boot=0, origins=1)
    assert got.table.index[0] in BASELINES
    assert got.best == "A/params^alpha"
    assert any(s.startswith("No law is as good as a forecast without a fit") for s in got.verdict)


# ---- what may be compared -------------------------------------------------------------------------------------------


def constant(runs: sl.Runs) -> sl.Fit:
    return sl.fit(runs, "A*params^(0*alpha) + 0*tokens", pin={"alpha": 1.0}, boot=30)


def test_functions_laws_and_names_under_names() -> None:
    laws = {"typed": LAW, "object": sl.law("hoffmann2022"), "function": lambda runs: sl.fit(runs, LAW, boot=60)}
    got = compare(ladder(), laws, boot=60, origins=1)
    assert got.laws == ("typed", "object", "function")
    scores = [tuple(got.table.loc[name, ["error", "width", "interval_score"]]) for name in got.laws]
    assert scores[0] == scores[1] == scores[2]
    assert [c.name for c in contenders([constant, ("mine", constant), sl.law("besiroglu2024")])] == [
        "constant", "mine", "besiroglu2024",
    ]  # fmt: skip


def test_published_constants_are_not_used() -> None:
    got = compare(ladder(), {"published": sl.law("besiroglu2024"), "form": "besiroglu2024"}, boot=0, origins=1)
    assert got.table.loc["published", "error"] == got.table.loc["form", "error"] < 0.01


def test_a_law_that_cannot_be_fitted_is_a_row_with_its_reason() -> None:
    def broken(runs: sl.Runs) -> sl.Fit:
        raise PredictionError("a reason of its own")

    laws = ["hoffmann2022", "A/params^alpha + B/learning_rate^beta", broken]
    got = compare(ladder(), laws, boot=0)
    assert got.best == "hoffmann2022"
    assert got.table.loc["broken", "status"] == f"failed {len(got.folds)}"
    assert got.table.loc["broken", "reason"] == "a reason of its own"
    assert "learning_rate" in str(got.table.loc[laws[1], "reason"])
    assert got.test("broken") is None
    assert any("broken failed at" in sentence for sentence in got.verdict)
    assert "a reason of its own" in repr(got)


def test_too_few_runs_for_one_law_only() -> None:
    small = ladder().where("params < 40M")  # ten runs, and four after the hold-out
    got = compare(small, ["hoffmann2022", "A/params^alpha"], holdout="top:flops:0.6", boot=0)
    assert got.table.loc["hoffmann2022", "status"] == "failed"
    assert "cannot determine 5 parameters" in str(got.table.loc["hoffmann2022", "reason"])
    assert got.best == "A/params^alpha"


def test_unidentified_fits_are_scored_and_marked() -> None:
    runs = ladder()
    line = sl.read_runs(runs.to_frame()[["params", "loss"]].assign(tokens=20 * runs.column("params")))
    got = compare(line, ["hoffmann2022", "A/params^alpha"], boot=60, origins=1)
    assert got.table.loc["hoffmann2022", "status"] == "not_identified"
    assert got.table.loc["hoffmann2022", "are"] < 0.1
    assert math.isnan(got.table.loc["hoffmann2022", "coverage"])
    assert any("hoffmann2022 is not_identified" in sentence for sentence in got.verdict)


def test_forecasts_that_are_no_numbers_fail() -> None:
    class Nowhere:
        inputs, target, level, status, refusal, warnings = ("params",), "loss", 0.9, "certified", "", ()

        def predict(self, points=None, level=None, noise=False, **columns) -> pd.DataFrame:
            n = len(points)
            nan = np.full(n, np.nan)
            return pd.DataFrame({"loss": np.where(np.arange(n) == 0, np.nan, 2.0), "low": nan, "high": nan})

    got = compare(ladder(), [LAW, ("nowhere", lambda runs: Nowhere())], boot=0, origins=1)
    assert got.table.loc["nowhere", "reason"] == "the forecast of 1 of 30 runs is no finite number"


def test_another_target_fails() -> None:
    got = compare(
        ladder(), [LAW, ("flops", lambda runs: sl.fit(runs, "A*params^a", target="flops"))], boot=0, origins=1
    )
    assert got.table.loc["flops", "reason"] == "it forecasts flops, and loss is compared"


def test_an_accuracy_with_zeros_is_compared_without_logarithms() -> None:
    size = np.geomspace(1e6, 1e9, 24)
    accuracy = 0.9 - 28 / size**0.25
    accuracy[-1] = 0.0  # it failed
    laws = ["accuracy = a - b/params^c where a real", "accuracy = a - b/params where a real"]
    got = compare(
        {"params": size, "accuracy": accuracy, "loss": 3 - accuracy}, laws,
        holdout="top:params:0.25", space="linear", loss="squares", boot=0,
    )  # fmt: skip
    assert got.target == "accuracy"
    assert got.table.loc[laws[0], "error"] == pytest.approx(
        np.mean(np.abs(got.forecasts(laws[0])["predicted"] - got.forecasts(laws[0])["observed"]))
    )
    assert repr(got)


def test_one_variable_laws_run_over_the_column_named() -> None:
    rng = np.random.default_rng(8)
    examples = np.geomspace(1e3, 1e6, 40)
    loss = (0.3 + 20 * examples**-0.5) * np.exp(0.002 * rng.standard_normal(40))
    table = {"examples_seen": examples, "loss": loss, "junk": rng.random(40)}
    laws = ["alabdulmohsin2022.M2", "alabdulmohsin2022.M1"]
    got = compare(table, laws, x="examples_seen", holdout="factor:examples_seen:4", boot=60)
    assert got.best == "alabdulmohsin2022.M2"
    assert got.target == "loss"
    assert len(got.folds) == 3
    same = compare(table, laws, x="examples_seen", holdout="factor:x:4", boot=60)
    assert same.table["error"].tolist() == got.table["error"].tolist()
    with pytest.raises(RunsError, match="exampels"):
        compare(table, laws, x="exampels", holdout="factor:examples_seen:4")
    with pytest.raises(FitError, match="none of the laws has an x"):
        compare(ladder(), [LAW], x="params")


def test_rows_without_what_a_law_needs_are_left_out_for_all() -> None:
    frame = ladder().to_frame()[["params", "tokens", "loss"]]
    frame["learning_rate"] = np.where(np.arange(60) % 10 == 0, np.nan, 1e-3 * (1 + np.arange(60) % 7))
    got = compare(frame, [LAW, "E + A/params^alpha + B*learning_rate^g"], boot=0, origins=1)
    assert got.data["used"] == 54
    assert set(got.table["runs"]) == {27}


# ---- options --------------------------------------------------------------------------------------------------------


def test_options_reach_the_fit() -> None:
    runs = ladder()
    weights = np.linspace(0.5, 1.5, 60)
    options = {"loss": "squares", "space": "linear", "weights": weights, "pin": {"E": 1.6}}
    got = compare(runs, [LAW, "A/params^alpha"], boot=0, origins=1, **options)
    (fold,) = got.folds
    train = runs.to_frame().iloc[fold.train][["params", "tokens", "loss"]]
    by_hand = sl.fit(
        train, LAW, loss="squares", space="linear", weights=weights[fold.train], pin={"E": 1.6}
    ).predict(runs.to_frame().iloc[fold.test])  # fmt: skip
    np.testing.assert_allclose(got.forecasts(LAW)["predicted"], by_hand["loss"], rtol=1e-12)
    assert got.table.loc["A/params^alpha", "status"] == "certified"  # a law without E is not asked to pin it
    assert got.settings["pin"] == {"E": 1.6}
    assert got.settings["weights"] == "given"


def test_groups_are_clusters() -> None:
    frame = ladder().to_frame()[["params", "tokens", "loss"]].assign(lab=np.tile(["a", "b", "c"], 20))
    got = compare(frame, [LAW, NO_FLOOR], boot=0, groups="lab")
    assert got.clusters == "lab"
    assert got.test(NO_FLOOR).verdict == "not tested"
    assert "3 independent clusters" in got.test(NO_FLOOR).why
    labels = np.repeat(np.arange(30), 2)
    assert compare(frame, [LAW, NO_FLOOR], boot=0, groups=labels).test(NO_FLOOR).clusters <= 30


def test_same_seed_same_numbers_whatever_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALINGLENS_PROCESSES", "1")
    one = compare(ladder(), [LAW, NO_FLOOR], boot=40).to_dict()
    monkeypatch.setenv("SCALINGLENS_PROCESSES", "3")
    assert compare(ladder(), [LAW, NO_FLOOR], boot=40).to_dict() == one
    other = compare(ladder(), [LAW, NO_FLOOR], boot=40, seed=1).to_dict()
    assert other["scores"][0]["width"] != one["scores"][0]["width"]


def test_progress_counts_the_fits() -> None:
    seen: list[tuple[int, int]] = []
    compare(ladder(), [LAW, NO_FLOOR], boot=0, origins=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_origins_leave_what_the_largest_law_needs() -> None:
    got = compare(ladder(), [LAW, "A/params^alpha"], holdout="top:flops:0.6", boot=0)
    assert len(got.folds[0].train) >= 10
    assert len(got.folds) == 2
    with pytest.raises(HoldoutError, match="has 2 origins"):
        compare(ladder(), [LAW], holdout="top:flops:0.6", boot=0, origins=3)


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("laws", "options", "error", "says"),
    [
        (["hofmann2022"], {}, UnknownLawError, 'did you mean "hoffmann2022"'),
        (["hoffmann2022", "E + A/params^"], {}, FormulaError, "not an arithmetic expression"),
        ([], {}, FitError, "there is no law to compare"),
        ([LAW, LAW], {}, FitError, "is compared twice"),
        ([3.0], {}, FitError, "cannot compare float 3.0"),
        ([lambda runs: None], {}, FitError, "a function needs a name"),
        ([("", LAW)], {}, FitError, "a name that is text"),
        ([LAW], {"holdout": "top:flop:0.5"}, HoldoutError, 'did you mean "flops"'),
        ([LAW], {"holdout": "top:loss:0.5"}, HoldoutError, "what is forecast"),
        ([LAW], {"holdout": "top:flops:50"}, HoldoutError, "write 0.5 for 50 percent"),
        ([LAW], {"lss": "huber"}, FitError, 'did you mean "loss"'),
        ([LAW], {"pin": {"EE": 1.0}}, FitError, 'did you mean "E"'),
        ([LAW], {"level": 90}, FitError, "write 0.9 for 90 percent"),
        ([LAW], {"target": "lossy"}, RunsError, "lossy"),
        ([LAW], {"weights": np.ones(3)}, FitError, "60 runs but 3 weights"),
        ([LAW], {"origins": 0}, HoldoutError, "1 or more"),
        ([LAW], {"loss": "hubr"}, FitError, 'no law could be fitted and forecast.*did you mean "huber"'),
        (["A/learning_rate^a"], {}, FitError, "learning_rate"),
        ([LAW, "tokens = a*flops^b"], {}, FitError, "the laws forecast different columns"),
    ],
)
def test_mistakes(laws, options, error, says) -> None:
    with pytest.raises(error, match=says.replace("(", r"\(")):
        compare(ladder(), laws, **options)


@pytest.mark.parametrize(
    "table",
    [
        {"params": [1e6] * 6, "loss": [3.0, 3.1, 3.2, 3.1, 3.0, 3.2]},  # one size only
        {"params": [1e6, 2e6], "loss": [3.0, 2.9]},  # two runs
        {"params": [1e6, 2e6, 4e6, 8e6], "accuracy": [0.1, 0.2, 0.3, 0.4]},  # no loss
        {"params": [np.nan, np.nan], "loss": [1.0, 2.0]},
        {"tokens": [1e9, 2e9, 4e9], "loss": [3.0, 2.8, 2.7]},  # no params
        {},
    ],
)
def test_bad_tables(table) -> None:
    with pytest.raises(ScalingLensError) as problem:
        compare(table, ["E + A/params^alpha"], holdout="top:params:0.5")
    assert len(str(problem.value)) > 40


def test_nothing_is_fitted_before_every_word_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []

    def made(runs: sl.Runs) -> sl.Fit:
        called.append(runs)
        return sl.fit(runs, LAW)

    monkeypatch.setenv("SCALINGLENS_PROCESSES", "1")
    with pytest.raises(UnknownLawError):
        compare(ladder(), [made, "hofmann2022"])
    assert called == []
    compare(ladder(), [made], origins=1)
    assert len(called) == 1


# ---- views ----------------------------------------------------------------------------------------------------------


def test_json_text_and_html_say_the_same(found: Comparison, tmp_path: Path) -> None:
    words = found.to_dict()
    assert words["schema"] == 1
    text, page = repr(found), found._repr_html_()
    for sentence in words["verdict"]:
        assert " ".join(sentence.split()) in " ".join(text.split())
    for row in words["scores"]:
        assert row["law"][:30] in text
        if row["are"] is not None:
            assert f"{100 * row['are']:.3g}%" in text
            assert f"{100 * row['are']:.3g}%" in page
    for origin in words["origins"]:
        assert origin["says"] in text
    found.save(tmp_path / "found.json")
    assert json.loads((tmp_path / "found.json").read_text()) == json.loads(json.dumps(words))
    json.dumps(words, allow_nan=False)
    with pytest.raises(OutputError):
        found.save(tmp_path / "found.csv")


def test_frame_is_a_copy(found: Comparison) -> None:
    frame = found.to_frame()
    frame.iloc[0, 0] = "changed"
    assert found.table.iloc[0, 0] == "law"


@pytest.mark.parametrize("options", [{}, {"boot": 0, "origins": 1}, {"baselines": False, "origins": 1}])
def test_picture(tmp_path: Path, options: dict) -> None:
    got = compare(ladder(), [LAW, NO_FLOOR], **{"boot": 40, **options})
    got.plot(tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_picture_shows_the_numbers(found: Comparison) -> None:
    from scalinglens.fit.compare.figures import compare_figure

    figure = compare_figure(found)
    best = found.forecasts(found.best)
    dots = [mark for mark in figure.panels[0].marks if type(mark).__name__ == "Points"]
    shown = sorted(y for mark in dots for y in mark.y)
    np.testing.assert_allclose(shown, sorted(100 * (best["observed"] / best["predicted"] - 1)))
    outside = np.sum((best["observed"] < best["low"]) | (best["observed"] > best["high"]))
    assert sum(len(mark.y) for mark in dots if mark.symbol == "ring") == outside
    means = next(mark for mark in figure.panels[1].marks if getattr(mark, "label", "") == found.best)
    assert np.mean(means.y) == pytest.approx(100 * found.table.loc[found.best, "are"], rel=0.05)


def test_picture_without_sizes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    table = {"learning_rate": np.geomspace(1e-4, 1e-2, 30), "family": ["a", "b", "c"] * 10}
    table["loss"] = 2 + 3 * table["learning_rate"] ** 0.3 * np.exp(0.01 * rng.standard_normal(30))
    got = compare(table, "E + A*learning_rate^a", holdout="is:family=c", boot=40)
    got.plot(tmp_path / "found.svg")
    assert math.isnan(got.folds[0].factor)
    assert "times as large" not in got.verdict[0]


# ---- a public table -------------------------------------------------------------------------------------------------


def test_public_table(table) -> None:
    """Chinchilla runs: the additive law beats the same without a floor, which beats every forecast without a fit."""
    runs = sl.read_runs(table("epoch-chinchilla/svg_extracted_data.csv"), where="loss < 3.44")
    got = compare(runs, ["hoffmann2022", NO_FLOOR], boot=0)
    assert got.best == "hoffmann2022"
    assert [len(fold.train) for fold in got.folds] == [30, 60, 120]
    assert got.test(NO_FLOOR).verdict == "worse"
    assert got.table.loc["hoffmann2022", "are"] < 0.01
    assert list(got.table.index[:2]) == ["hoffmann2022", NO_FLOOR]


def test_a_law_that_did_better_where_it_could_is_said_to(found: Comparison) -> None:
    """A law that fails at the first origin comes after one that does not, and its lead on the other runs is told."""

    def later(runs: sl.Runs) -> sl.Fit:
        if len(runs) < 20:
            raise PredictionError("too early")
        return sl.fit(runs, LAW)

    got = compare(ladder(), [NO_FLOOR, ("later", later)], boot=0)
    assert got.best == NO_FLOOR
    assert got.table.loc["later", "origins"] == len(got.folds) - 1
    test = got.test("later")
    assert test.verdict == "better"
    assert test.difference < 0
    said = next(sentence for sentence in got.verdict if "later was better by" in sentence)
    assert said.startswith(f"On the {test.runs} runs that both forecast")
    assert f"{-100 * test.difference:.2g}%" in said
    assert f"later failed at 1 of {len(got.folds)} origins: too early." in got.verdict


def test_laws_of_any_curve_forecast_the_loss() -> None:
    """As in `fit`: an output called y or error is the loss where the table has one, even beside a column y."""
    frame = ladder().to_frame()[["params", "loss"]].assign(y=1.0)
    laws = ["alabdulmohsin2022.M1", "caballero2022"]
    got = compare(frame, laws, x="params", holdout="top:params:0.3", boot=0, origins=1)
    assert got.target == "loss"
    assert (
        compare(frame.assign(y=frame["loss"]), laws[0], x="params", holdout="top:params:0.3", boot=0, target="y").target
        == "y"
    )
