"""`scalinglens downstream` gives the numbers of `two_step`, on screen and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit.downstream import Checkpoints, two_step
from scalinglens.runs import read_runs


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tasks.csv`: 16 runs with a task that can be forecast and one at chance; `steps.csv`: four checkpoints of each."""
    folder = tmp_path_factory.mktemp("tasks")
    rng = np.random.default_rng(0)
    params, tokens = (a.ravel() for a in np.meshgrid([1e8, 2e8, 4e8, 1e9], [1e10, 2e10, 4e10, 1e11]))
    rows = []
    for run, (n, d) in enumerate(zip(params, tokens, strict=True)):
        for share in (0.4, 0.6, 0.8, 1.0):
            bits = (0.5 + 40 / n**0.25 + 60 / (share * d) ** 0.22) * np.exp(0.004 * rng.normal())
            qa = 0.9 - 0.65 / (1 + np.exp(-9 * (bits - 1.05))) + 0.006 * rng.normal()
            rows.append({"name": f"r{run}", "N": n, "D": share * d, "qa_bpb": bits, "qa": qa})
    frame = pd.DataFrame(rows)
    frame["flat"] = 0.25 + 0.01 * rng.normal(size=len(frame))
    frame.to_csv(folder / "steps.csv", index=False)
    frame.iloc[3::4].to_csv(folder / "tasks.csv", index=False)
    return folder


def test_json_is_the_forecast_of_python(run, tasks: Path) -> None:
    done = run("downstream", "tasks.csv", "--task", "qa", "--loss-column", "qa_bpb", "--chance", "0.25", "--params", "3B,7B",
               "--tokens", "1T", "--boot", "60", "--json", cwd=tasks)  # fmt: skip
    words = json.loads(done.stdout)
    runs = read_runs(tasks / "tasks.csv", loss="qa_bpb")
    found = two_step(runs, task="qa", chance=0.25, boot=60)
    frame = found.steps(params=[3e9, 7e9], tokens=1e12)
    assert words["schema"] == 1
    assert words["status"] == found.status
    assert words["refusal"] is None
    assert [row["params"] for row in words["predictions"]] == [3e9, 7e9]
    for name, columns in (("loss", ("loss", "loss_low", "loss_high")), ("qa", ("qa", "low", "high"))):
        for end, column in zip(("value", "low", "high"), columns, strict=True):
            assert [row[name][end] for row in words["predictions"]] == frame[column].tolist()
    assert [check["name"] for check in words["checks"]] == [check.name for check in found.checks]
    for check in words["checks"]:
        assert check["says"] in done.stderr
    for warning in words["warnings"]:
        assert warning in done.stderr


def test_screen(run, tasks: Path) -> None:
    text = run("downstream", "tasks.csv", "--task", "qa", "--loss-column", "qa_bpb", "--params", "7B", "--tokens", "1T",
               "--law-only", "--boot", "60", cwd=tasks).stdout  # fmt: skip
    head, row = text.splitlines()[-2:]
    assert head.split() == ["params", "tokens", "loss", "interval", "qa", "interval"]
    assert row.split()[:2] == ["7B", "1T"]
    low, high = (float(part) for part in row.split()[-3::2])
    assert low < float(row.split()[-4]) < high
    assert "the link extrapolates" in text


def test_checkpoints(run, tasks: Path) -> None:
    words = ("--task", "qa", "--loss-column", "qa_bpb", "--run-column", "name", "--final", "2", "--smooth", "2")
    done = run("downstream", "steps.csv", *words, "--skip", "0.25", "--anchor", "0,1", "--params", "7B", "--tokens", "1T",
               "--json", cwd=tasks)  # fmt: skip
    found = two_step(
        read_runs(tasks / "steps.csv", loss="qa_bpb"),
        task="qa",
        checkpoints=Checkpoints("name", 2, 2, 0.25),
        anchor=(0, 1),
    )
    value = json.loads(done.stdout)["predictions"][0]["qa"]["value"]
    assert value == found.predict(params=7e9, tokens=1e12)["qa"][0]


def test_a_task_at_chance_is_refused(run, tasks: Path) -> None:
    words = ("downstream", "tasks.csv", "--task", "flat", "--loss-column", "qa_bpb", "--chance", "0.25", "--boot", "60")
    done = run(*words, "--params", "7B", "--tokens", "1T", "--json", cwd=tasks)
    found = json.loads(done.stdout)
    assert "flat cannot be forecast" in found["refusal"]
    assert found["refusal"] in done.stderr
    assert found["predictions"][0]["flat"]["low"] is None
    assert run(*words, "--strict", status=3, cwd=tasks).returncode == 3


@pytest.mark.parametrize(("words", "says"), [
    (("--task", "q"), "no column 'q'"),
    (("--task", "qa", "--parms", "7B"), 'no input \'parms\' (did you mean "params"?)'),
    (("--task", "qa", "--floor", "low"), "--floor low is neither"),
    (("--task", "qa", "--anchor", "1"), "--anchor 1 is not LOSS,ACCURACY"),
    (("--task", "qa", "--final", "3"), "name its column with --run-column"),
    (("--task", "qa", "--link", "sigmiod"), 'no link "sigmiod"'),
    (("--task", "qa", "--law", "hofmann2022"), 'did you mean "hoffmann2022"'),
    (("--task", "qa", "--map", "loss=D"), "both say what the loss is"),
])  # fmt: skip
def test_mistakes(run, tasks: Path, words: tuple[str, ...], says: str) -> None:
    done = run("downstream", "tasks.csv", "--loss-column", "qa_bpb", *words, status=2, cwd=tasks)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
