"""The two steps together: recovery, the interface of a forecast, paired draws, refusals, coverage."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import FitError, RunsError
from scalinglens.fit import fit
from scalinglens.fit.downstream import Checkpoints, TwoStep, fit_link, two_step
from scalinglens.fit.forecast import Forecast

SIZES, MULTIPLES = [1e8, 2e8, 4e8, 1e9], [20.0, 40.0, 100.0, 200.0]
PARAMS, TOKENS = (grid.ravel() for grid in np.meshgrid(SIZES, MULTIPLES))
TOKENS = TOKENS * PARAMS


def loss_of(params, tokens):
    return 0.5 + 40 / params**0.25 + 60 / tokens**0.22


def accuracy_of(loss):
    return 0.9 - 0.65 / (1 + np.exp(-9 * (loss - 1.05)))


def table(seed: int, loss_noise: float = 0.004, accuracy_noise: float = 0.008) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    loss = loss_of(PARAMS, TOKENS) * np.exp(loss_noise * rng.normal(size=16))
    accuracy = accuracy_of(loss) + accuracy_noise * rng.normal(size=16)
    return {"params": PARAMS, "tokens": TOKENS, "loss": loss, "qa": np.clip(accuracy, 0, 1)}


@pytest.fixture(scope="module")
def forecast() -> TwoStep:
    return two_step(table(0), task="qa", chance=0.25, boot=200)


# ---- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"floor": "chance"}, {"floor": 0.25}])
def test_truth_is_recovered_without_noise(options) -> None:
    found = two_step(table(0, 0.0, 0.0), task="qa", chance=0.25, **options)
    frame = found.predict(params=[3e9, 7e9], tokens=[3e11, 2e12])
    truth = accuracy_of(loss_of(np.array([3e9, 7e9]), np.array([3e11, 2e12])))
    assert frame["qa"].to_numpy() == pytest.approx(truth, abs=1e-5)
    assert found.status == "certified"


def test_steps_are_the_fits_that_one_would_make_by_hand(forecast) -> None:
    first = fit(table(0), "hoffmann2022")
    second = fit_link(table(0)["loss"], table(0)["qa"])
    assert forecast.loss_fit.values == pytest.approx(first.values)
    assert forecast.link_fit.values == pytest.approx(second.values)
    frame = forecast.steps(params=7e9, tokens=1e12)
    loss = first.predict(params=7e9, tokens=1e12)["loss"][0]
    assert frame["loss"][0] == pytest.approx(loss)
    assert frame["qa"][0] == pytest.approx(second.law.value(second.values, {"loss": loss}))


def test_it_is_a_forecast(forecast) -> None:
    assert isinstance(forecast, Forecast)
    assert (forecast.inputs, forecast.target, forecast.level) == (("params", "tokens"), "qa", 0.9)
    frame = forecast.predict({"params": [1e9, 7e9], "tokens": [1e12, 1e12]})
    assert list(frame.columns) == ["params", "tokens", "qa", "low", "high"]
    assert ((frame["low"] < frame["qa"]) & (frame["qa"] < frame["high"])).all()
    assert len(forecast.observed) == len(forecast.points["params"]) == 16
    assert json.loads(json.dumps(forecast.to_dict()))["task"] == "qa"
    assert any("Bhagia" in paper for paper in forecast.citations())


def test_intervals_are_those_of_the_draws(forecast) -> None:
    drawn = forecast.sample(params=7e9, tokens=1e12)
    assert drawn.shape[1] == 1
    frame = forecast.predict(params=7e9, tokens=1e12, noise=False)
    assert np.quantile(drawn, [0.05, 0.95]) == pytest.approx(frame[["low", "high"]].to_numpy()[0])
    wide = forecast.predict(params=7e9, tokens=1e12, level=0.98, noise=False)
    assert wide["low"][0] < frame["low"][0]
    assert wide["high"][0] > frame["high"][0]


def test_a_new_run_scatters_more_than_the_laws(forecast) -> None:
    """Between the runs the scatter of one run is nearly all there is: sd of loss through the slope, and of the accuracy."""
    drawn = forecast.sample(params=4e8, tokens=4e10, noise=True)
    loss = loss_of(4e8, 4e10)
    slope = (accuracy_of(loss * 1.001) - accuracy_of(loss)) / (0.001 * loss)
    expected = np.hypot(slope * 0.004 * loss, 0.008)
    assert drawn.std() == pytest.approx(expected, rel=0.45)
    assert forecast.sample(params=4e8, tokens=4e10).std() < drawn.std()


def test_both_steps_resample_the_same_runs() -> None:
    """A run that is odd in loss and accuracy pulls both steps in the refits that hold it; other tables have other refits."""
    odd = table(1)
    odd["loss"] = odd["loss"] * np.where(np.arange(16) == 15, 1.06, 1.0)
    odd["qa"] = odd["qa"] + np.where(np.arange(16) == 15, 0.25, 0.0)
    options = {"task": "qa", "link": "accuracy = c - m*loss", "loss": "squares", "boot": 200}
    together, apart = two_step(odd, **options), two_step(odd, link_runs=odd, **options)
    moved = {}
    for found in (together, apart):
        loss = found.loss_fit.law.value(
            dict(zip(found.loss_fit.law.parameters, found.loss_fit.draws.T, strict=True)),
            {"params": PARAMS[15], "tokens": TOKENS[15]},
        )
        linked = found.link_fit.law.value(
            dict(zip(found.link_fit.law.parameters, found.link_fit.draws.T, strict=True)), {"loss": odd["loss"][15]}
        )
        moved[found.paired] = np.corrcoef(loss, linked)[0, 1]
    assert moved[True] > 0.5
    assert abs(moved[False]) < 0.25
    assert any("different runs" in warning for warning in apart.warnings)


def test_same_seed_same_numbers(forecast) -> None:
    again = two_step(table(0), task="qa", chance=0.25, boot=200)
    pd.testing.assert_frame_equal(
        again.predict(params=7e9, tokens=1e12), forecast.predict(params=7e9, tokens=1e12), check_exact=True
    )


def test_error_splits_into_the_two_steps(forecast) -> None:
    ahead = {"params": [7e9], "tokens": [1e12], "loss": [0.8], "qa": [0.81]}
    row = forecast.split(ahead).iloc[0]
    assert row["error_loss"] + row["error_link"] == pytest.approx(row["error"], abs=1e-12)
    assert row["error_link"] == pytest.approx(float(forecast.accuracy_at(0.8)) - 0.81)


def test_extrapolation_of_the_link_is_said(forecast) -> None:
    said = " ".join(forecast.extrapolation(params=7e9, tokens=2e12))
    assert "the link extrapolates" in said
    assert not forecast.extrapolation(params=4e8, tokens=4e10)


# ---- checkpoints ------------------------------------------------------------------------------------------------------


def test_checkpoints_are_read_as_the_ladder_reads_them() -> None:
    """Ten rows per run: step 1 has the mean of the last two, step 2 the trailing means without the first fifth."""
    rows = []
    for run, (params, tokens) in enumerate(zip(PARAMS, TOKENS, strict=True)):
        for step in range(1, 11):
            loss = loss_of(params, tokens * step / 10)
            row = {"run": f"r{run}", "params": params, "tokens": tokens * step / 10}
            rows.append({**row, "loss": loss, "qa": accuracy_of(loss)})
    frame = pd.DataFrame(rows)
    found = two_step(frame, task="qa", checkpoints=Checkpoints(final=2, smooth=3, skip=0.2))
    own = frame[frame["run"] == "r5"]
    index = int(np.flatnonzero(found.loss_fit.points["params"] == PARAMS[5])[1])  # the second run of that size
    assert found.loss_fit.points["tokens"][index] == own["tokens"].iloc[-1]
    assert found.loss_fit.observed[index] == pytest.approx(own["loss"].tail(2).mean())
    assert found.settings["link_rows"] == 16 * 8
    smooth = own["loss"].iloc[2:].rolling(3, min_periods=1).mean()
    assert found.link_fit.points["loss"][5 * 8 : 6 * 8] == pytest.approx(smooth.to_numpy())
    assert found.paired


# ---- refusals ---------------------------------------------------------------------------------------------------------


def test_a_task_at_chance_is_refused() -> None:
    runs = table(2)
    runs["qa"] = 0.25 + 0.01 * np.random.default_rng(2).normal(size=16)
    found = two_step(runs, task="qa", chance=0.25, boot=100)
    assert found.status in ("not_identified", "not_converged")
    assert "qa cannot be forecast" in found.refusal
    frame = found.predict(params=7e9, tokens=1e12)
    assert frame[["low", "high"]].isna().all(axis=None)
    assert len(found.sample(params=7e9, tokens=1e12)) == 0
    assert "FAIL  above chance" in repr(found)


def test_inverse_scaling_is_refused() -> None:
    runs = table(3)
    runs["qa"] = 1 - runs["qa"]
    found = two_step(runs, task="qa", boot=100)
    assert "inverse scaling" in found.refusal


def test_noise_is_refused_without_knowing_chance() -> None:
    """Of 12 tasks without any trend none but by accident keeps its intervals."""
    kept = 0
    for seed in range(12):
        runs = table(seed)
        runs["qa"] = np.random.default_rng(seed).uniform(0.2, 0.4, 16)
        kept += not two_step(runs, task="qa").refusal
    assert kept <= 1


@pytest.mark.parametrize(("change", "options", "error", "words"), [
    ({}, {"task": "q"}, RunsError, ["no column 'q'", 'did you mean "qa"']),
    ({}, {"task": "qa", "loss_column": "bpb"}, RunsError, ["no column 'bpb'"]),
    ({}, {"task": "loss"}, FitError, ['"loss" cannot be the task']),
    ({}, {"task": "qa", "floor": "chance"}, FitError, ["needs the accuracy of guessing"]),
    ({}, {"task": "qa", "floor": "low"}, FitError, ['"free", "chance" or a number']),
    ({}, {"task": "qa", "boot": 3}, FitError, ["boot=3"]),
    ({}, {"task": "qa", "resample": "row"}, FitError, ['did you mean "rows"']),
    ({}, {"task": "qa", "checkpoints": Checkpoints("model")}, RunsError, ["no column 'model'"]),
    ({"qa": 100 * table(0)["qa"]}, {"task": "qa"}, FitError, ["share between 0 and 1"]),
    ({"qa": np.full(16, np.nan)}, {"task": "qa"}, FitError, ["both loss and qa"]),
])  # fmt: skip
def test_bad_input(change, options, error, words) -> None:
    with pytest.raises(error) as problem:
        two_step({**table(0), **change}, **options)
    for word in words:
        assert word in str(problem.value)


@pytest.mark.parametrize("words", [{"final": 0}, {"smooth": 1.5}, {"skip": 1.0}])
def test_bad_checkpoints(words) -> None:
    with pytest.raises(FitError, match=next(iter(words))):
        Checkpoints(**words)


def test_runs_without_a_score_still_serve_the_first_step() -> None:
    runs = table(0)
    runs["qa"] = np.where(np.arange(16) < 4, np.nan, runs["qa"])
    found = two_step(runs, task="qa", boot=50)
    assert (len(found.loss_fit.observed), found.settings["link_rows"]) == (16, 12)
    assert not found.paired


# ---- coverage ---------------------------------------------------------------------------------------------------------


def covered(worlds: int) -> np.ndarray:
    """Whether 90 % intervals of a new run at 3B and at 7B hold it [worlds, 2]."""
    params, tokens = np.array([3e9, 7e9]), np.array([2e11, 2e12])
    inside = []
    for seed in range(worlds):
        found = two_step(table(1000 + seed), task="qa", chance=0.25, boot=80)
        rng = np.random.default_rng(5000 + seed)
        loss = loss_of(params, tokens) * np.exp(0.004 * rng.normal(size=2))
        seen = accuracy_of(loss) + 0.008 * rng.normal(size=2)
        frame = found.predict(params=params, tokens=tokens)
        inside.append((frame["low"] <= seen) & (seen <= frame["high"]))
    return np.array(inside)


def test_coverage_of_a_few_worlds() -> None:
    """A guard against gross error: of 8 worlds at a true 90 % fewer than 5 are held in one of two hundred studies."""
    assert covered(8).sum(axis=0).min() >= 5


@pytest.mark.slow
def test_coverage() -> None:
    """200 worlds of 16 runs, 20 and 140 times the compute of the largest one."""
    share = covered(200).mean(axis=0)
    assert ((share >= 0.82) & (share <= 0.96)).all(), share
