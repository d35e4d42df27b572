"""`scalinglens demo`: a small ladder here, the whole one among the slow tests."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.cli import demo
from scalinglens.cli.main import main
from scalinglens.theory import ladder

FILES = ["fit.json", "fit.png", "runs.csv"]
VERDICT = {
    "level", "inside", "runs", "mean_relative_error", "mean_relative_error_above_floor", "mean_half_width",
}  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_ladder = functools.partial(
        ladder.train_ladder, sizes=(24, 38, 62, 99, 159), lengths=(8, 22, 60, 165, 451, 1237)
    )
    monkeypatch.setattr(ladder, "train_ladder", small_ladder)
    monkeypatch.setattr(demo, "LARGER", ((201, 1237), (201, 2048)))
    monkeypatch.setattr(demo, "BOOT", 100)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("small")
def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--json", "--out", "there"]) == 0
    screen, said = capsys.readouterr()
    words = json.loads(screen)
    assert set(words) == {"schema", "fit", "held_out", "verdict", "theory", "files"}
    assert set(words["verdict"]) == VERDICT
    assert words["theory"] == {"E": 0.2, "alpha": 1.25, "beta": 0.625}
    assert "training" in said
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == FILES
    # the verdict is that of the rows, and the rows are those of the saved fit and the written table
    rows = words["held_out"]
    inside = [row["loss"]["low"] <= row["measured"] <= row["loss"]["high"] for row in rows]
    assert (words["verdict"]["inside"], words["verdict"]["runs"]) == (sum(inside), len(rows)) == (sum(inside), 4)
    table = pd.read_csv(words["files"]["runs.csv"]).query("held_out == 1")
    assert table.loss.tolist() == pytest.approx([row["measured"] for row in rows], rel=1e-15)
    predicted = sl.Fit.load(words["files"]["fit.json"]).predict(table, noise=True)
    assert predicted.low.tolist() == pytest.approx([row["loss"]["low"] for row in rows], rel=1e-12)


@pytest.mark.usefixtures("small")
def test_screen_names_files_and_commands_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    text = capsys.readouterr().out
    assert "certified" in text
    assert "Verdict: " in text
    assert "scalinglens-demo/runs.csv, scalinglens-demo/fit.json, scalinglens-demo/fit.png" in text
    assert main(["fit", "scalinglens-demo/runs.csv", "--law", demo.LAW, "--where", "held_out == 0", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    values = {name: estimate["value"] for name, estimate in again["parameters"].items()}
    assert values == pytest.approx(dict(sl.Fit.load("scalinglens-demo/fit.json").values), rel=1e-9)
    assert main(["predict", "scalinglens-demo/fit.json", "--params", "512", "--steps", "8192"]) == 0


@pytest.mark.usefixtures("small")
def test_a_broken_promise_is_admitted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # negative control: a law without a floor must fail on larger runs, and the verdict must say so
    monkeypatch.setattr(demo, "LAW", "A/params^alpha + B/steps^beta")
    monkeypatch.setattr(demo, "LARGER", ((254, 4096), (320, 4096)))
    monkeypatch.setattr(demo, "_known", lambda fit, words: "")
    assert main(["demo"]) == 0
    assert "fewer than promised" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_refused_intervals_are_no_intervals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "LAW", "E + F + A/params^alpha + B/steps^beta")  # E and F cannot be told apart
    assert main(["demo", "--json"]) == 0
    words = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # NaN is no JSON
    assert words["fit"]["status"] == "not_identified"
    assert {row["loss"]["low"] for row in words["held_out"]} == {None}
    assert main(["demo"]) == 0
    assert "Verdict: no intervals, because the fit is not_identified" in capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_demo(run, tmp_path: Path) -> None:
    words = json.loads(run("demo", "--json", cwd=tmp_path).stdout)
    assert words["fit"]["status"] == "certified"
    assert words["verdict"]["inside"] >= 12  # of 16; 14.4 are expected of exact 90% intervals, 12 is two sd less
    assert words["verdict"]["mean_relative_error"] < 0.01
    assert sorted(path.name for path in (tmp_path / "scalinglens-demo").iterdir()) == FILES
