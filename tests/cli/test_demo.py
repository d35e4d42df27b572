"""`scalinglens demo`: tiny trainings here, the whole one among the slow tests."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.cli import demo
from scalinglens.cli.main import main

FILES = ["fit.json", "fit.png", "new.csv", "runs.csv"]
VERDICT = {"level", "inside", "runs", "mean_relative_error", "mean_half_width"}
TORCH = importlib.util.find_spec("torch") is not None or os.environ.get("SCALINGLENS_REQUIRE_TORCH") == "1"
trains = pytest.mark.skipif(not TORCH, reason="PyTorch is not installed; run `make torch`")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "LADDER", ((8, 16_000), (16, 8_000)))
    monkeypatch.setattr(demo, "BOOT", 100)
    monkeypatch.chdir(tmp_path)


@trains
@pytest.mark.usefixtures("small")
def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--json", "--out", "there"]) == 0
    screen, said = capsys.readouterr()
    words = json.loads(screen)
    assert set(words) == {"schema", "fit", "new", "verdict", "files"}
    assert set(words["verdict"]) == VERDICT
    assert "training 2 transformers" in said
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == FILES
    # the verdict is that of the rows, and the rows are those of the saved fit and the written table
    rows = words["new"]
    inside = [row["loss"]["low"] <= row["measured"] <= row["loss"]["high"] for row in rows]
    assert (words["verdict"]["inside"], words["verdict"]["runs"]) == (sum(inside), 2)
    table = pd.read_csv(words["files"]["new.csv"])
    assert table.loss.tolist() == pytest.approx([row["measured"] for row in rows], rel=1e-12)
    predicted = sl.Fit.load(words["files"]["fit.json"]).predict(table, noise=True)
    assert predicted.low.tolist() == pytest.approx([row["loss"]["low"] for row in rows], rel=1e-12)


@trains
@pytest.mark.usefixtures("small")
def test_screen_names_files_and_commands_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    text = capsys.readouterr().out
    assert "certified" in text
    assert "Verdict: " in text
    assert main(["fit", "scalinglens-demo/runs.csv", "--law", demo.LAW, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    values = {name: estimate["value"] for name, estimate in again["parameters"].items()}
    assert values == pytest.approx(dict(sl.Fit.load("scalinglens-demo/fit.json").values), rel=1e-6)
    assert main(["predict", "scalinglens-demo/fit.json", "--params", "120k", "--tokens", "4M"]) == 0


@trains
@pytest.mark.usefixtures("small")
def test_refused_intervals_are_no_intervals(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "LAW", "E + F + A/params^alpha + B/tokens^beta")  # E and F cannot be told apart
    assert main(["demo", "--json"]) == 0
    words = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # NaN is no JSON
    assert words["fit"]["status"] == "not_identified"
    assert {row["loss"]["low"] for row in words["new"]} == {None}


@pytest.mark.usefixtures("small")
def test_without_pytorch_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalinglens.train.requirements.importlib.util.find_spec", lambda name: None)
    assert main(["demo"]) == 2
    assert "pip install 'scalinglens[train]'" in capsys.readouterr().err


@trains
@pytest.mark.slow
def test_the_whole_demo(run, tmp_path: Path) -> None:
    words = json.loads(run("demo", "--json", cwd=tmp_path).stdout)
    assert words["fit"]["status"] == "certified"
    assert words["verdict"]["inside"] >= 3  # of 5; 4.5 are expected of exact 90% intervals
    assert words["verdict"]["mean_relative_error"] < 0.1
    assert sorted(path.name for path in (tmp_path / "scalinglens-demo").iterdir()) == FILES
