"""How far does `auto` forecast a curve? Its error 2 to 16 times beyond the runs, against the single laws.

    python -m benchmarks.long_range

Made curves (`long_curves.py`): eleven families, without noise and with three amounts of it, 7 to 40 rows; the rule of `auto` was
developed on seven of the families (other draws of them) and had not seen the other four. Public curves, cut short: those it was
developed on are left out. The error is |ln(forecast/truth)|, over the rows ahead its root mean square. Ratios are of geometric
means, errors below 1e-4 counting as 1e-4. Results: benchmarks/results/long_range.json.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd

import scalinglens as sl
from benchmarks.__main__ import RESULTS, commit, machine
from benchmarks.curves import STARTS, bounded
from benchmarks.long_curves import CHECK, DEVELOP, FACTORS, LongCurve, made_curves, public_curves
from scalinglens.errors import ScalingLensError
from scalinglens.numerics.processes import parallel_map

SINGLE = ("M1", "M2", "M3", "M4", "BNSL")
LEAST = 1e-4  # error that counts as none
WORST = 10.0  # of a law that could not be fitted or whose forecast is not finite
DRAWS = 60


def errors(curve: LongCurve) -> list[dict[str, Any]]:
    """Error of every law at every factor (made curves) or over all rows ahead (public ones)."""
    runs = sl.read_runs({"x": curve.x, "loss": curve.y})
    family, *rest = curve.family.split("|")
    made = len(rest) == 2
    labels = [f"{factor:g}" for factor in FACTORS] if made else [rest[0]]
    rows = [{"made": made, "family": family, "noise": rest[0] if made else "", "factor": label} for label in labels]
    for name in (*SINGLE, "auto"):
        found = np.full(len(curve.x_ahead), WORST)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if name == "auto":
                    fit = sl.fit(runs, "auto", boot=DRAWS)
                else:
                    law = bounded(name, {"x": curve.x, "y": curve.y})
                    fit = sl.fit(runs, law, loss="squares", starts=STARTS.get(name))
                ahead = fit.predict(x=curve.x_ahead, noise=not made)
                found = np.abs(np.log(ahead["loss"].to_numpy() / curve.y_ahead))
            except ScalingLensError:
                pass
        found = np.where(np.isfinite(found), np.clip(found, LEAST, WORST), WORST)
        parts = found if made else [np.sqrt(np.mean(found**2))]
        for row, value in zip(rows, parts, strict=True):
            row[name] = float(value)
        if name == "auto":
            low, high = ahead["low"].to_numpy(), ahead["high"].to_numpy()
            inside = ((low <= curve.y_ahead * (1 + 1e-6)) & (curve.y_ahead <= high * (1 + 1e-6))).astype(float)
            inside = np.where(np.isfinite(low), inside, np.nan)
            for row, value in zip(rows, inside if made else [inside.mean()], strict=True):
                row["held"] = float(value)
    return rows


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Geometric means of the errors and what they are to the single laws'."""
    logs = np.log(rows[[*SINGLE, "auto"]])
    mean = np.exp(logs.mean())
    best = logs[list(SINGLE)].min(axis=1)
    beyond = np.exp(logs["auto"] - best)
    return {
        "forecasts": len(rows),
        "error": mean.to_dict(),
        "to_best_law": float(mean["auto"] / mean[list(SINGLE)].min()),
        "best_law": str(mean[list(SINGLE)].idxmin()),
        "to_M4": float(mean["auto"] / mean["M4"]),
        "to_BNSL": float(mean["auto"] / mean["BNSL"]),
        "to_best_of_each": {str(q): float(beyond.quantile(q)) for q in (0.5, 0.75, 0.9)},
        "wins_against_M4": float((rows["auto"] < rows["M4"]).mean()),
        "wins_against_BNSL": float((rows["auto"] < rows["BNSL"]).mean()),
        "held_by_90_percent": float(rows["held"].mean()),
    }


def main() -> None:
    began = time.perf_counter()
    every = [*made_curves(DEVELOP, 1, seed=1), *made_curves(CHECK, 1, seed=1), *public_curves((4.0, 16.0), part=1)]
    pieces: list[dict[str, Any]] = []
    for count, part in enumerate(parallel_map(lambda i: errors(every[i]), range(len(every)))):
        pieces += part
        print(f"\r{count + 1} of {len(every)} curves", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    rows = pd.DataFrame(pieces)
    rows["kind"] = np.where(~rows.made, "public", np.where(rows.family.isin(list(CHECK)), "made, new", "made"))
    rows["noisy"] = np.where(rows.noise == "0", "without noise", "with noise")
    outcome = {
        "suite": "long_range",
        "by_kind": {str(kind): summary(part) for kind, part in rows.groupby("kind")},
        "by_factor": {f"{kind}, {factor}x": summary(part) for (kind, factor), part in rows.groupby(["kind", "factor"])},
        "by_family": {
            f"{family}, {noisy}" if kind != "public" else str(family): summary(part)
            for (kind, family, noisy), part in rows.groupby(["kind", "family", "noisy"])
        },
        "wall_seconds": time.perf_counter() - began,
        "commit": commit(),
        "machine": machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "long_range.json").write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    for part in ("by_kind", "by_factor", "by_family"):
        for name, found in outcome[part].items():
            shown = " ".join(f"{law} {value:.4f}" for law, value in found["error"].items())
            print(f"{name:40}{found['forecasts']:5d} {shown} held {found['held_by_90_percent']:.2f}")


if __name__ == "__main__":
    main()
