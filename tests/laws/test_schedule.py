"""Schedules: equal to those of the published runs, refused where they make no sense, back from text and plain data."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import ScheduleError
from scalinglens.laws.schedule import SHAPES, Schedule, as_schedules

RUN = {"peak": 3e-4, "warmup": 2160}
PUBLISHED = {
    **{f"cosine_{n}": Schedule.cosine(end=3e-5, steps=n, **RUN) for n in (24_000, 72_000)},
    **{f"constant_{n}": Schedule.constant(steps=n, **RUN) for n in (24_000, 72_000)},
    **{f"wsdcon_{x}": Schedule.two_stage(second=x * 1e-5, switch=8000, steps=16_000, **RUN) for x in (3, 9, 18)},
    "wsd_20000_24000": Schedule.wsd(end=3e-5, steps=24_000, decay_from=20_000, **RUN),
    "wsdld_20000_24000": Schedule.wsd(end=3e-5, steps=24_000, decay_from=20_000, shape="linear", **RUN),
}


def test_equal_the_logged_rates_of_27_runs(table: Callable[[str], Path]) -> None:
    with gzip.open(table("multi-power-law/loss_curves.csv.gz")) as file:
        frame = pd.read_csv(file)
    seen = 0
    for curve, rows in frame.groupby("curve"):
        np.testing.assert_allclose(PUBLISHED[str(curve)].at(rows["step"]), rows["lr"], rtol=0, atol=1e-15)
        seen += len(rows)
    assert seen == len(frame) == 6265


class TestShapes:
    def test_warmup_is_a_straight_line(self) -> None:
        rates = Schedule.constant(1.0, steps=8, warmup=5).rates
        np.testing.assert_allclose(rates, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1])

    def test_linear_and_square_root_decays(self) -> None:
        np.testing.assert_allclose(Schedule.linear(1.0, steps=4).rates, [1, 0.75, 0.5, 0.25])
        root = Schedule.wsd(1.0, steps=8, decay_from=4, end=0.0, shape="sqrt")
        np.testing.assert_allclose(root.rates[4:], 1 - np.sqrt([0, 0.25, 0.5, 0.75]))

    def test_mass_and_changes(self) -> None:
        one = Schedule.two_stage(2.0, second=0.5, switch=3, steps=6)
        np.testing.assert_allclose(one.mass, [2, 4, 6, 6.5, 7, 7.5])
        assert one.changes.tolist() == [3]
        assert (one.peak_step, one.decays) == (2, True)
        assert not Schedule.constant(1e-3, steps=5).decays

    def test_is_frozen(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            Schedule.constant(1e-3, steps=5).rates[0] = 1.0


class TestLogged:
    def test_passes_through_the_log_and_is_flat_outside(self) -> None:
        one = Schedule.logged([10, 20, 40], [1e-3, 8e-4, 1e-4], steps=50)
        np.testing.assert_allclose(one.at([0, 10, 20, 40, 49]), [1e-3, 1e-3, 8e-4, 1e-4, 1e-4])
        assert np.all(np.diff(one.rates) <= 0)  # monotone between monotone values

    def test_a_change_between_constants_is_a_jump(self) -> None:
        one = Schedule.logged([0, 100, 200, 300], [1e-3, 1e-3, 2e-4, 2e-4])
        np.testing.assert_allclose(one.at([149, 150]), [1e-3, 2e-4])

    def test_near_the_truth_from_one_row_in_128(self) -> None:
        true = PUBLISHED["cosine_24000"]
        at = np.arange(2160, 24_000, 128)
        found = Schedule.logged(at, true.at(at), warmup=2160)
        assert np.abs(found.rates - true.rates[: found.steps]).max() < 2e-9

    def test_later_rows_win_and_bad_rows_are_left_out(self) -> None:
        one = Schedule.logged([5, 0, 5, np.nan, 7], [1.0, 1.0, 2.0, 9.0, np.nan])
        assert one.at([5])[0] == 2.0
        assert one.steps == 6


class TestText:
    @pytest.mark.parametrize("name", list(PUBLISHED))
    def test_back_from_its_text_and_from_plain_data(self, name: str) -> None:
        one = PUBLISHED[name]
        assert np.array_equal(Schedule.from_text(str(one)).rates, one.rates)
        assert np.array_equal(Schedule.from_dict(one.to_dict()).rates, one.rates)

    def test_logged_and_plain_arrays_come_back(self) -> None:
        for one in (Schedule.logged([100, 300, 900], [1e-3, 9e-4, 1e-4], warmup=50), Schedule(np.array([1.0, 0.5]))):
            assert np.array_equal(Schedule.from_dict(one.to_dict()).rates, one.rates)

    def test_suffixes_and_a_bare_peak(self) -> None:
        assert Schedule.from_text("constant(3e-4, steps=24k, warmup=2k)").steps == 24_000

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("cosin(peak=1, steps=3)", '(did you mean "cosine"?)'),
            ("cosine", "cannot read the schedule"),
            ("cosine(peak=1)", "needs steps"),
            ("cosine(peak=1, stepz=3)", '(did you mean "steps"?)'),
            ("cosine(peak=abc, steps=3)", "does not begin with a number"),
            ("cosine(peak=1, steps=3, steps=4)", "has no word"),
            ("cosine(peak=-1, steps=3)", "it must be a finite learning rate, not negative"),
            ("constant(peak=1, steps=3.5)", "steps is a whole number from 1 on, got 3.5"),
            ("constant(peak=1, steps=1e12)", "more than the 20,000,000 steps"),
            ("constant(peak=1, steps=3, warmup=9)", "longer than the 3 steps"),
            ("wsd(peak=1, steps=9, decay_from=3, end=0)", "an exponential decay never reaches zero"),
            ("wsd(peak=1, steps=9, decay_from=3, end=0, shape=liner)", '(did you mean "linear"?)'),
            ("wsd(peak=1, steps=9, decay_from=30, end=0.1)", "must begin between"),
            ("two_stage(1, second=0.1, switch=12, steps=9)", "must lie between"),
        ],
    )
    def test_refuses_with_reason(self, text: str, message: str) -> None:
        with pytest.raises(ScheduleError) as caught:
            Schedule.from_text(text)
        assert message in str(caught.value)


class TestRefuses:
    @pytest.mark.parametrize(
        ("rates", "message"),
        [
            ([], "one learning rate per step"),
            ([[1.0]], "one learning rate per step"),
            ([1.0, np.nan], "is nan at step 1"),
            ([1.0, -1.0], "is -1 at step 1"),
            ([0.0, 0.0], "zero at every step"),
        ],
    )
    def test_arrays_that_are_no_schedule(self, rates: list[float], message: str) -> None:
        with pytest.raises(ScheduleError, match=message):
            Schedule(np.array(rates))

    def test_steps_outside(self) -> None:
        with pytest.raises(ScheduleError, match=r"step 5 is outside the schedule .* give a longer schedule"):
            Schedule.constant(1.0, steps=5).at([5])

    def test_other_things(self) -> None:
        with pytest.raises(ScheduleError, match="got int '7'"):
            as_schedules(7)
        with pytest.raises(ScheduleError, match="needs the learning-rate schedule"):
            as_schedules(None)

    def test_shapes_are_those_documented(self) -> None:
        assert set(SHAPES) == {"constant", "cosine", "linear", "wsd", "two_stage"}
