"""`train`, `sweep` and `runs` as processes: real trainings of a second, the store between them, and mistakes."""

from __future__ import annotations

import importlib.util
import json
import os

import pandas as pd
import pytest

if importlib.util.find_spec("torch") is None:
    if os.environ.get("SCALINGLENS_REQUIRE_TORCH") == "1":
        pytest.fail("SCALINGLENS_REQUIRE_TORCH is 1 but PyTorch is not installed; run `make torch`", pytrace=False)
    pytest.skip("PyTorch is not installed; these commands train", allow_module_level=True)

EXPERIMENT = """
[world]
kind = "walk"
nodes = 16
edges = 32
[model]
width = 16
[training]
tokens = "10k"
evaluations = 4
evaluation_tokens = 500
"""
SWEEP = """
members = 4
[[grid]]
learning_rate = [0.01, 0.02, 0.04]
seed = [0, 1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "e.toml").write_text(EXPERIMENT)
    (folder / "s.toml").write_text(SWEEP)
    return folder


def test_train_sweep_runs(run, folder):
    """One after the other, because each needs what the last one left."""
    first = json.loads(
        run("train", "e.toml", "--set", "seed=0", "--store", "st", "--threads", "1", "--json", cwd=folder).stdout
    )
    assert first["status"] == "finished"
    assert first["curve"]["loss"][-1] == first["summary"]["loss"]
    assert first["experiment"]["training"]["tokens"] == 10_000
    report = json.loads(
        run("sweep", "s.toml", "--base", "e.toml", "--store", "st", "--workers", "1", "--json", cwd=folder).stdout
    )
    assert (report["total"], report["finished"], report["failed"], report["made"]) == (6, 6, 0, 5)  # one was there
    again = json.loads(run("sweep", "s.toml", "--base", "e.toml", "--store", "st", "--json", cwd=folder).stdout)
    assert (again["finished"], again["made"]) == (6, 0)
    status = json.loads(run("sweep", "status", "st", "--json", cwd=folder).stdout)
    assert (status["finished"], status["running"], status["failures"]) == (6, 0, {})
    assert "6 finished" in run("sweep", "status", "st", cwd=folder).stdout
    told = run("runs", "st", "-o", "r.parquet", "--curves", "c.csv", cwd=folder).stdout
    assert "6 of 6 rows of st" in told
    frame = pd.read_parquet(folder / "r.parquet")
    assert first["run"] in set(frame["run"])
    assert set(frame["learning_rate"]) == {0.01, 0.02, 0.04}
    assert pd.read_csv(folder / "c.csv")["run"].nunique() == 6
    best = run("runs", "st", "--best", "learning_rate,seed", "--statistic", "mean", "-o", "b.csv", cwd=folder).stdout
    assert "derived by the mean over seed" in best
    assert len(pd.read_csv(folder / "b.csv")) == 1


@pytest.mark.slow
def test_train_says_what_it_did(run, folder):
    text = run("train", "e.toml", "--set", "tokens=2000", cwd=folder).stdout
    assert "finished" in text
    assert "above the entropy rate" in text


def test_dry_run_makes_nothing(run, folder):
    text = run("sweep", "s.toml", "--base", "e.toml", "--store", "nowhere", "--dry", cwd=folder).stdout
    assert "6 runs in 2 groups; 6 of them are to be made" in text
    assert not (folder / "nowhere").exists()


MISTAKES = {
    ("train", "none.toml"): ["none.toml does not exist"],
    ("train", "e.toml", "--set", "widht=3"): ["widht = '3'", '"width"'],
    ("train", "e.toml", "--set", "width=20"): ["model.width = 20", "16 or 24"],
    ("train", "e.toml", "--device", "cdua"): ['device = "cdua"', '"cuda"'],
    ("train", "e.toml", "--device", "cuda:99"): ['device = "cuda:99"', "there is"],
    ("train", "e.toml", "--threads", "-1"): ["--threads"],
    ("sweep", "s.toml", "--store", "x"): ["has no [base]", "--base"],
    ("sweep", "s.toml", "--base", "e.toml", "--store", "x", "--executor", "slrum"): ['"slrum"', '"slurm"'],
    ("sweep", "s.toml", "--base", "e.toml", "--store", "x", "--workers", "0"): ["--workers", "0"],
    ("sweep", "s.toml", "--base", "e.toml", "--store", "x", "--option", "memry=3"): ["--option", "memry"],
    ("sweep", "s.toml", "--base", "e.toml", "--store", "e.toml"): ["cannot write in"],
    ("sweep", "status", "nothing"): ["is no store of runs"],
    ("runs", "nothing"): ["nothing does not exist"],
    ("runs", "e.toml", "-o", "x.txt"): [".parquet, .csv"],
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_line(words, run, folder):
    done = run(*words, status=2, cwd=folder)
    assert "Traceback" not in done.stderr
    for word in MISTAKES[words]:
        assert word in done.stderr, done.stderr


def test_help_needs_no_torch(run, folder):
    for command in ("train", "sweep", "runs"):
        assert "usage" in run(command, "--help", cwd=folder).stdout


def test_live_table_counts_every_run_once():
    from rich.console import Console

    from scalinglens.cli.sweep import in_a_line, live_table
    from scalinglens.sweep.driver import Progress

    beat = {"name": "host-12-abcdef", "runs": ["a", "b"], "step": 120, "steps": 600}
    how_far = Progress(
        total=40, finished=20, diverged=2, failed=1, running=4, elsewhere=3, seconds=75.0, flops=3e12, left=3700.0,
        at_work=(beat,),
    )  # fmt: skip
    line = in_a_line(how_far)
    for part in (
        "22 of 40 runs done",
        "4 running",
        "3 running elsewhere",
        "10 waiting",
        "1 failed",
        "1:01:40 left",
        "4e+10",
    ):
        assert part in line
    console = Console(width=140, record=True, file=open(os.devnull, "w"))  # noqa: SIM115 - lives as long as the test
    console.print(live_table("s.toml", how_far))
    shown = console.export_text()
    console.file.close()
    assert line in " ".join(shown.split("\n"))
    assert "host-12" in shown
    assert "120 of 600" in shown
