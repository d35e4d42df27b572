"""Forecasts of running jobs: known ends, verdicts, schedules, and measured coverage on public curves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import FitError, ScheduleError
from scalinglens.fit.curves.live import LiveForecast, forecast_run
from scalinglens.fit.curves.outlook import outlook, windows
from scalinglens.laws.catalogue import law
from scalinglens.laws.schedule import Schedule

STEPS = np.arange(10, 40_001, 10)


def _curve(steps: np.ndarray = STEPS, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    return 2.0 + 8.0 * (steps + 50.0) ** -0.35 + noise * np.random.default_rng(seed).normal(size=len(steps))


END = float(2.0 + 8.0 * 100_050.0**-0.35)


class TestKnownEnd:
    def test_noisy_power_law(self) -> None:
        found = forecast_run(STEPS, _curve(), final=100_000)
        assert found.verdict == "continue"
        assert found.final is not None
        assert found.final.value == pytest.approx(END, rel=0.01)
        assert END in found.final
        assert 0.005 < found.final.width / END < 0.06
        assert found.gain is not None
        assert found.gain.value == pytest.approx(_curve(noise=0.0)[-1] - END, abs=0.02)

    def test_coverage_over_seeds(self) -> None:
        """Well-specified curves with correlated noise: at least nominal."""
        inside = 0
        steps = np.arange(100, 40_001, 100)
        for seed in range(20):
            rng = np.random.default_rng(seed)
            noise = np.convolve(rng.normal(size=len(steps) + 9), np.ones(10) / 10, mode="valid")
            found = forecast_run(steps, _curve(steps, 0.0) + 0.05 * noise, final=100_000)
            inside += found.final is not None and END in found.final
        assert inside >= 17  # 20 at 90%: fewer than 16 with probability 4%

    def test_the_same_seed_gives_the_same_numbers(self) -> None:
        one, two = (forecast_run(STEPS, _curve(), final=100_000, seed=3).to_dict() for _ in range(2))
        assert one == two

    def test_tokens(self) -> None:
        found = forecast_run(STEPS * 4e6, _curve(), final=4e11, unit="tokens")
        assert found.final is not None
        assert found.final.value == pytest.approx(END, rel=0.01)
        assert "of 400B tokens" in str(found)


class TestVerdicts:
    def test_target(self) -> None:
        near = forecast_run(STEPS, _curve(), final=100_000, target=END + 0.05)
        far = forecast_run(STEPS, _curve(), final=100_000, target=END - 0.2)
        assert near.probability is not None
        assert far.probability is not None
        assert near.verdict == "continue"
        assert near.probability > 0.9
        assert far.verdict == "stop"
        assert far.probability < 0.05
        assert "is reached with probability" in far.reason

    def test_earlier_run(self) -> None:
        long = np.arange(10, 100_001, 10)
        better, worse = _curve(long, seed=1) - 0.1, _curve(long, seed=1) + 0.1
        lost = forecast_run(STEPS, _curve(), final=100_000, against=(long, better), against_name="base.csv")
        won = forecast_run(STEPS, _curve(), final=100_000, against=(long, worse), against_name="base.csv")
        assert (lost.verdict, won.verdict) == ("stop", "continue")
        assert lost.ahead == pytest.approx(-0.1, abs=0.01)
        assert won.ahead == pytest.approx(0.1, abs=0.01)
        assert won.target == pytest.approx(END + 0.1, abs=0.01)
        assert "final loss" in won.reason
        assert "base.csv" in won.reason

    def test_stagnated(self) -> None:
        flat = 2.5 + np.exp(-STEPS / 500.0) + 0.003 * np.random.default_rng(0).normal(size=len(STEPS))
        found = forecast_run(STEPS, flat, final=100_000)
        assert found.verdict == "stop"
        assert "left are expected to lower the loss by 0.0" in found.reason

    def test_rising(self) -> None:
        found = forecast_run(STEPS, _curve() + 4e-6 * np.maximum(STEPS - 10_000, 0) * 5, final=100_000)
        assert found.verdict == "stop"
        assert "rising" in found.reason
        assert any("rises at the end" in warning for warning in found.warnings)

    def test_diverged(self) -> None:
        found = forecast_run(STEPS, _curve(), final=100_000, diverged=40_010)
        assert (found.verdict, found.reason) == ("stop", "the loss is not a number since step 40k")

    @pytest.mark.parametrize(
        ("rows", "reason"), [(0, "no loss yet"), (3, "do not show the shape"), (400, "only 4.0% of the run is done")]
    )
    def test_too_early(self, rows: int, reason: str) -> None:
        found = forecast_run(STEPS[:rows], _curve()[:rows], final=100_000, target=1.0)
        assert found.verdict == "too early"
        assert reason in found.reason
        assert isinstance(str(found), str)

    def test_ended(self) -> None:
        long = np.arange(10, 100_001, 10)
        found = forecast_run(long, _curve(long), final=100_000, target=3.0)
        assert found.final is not None
        assert found.final.value == pytest.approx(END, abs=0.005)
        assert found.final.width == 0
        assert found.reason == "the run has ended below the target 3.0000"


class TestSchedules:
    SCHEDULE = Schedule.wsd(3e-4, steps=24_000, decay_from=20_000, end=3e-5, warmup=2160)

    def _run(self, schedule: Schedule, share: float) -> tuple[np.ndarray, np.ndarray, float]:
        """A curve of the multi-power law with its published constants of 100M parameters."""
        published = law("luo2025_mpl.curve_100m")
        steps = np.arange(2200, schedule.steps, 100)
        loss = published.value(None, steps=steps, schedule=schedule)
        seen = steps <= share * schedule.steps
        noise = 0.002 * np.random.default_rng(0).normal(size=seen.sum())
        return steps[seen], loss[seen] + noise, float(loss[-3:].mean())

    def test_a_decay_to_come_is_counted_in(self) -> None:
        steps, loss, end = self._run(self.SCHEDULE, 0.7)
        aware = forecast_run(steps, loss, final=24_000, schedule=self.SCHEDULE)
        blind = forecast_run(steps, loss, final=24_000, learning_rate=self.SCHEDULE.at(steps))
        assert aware.final is not None
        assert blind.final is not None
        assert end in aware.final
        assert aware.final.value == pytest.approx(end, rel=0.012)
        assert blind.final.value > 1.015 * end
        assert any("still at its peak" in warning for warning in blind.warnings)
        assert aware.assumptions == (f"the learning rate follows {self.SCHEDULE}",)

    def test_a_run_is_not_given_up_before_its_decay(self) -> None:
        steps, loss, end = self._run(self.SCHEDULE, 0.7)
        rates = self.SCHEDULE.at(steps)
        found = forecast_run(steps, loss, final=24_000, learning_rate=rates, target=end + 0.005)
        assert found.verdict == "continue"
        assert "decay still to come may lower the loss" in found.reason
        hopeless = forecast_run(steps, loss, final=24_000, learning_rate=rates, target=end - 0.5)
        assert hopeless.verdict == "stop"

    def test_a_logged_cosine_is_recognised(self) -> None:
        schedule = Schedule.cosine(3e-4, end=3e-5, steps=24_000, warmup=2160)
        steps, loss, end = self._run(schedule, 0.6)
        found = forecast_run(steps, loss, final=24_000, learning_rate=schedule.at(steps))
        assert found.final is not None
        assert found.assumptions[0].startswith("the learning rate goes on as a cosine from 0.0003 to ")
        assert found.final.value == pytest.approx(end, rel=0.01)

    def test_an_odd_decay_is_said(self) -> None:
        steps = np.arange(100, 10_000, 100)
        rate = 1e-3 * np.where(steps < 5000, 1.0, 0.3)
        found = forecast_run(steps, 2 + steps**-0.4, final=20_000, learning_rate=rate)
        assert any("not recognised" in warning for warning in found.warnings)


class TestPlain:
    def test_json(self) -> None:
        words = forecast_run(STEPS, _curve(), final=100_000, target=2.1).to_dict()
        again = json.loads(json.dumps(words, allow_nan=False))
        assert again["schema"] == 1
        assert set(again) == {
            "schema", "verdict", "reason", "progress", "at", "end", "unit", "rows", "now", "final", "gain", "target", "against",
            "ahead", "probability", "assumptions", "warnings",
        }  # fmt: skip
        assert set(again["final"]) == {"value", "low", "high", "level"}
        json.dumps(LiveForecast("too early", "nothing").to_dict(), allow_nan=False)

    def test_bad_rows_are_left_out(self) -> None:
        loss = _curve()
        loss[::7] = np.nan
        found = forecast_run(STEPS, loss, final=100_000)
        assert found.rows == np.isfinite(loss).sum()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"final": -1.0}, "must be a positive number of steps"),
            ({"final": 1e5, "target": np.nan}, "the target must be a loss"),
            ({"final": 1e5, "level": 90}, "lies between 0 and 1"),
            ({"final": 1e5, "target": 2.0, "against": ([1.0], [2.0])}, "both given"),
            ({"final": 1e5, "against": ([], [])}, "has no losses"),
        ],
    )
    def test_refuses(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(FitError, match=message):
            forecast_run(STEPS, _curve(), **options)  # type: ignore[arg-type]

    def test_a_schedule_of_another_length(self) -> None:
        with pytest.raises(ScheduleError, match="give the schedule of the whole run"):
            forecast_run(STEPS, _curve(), final=1e5, schedule="constant(1e-3, steps=5000)")

    def test_windows_keep_means_and_counts(self) -> None:
        found = windows(STEPS.astype(float), _curve())
        assert found.count.sum() == len(STEPS)
        assert np.sum(found.loss * found.count) == pytest.approx(_curve().sum())
        assert outlook(windows(np.arange(1.0, 5.0), np.ones(4)), 10.0) is None


def test_public_curves_with_known_schedules(table: Callable[[str], Path]) -> None:
    """The curves of Luo et al. (2025) at half their length, schedules known: the measured median error is 0.2%."""
    frame = pd.read_csv(table("multi-power-law/loss_curves.csv.gz"))
    errors, inside = [], []
    for end, name in ((3e-5, "cosine_72000"), (3e-4, "constant_72000")):
        schedule = Schedule.cosine(3e-4, end=end, steps=72_000, warmup=2160)
        for size in (25, 100, 400):
            rows = frame[(frame["curve"] == name) & (frame["model_size_M"] == size)]
            seen = rows[rows["step"] <= 36_000]
            truth = float(rows["loss"][rows["step"] >= 0.98 * 72_000].mean())
            found = forecast_run(seen["step"], seen["loss"], final=72_000, schedule=schedule).final
            assert found is not None
            errors.append(abs(found.value / truth - 1))
            inside.append(truth in found)
    assert np.median(errors) < 0.006
    assert sum(inside) >= 5
