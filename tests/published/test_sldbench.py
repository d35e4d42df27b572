"""Extrapolation tasks in the manner of SLDBench (arXiv 2507.21184) on documented splits of public tables.

The laws are those that `python -m benchmarks.extrapolation` chose inside the training parts; its file of results says what
else was tried. Here the choice is checked against that evidence, and the chosen laws are fitted and scored again.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import extrapolation

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "extrapolation.json"

# task: (training rows, test rows, least R2 of the choice with the default loss, of the choice of the loss, too)
LEAST = {
    "moe": (195, 28, 0.93, 0.91),
    "data_tokens": (156, 26, 0.93, 0.93),
    "data_unique": (161, 21, 0.79, 0.79),
    "data_ratio": (161, 21, 0.83, 0.90),
    "streams": (36, 12, 0.9955, 0.9955),
    "rates": (1137, 135, 0.91, 0.90),
    "rates_all": (1746, 165, 0.05, 0.05),
}


@pytest.fixture(scope="module")
def results():
    return json.loads(RESULTS.read_text())["tasks"]


@pytest.fixture
def shared(table, monkeypatch):
    monkeypatch.setenv("SCALINGLENS_DATA", str(table("parscale/losses.csv").parents[1]))


def certified(entries):
    return [entry for entry in entries if entry["certified"]]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("name", LEAST)
def test_the_choice_is_the_best_inside_the_training_part(results, name):
    task, tried = results[name], results[name]["candidates"]
    offered = extrapolation.TASKS[name]()
    assert len(tried) == len(offered.candidates) * len(offered.losses)
    assert {(entry["form"], entry["law"]) for entry in tried} == {(c.form, c.law) for c in offered.candidates}
    default = [entry for entry in certified(tried) if entry["loss"] == "huber"]
    assert task["chosen"] == max(default, key=lambda entry: entry["evidence"])
    assert task["chosen_with_loss"] == max(certified(tried), key=lambda entry: entry["evidence"])
    assert all("test_r2" in entry or "failed" in entry for entry in tried)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("rule", ["chosen", "chosen_with_loss"])
@pytest.mark.parametrize(
    "name", [*(name for name in LEAST if name != "rates_all"), pytest.param("rates_all", marks=pytest.mark.slow)]
)
def test_the_chosen_law_forecasts(results, name, rule):
    train, test, *least = LEAST[name]
    choice, task = results[name][rule], extrapolation.TASKS[name]()
    assert (len(task.frame.query(task.folds[-1][0])), len(task.frame.query(task.folds[-1][1]))) == (train, test)
    (candidate,) = [
        c for c in task.candidates
        if (c.form, c.rows or "all", c.by or "one fit") == (choice["form"], choice["rows"], choice["by"])
    ]  # fmt: skip
    got = extrapolation.forecast(task, candidate, choice["loss"], task.folds[-1])
    assert got.r2 >= least[rule == "chosen_with_loss"]
    assert got.r2 == pytest.approx(choice["test_r2"], abs=1e-4)
    assert set(got.statuses) == {"certified"}
    for agree in got.starts.split(", "):
        assert int(agree.split()[0]) >= 2


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("form", "rows", "loss", "r2"), [
    ("clark2022", "", "squares", 0.7009),  # print: .703, the human law of the benchmark
    ("clark2022", "regular", "squares", 0.548),
    ("effective parameters", "", "huber", 0.815),
    ("effective parameters", "regular", "squares", 0.847),
    ("effective parameters", "regular", "huber", 0.880),
    ("clark2022 with a floor", "", "huber", 0.706),
])  # fmt: skip
def test_one_law_for_all_routers(form, rows, loss, r2):
    """The split of the benchmark itself: 28 runs of the largest size."""
    task = extrapolation.mixture_of_experts()
    (candidate,) = [c for c in task.candidates if c.form == form and bool(c.rows) == bool(rows) and not c.by]
    assert extrapolation.forecast(task, candidate, loss, task.folds[-1]).r2 == pytest.approx(r2, abs=0.02)


@pytest.mark.usefixtures("shared")
def test_size_and_experts_cannot_explain_more_than_this():
    """Routers differ at the same size and experts: no law in these two reaches .93, which is why each router has a fit."""
    task = extrapolation.mixture_of_experts()
    test = task.frame.query(task.folds[-1][1])
    mean = test.groupby("experts")["loss"].transform("mean")
    assert extrapolation.r_squared(test["loss"].to_numpy(), mean.to_numpy()) == pytest.approx(0.919, abs=1e-3)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("name", "form", "loss", "r2"), [
    ("data_unique", "hoffmann2022", "huber", 0.597),
    ("data_unique", "three power laws", "huber", 0.642),
    ("data_ratio", "three power laws", "huber", 0.886),
    ("data_ratio", "three power laws", "squares", 0.921),
    ("data_ratio", "hoffmann2022", "huber", 0.666),
    ("data_tokens", "hoffmann2022", "huber", 0.848),
    ("data_tokens", "hoffmann2022", "squares", 0.874),
    ("data_tokens", "three power laws", "huber", 0.919),
    ("data_tokens", "three power laws", "squares", 0.938),
])  # fmt: skip
def test_data_constrained_references(name, form, loss, r2):
    task = extrapolation.TASKS[name]()
    (candidate,) = [c for c in task.candidates if c.form == form]
    assert extrapolation.forecast(task, candidate, loss, task.folds[-1]).r2 == pytest.approx(r2, abs=0.005)
