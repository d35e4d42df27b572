"""How often do 90% intervals hold the new run? Counted over synthetic worlds, ten and a hundred times beyond the table.

    python -m benchmarks.coverage [--worlds 500] [--kinds a,b] [--methods a,b] [--out FILE]

Writes benchmarks/results/coverage.json, row by row, and keeps the rows of other kinds and methods that are there: for each
kind of world (see `worlds.py`) and each way to make intervals, the share of
worlds that got an answer, the share of answered intervals that hold a new run, those that hold the law's own mean, their
width and their interval score (Gneiting and Raftery 2007, eq. 43; smaller is better).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import RESULTS, commit, machine
from benchmarks.worlds import MISSPECIFIED, WELL_SPECIFIED, World, make_world
from scalinglens.fit import fit
from scalinglens.numerics.processes import parallel_map

LAW = "E + A/params^alpha + B/tokens^beta"
LEVEL = 0.9
METHODS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "parametric (default)": (LAW, {"boot": 200}),
    "rows": (LAW, {"boot": 200, "resample": "rows"}),
    "wild": (LAW, {"boot": 200, "resample": "wild"}),
    "delta": (LAW, {"interval": "delta"}),
    "auto": ("auto", {"boot": 200}),
}
POOLED = ("auto",)  # slower, and of interest where the law is wrong


def held(kind: str, method: str, seed: int) -> tuple[bool, np.ndarray]:
    """Whether world `seed` got an answer, and [new run held, mean held, width, score] x [factor]."""
    world = make_world(kind, seed)
    law, options = METHODS[method]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit(world.table, law, groups=world.groups, level=LEVEL, **options)
        if found.refusal or found.predict(world.ahead)["low"].isna().any():
            return False, np.full((4, len(world.factor)), np.nan)
        run, mean = found.predict(world.ahead, noise=True), found.predict(world.ahead, noise=False)
    return True, np.array([*_hits(run, mean, world), *_widths(run, world)])


def _hits(run: Any, mean: Any, world: World) -> tuple[np.ndarray, np.ndarray]:
    return (
        (run["low"] <= world.loss) & (world.loss <= run["high"]),
        (mean["low"] <= world.mean) & (world.mean <= mean["high"]),
    )


def _widths(run: Any, world: World) -> tuple[np.ndarray, np.ndarray]:
    low, high = run["low"].to_numpy(), run["high"].to_numpy()
    miss = np.maximum(low - world.loss, 0) + np.maximum(world.loss - high, 0)
    return (high - low) / world.mean, (high - low + 2 / (1 - LEVEL) * miss) / world.mean


def study(kind: str, method: str, worlds: int) -> dict[str, Any]:
    """Coverage of one method in one kind of world."""
    started = time.perf_counter()
    results = list(parallel_map(lambda seed: held(kind, method, seed), range(worlds)))
    answered = np.array([ok for ok, _ in results])
    parts = np.stack([part for ok, part in results if ok])
    by_factor = {}
    for k, factor in enumerate(("10x", "100x")):
        new, mean, width, score = parts[:, :, k].T
        by_factor[factor] = {
            "new_run": float(new.mean()),
            "standard_error": float(np.sqrt(new.mean() * (1 - new.mean()) / len(new))),
            "law": float(mean.mean()),
            "median_width": float(np.median(width)),
            "mean_score": float(score.mean()),
        }
    return {
        "kind": kind,
        "method": method,
        "worlds": worlds,
        "answered": float(answered.mean()),
        **by_factor,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the coverage of 90% prediction intervals.")
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--kinds", default=",".join([*WELL_SPECIFIED, *MISSPECIFIED]))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--out", default=str(RESULTS / "coverage.json"))
    words = parser.parse_args()
    out = Path(words.out)
    known = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.exists() else []
    rows = {(row["kind"], row["method"]): row for row in known}
    for kind in words.kinds.split(","):
        for method in METHODS:
            if method not in words.methods.split(","):
                continue
            found = study(kind, method, words.worlds)
            rows[kind, method] = found | {"commit": commit()}
            _write(out, [rows[key] for key in sorted(rows, key=_order)])
            near, far = found["10x"], found["100x"]
            print(
                f"{kind:14} {method:22} answered {found['answered']:.3f}  10x {near['new_run']:.3f} (law {near['law']:.3f}) "
                f"width {near['median_width']:.4f}  100x {far['new_run']:.3f} (law {far['law']:.3f}) "
                f"width {far['median_width']:.4f}  score {near['mean_score']:.4f} {far['mean_score']:.4f}  "
                f"{found['seconds']:.0f} s",
                flush=True,
            )
    print(f"written to {out}", file=sys.stderr)


def _order(key: tuple[str, str]) -> tuple[int, int]:
    return [*WELL_SPECIFIED, *MISSPECIFIED].index(key[0]), list(METHODS).index(key[1])


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write what there is: the study takes an hour, and each row stands for itself."""
    outcome = {"suite": "coverage", "level": LEVEL, "law": LAW, "rows": rows, "machine": machine()}
    out.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
