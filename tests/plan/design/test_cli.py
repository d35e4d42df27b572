"""`scalinglens design`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scalinglens.cli.design import parse
from scalinglens.errors import OptionError, OutputError, ScalingLensError


def test_from_a_saved_fit(fitted: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted.save(tmp_path / "fit.json")
    out = tmp_path / "sweep.toml"
    words = [str(tmp_path / "fit.json"), "--target-flops", "1e23", "--budget", "1e20", "--out", str(out), "--most", "8"]
    assert parse(words).run() == 0
    said = capsys.readouterr().out
    assert "next runs" in said
    assert f"written to {out}" in said
    assert 1 <= len(tomllib.loads(out.read_text())["run"]) <= 8


def test_json_from_the_prior(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prior", "--target-flops", "1e22", "--budget", "1e19", "--json"]
    assert parse([*words, "--grid", "params=10M:300M:6,tokens_per_param=5/20/80"]).run() == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert found["first_ladder"]
    assert len({run["params"] for run in found["runs"]}) >= 5
    assert found["cost"] <= 1e19 * (1 + 1e-8)


def test_candidates_made_and_a_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"params": [1e7, 3e7, 1e8], "tokens": [1e9, 1e9, 2e9]}).to_csv(tmp_path / "may.csv", index=False)
    pd.DataFrame({"params": [1e7], "tokens": [5e8], "loss": [4.0]}).to_csv(tmp_path / "made.csv", index=False)
    words = ["prior", "--target", "params=1B", "--target", "tokens=20B", "--budget", "1e19"]
    words += ["--candidates", str(tmp_path / "may.csv"), "--made", str(tmp_path / "made.csv"), "--json"]
    assert parse(words).run() == 0
    found = json.loads(capsys.readouterr().out)
    assert found["made"] == 1
    assert {run["params"] for run in found["runs"]} <= {1e7, 3e7, 1e8}


def test_two_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prior", "besiroglu2024", "--goal", "difference", "--target", "params=1B", "--target", "tokens=20B"]
    assert parse([*words, "--budget", "1e19", "--shared", "alpha", "--most", "6"]).run() == 0
    assert "recipe 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--budget", "1e19"], "no target"),
        (["--budget", "1e19", "--target-flops", "1e22", "--grid", "params"], "NAME=VALUES"),
        (["--budget", "1e19", "--target-flops", "1e22", "--grid", "params=1:2"], "LOW:HIGH:COUNT"),
        (["--budget", "1e19", "--target-flops", "1e22", "--grid", "params=1e7,params=1e8"], "twice"),
        (["--budget", "1e19", "--target-flops", "1e22", "--grid", "params=1e7", "--candidates", "x.csv"], "give one"),
        (["--budget", "1e19", "--target-flops", "soon"], "no number"),
        (["--budget", "alot", "--target-flops", "1e22"], "no number"),
        (["--budget", "1e19", "--target", "params"], "NAME=VALUE"),
    ],
)
def test_refused(words: list[str], says: str) -> None:
    with pytest.raises(ScalingLensError) as problem:
        parse(["prior", *words]).run()
    assert says in str(problem.value)


def test_sweep_files_end_in_toml(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="toml"):
        parse(["prior", "--budget", "1e19", "--target-flops", "1e22", "--out", str(tmp_path / "sweep.yaml")]).run()
    with pytest.raises(OptionError):
        parse(["prior", "--budget", "1e19"]).run()
