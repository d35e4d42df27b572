"""Faults, for real: processes are killed, disks are full, files are cut. Nothing may be lost, doubled, or different in a bit."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from scalinglens.runs import read_runs
from scalinglens.runs.record import read_record
from scalinglens.sweep.driver import run_sweep
from scalinglens.sweep.executors import executor
from scalinglens.sweep.job import TRAINER
from scalinglens.sweep.store import open_store
from scalinglens.sweep.sweep import Sweep

KILLS = int(os.environ.get("SCALINGLENS_KILLS", "12"))  # 50 take a quarter of an hour where others use the machine
HERE = Path(__file__).parent
sweep_of = runpy.run_path(str(HERE / "drive.py"))["sweep_of"]
TIMES = ("seconds", "tokens_per_second")  # the only columns that may differ between two runs of one experiment

torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None and os.environ.get("SCALINGLENS_REQUIRE_TORCH") != "1",
    reason="PyTorch is not installed; these trainings are real",
)
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")


def start(store: Path, trainer: str, every: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "drive.py"), str(store), trainer, str(every)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def workers(driver: int) -> list[int]:
    """Children of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == driver and words[0] != "Z":
            found.append(int(folder.name))
    return found


def with_kills(
    store: Path, trainer: str, *, kills: int, mean: float, every: float, rng: random.Random
) -> dict[str, int]:
    """Run the sweep of drive.py to its end, killing workers and the driver at random moments; return the kills by kind."""
    count = {"driver": 0, "worker": 0}
    driver = start(store, trainer, every)
    due = time.monotonic() + rng.expovariate(1 / mean)
    while True:
        if driver.poll() is not None:
            out, _ = driver.communicate()
            if driver.returncode == 0:
                assert json.loads(out)["finished"] == 40
                return count
            driver = start(store, trainer, every)
        if sum(count.values()) < kills and time.monotonic() > due:
            due = time.monotonic() + rng.expovariate(1 / mean)
            crew = workers(driver.pid)
            victim, kind = (driver.pid, "driver") if rng.random() < 0.3 or not crew else (rng.choice(crew), "worker")
            os.kill(victim, signal.SIGKILL)
            count[kind] += 1
            if kind == "driver":
                driver.wait()
        time.sleep(0.01)


def check_same(found: Path, undisturbed: Path) -> None:
    """Every run is there once, no other, nothing is left over, and the tables and curves are the same bits."""
    sweep = {one.hash for one in sweep_of("toy" if "toy" in found.name else TRAINER).experiments}
    assert set(os.listdir(found / "runs")) == sweep
    store = open_store(found)
    assert store.place.names("claims") == []
    assert store.running() == []
    assert store.failures() == {}
    for file in ("experiment.toml", "curve.parquet"):
        for run in sweep:
            assert (found / "runs" / run / file).read_bytes() == (undisturbed / "runs" / run / file).read_bytes()
    tables = []
    for place in (found, undisturbed):
        frame = read_runs(place).frame
        tables.append(frame.drop(columns=[name for name in TIMES if name in frame.columns]))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.slow
def test_kills_at_random_moments_of_a_toy_sweep(toys, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_SECONDS", "0.3")
    assert json.loads(start(tmp_path / "toy-plain", "toy_trainer:train", 60).communicate()[0])["finished"] == 40
    kills = with_kills(tmp_path / "toy-killed", "toy_trainer:train", kills=4, mean=1.5, every=60, rng=random.Random(1))
    assert sum(kills.values()) > 0
    check_same(tmp_path / "toy-killed", tmp_path / "toy-plain")


@pytest.mark.slow
@torch
def test_kills_of_workers_and_drivers(tmp_path):
    """40 real trainings in 12 groups, checkpoints every 0.1 s; rounds of the whole sweep until KILLS processes were killed."""
    assert json.loads(start(tmp_path / "plain", TRAINER, 0.1).communicate()[0])["finished"] == 40
    rng = random.Random(2026)
    total = {"driver": 0, "worker": 0}
    rounds = 0
    while sum(total.values()) < KILLS:
        rounds += 1
        left = KILLS - sum(total.values())
        kills = with_kills(tmp_path / f"killed{rounds}", TRAINER, kills=left, mean=8.0, every=0.1, rng=rng)
        total = {kind: total[kind] + kills[kind] for kind in total}
        check_same(tmp_path / f"killed{rounds}", tmp_path / "plain")
    print(f"{total} in {rounds} rounds")
    assert total["driver"] > 0
    assert total["worker"] > 0


def first_bytes(path: Path) -> bytes:
    """What a file holds once it is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            return path.read_bytes()
        time.sleep(0.001)
    raise AssertionError(f"{path} was never written")


@pytest.mark.slow
@torch
@pytest.mark.parametrize("damage", ["cut", "bits", "empty", "foreign"])
def test_damaged_checkpoint_begins_anew_to_the_same_bits(damage, tmp_path):
    sweep = Sweep(sweep_of(TRAINER).experiments[:2], members=2)
    name = sweep.groups[0].name
    plain, store = (open_store(tmp_path / which) for which in ("plain", "hurt"))
    source, path = plain.checkpoint(name), store.checkpoint(name)
    assert source is not None
    assert path is not None
    with ThreadPoolExecutor(1) as beside:  # the file is there from the first step to the last: every=0
        taken = beside.submit(first_bytes, source)
        assert run_sweep(sweep, plain, executor=executor("local", workers=1), every=0.0).complete
        whole = taken.result()
    middle = len(whole) // 2
    hurt = {
        "cut": whole[:middle],
        "bits": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
        "foreign": b"not a checkpoint at all",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(hurt[damage])
    assert run_sweep(sweep, store, executor=executor("local", workers=1), every=0.1).complete
    for run in sweep.groups[0].runs:
        one, other = (read_record(open_store(tmp_path / name).place, run) for name in ("plain", "hurt"))
        pd.testing.assert_frame_equal(one.curve, other.curve, check_exact=True)
        assert one.summary["loss"] == other.summary["loss"]
    assert path.with_name(path.name + ".damaged").exists()


@pytest.mark.slow
@torch
def test_real_training_that_diverges_has_no_loss(base, tmp_path):
    sweep = Sweep(tuple(base.having({"tokens": 16_000, "clip": 0, "learning_rate": rate}) for rate in (0.01, 1e30)))
    store = open_store(tmp_path)
    report = run_sweep(sweep, store, executor=executor("local", workers=1))
    assert (report.finished, report.diverged) == (1, 1)
    runs = read_runs(tmp_path)
    assert runs.column("learning_rate").tolist() == [0.01]
    status = store.status(sweep.experiments[1].hash)
    assert status["status"] == "diverged"
    assert status["summary"]["loss"] is None


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@root
def test_full_disk(toys, small_disk, forty):
    """The runs that fitted are whole; the rest says why; with room again, the same call completes the sweep."""
    store = open_store(small_disk)
    report = run_sweep(forty, store, executor=executor("local", workers=2), trainer="toy_trainer:train")
    assert "no room left" in report.stopped
    assert not report.complete
    assert {words["status"] for words in report.failures.values()} == {"disk full"}
    assert report.waiting + report.finished + len(report.failures) == 40
    for run in os.listdir(small_disk / "runs"):
        if not run.startswith("."):
            assert len(read_record(store.place, run).curve) == 4
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    again = run_sweep(forty, store, executor=executor("local", workers=2), trainer="toy_trainer:train")
    assert again.complete
    assert store.failures() == {}


@pytest.mark.slow
@root
def test_disk_that_turns_read_only(toys, small_disk, forty, monkeypatch):
    """Between two groups the file system can no longer be written: that is its own end, and reading goes on."""
    monkeypatch.setenv("TOY_SECONDS", "0.5")
    store = open_store(small_disk)
    closed: list[bool] = []

    def show(progress: object) -> None:
        if store.finished() and not closed:
            closed.append(True)
            subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    report = run_sweep(forty, store, executor=executor("local", workers=1), trainer="toy_trainer:train", show=show)
    assert closed
    assert "cannot be written" in report.stopped
    assert {words["status"] for words in report.failures.values()} == {"read-only"}
    assert len(read_runs(small_disk)) == report.finished > 0
    from scalinglens.errors import OutputError

    with pytest.raises(OutputError, match="Read-only file system"):
        run_sweep(forty, store, executor=executor("local", workers=1), trainer="toy_trainer:train")


@pytest.fixture
def little_memory():
    """A control group of 600 MB, which workers started inside of it share; the kernel ends one that wants more."""
    group = Path("/sys/fs/cgroup/memory/scalinglens-test")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(600 << 20))
    except OSError as problem:
        pytest.skip(f"no control group of memory can be made here: {problem}")
    yield group
    for pid in (group / "tasks").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    time.sleep(0.2)
    group.rmdir()


@pytest.mark.slow
@root
def test_worker_ended_by_the_kernel_for_want_of_memory(toys, tmp_path, little_memory, forty, monkeypatch):
    monkeypatch.setenv("TOY_GROUP", str(little_memory / "tasks"))
    store = open_store(tmp_path / "store")
    report = run_sweep(
        Sweep(forty.experiments[:1]), store, executor=executor("local", workers=1), trainer="toy_trainer:fills_memory"
    )
    (words,) = report.failures.values()
    assert words["status"] == "out of memory"
    assert "for want of memory" in words["error"]
