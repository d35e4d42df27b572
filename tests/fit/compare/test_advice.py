"""Every check of `advice` on a table that passes it and on one that fails it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import FitError, RunsError
from scalinglens.fit import fit
from scalinglens.fit.compare.advice import advice, advice_text
from scalinglens.runs import Runs, read_runs

LAW = "E + A/params^alpha + B/tokens^beta"
SIZES = 10 ** np.linspace(7, 9, 6)


def frame(sizes: np.ndarray = SIZES, lengths: int = 6, scatter: float = 1e-3) -> pd.DataFrame:
    """One run per size, with checkpoints from 20B tokens on, doubling; its learning rate falls with the size."""
    rng = np.random.default_rng(3)
    rows = [
        {"run": f"r{i}", "params": size, "params_nonembedding": 0.9 * size, "tokens": 2e10 * 2.0**k, "family": "ours",
         "lr": 1e-3 * (size / 1e7) ** -0.3}
        for i, size in enumerate(sizes) for k in range(lengths)
    ]  # fmt: skip
    made = pd.DataFrame(rows)
    made["flops"] = 6.6 * made["params"] * made["tokens"]
    clean = 1.8 + 480 / made["params"] ** 0.35 + 2000 / made["tokens"] ** 0.37
    return made.assign(loss=clean * np.exp(scatter * rng.standard_normal(len(made))))


def final(made: pd.DataFrame) -> pd.DataFrame:
    return made.groupby("run").tail(1)


def off_diagonal(made: pd.DataFrame) -> pd.DataFrame:
    """Runs of their own, not checkpoints: no run, no steps."""
    return made.drop(columns="run")


def check(name: str, rows: Any, target: dict | None = None, **options: Any) -> tuple[bool | None, float | None]:
    found = {item.name: item for item in advice(rows, target, **options)}
    item = found[name]
    assert item.sentence
    assert item.source.startswith(("Choshen et al. 2024, recommendation", "Li et al. 2025, checklist"))
    return item.passed, item.number


def larger(made: pd.DataFrame, factor: float) -> pd.DataFrame:
    """The losses of the largest size times a factor."""
    return made.assign(loss=made["loss"] * np.where(made["params"] == made["params"].max(), factor, 1.0))


def fitted(made: Any, law: str = LAW, **options: Any) -> tuple[Runs, Any]:
    runs = read_runs(made)
    return runs, fit(runs, law, **options)


# ---- the eleven recommendations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.2, False)])
def test_expected_error(factor: float, passed: bool) -> None:
    runs, found = fitted(larger(frame(), factor))
    got, are = check("expected error", runs, fit=found)
    assert got is passed
    assert are is not None
    if not passed:  # the others forecast what it was before
        assert are == pytest.approx(1 - 1 / 1.2, rel=0.03)
    assert check("expected error", runs) == (None, None)
    assert check("held out", runs, fit=found) == (True, are)


def test_checkpoints_and_policy() -> None:
    assert check("checkpoints", frame()) == (True, 6.0)
    assert check("checkpoints", final(frame())) == (False, 1.0)
    assert check("checkpoint policy", final(frame())) == (True, 0.0)
    passed, share = check("checkpoint policy", frame())
    assert passed is None
    assert share == pytest.approx(5 / 6)


def test_checkpoints_without_run_names_are_told_by_their_steps() -> None:
    made = frame().drop(columns="run")
    assert check("checkpoints", made) == (False, 1.0)
    assert check("checkpoints", made.assign(steps=made["tokens"] / 1e6)) == (True, 6.0)


def test_warm_up_cut() -> None:
    made = frame()
    assert check("warm-up cut", made) == (True, 0.0)
    early = made.groupby("run").head(1).assign(tokens=1e9)
    assert check("warm-up cut", pd.concat([made, early])) == (False, 6.0)
    # runs that end long before ten warm-ups: a tenth of each
    short = made.assign(tokens=made["tokens"] / 1000)
    assert check("warm-up cut", short) == (False, 12.0)  # 1/32 and 1/16 of each of six runs
    assert check("warm-up cut", final(made)) == (None, None)


@pytest.mark.parametrize(("count", "passed"), [(6, True), (5, True), (4, False)])
def test_number_of_sizes(count: int, passed: bool) -> None:
    assert check("number of sizes", frame(SIZES[:count])) == (passed, float(count))


@pytest.mark.parametrize(("size", "passed"), [("10B", True), (34e9, True), ("1T", False)])
def test_distance_to_the_target(size: Any, passed: bool) -> None:
    assert check("distance to the target", frame(), {"params": size, "tokens": "1T"})[0] is passed
    assert check("distance to the target", frame()) == (None, None)


def test_part_of_the_target_run() -> None:
    length = frame()["tokens"].max()
    passed, share = check("part of the target run", frame(), {"params": 1e9, "tokens": 2 * length})
    assert (passed, share) == (True, pytest.approx(0.5))
    passed, share = check("part of the target run", frame(), {"params": 1e9, "tokens": 10 * length})
    assert (passed, share) == (False, pytest.approx(0.1))
    assert check("part of the target run", frame(), {"params": 7e9, "tokens": length}) == (None, 0.0)


def test_borrowed_parameters() -> None:
    one = frame(SIZES[:1])
    runs = read_runs(one)
    assert check("borrowed parameters", frame()) == (None, None)
    assert check("borrowed parameters", runs) == (False, 0.0)
    assert check("borrowed parameters", runs, fit=fit(runs, LAW)) == (False, 0.0)
    lent = fit(runs, LAW, pin={"A": 480.0, "alpha": 0.35})
    assert check("borrowed parameters", runs, fit=lent) == (True, 2.0)


def test_better_than_no_fit() -> None:
    runs, found = fitted(frame())
    passed, ratio = check("better than no fit", runs, fit=found)
    assert passed is True
    assert ratio is not None
    assert ratio < 0.1
    # the largest size is no better than the one before: what needs no fit is right
    made = frame(scatter=0.0)
    best = made.loc[made["params"] < made["params"].max(), "loss"].min()
    runs, found = fitted(made.assign(loss=np.where(made["params"] == made["params"].max(), best, made["loss"])))
    assert check("better than no fit", runs, fit=found) == (False, np.inf)


def test_one_family() -> None:
    made = frame()
    assert check("one family", made) == (True, 1.0)
    assert check("one family", made.assign(family=np.where(made["params"] > 1e8, "a", "b"))) == (False, 2.0)
    assert check("one family", made.drop(columns="family")) == (None, None)


def test_no_size_decides_alone() -> None:
    runs, found = fitted(frame())
    assert check("no size decides alone", runs, fit=found)[0] is True
    runs, found = fitted(larger(frame(SIZES[[0, 1, 5]]), 1.4), loss="squares")
    passed, shift = check("no size decides alone", runs, fit=found)
    assert passed is False
    assert shift is not None
    assert shift > 0.1


def test_forecast_downwards() -> None:
    length = frame()["tokens"].max()
    small = {"params": 1e6, "tokens": 2 * length}
    assert check("forecast downwards", frame(), small) == (True, pytest.approx(0.5))
    assert check("forecast downwards", frame(), {**small, "tokens": 10 * length}) == (False, pytest.approx(0.1))
    assert check("forecast downwards", frame(), {"params": 1e10, "tokens": length}) == (None, None)


# ---- the checklist ----------------------------------------------------------------------------------------------------


def test_law_and_rows() -> None:
    runs, found = fitted(frame())
    assert check("law stated", runs, fit=found) == (True, 31.0)
    few, found = fitted(frame().iloc[::5])
    assert check("law stated", few, fit=found) == (False, 3.0)
    assert check("law stated", runs) == (None, None)
    assert check("rows used", runs) == (True, 0.0)
    passed, share = check("rows used", runs.where("params > 2e7"))
    assert (passed, share) == (False, pytest.approx(1 / 6))


def test_counting_and_compute() -> None:
    made = frame()
    assert check("counting convention", made) == (True, 2.0)
    total = made.drop(columns="params_nonembedding")
    assert check("counting convention", total) == (None, 1.0)
    assert check("counting convention", total.drop(columns="params")) == (False, 0.0)  # from compute and tokens
    assert check("compute convention", made) == (True, pytest.approx(1.1))
    assert check("compute convention", made.assign(flops=made["flops"] * 3)) == (False, pytest.approx(3.3))
    assert check("compute convention", made.drop(columns="flops")) == (None, None)


def test_ranges() -> None:
    assert check("range of sizes", frame()) == (True, pytest.approx(2.0))
    assert check("range of sizes", frame(np.linspace(1e8, 4e8, 6))) == (False, pytest.approx(np.log10(4)))
    assert check("range of lengths", frame()) == (True, pytest.approx(np.log10(32)))
    assert check("range of lengths", frame(lengths=2)) == (False, pytest.approx(np.log10(2)))


def test_tokens_per_parameter() -> None:
    made = frame()
    assert check("tokens per parameter", made)[0] is True
    passed, span = check("tokens per parameter", made.assign(tokens=20 * made["params"]))
    assert (passed, span) == (False, pytest.approx(0.0, abs=1e-9))


def test_duplicates_and_seeds() -> None:
    made = frame()
    assert check("duplicates", made) == (True, 0.0)
    assert check("duplicates", pd.concat([made, made.iloc[:3]])) == (False, 3.0)
    assert check("seed noise", made) == (None, None)
    again = made.assign(run=made["run"] + "b", loss=made["loss"] * 1.01)
    passed, spread = check("seed noise", pd.concat([made, again]))
    assert (passed, spread) == (
        True,
        pytest.approx(np.log(1.01) / np.sqrt(2), rel=1e-6),
    )  # the standard deviation of a pair
    assert check("seed noise", pd.concat([made, again.assign(loss=made["loss"] * 1.1)]))[0] is False


def test_learning_rate() -> None:
    made = frame()
    assert check("learning rate tuned", made)[0] is True
    assert check("learning rate tuned", made.assign(lr=1e-3))[0] is False
    sweep = pd.concat([made.assign(lr=rate, loss=made["loss"] + rate) for rate in (1e-3, 2e-3, 4e-3)])
    assert check("learning rate tuned", sweep) == (True, 3.0)
    assert check("learning rate tuned", made.drop(columns="lr")) == (None, None)


def test_how_it_was_fitted() -> None:
    runs, found = fitted(frame())
    assert check("objective stated", runs, fit=found) == (True, pytest.approx(found.value))
    assert check("starts", runs, fit=found)[0] is True
    alone = replace(found, certificate=replace(found.certificate, starts_agree=1))
    assert check("starts", runs, fit=alone) == (False, 1.0)
    assert check("optimum certified", runs, fit=found)[0] is True
    diagonal, other = fitted(frame().assign(tokens=lambda made: 20 * made["params"]).drop(columns="flops"))
    assert other.status != "certified"
    assert check("optimum certified", diagonal, fit=other)[0] is False
    for name in ("objective stated", "starts", "optimum certified", "intervals", "floor visible"):
        assert check(name, runs) == (None, None)


def test_floor() -> None:
    runs, found = fitted(frame())
    passed, error = check("floor visible", runs, fit=found)
    assert passed is True
    assert error is not None
    assert 0 < error < 0.1
    assert check("floor visible", runs, fit=fit(runs, "A/params^alpha")) == (None, None)
    assert check("floor visible", runs, fit=fit(runs, LAW, pin={"E": 1.8})) == (None, None)
    # a pure power law with a floor in its fit: the runs cannot see it
    made = frame(scatter=0.0).assign(
        loss=lambda rows: 30 * rows["params"] ** -0.1 * np.exp(0.001 * np.cos(np.arange(36)))
    )
    runs, found = fitted(made, "E + A/params^alpha")
    assert check("floor visible", runs, fit=found)[0] is False


def test_intervals() -> None:
    runs, found = fitted(frame(), boot=40)
    assert check("intervals", runs, fit=found) == (True, 5.0)
    assert check("intervals", runs, fit=fit(runs, LAW)) == (False, 0.0)
    diagonal, other = fitted(frame().assign(tokens=lambda made: 20 * made["params"]).drop(columns="flops"), boot=40)
    assert check("intervals", diagonal, fit=other) == (False, 0.0)


# ---- the whole --------------------------------------------------------------------------------------------------------


def test_eleven_recommendations_and_the_checklist() -> None:
    checks = advice(frame())
    assert [item.source.endswith(f"recommendation {i}") for i, item in enumerate(checks[:11], start=1)] == [True] * 11
    assert len({item.name for item in checks}) == len(checks) == 28
    words = json.loads(json.dumps([item.to_dict() for item in checks]))
    assert words[3] == {
        "name": "number of sizes", "passed": True, "number": 6.0, "threshold": 5.0, "sentence": "6 different params",
        "source": "Choshen et al. 2024, recommendation 4",
    }  # fmt: skip


def test_text_begins_with_what_to_look_at() -> None:
    checks = advice(frame(SIZES[:3]))
    lines = advice_text(checks).splitlines()
    assert len(lines) == len(checks) + 1
    marks = [line.split()[0] for line in lines[:-1]]
    assert marks == sorted(marks, key=["look", "ok", "-"].index)
    assert lines[-1] == f"{marks.count('look')} to look at, {marks.count('ok')} well, {marks.count('-')} not applicable"
    assert str(checks[3]) == "look  number of sizes: 3 different params; more sizes help even if they are not larger, " \
        "and one bad run weighs less"  # fmt: skip


def test_one_variable_tables() -> None:
    x = 2.0 ** np.arange(10)
    curve = pd.DataFrame({"epochs": x, "loss": 2 + 1 / x})
    assert check("range of lengths", curve, x="epochs")[0] is True
    assert check("number of sizes", curve, x="epochs") == (None, None)
    with pytest.raises(RunsError, match="no column 'epoch'"):
        advice(curve, x="epoch")


def test_what_cannot_be_answered_is_refused() -> None:
    with pytest.raises(FitError, match="the target has depth, but the runs of frame differ in params, tokens"):
        advice(frame(), {"depth": 12})
    with pytest.raises(FitError, match="fit is the result of fit"):
        advice(frame(), fit="hoffmann2022")  # type: ignore[arg-type]
