"""Ray and SLURM run the same sweep as local processes, to the same bits."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from scalinglens.errors import ExperimentError
from scalinglens.runs import read_runs
from scalinglens.sweep.driver import run_sweep
from scalinglens.sweep.executors import executor
from scalinglens.sweep.store import open_store
from scalinglens.sweep.sweep import Sweep

HERE = Path(__file__).parent


def needs(package: str) -> None:
    """Skip without an optional package, or fail where SCALINGLENS_REQUIRE_CLUSTER=1."""
    if importlib.util.find_spec(package) is None:
        if os.environ.get("SCALINGLENS_REQUIRE_CLUSTER") == "1":
            pytest.fail(
                f"SCALINGLENS_REQUIRE_CLUSTER is 1 but {package} is not installed; run `make cluster`", pytrace=False
            )
        pytest.skip(f"{package} is not installed; run `make cluster`")


def table(path: Path) -> pd.DataFrame:
    return read_runs(path).frame.drop(columns="seconds")


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["debug", "local"])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the logs of submitit's debug jobs
def test_submitit_runs_the_same_sweep(cluster, forty, toys, tmp_path):
    needs("submitit")
    sweep = Sweep(forty.experiments[:8], members=4)
    assert run_sweep(
        sweep, open_store(tmp_path / "plain"), executor=executor("local", workers=1), trainer="toy_trainer:train"
    ).complete
    crew = executor("slurm", folder=tmp_path / "jobs", workers=2, cluster=cluster)
    report = run_sweep(sweep, open_store(tmp_path / "store"), executor=crew, trainer="toy_trainer:train")
    assert report.complete
    assert report.made == 8
    pd.testing.assert_frame_equal(table(tmp_path / "store"), table(tmp_path / "plain"), check_exact=True)


@pytest.mark.slow
def test_submitit_job_that_is_killed_is_made_again(forty, toys, tmp_path, monkeypatch):
    """A SIGKILL of the first job, as of one that the cluster ends; submitit sees a job without a result."""
    needs("submitit")
    monkeypatch.setenv("TOY_ONCE", str(tmp_path / "once"))
    crew = executor("slurm", folder=tmp_path / "jobs", workers=1, cluster="local")
    store = open_store(tmp_path / "store")
    report = run_sweep(Sweep(forty.experiments[:1]), store, executor=crew, trainer="toy_trainer:dies_once")
    assert report.complete
    assert (tmp_path / "once").exists()


@pytest.mark.slow
def test_ray_loses_a_node_in_the_middle_and_the_sweep_completes(toys, tmp_path, monkeypatch):
    """Two raylets of one processor each; the second one is killed while both work, a third of the runs done."""
    needs("ray")
    monkeypatch.setenv("TOY_SECONDS", "1.0")
    command = [sys.executable, "-W", "ignore", str(HERE / "two_nodes.py"), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("REPORT ")] or [done.stderr[-2000:]]
    report = json.loads(line.removeprefix("REPORT "))
    assert (report["nodes"], report["alive"]) == (2, 1)
    assert 4 <= report["when_killed"] < 20
    assert report["finished"] == report["total"] == 24
    assert report["failures"] == {}
    assert len(read_runs(tmp_path / "store")) == 24


def test_slurm_is_missed_before_any_work(tmp_path):
    needs("submitit")
    if any((Path(folder) / "sbatch").exists() for folder in os.environ["PATH"].split(os.pathsep)):
        pytest.skip("there is a SLURM here")
    with pytest.raises(ExperimentError, match="submitit cannot use slurm"):
        executor("slurm", folder=tmp_path / "jobs")
    with pytest.raises(ExperimentError, match=r'no cluster "debgu" \(did you mean "debug"'):
        executor("slurm", folder=tmp_path / "jobs", cluster="debgu")
    with pytest.raises(ExperimentError, match="partitoin"):
        executor("slurm", folder=tmp_path / "jobs", cluster="local", partitoin="x")
