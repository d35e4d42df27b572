"""How often do 90% intervals of the best size hold the true one? Counted over synthetic worlds, 10 and 100 times beyond them.

    python -m benchmarks.plan_coverage [--worlds 50] [--kinds a,b] [--out FILE]

For each kind of world (see `worlds.py`) and over all well-specified ones: the share of worlds that got an answer, the share of
answered intervals that hold the compute-optimal size N*, and their median width as a ratio of the ends. 50 worlds of each of
the six well-specified kinds make the 300 of the acceptance. Results: benchmarks/results/plan_coverage.json.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import RESULTS, commit, machine
from benchmarks.worlds import MISSPECIFIED, WELL_SPECIFIED, make_world
from scalinglens.fit import fit
from scalinglens.numerics.processes import parallel_map
from scalinglens.plan.frontier import frontier

LAW = "E + A/params^alpha + B/tokens^beta"
LEVEL = 0.9
BOOT = 200
FACTORS = ("10x", "100x")


def held(kind: str, seed: int) -> np.ndarray | None:
    """Whether the intervals of the best size hold the true one, and high/low [2, factor]; None where the fit refuses."""
    world = make_world(kind, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fit(world.table, LAW, groups=world.groups, boot=BOOT)
        if found.refusal:
            return None
        # the world knows its optimum on a grid of half a percent, a fiftieth of the narrowest interval
        budgets = 6 * world.ahead["params"] * world.ahead["tokens"]
        best = frontier(found, budgets, level=LEVEL).optimum["params"]
    truth = world.ahead["params"]
    return np.array([(best.low <= truth) & (truth <= best.high), best.high / best.low])


def study(kind: str, worlds: int) -> tuple[dict[str, Any], np.ndarray]:
    """The row of one kind, and whether each answered world was held [worlds, factor]."""
    started = time.perf_counter()
    found = [one for one in parallel_map(lambda seed: held(kind, seed), range(worlds)) if one is not None]
    hits, widths = np.array([one[0] for one in found]), np.array([one[1] for one in found])
    row = {"kind": kind, "worlds": worlds, "answered": len(found)} | _shares(hits, widths)
    return row | {"seconds": time.perf_counter() - started}, np.stack([hits, widths])


def _shares(hits: np.ndarray, widths: np.ndarray) -> dict[str, Any]:
    return {
        factor: {"held": float(hits[:, k].mean()), "median_width": float(np.median(widths[:, k]))}
        for k, factor in enumerate(FACTORS)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the coverage of intervals of the compute-optimal size.")
    parser.add_argument("--worlds", type=int, default=50, help="of each kind")
    parser.add_argument("--kinds", default=",".join([*WELL_SPECIFIED, *MISSPECIFIED]))
    parser.add_argument("--out", default=str(RESULTS / "plan_coverage.json"))
    words = parser.parse_args()
    rows, whole = [], []
    for kind in words.kinds.split(","):
        row, found = study(kind, words.worlds)
        rows.append(row)
        if kind in WELL_SPECIFIED:
            whole.append(found)
        shares = "  ".join(f"{f} {row[f]['held']:.3f} width {row[f]['median_width']:.2f}" for f in FACTORS)
        print(f"{kind:14} answered {row['answered']} of {row['worlds']}  {shares}  {row['seconds']:.0f} s", flush=True)
    outcome: dict[str, Any] = {"suite": "plan_coverage", "level": LEVEL, "law": LAW, "boot": BOOT, "rows": rows}
    if whole:
        hits, widths = np.concatenate(whole, axis=1)
        outcome["well_specified"] = {"answered": len(hits)} | _shares(hits, widths)
        print(f"well specified {outcome['well_specified']}")
    outcome |= {"commit": commit(), "machine": machine()}
    Path(words.out).write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
