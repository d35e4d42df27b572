"""`scalinglens predict` gives the numbers of `Fit.predict`, at points written as people write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.cli.options import values
from scalinglens.errors import OptionError

KEYS = {
    "schema", "law", "formula", "status", "parameters", "runs", "level", "noise", "refusal", "citation", "warnings",
    "predictions",
}  # fmt: skip


def predictions(done) -> list[dict]:
    words = json.loads(done.stdout)
    assert set(words) == KEYS
    assert words["schema"] == 1
    return words["predictions"]


@pytest.mark.parametrize("noise", [False, True])
def test_json_is_the_prediction_of_python(run, desk: Path, noise: bool) -> None:
    flags = [] if noise else ["--law-only"]
    done = run("predict", "fit.json", "--params", "7B,70B", "--tokens", "1.4T", "--level", "0.8", "--json", *flags)
    got = predictions(done)
    frame = sl.Fit.load(desk / "fit.json").predict(params=[7e9, 70e9], tokens=1.4e12, level=0.8, noise=noise)
    assert [set(row) for row in got] == [{"params", "tokens", "loss"}] * 2
    assert [row["params"] for row in got] == [7e9, 70e9]
    for name, column in (("value", "loss"), ("low", "low"), ("high", "high")):
        assert [row["loss"][name] for row in got] == frame[column].tolist()
    assert "80% intervals of " + ("a single new run" if noise else "the law") in done.stderr


def test_screen(run) -> None:
    lines = run("predict", "fit.json", "--params", "1B:100B:3", "--tokens", "1.4T").stdout.splitlines()
    assert "90% intervals of a single new run" in lines
    assert lines[-4].split() == ["params", "tokens", "loss", "interval"]
    assert [line.split()[0] for line in lines[-3:]] == ["1B", "10B", "100B"]
    low, high = (float(part) for part in lines[-1].split()[3::2])
    assert low < float(lines[-1].split()[2]) < high


def test_json_says_what_the_screen_says(run, desk: Path) -> None:
    fit = sl.Fit.load(desk / "fit.json")
    done = run("predict", "fit.json", "--params", "70", "--tokens", "1.4T", "--json")
    words = json.loads(done.stdout)
    words.pop("predictions")
    warnings = [*fit.extrapolation(params=70.0, tokens=1.4e12), *fit.warnings]
    assert words == {
        "schema": 1,
        "law": fit.law.name,
        "formula": fit.law.formula,
        "status": "certified",
        "parameters": dict(fit.values),
        "runs": {"used": 60, "origin": fit.table["origin"]},
        "level": 0.9,
        "noise": True,
        "refusal": None,
        "citation": None,  # a typed law has none
        "warnings": warnings,
    }
    assert any(warning.startswith("params 70 is") for warning in warnings)
    screen = run("predict", "fit.json", "--params", "70", "--tokens", "1.4T").stdout
    assert screen.startswith(done.stderr)
    for warning in warnings:
        assert f"! {warning}\n" in screen
    near = run("predict", "fit.json", "--params", "100M", "--tokens", "10B", "--json")
    assert not any("times" in warning for warning in json.loads(near.stdout)["warnings"])


def test_a_refusal_is_in_the_json(run, desk: Path, tmp_path: Path) -> None:
    frame = sl.read_runs(desk / "runs.csv").to_frame()[["params", "loss"]]
    sl.fit(frame.assign(tokens=20 * frame.params), "hoffmann2022").save(tmp_path / "line.json")
    done = run("predict", "line.json", "--params", "1B", "--tokens", "20B", "--json", cwd=tmp_path)
    words = json.loads(done.stdout)
    assert words["status"] == "not_identified"
    assert words["refusal"] == sl.Fit.load(tmp_path / "line.json").refusal
    assert words["refusal"] in done.stderr
    assert "Hoffmann" in words["citation"]
    assert words["predictions"][0]["loss"]["low"] is None


def test_options_may_be_written_in_any_way(run) -> None:
    expected = run("predict", "fit.json", "--params", "7e9", "--tokens", "1.4e12", "--json").stdout
    for words in (
        ("--params", "7B", "fit.json", "--json", "--tokens", "1.4T"),
        ("--json", "fit.json", "--params=7B", "--tokens=1_400B"),
        ("fit.json", "--at", "params=7B", "--at", "tokens=1.4T tokens", "--json"),
    ):
        assert run("predict", *words).stdout == expected


def test_published_law(run) -> None:
    done = run("predict", "besiroglu2024", "--params", "70B", "--tokens", "1.4T", "--json")
    (row,) = predictions(done)
    law = sl.law("besiroglu2024")
    words = json.loads(done.stdout)
    assert (words["law"], words["formula"], words["status"]) == ("besiroglu2024", law.formula, "published")
    assert (words["level"], words["noise"], words["runs"], words["warnings"]) == (None, False, None, [])
    assert words["refusal"] == "no intervals: published constants are single numbers"
    assert "Besiroglu" in words["citation"]
    assert words["parameters"] == dict(law.constants)
    assert row["loss"] == {"value": float(law.value(params=70e9, tokens=1.4e12)), "low": None, "high": None}
    assert "no intervals: published constants" in done.stderr
    assert "arXiv 2404.10102" in done.stderr
    assert "1.974" in run("predict", "besiroglu2024", "--params", "70B", "--tokens", "1.4T").stdout


def test_law_with_another_output(run) -> None:
    (row,) = predictions(run("predict", "kaplan2020.B_crit", "--loss", "2.5", "--json"))
    assert set(row) == {"loss", sl.law("kaplan2020.B_crit").output}


def test_points_of_a_table(run, desk: Path) -> None:
    got = predictions(run("predict", "fit.json", "--points", "runs.csv", "--json"))
    runs = sl.read_runs(desk / "runs.csv")
    assert [row["loss"]["value"] for row in got] == sl.Fit.load(desk / "fit.json").predict(runs).loss.tolist()
    replaced = predictions(run("predict", "fit.json", "--points", "runs.csv", "--tokens", "1T", "--json"))
    assert {row["tokens"] for row in replaced} == {1e12}
    assert [row["params"] for row in replaced] == runs.column("params").tolist()


def test_a_fit_without_draws_says_so(run, desk: Path) -> None:
    run("fit", "runs.csv", "--save", "plain.json")
    try:
        done = run("predict", "plain.json", "--params", "7B", "--tokens", "1T")
    finally:
        (desk / "plain.json").unlink()
    assert "no intervals: the fit has no draws; fit again with --boot 1000" in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("70B", [7e10]),
        ("7B,70B", [7e9, 7e10]),
        ("1e9:1e12:4", [1e9, 1e10, 1e11, 1e12]),
        ("2:32:5", [2, 4, 8, 16, 32]),
        ("-3", [-3]),
    ],
)
def test_values(text: str, expected: list[float]) -> None:
    assert values("years", text) == expected


def test_ranges_are_geometric_with_exact_ends() -> None:
    low, high = 57.3e6, 16.2e9
    got = values("params", f"{low!r}:{high!r}:50")
    assert (got[0], got[-1]) == (low, high)
    np.testing.assert_allclose(got, np.geomspace(low, high, 50), rtol=1e-12)


@pytest.mark.parametrize("text", ["1:2", "1:2:3:4", "0:2:3", "1:2:1", "1:2:2.5", "1:2:1e9", "", "1,,2"])
def test_values_that_cannot_be_read(text: str) -> None:
    with pytest.raises(OptionError, match="a geometric range --params 1B:100B:5"):
        values("params", text)


def test_a_saved_pool_predicts_like_a_fit(run, desk: Path) -> None:
    pool = sl.fit(desk / "runs.csv", "auto", boot=60)
    pool.save(desk / "auto.json")
    done = run("predict", "auto.json", "--params", "7B", "--tokens", "1.4T", "--json")
    (row,) = predictions(done)
    expected = pool.predict(params=7e9, tokens=1.4e12).iloc[0]
    assert [row["loss"][name] for name in ("value", "low", "high")] == [expected.loss, expected.low, expected.high]
    words = json.loads(done.stdout)
    assert words["law"] == "auto"
    assert sum(words["parameters"].values()) == pytest.approx(1.0)
