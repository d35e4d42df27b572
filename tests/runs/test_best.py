"""`Runs.best` against loops over a table by hand, and its warnings."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import RunsError
from scalinglens.runs import read_runs


@pytest.fixture(scope="module")
def tuned() -> pd.DataFrame:
    """Three widths, five learning rates, three seeds; the best learning rate is inside for two widths."""
    rng = np.random.default_rng(0)
    rows = []
    for width, rate, seed in itertools.product((16, 32, 64), (0.005, 0.01, 0.02, 0.04, 0.08), (0, 1, 2)):
        centre = {16: 0.02, 32: 0.015, 64: 0.005}[width]
        loss = 2 + 10 / width + 0.05 * np.log(rate / centre) ** 2 + 0.01 * rng.standard_normal()
        rows.append({
            "params": 12.0 * width**2, "tokens": 1e6, "width": width, "learning_rate": rate, "seed": seed, "loss": loss,
            "run": f"{width}-{rate}-{seed}", "world.nodes": 64,
        })  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1.0, random_state=1).reset_index(drop=True)


@pytest.mark.parametrize("statistic", ["min", "mean", "median"])
def test_statistic_over_seeds_then_best_learning_rate(statistic, tuned):
    found = read_runs(tuned).best(over=("learning_rate", "seed"), statistic=statistic)
    for width, part in tuned.groupby("width"):
        level = part.groupby("learning_rate")["loss"].agg(statistic)
        row = found.frame[found.frame["width"] == width].iloc[0]
        assert row["loss"] == level.min()
        assert row["learning_rate"] == level.idxmin()
        assert (row["best_of"], row["replicates"]) == (15, 3)
        cell = part[part["learning_rate"] == level.idxmin()]
        assert row["loss_sd"] == pytest.approx(cell["loss"].std())
        nearest = cell.iloc[(cell["loss"] - level.min()).abs().argmin()]
        assert row["run"] == nearest["run"]


def test_statistic_is_recorded_with_the_column(tuned):
    runs = read_runs(tuned)
    assert "the mean over seed" in runs.best(statistic="mean").described()["columns"]["loss"]
    assert "at the best learning_rate" in runs.best(statistic="mean").columns["loss"].says()
    assert "another run is the best over learning_rate, seed" in runs.best().dropped[-1].reason
    assert len(runs.best().dropped[-1].rows) == 42


def test_order_of_rows_does_not_matter(tuned):
    one = read_runs(tuned).best(statistic="mean").frame
    other = read_runs(tuned.iloc[::-1].reset_index(drop=True)).best(statistic="mean").frame
    # sums of three numbers in another order may differ in the last bit
    pd.testing.assert_frame_equal(
        one.sort_values("width", ignore_index=True), other.sort_values("width", ignore_index=True), rtol=1e-13
    )


def test_edge_of_the_grid_is_said_for_the_settings_where_it_is(tuned):
    (warning,) = [w for w in read_runs(tuned).best(statistic="mean").warnings if "best learning_rate" in w]
    assert "the smallest that was tried in 1 of 3 settings (width 64" in warning
    inside = read_runs(tuned[tuned["width"] < 64])
    assert not [w for w in inside.best(statistic="mean").warnings if "best learning_rate" in w]
    low = read_runs(tuned[(tuned["width"] == 16) & (tuned["learning_rate"] < 0.015)])
    assert any("the largest that was tried in 1 of 1" in w for w in low.best().warnings)
    single = read_runs(tuned[tuned["learning_rate"] == 0.01])
    assert any("the only one that was tried in 3 of 3" in w for w in single.best().warnings)


def test_learning_rates_that_diverged_bound_the_grid(tuned):
    """A best value that is the largest with a loss is inside, if larger ones diverged."""
    part = tuned[(tuned["width"] == 16) & (tuned["learning_rate"] < 0.03)].assign(learning_rate_diverged=0.04)
    assert not [w for w in read_runs(part).best(statistic="mean").warnings if "best learning_rate" in w]


def test_uneven_numbers_of_seeds_are_said(tuned):
    part = tuned.drop(index=tuned.index[(tuned["seed"] == 2) & (tuned["width"] == 16)])
    assert any("2 to 3 runs each" in w for w in read_runs(part).best().warnings)


def test_settings_that_differ_in_words_are_kept_apart(tuned):
    two = pd.concat([tuned, tuned.assign(**{"world.nodes": 128, "loss": tuned["loss"] + 1})], ignore_index=True)
    found = read_runs(two).best()
    assert len(found) == 6
    together = read_runs(two).best(by=["width"])
    assert len(together) == 3


def test_over_the_seed_alone_keeps_every_learning_rate(tuned):
    found = read_runs(tuned).best(over="seed", statistic="mean")
    assert len(found) == 15
    assert found.column("loss").sum() == pytest.approx(tuned["loss"].sum() / 3)


def test_mistakes(tuned):
    runs = read_runs(tuned)
    with pytest.raises(RunsError, match=r'statistic = "men" is not known \(did you mean "mean"'):
        runs.best(statistic="men")  # type: ignore[arg-type]
    with pytest.raises(RunsError, match="no column 'learning_rat'"):
        runs.best(over="learning_rat")
    with pytest.raises(RunsError, match="over is empty"):
        runs.best(over=())
