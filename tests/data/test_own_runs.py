"""The project's own runs: the committed table is whole, its sweep files name its runs, and its claims hold when worked out anew.

Expected values are those of study-random-walks 8.3, 8.4 and 8.7, measured with another program on other graphs.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from benchmarks import own_runs
from scalinglens.sweep.sweep import read_sweep

HOME = Path(__file__).parents[2]
SWEEPS = sorted((HOME / "data" / "sweeps").glob("*.toml"))
RECORD = json.loads((HOME / "benchmarks" / "results" / "own_runs.json").read_text())


@pytest.fixture(scope="module")
def frame():
    return pd.read_parquet(own_runs.TABLE)


def test_at_least_200_finished_runs(frame):
    assert np.isfinite(frame["loss"]).sum() >= 200
    assert frame["run"].is_unique
    assert set(frame["status"]) <= {"finished", "diverged"}
    assert np.all(np.isfinite(frame["loss"]) == (frame["status"] == "finished"))
    assert len(sl.read_runs(own_runs.TABLE)) >= 200


def test_sweep_files_name_the_runs_of_the_table(frame):
    named = {run for file in SWEEPS for group in read_sweep(file).groups for run in group.runs}
    assert set(frame["run"]) <= named


def test_no_run_is_below_what_is_possible(frame):
    exact = frame[frame["excess"].notna() & frame["entropy_rate"].notna()]
    assert np.all(exact["excess"] > 0)
    np.testing.assert_allclose(exact["loss"], exact["entropy_rate"] + exact["excess"], rtol=1e-12)
    assert RECORD["floor"]["below_floor"] == 0


def test_the_best_learning_rate_moves_without_rules_for_the_width_only(frame):
    found = own_runs.transfer(frame)
    assert found["mup"]["drift"] < 2
    assert found["standard"]["drift"] > 8
    assert found["matched"]["drift"] > 8  # the same multipliers, the same function at width 32
    assert all(each["inside"] for how in found.values() for each in how["widths"].values())
    base = [found[how]["widths"]["32"]["excess"] for how in ("mup", "matched")]
    assert base[0] == pytest.approx(base[1], rel=1e-6)


def test_the_law_of_data_where_width_does_not_bind(frame):
    assert own_runs.data_law(frame)["exponent_to_2M"] == pytest.approx(1.0, abs=0.1)


def test_the_computed_floor_predicts_width(frame):
    law = RECORD["floor"]
    points = own_runs.best(own_runs.runs_of(frame, "kernel 256"))
    np.testing.assert_allclose(points["excess"], law["points"]["excess"], rtol=1e-12)
    floors = np.array([law["floors"][str(int(width))]["excess"] for width in points["width"]])
    tokens, excess = points["tokens"].to_numpy(float), points["excess"].to_numpy(float)
    _, beta, away = own_runs.law_of_floor(floors, tokens, excess)
    assert np.sqrt(np.mean(away**2)) < 0.06
    assert beta == pytest.approx(0.75, abs=0.06)
    assert law["fitted_to_1M"]["worst"] < 0.10


def test_a_wrong_floor_is_told_from_the_right_one(frame):
    # negative control: without the floors, two numbers cannot follow the widths
    points = own_runs.best(own_runs.runs_of(frame, "kernel 256"))
    tokens, excess = points["tokens"].to_numpy(float), points["excess"].to_numpy(float)
    _, _, away = own_runs.law_of_floor(np.zeros(len(points)), tokens, excess)
    assert np.sqrt(np.mean(away**2)) > 0.15
