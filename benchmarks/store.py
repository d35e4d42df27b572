"""How fast a store of 10,000 runs is listed and read: without the table beside it, with it, and with 100 runs it has not seen.

    python -m benchmarks.store [RUNS]

Every reading is a process of its own, five in turn; the medians go to benchmarks/results/store.json.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.__main__ import RESULTS, ROUNDS, commit, machine
from scalinglens.runs.place import open_place
from scalinglens.runs.record import Record, write_record
from scalinglens.sweep.experiment import Experiment, WorldWords
from scalinglens.train.counts import counts, parameters

READ = """
import sys, time
from scalinglens.runs import read_runs  # the import is not the store's time
import pandas, pyarrow.parquet
began, busy = time.perf_counter(), time.process_time()
runs = read_runs(sys.argv[1])
print(len(runs), time.perf_counter() - began, time.process_time() - busy)
"""
LIST = """
import sys, time
from scalinglens.sweep.store import open_store
began, busy = time.perf_counter(), time.process_time()
found = open_store(sys.argv[1]).finished()
print(len(found), time.perf_counter() - began, time.process_time() - busy)
"""


def fill(folder: Path, first: int, last: int) -> None:
    """Write runs of the shape that the trainer gives them: the summary, and a curve of twelve evaluations.

    Without waiting for the disk after each file, which a worker does: it is not what is measured here.
    """
    os.fsync = lambda _: None  # type: ignore[assignment]
    place = open_place(folder)
    base = Experiment(WorldWords("walk", {"nodes": 64, "edges": 256}))
    steps = np.geomspace(1, 625, 12).astype(int)
    for number in range(first, last):
        one = base.having({"seed": number, "learning_rate": 0.01 + 1e-6 * number})
        rng = np.random.default_rng(number)
        loss = 2.147 + 2 / np.sqrt(steps) + 0.001 * rng.standard_normal(12)
        curve = pd.DataFrame({"step": steps, "tokens": 1600 * steps, "loss": loss, "excess": loss - 2.147})
        summary = {
            "loss": loss[-1], "excess": loss[-1] - 2.147, "entropy_rate": 2.147,
            **counts(one.settings, 64, parameters(one.model, 64)), "tokens": 1_000_000, "steps": 625, "batch_tokens": 1600,
            "learning_rate": one.training.learning_rate, "width": 32, "depth": 2, "vocab": 64, "seed": number, "seconds": 1.5,
        }  # fmt: skip
        write_record(place, Record(one.hash, "finished", summary, one.flat(), curve, one.to_toml(), {"threads": 1}))


def timed(code: str, folder: Path) -> tuple[int, float, float]:
    """Return how many runs were found, the seconds that took, and those of the processor."""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    count, seconds, busy = done.stdout.split()
    return int(count), float(seconds), float(busy)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    folder = Path(tempfile.mkdtemp()) / "store"
    folder.mkdir()
    try:
        fill(folder, 0, count - 100)
        timed(READ, folder)
        behind = (folder / "index" / "table.parquet").read_bytes()  # the table before the last 100 runs
        fill(folder, count - 100, count)
        seconds: dict[str, list[float]] = {"list": [], "first": [], "again": [], "grown": []}
        busy_seconds: dict[str, list[float]] = {name: [] for name in seconds}
        for _ in range(ROUNDS):
            shutil.rmtree(folder / "index")
            for name, code in (("list", LIST), ("first", READ), ("again", READ), ("grown", READ)):
                if name == "grown":
                    (folder / "index" / "table.parquet").write_bytes(behind)
                found, took, busy = timed(code, folder)
                assert found == count
                seconds[name].append(took)
                busy_seconds[name].append(busy)
    finally:
        shutil.rmtree(folder.parent)
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    busy = {name: float(np.median(each)) for name, each in busy_seconds.items()}
    outcome = {
        "suite": "store", "runs": count, "seconds": medians, "all_seconds": seconds,
        "processor_seconds": busy,
        "commit": commit(), "machine": machine(),
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "store.json").write_text(json.dumps(outcome, indent=1) + "\n")
    print(f"{count:,} runs")
    for name, says in (
        ("list", "their names"), ("first", "their table, from the runs"), ("again", "their table, from the one beside them"),
        ("grown", "their table, 100 runs behind"),
    ):  # fmt: skip
        print(f"  {says:<40}{medians[name]:8.3f} s, {busy[name]:.3f} s of the processor")


if __name__ == "__main__":
    main()
