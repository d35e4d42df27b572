"""A sweep on worker processes: every run once, and a typed end for whatever goes wrong. Trainers are toys of milliseconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from scalinglens.errors import ExperimentError, OutputError
from scalinglens.runs import read_runs
from scalinglens.sweep.driver import Progress, run_sweep, sweep_status
from scalinglens.sweep.executors import executor
from scalinglens.sweep.store import open_store
from scalinglens.sweep.sweep import Sweep

HERE = Path(__file__).parent


def trained(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def few(forty: Sweep) -> Sweep:
    return Sweep(forty.experiments[:4], members=2)


def test_every_run_once_and_then_nothing(forty, toys, tmp_path):
    store = open_store(tmp_path / "store")
    seen: list[Progress] = []
    report = run_sweep(
        forty, store, executor=executor("local", workers=2), trainer="toy_trainer:train", show=seen.append
    )
    assert report.complete
    assert (report.finished, report.made, report.failures) == (40, 40, {})
    assert trained(toys) == len(forty.groups)
    assert seen[-1].finished == 40
    assert seen[-1].waiting == 0
    assert all(p.finished + p.running + p.waiting == 40 for p in seen)
    again = run_sweep(forty, store, executor=executor("local", workers=2), trainer="toy_trainer:train")
    assert (again.made, again.finished, trained(toys)) == (0, 40, len(forty.groups))
    assert store.place.names("claims") == []
    assert store.place.names("beats") == []
    runs = read_runs(tmp_path / "store")
    assert set(runs.frame["run"]) == {one.hash for one in forty.experiments}


@pytest.mark.slow
def test_only_what_is_missing_of_a_group_is_published(forty, toys, tmp_path):
    """A group that was cut between two publications is made again whole, to the same bits."""
    store = open_store(tmp_path / "store")
    sweep = few(forty)
    run_sweep(sweep, store, executor=executor("local", workers=1), trainer="toy_trainer:train")
    before = read_runs(tmp_path / "store").frame
    kept = (tmp_path / "store/runs" / sweep.groups[0].runs[0] / "status.json").stat().st_mtime_ns
    store.place.remove(f"runs/{sweep.groups[0].runs[1]}")
    report = run_sweep(sweep, store, executor=executor("local", workers=1), trainer="toy_trainer:train")
    assert report.made == 1
    pd.testing.assert_frame_equal(read_runs(tmp_path / "store").frame, before, check_exact=True)
    assert (tmp_path / "store/runs" / sweep.groups[0].runs[0] / "status.json").stat().st_mtime_ns == kept


ENDS = {
    "raises": ("failed", "ZeroDivisionError: no reason", 2, 2),
    "hungry": ("out of memory", "allocate", 2, 2),
    "full": ("disk full", "No space left on device", 2, 2),
    "missing": ("failed", "AttributeError", 2, 2),
}


@pytest.mark.parametrize("trainer", ENDS)
def test_what_fails_is_tried_again_once_and_ends_in_a_type(trainer, forty, toys, tmp_path):
    end, text, attempts, _ = ENDS[trainer]
    store = open_store(tmp_path / "store")
    sweep = Sweep(forty.experiments[:2], members=2)
    report = run_sweep(sweep, store, executor=executor("local", workers=1), trainer=f"toy_trainer:{trainer}")
    assert not report.complete
    assert set(report.failures) == {one.hash for one in sweep.experiments}
    for words in [*report.failures.values(), *store.failures().values()]:
        assert words["status"] == end
        assert text in words["error"]
        assert words["attempts"] == attempts
    assert ("mend that" in report.stopped) == (end == "disk full")
    assert store.place.names("claims") == [] or not store.running()
    mended = run_sweep(sweep, store, executor=executor("local", workers=1), trainer="toy_trainer:train")
    assert mended.complete
    assert store.failures() == {}


@pytest.mark.slow
def test_worker_that_needs_more_than_its_limit_ends_alone(forty, toys, tmp_path):
    """A limit of the address space: the worker lives on after a MemoryError, and makes the next group."""
    store = open_store(tmp_path / "store")
    crew = executor("local", workers=1, memory=3 << 30)
    report = run_sweep(few(forty), store, executor=crew, trainer="toy_trainer:hungry_or_not")
    assert {words["status"] for words in report.failures.values()} == {"out of memory"}
    assert report.finished == 2
    assert len(report.failures) == 2


@pytest.mark.slow
def test_worker_that_is_killed_again_and_again_is_given_up(forty, toys, tmp_path, monkeypatch):
    monkeypatch.setattr("scalinglens.sweep.driver.LOSSES", 1)
    monkeypatch.setattr("scalinglens.sweep.driver.AGAIN", 0.0)
    store = open_store(tmp_path / "store")
    report = run_sweep(
        Sweep(forty.experiments[:1]), store, executor=executor("local", workers=1), trainer="toy_trainer:dies"
    )
    (words,) = report.failures.values()
    assert (words["status"], words["attempts"]) == ("killed", 2)
    assert "SIGKILL" in words["error"]


@pytest.mark.slow
def test_a_mistake_in_the_experiment_is_not_tried_again(forty, toys, tmp_path):
    store = open_store(tmp_path / "store")
    report = run_sweep(
        Sweep(forty.experiments[:1]), store, executor=executor("local", workers=1), trainer="toy_trainer:refuses"
    )
    (words,) = report.failures.values()
    assert (words["status"], words["attempts"]) == ("wrong", 1)


def test_diverged_runs_are_recorded_and_have_no_loss(base, toys, tmp_path):
    sweep = Sweep(tuple(base.having({"learning_rate": rate}) for rate in (0.1, 0.5, 2.0, 5.0)))
    store = open_store(tmp_path / "store")
    report = run_sweep(sweep, store, executor=executor("local", workers=1), trainer="toy_trainer:train")
    assert report.complete
    assert (report.finished, report.diverged) == (2, 2)
    runs = read_runs(tmp_path / "store")
    assert runs.column("learning_rate").max() == 0.5
    assert runs.frame["learning_rate_diverged"].tolist() == [2.0, 2.0]
    assert sweep_status(store)["diverged"] == 2


def test_two_drivers_share_a_store(forty, toys, tmp_path):
    store = open_store(tmp_path / "store")
    reports = []

    def drive() -> None:
        crew = executor("local", workers=1)
        reports.append(run_sweep(forty, store, executor=crew, trainer="toy_trainer:train"))

    threads = [threading.Thread(target=drive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report.complete for report in reports)
    assert sum(report.made for report in reports) == 40
    assert all(report.made > 0 for report in reports)
    assert trained(toys) == len(forty.groups)


def test_closed_store_is_refused_before_any_work(forty, toys, tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write in .*store"):
        run_sweep(
            forty, open_store(tmp_path / "store"), executor=executor("local", workers=1), trainer="toy_trainer:train"
        )


@pytest.mark.slow
def test_interrupt_leaves_no_worker(forty, toys, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "30")
    store = open_store(tmp_path / "store")
    crew = executor("local", workers=2)
    found: list[int] = []

    def show(progress: Progress) -> None:
        if len(store.running()) == 2:
            found.extend(crew.processes)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(forty, store, executor=crew, trainer="toy_trainer:train", show=show)
    assert len(found) == 2
    for pid in found:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_killed_driver_takes_its_workers_along(forty, toys, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "30")
    driver = subprocess.Popen([sys.executable, str(HERE / "drive.py"), str(tmp_path / "store"), "toy_trainer:train"])
    store = open_store(tmp_path / "store")
    while len(store.running()) < 2:
        time.sleep(0.1)
    workers = [beat["pid"] for beat in store.running()]
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlives its driver"
        time.sleep(0.05)
    assert store.running() == []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_executors_are_checked():
    with pytest.raises(ExperimentError, match=r'no executor "locl" \(did you mean "local"'):
        executor("locl")
    with pytest.raises(ExperimentError, match="workers = 0"):
        executor("local", workers=0)


@pytest.mark.slow
def test_report_is_plain_data(forty, toys, tmp_path):
    store = open_store(tmp_path / "store")
    sweep = Sweep(forty.experiments[:1])
    report = run_sweep(sweep, store, executor=executor("local", workers=1), trainer="toy_trainer:raises", retries=0)
    document = json.loads(json.dumps(report.to_dict()))
    assert document["failed"] == 1
    assert "ZeroDivisionError" in str(report)
    assert json.loads(json.dumps(sweep_status(store)))["failures"]
