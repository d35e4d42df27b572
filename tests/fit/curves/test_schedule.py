"""Schedules beside the rows of a table: given, rebuilt from the log, carried through hold-outs, saved fits and predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.errors import RunsError, ScheduleError
from scalinglens.fit.curves.schedule import curve_blocks, with_schedules
from scalinglens.fit.result import Fit
from scalinglens.laws.catalogue import law
from scalinglens.laws.schedule import Schedule
from scalinglens.runs import read_runs

TRUE = {"L0": 2.6, "A": 0.43, "alpha": 0.55, "C": 2.0, "lam": 0.99}
SCHEDULES = {
    "constant": Schedule.constant(1e-3, steps=1500, warmup=50),
    "cosine": Schedule.cosine(1e-3, end=1e-4, steps=1500, warmup=50),
    "stages": Schedule.two_stage(1e-3, second=2e-4, switch=800, steps=1500, warmup=50),
}


def _table(noise: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for name, schedule in SCHEDULES.items():
        steps = np.arange(60, 1500, 20)
        loss = law("tissue2024").value(TRUE, steps=steps, schedule=schedule) * np.exp(
            noise * rng.normal(size=len(steps))
        )
        parts.append(pd.DataFrame({"curve": name, "step": steps, "lr": schedule.at(steps), "loss": loss}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return sl.fit(with_schedules(_table(1e-3), SCHEDULES), "tissue2024", boot=60, level=0.9)


class TestFit:
    def test_recovers_the_truth_without_noise(self) -> None:
        fit = sl.fit(with_schedules(_table(), SCHEDULES), "tissue2024")
        assert fit.status == "certified"
        for name, value in TRUE.items():
            assert fit.values[name] == pytest.approx(value, rel=1e-4), name

    def test_intervals_and_blocks(self, fitted: Fit) -> None:
        assert fitted.status == "certified"
        assert int(fitted.groups.max()) + 1 == 30  # three runs are too few to resample whole: ten pieces of each
        for name, value in TRUE.items():
            estimate = fitted.parameters[name]
            assert estimate.low is not None
            assert estimate.high is not None
            assert estimate.low * 0.98 <= value <= estimate.high * 1.02, name

    def test_predicts_on_another_schedule(self, fitted: Fit) -> None:
        other = Schedule.wsd(1e-3, steps=3000, decay_from=2500, end=1e-4, warmup=50)
        steps = np.arange(100, 3000, 100)
        frame = fitted.predict(steps=steps, schedule=other, noise=False)
        truth = law("tissue2024").value(TRUE, steps=steps, schedule=other)
        np.testing.assert_allclose(frame["loss"], truth, rtol=2e-3)
        text = fitted.predict(steps=steps, schedule=str(other), noise=False)
        assert np.array_equal(text["loss"], frame["loss"])
        assert fitted.extrapolation(steps=[2999], schedule=other) == ()
        assert (
            "steps 30k is 20" in fitted.extrapolation(steps=[29_999], schedule=Schedule.constant(1e-2, steps=30_000))[0]
        )

    def test_saved_and_loaded(self, fitted: Fit, tmp_path: Path) -> None:
        fitted.save(tmp_path / "fit.json")
        again = Fit.load(tmp_path / "fit.json")
        other = SCHEDULES["cosine"]
        here, there = (f.predict(steps=[500, 1400], schedule=other)[["loss", "low", "high"]] for f in (fitted, again))
        assert here.equals(there)
        assert np.array_equal(again.points["schedule"][-1].rates, SCHEDULES["stages"].rates)

    def test_plot_and_text(self, fitted: Fit, tmp_path: Path) -> None:
        fitted.plot(tmp_path / "fit.png")
        assert (tmp_path / "fit.png").stat().st_size > 10_000
        assert "drops(" in repr(fitted)

    def test_whole_runs_are_resampled_where_there_are_enough(self) -> None:
        frame = pd.DataFrame(
            {"run": np.repeat(np.arange(9), 4), "step": np.tile([1, 2, 3, 4], 9), "loss": 3.0, "lr": 1e-3}
        )
        frame["loss"] += 0.01 * np.arange(len(frame))
        assert np.array_equal(curve_blocks(read_runs(frame)), frame["run"])

    def test_a_typed_law_with_another_kernel(self) -> None:
        runs = with_schedules(_table(), SCHEDULES)
        fit = sl.fit(runs, "L0 + A*lr_sum^(-alpha) - B*drops(1 - exp(-lr_since/m))")
        assert fit.status == "certified"
        assert np.median(np.abs(fit.residuals)) < 5e-3
        plain = sl.fit(runs, "L0 + A*lr_sum^(-alpha) - B*drops(0*lr_since + 1)")  # an annealing that needs no time
        assert fit.value < 0.7 * plain.value


class TestLogged:
    def test_a_csv_with_the_logged_rates_is_enough(self, tmp_path: Path) -> None:
        _table().to_csv(tmp_path / "runs.csv", index=False)
        fit = sl.fit(read_runs(tmp_path / "runs.csv", run="curve"), "tissue2024")
        assert fit.status == "certified"
        assert fit.values["alpha"] == pytest.approx(TRUE["alpha"], rel=0.2)  # the warm-up is not in the log

    def test_rows_of_a_table_predict_by_their_own_log(self) -> None:
        fit = sl.fit(with_schedules(_table(), SCHEDULES), "tissue2024")
        frame = _table()
        runs = read_runs(frame[frame["curve"] == "constant"])
        assert fit.predict(runs)["loss"].equals(fit.predict(with_schedules(runs))["loss"])
        # with the warm-up, which no row shows, the log gives the true schedule
        known = with_schedules(runs, warmup=50)
        np.testing.assert_allclose(fit.predict(known)["loss"], runs.column("loss"), rtol=1e-3)

    def test_a_held_out_part_keeps_its_schedule(self) -> None:
        runs = with_schedules(_table(), SCHEDULES)
        late = runs.where("steps > 1000")
        assert late.frame["schedule"][0] is SCHEDULES["constant"]

    def test_schedules_written_in_the_table(self) -> None:
        frame = _table().drop(columns="lr")
        frame["schedule"] = frame["curve"].map({name: str(one) for name, one in SCHEDULES.items()})
        runs = with_schedules(frame)
        assert np.array_equal(runs.frame["schedule"][0].rates, SCHEDULES["constant"].rates)

    def test_a_schedule_column_of_mere_names_is_no_hindrance(self) -> None:
        frame = _table()
        frame["schedule"] = frame["curve"]
        assert isinstance(with_schedules(frame).frame["schedule"][0], Schedule)


class TestRefuses:
    def test_no_steps(self) -> None:
        with pytest.raises(RunsError, match="has no column of steps; map it"):
            sl.fit(_table().rename(columns={"step": "when"}), "tissue2024")

    def test_no_learning_rate(self) -> None:
        with pytest.raises(RunsError, match="needs the learning rate, and frame has none"):
            sl.fit(_table().drop(columns="lr"), "tissue2024")

    def test_no_names_of_runs(self) -> None:
        with pytest.raises(RunsError, match="its steps repeat, so it holds several runs"):
            sl.fit(_table().drop(columns="curve"), "tissue2024")

    def test_several_runs_under_one_name(self) -> None:
        with pytest.raises(RunsError, match="several learning rates at step"):
            sl.fit(_table().assign(curve="all"), "tissue2024")

    def test_a_run_without_schedule(self) -> None:
        with pytest.raises(ScheduleError, match=r"first 'stages' \(did you mean \"stage\"\?\)"):
            with_schedules(_table(), {"constant": SCHEDULES["constant"], "cosine": SCHEDULES["cosine"], "stage": "x"})

    def test_a_schedule_that_is_too_short(self) -> None:
        with pytest.raises(ScheduleError, match="give a longer schedule"):
            with_schedules(_table(), "constant(1e-2, steps=1000)")


def test_compare_keeps_the_schedules_of_held_out_rows() -> None:
    """The later half of each run is forecast; the law that knows the schedule wins over the one in steps."""
    found = sl.compare(
        with_schedules(_table(1e-3), SCHEDULES), ["tissue2024", "E + A/steps^alpha"], holdout="top:steps:0.5", boot=0
    )
    assert found.best == "tissue2024"
