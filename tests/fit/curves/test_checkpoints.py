"""Policies for intermediate checkpoints: the selections of published tables, a schedule by hand, and what cannot be said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.errors import OptionError, RunsError
from scalinglens.fit.curves.checkpoints import POLICIES, checkpoints
from scalinglens.laws.schedule import Schedule
from scalinglens.runs import Runs, read_runs


def _wsd() -> pd.DataFrame:
    """Two runs: warm-up, constant, decay; a checkpoint every 10 steps."""
    steps = np.arange(0, 100, 10)
    rate = [0.0, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 7e-4, 4e-4, 1e-4]
    rows = [
        {"run": run, "step": s, "lr": r, "loss": 4 - 0.01 * s} for run in "ab" for s, r in zip(steps, rate, strict=True)
    ]
    return pd.DataFrame(rows)


class TestPublishedSelections:
    @pytest.fixture
    def opt(self, table: Callable[[str], Path]) -> Runs:
        path = table("hitchhiker-colpret/opt_trajectories.csv")
        return read_runs(path, tokens="10**num_token", loss="log(ppl)", params="model_size", flops=None)

    @pytest.mark.parametrize(
        ("policy", "warmup", "rows", "error"),
        [
            ("all", None, 112, 0.0190),
            ("all", "10B tokens", 101, 0.0191),
            ("all", "10B tokens, 0.3 of run", 64, 0.0145),
            ("final", None, 5, None),
        ],
    )
    def test_opt(self, opt: Runs, policy: str, warmup: str | None, rows: int, error: float | None) -> None:
        """Choshen et al. 2024 on OPT: fit up to 30B, forecast the last 30% of 175B; ARE of ln ppl."""
        kept = checkpoints(opt.where("params < 100B"), policy, warmup=warmup, by="params")
        assert len(kept) == rows
        assert sum(d.count for d in kept.dropped) + rows == kept.rows_read == 142
        target = checkpoints(opt.where("params > 100B"), "all", warmup="0.7 of run", by="params")
        assert len(target) == 10
        loss = target.column("loss")
        are = np.mean(np.abs(sl.fit(kept, "hoffmann2022").predict(target)["loss"] / loss - 1))
        if error is None:  # five points for five unknowns: anything on the valley
            assert 0.09 < are < 0.12
        else:
            assert are == pytest.approx(error, abs=3e-4)

    def test_last_checkpoints_of_the_survey(self, table: Callable[[str], Path]) -> None:
        """The table of last checkpoints follows from that of all checkpoints; some runs of a sweep share every setting."""
        every = read_runs(table("misfitting-survey/scaling_results.csv"))
        last = read_runs(table("misfitting-survey/scaling_results_last_ckpt_only.csv"))
        kept = checkpoints(every, "final", by="sweep,peak_lr,model,total_steps")
        assert len(kept) == len(last) == 261
        mine, theirs = (set(runs.column("loss").round(9).tolist()) for runs in (kept, last))
        assert len(theirs - mine) <= 3  # that many losses of the smaller table are nowhere in the larger one
        assert kept.dropped[-1].reason == "not the last checkpoint of its run"


class TestPolicies:
    def test_constant_rate(self) -> None:
        kept = checkpoints(_wsd(), "constant_rate")
        assert kept.column("steps").tolist() == [10, 20, 30, 40, 50, 60, 90] * 2
        assert [(d.reason, d.count) for d in kept.dropped] == [
            ("the learning rate still rises", 2),
            ("the learning rate has begun to decay and has not ended", 4),
        ]

    def test_constant_rate_from_schedules_in_the_table(self) -> None:
        frame = _wsd().drop(columns="lr")
        frame["schedule"] = "wsd(peak=1e-3, steps=100, decay_from=70, end=1e-4, shape=linear, warmup=10)"
        assert checkpoints(frame, "constant_rate").column("steps").tolist() == [10, 20, 30, 40, 50, 60, 70, 90] * 2

    def test_schedule_keeps_all_and_attaches(self) -> None:
        kept = checkpoints(_wsd(), "schedule", warmup="5 steps")
        assert len(kept) == 18
        one = kept.frame["schedule"][0]
        assert isinstance(one, Schedule)
        assert one.at([0])[0] == 0.0  # rows of the warm-up are dropped after the schedule was read from them

    def test_final_of_unsorted_rows(self) -> None:
        shuffled = _wsd().sample(frac=1, random_state=0)
        assert checkpoints(shuffled, "final").column("steps").tolist() == [90, 90]

    def test_all_is_the_same_table(self) -> None:
        runs = read_runs(_wsd())
        assert checkpoints(runs, "all") is runs

    @pytest.mark.parametrize(
        ("rule", "rows"),
        [
            ("0.3 of run", 14), ("30% of run", 14), ("30 % of the run", 14), ("20 steps", 14), ("20 step", 14),
            ("20 steps, 50% of run", 10), (None, 20), ("", 20), ("0 steps", 18),
        ],
    )  # fmt: skip
    def test_rules(self, rule: str | None, rows: int) -> None:
        assert len(checkpoints(_wsd(), "all", warmup=rule)) == rows

    def test_a_number_counts_tokens(self) -> None:
        table = {"run": ["a"] * 3, "tokens": [1e9, 2e9, 3e9], "loss": [3.0, 2.9, 2.8]}
        assert checkpoints(table, "all", warmup=1e9).column("tokens").tolist() == [2e9, 3e9]

    def test_every_policy_has_words(self) -> None:
        assert list(POLICIES) == ["all", "final", "constant_rate", "schedule"]


class TestRefuses:
    @pytest.mark.parametrize(
        "rule", ["ten steps", "10B", "0.1", "-1 steps", "0.1 of", "10% tokens", "1.5 of run", "of run"]
    )
    def test_rules(self, rule: str) -> None:
        with pytest.raises(OptionError, match="warm-up rule"):
            checkpoints(_wsd(), "all", warmup=rule)

    def test_unknown_policy(self) -> None:
        with pytest.raises(OptionError, match=r'"finl" \(did you mean "final"\?\); known are all \(every checkpoint\)'):
            checkpoints(_wsd(), "finl")

    @pytest.mark.parametrize(
        ("columns", "policy", "warmup", "message"),
        [
            (["run"], "final", None, "no column that names the run"),
            (["run"], "all", "0.1 of run", "no column that names the run"),
            (["step"], "final", None, "does not say how far its runs are"),
            (["lr"], "constant_rate", None, "does not say where it decays"),
            (["lr"], "schedule", None, "does not say where it decays"),
            ([], "all", "1B tokens", "no column of tokens"),
            ([], "all", "1000 steps", "leaves none of the 20 checkpoints"),
        ],
    )
    def test_tables_that_cannot_say(self, columns: list[str], policy: str, warmup: str | None, message: str) -> None:
        with pytest.raises(RunsError, match=message):
            checkpoints(_wsd().drop(columns=columns), policy, warmup=warmup)

    def test_peak_rates_are_no_schedule(self) -> None:
        with pytest.raises(RunsError, match="column 'peak_lr', the largest of each run"):
            checkpoints(_wsd().rename(columns={"lr": "peak_lr"}), "constant_rate")
