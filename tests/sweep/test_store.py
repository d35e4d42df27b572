"""Claims: one owner per run, whatever happens to it; and records that are whole or not there."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import RunsError
from scalinglens.runs import read_runs
from scalinglens.runs.place import Folder, open_place
from scalinglens.runs.record import Record, read_curves, read_record, write_record
from scalinglens.sweep.store import Owner, Store, machine, open_store, process


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path) -> Store:
    if request.param == "folder":
        return open_store(tmp_path / "store")
    pytest.importorskip("fsspec")
    return open_store(f"memory://{uuid.uuid4().hex}")


def record(run: str, loss: float = 2.5, status: str = "finished", **more) -> Record:
    curve = pd.DataFrame({"step": [1, 2], "loss": [3.0, loss]})
    summary = {
        "params": 1000,
        "tokens": 50_000,
        "flops": 3e8,
        "loss": loss,
        "learning_rate": 0.01,
        "width": 8,
        "seed": 0,
        **more,
    }
    return Record(run, status, summary, {"world.kind": "walk", "seed": 0}, curve, "seed = 0\n", {"python": "3"})


def owner_elsewhere(name: str = "other") -> Owner:
    return Owner(name, "another machine", 1, "0")


def test_one_claim_at_a_time(store):
    a, b = Owner.new(), Owner.new()
    assert store.claim(a, ["x", "y"]) == []
    assert store.claim(b, ["z", "y"]) == ["y"]
    assert store.claim(b, ["z"]) == []  # what was claimed before the refusal was given back
    store.release(a, ["x", "y"])
    assert store.claim(b, ["y", "x"]) == []


def test_claim_of_a_dead_process_is_taken_over(store):
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    dead = replace(Owner.new(), name="dead", pid=int(child.stdout))
    assert store.claim(dead, ["x"]) == []
    assert not store.alive("dead")
    assert store.claim(Owner.new(), ["x"]) == []


def test_a_later_process_of_the_same_number_is_another(store):
    reborn = replace(Owner.new(), name="reborn", start="1")  # our number, but not when we began
    assert store.claim(reborn, ["x"]) == []
    assert store.claim(Owner.new(), ["x"]) == []


def test_owner_elsewhere_is_dead_after_the_lease(store):
    far = owner_elsewhere()
    assert store.claim(far, ["x"]) == []
    assert store.claim(Owner.new(), ["x"]) == ["x"]
    brief = replace(store, lease=0.2)
    time.sleep(0.3)
    assert brief.claim(Owner.new(), ["x"]) == []


def test_beating_keeps_an_owner_elsewhere_alive(store):
    brief, far = replace(store, lease=2.0), owner_elsewhere()
    assert brief.claim(far, ["x"]) == []
    with brief.living(far, {"runs": ["x"]}):
        for _ in range(4):
            time.sleep(0.8)
            assert brief.claim(Owner.new(), ["x"]) == ["x"]
        assert [beat["name"] for beat in brief.running()] == ["other"]


def test_a_silent_owner_that_wakes_up_publishes_nothing_new(store):
    """Both train the same run; the first one to publish stays."""
    slow, quick = owner_elsewhere("slow"), owner_elsewhere("quick")
    brief = replace(store, lease=0.0)
    assert brief.claim(slow, ["x"]) == []
    assert brief.claim(quick, ["x"]) == []
    assert write_record(store.place, record("x", 2.0))
    assert not write_record(store.place, record("x", 9.0))
    assert read_record(store.place, "x").summary["loss"] == 2.0
    store.release(slow, ["x"])
    store.release(quick, ["x"])
    assert store.place.names("claims") == []


def _claims(url: str, count: int) -> list[list[int]]:
    store, owner = open_store(url), Owner.new()
    won = []
    for number in range(count):
        if store.claim(owner, [f"run{number}"]) == []:
            won.append(number)
    return [won]


def test_many_processes_share_claims_without_overlap(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.starmap(_claims, [(str(tmp_path), 60)] * 4)
    # the pool's processes are alive until here, so nobody may take over from another
    won = [number for (each,) in found for number in each]
    assert sorted(won) == list(range(60))


def test_one_of_many_takes_over_from_the_dead(tmp_path):
    store = replace(open_store(tmp_path), lease=0.0)
    runs = [f"run{n}" for n in range(20)]
    assert store.claim(owner_elsewhere("dead"), runs) == []
    owners = [Owner.new() for _ in range(8)]  # of this process, hence alive

    def take(owner: Owner) -> list[str]:
        return [run for run in runs if store.claim(owner, [run]) == []]

    with ThreadPoolExecutor(8) as pool:
        won = [run for each in pool.map(take, owners) for run in each]
    assert sorted(won) == sorted(runs)


def test_record_is_read_as_it_was_written(store):
    one = record("x", loss=0.1 + 0.2)
    assert write_record(store.place, one)
    found = read_record(store.place, "x")
    assert found.summary == one.summary
    pd.testing.assert_frame_equal(found.curve, one.curve, check_exact=True)
    assert found.text == one.text
    with pytest.raises(RunsError, match="no run y"):
        read_record(store.place, "y")


def test_loss_of_a_run_that_diverged_is_no_number(store):
    write_record(store.place, record("x", loss=float("nan"), status="diverged"))
    write_record(store.place, record("y", learning_rate=0.005))
    assert np.isnan(read_record(store.place, "x").summary["loss"])
    assert b"NaN" not in store.place.read("runs/x/status.json")
    runs = read_runs(store.place.url)
    assert len(runs) == 1
    assert any("1 of 2 runs diverged" in note for note in runs.notes)
    assert runs.frame["learning_rate_diverged"].tolist() == [0.01]


def test_publishing_that_fails_leaves_nothing(tmp_path, monkeypatch):
    place = open_place(tmp_path)
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_record(place, record("x"))
    assert os.listdir(tmp_path / "runs") == []


def test_unfinished_folder_is_no_run(tmp_path):
    place = open_place(tmp_path)
    write_record(place, record("x"))
    (tmp_path / "runs" / ".y.123.part").mkdir()
    (tmp_path / "runs" / "z").mkdir()  # made by hand, without a status
    assert read_runs(tmp_path).frame["run"].tolist() == ["x"]


def test_table_beside_the_runs_is_never_believed(tmp_path):
    place = open_place(tmp_path)
    for number in range(5):
        write_record(place, record(f"r{number}", 2.0 + number, extra=number if number else None))
    first = read_runs(tmp_path).frame
    assert (tmp_path / "index" / "table.parquet").is_file()
    pd.testing.assert_frame_equal(read_runs(tmp_path).frame, first, check_exact=True)
    write_record(place, record("r9", 1.5, extra=3))  # grown
    assert read_runs(tmp_path).frame["loss"].tolist()[-1] == 1.5
    status = json.loads((tmp_path / "runs/r0/status.json").read_text())
    status["summary"]["loss"] = 7.25  # altered by hand
    (tmp_path / "runs/r0/status.json").write_text(json.dumps(status))
    assert read_runs(tmp_path).frame["loss"].tolist()[0] == 7.25
    place.remove("runs/r1")  # shrunk
    grown = read_runs(tmp_path).frame
    assert grown["run"].tolist() == ["r0", "r2", "r3", "r4", "r9"]
    place.remove("index")
    pd.testing.assert_frame_equal(read_runs(tmp_path).frame, grown, check_exact=True)  # the same from nothing
    (tmp_path / "index" / "table.parquet").write_bytes(b"PAR1 cut")
    pd.testing.assert_frame_equal(read_runs(tmp_path).frame, grown, check_exact=True)


def test_grown_table_is_the_table_made_at_once(tmp_path):
    """Columns that only later runs have, whole numbers that get gaps: growing must not change a type."""
    place = open_place(tmp_path)
    for number, more in enumerate([{}, {"epochs": 2}, {"epochs": 1.5, "note": "a"}, {"flag": True}]):
        write_record(place, record(f"r{number}", **more))
        grown = read_runs(tmp_path).frame
    place.remove("index")
    pd.testing.assert_frame_equal(read_runs(tmp_path).frame, grown, check_exact=True)


def test_damaged_status_is_named(tmp_path):
    place = open_place(tmp_path)
    write_record(place, record("x"))
    (tmp_path / "runs/x/status.json").write_text('{"schema": 1, ')
    with pytest.raises(RunsError, match=r"runs/x/status.json is damaged"):
        read_runs(tmp_path)


def test_empty_store_says_so(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(RunsError, match="no run in"):
        read_runs(tmp_path)


def test_curves_of_all_runs(store):
    write_record(store.place, record("x", 2.0))
    write_record(store.place, record("y", 1.0))
    curves = read_curves(store.place.url)
    assert curves.groupby("run")["loss"].last().to_dict() == {"x": 2.0, "y": 1.0}


def test_unknown_address():
    pytest.importorskip("fsspec")
    with pytest.raises(RunsError, match=r'no kind of place "s33" \(did you mean "s3"'):
        open_place("s33://bucket")


def test_this_process_lives_and_a_reaped_one_does_not():
    assert process(os.getpid()) is not None
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert process(child.pid) is None
    assert machine() == machine()


def test_place_keeps_to_its_folder(tmp_path):
    place = open_place(tmp_path / "a")
    assert isinstance(place, Folder)
    place.write("x/y.json", b"1")
    assert place.names("x") == ["y.json"]
    assert not place.create("x/y.json", b"2")
    assert place.read("x/y.json") == b"1"
    assert [path.name for path in Path(tmp_path / "a" / "x").iterdir()] == ["y.json"]
