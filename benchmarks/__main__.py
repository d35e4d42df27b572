"""Run the benchmarks: every method in turn, five rounds, so that a noisy machine disturbs all alike.

    python -m benchmarks [SUITE ...]

Each suite compares methods with the first one; medians and ratios are printed and written to benchmarks/results/SUITE.json
with the commit, the machine and the versions. An older result stays in the history of the file.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 5
RESULTS = Path(__file__).parent / "results"
SUITES = {
    "point_fit": ("scalinglens_fit", "textbook_fit"),
    "bootstrap": ("scalinglens_bootstrap", "scalinglens_bootstrap_one_core", "scipy_bootstrap"),
    "package": ("scalinglens_fit", "package_default", "package_huber"),
    "startup": ("import_package", "show_help", "import_numpy", "bare_python"),
}


def measure(method: str) -> dict[str, Any]:
    """Run one method in a fresh process with one BLAS thread, the fastest setting for all of them."""
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.methods", method], env=quiet, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{method} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run(suite: str) -> dict[str, Any]:
    methods = SUITES[suite]
    rounds: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    for number in range(ROUNDS):
        for method in methods:
            print(f"\r{suite}: round {number + 1} of {ROUNDS}, {method:<34}", end="", file=sys.stderr, flush=True)
            rounds[method].append(measure(method))
    print(file=sys.stderr)
    summary = {}
    for method, results in rounds.items():
        seconds = [result["seconds"] for result in results]
        summary[method] = {**results[0], "seconds": float(np.median(seconds)), "all_seconds": seconds}
    base = summary[methods[0]]["seconds"]
    ratios = {method: summary[method]["seconds"] / base for method in methods[1:]}
    return {"suite": suite, "ratios": ratios, "methods": summary, "commit": commit(), "machine": machine()}


def commit() -> str:
    ask = lambda *words: subprocess.run(["git", *words], capture_output=True, text=True).stdout.strip()  # noqa: E731
    changed = " with uncommitted changes" if ask("status", "--porcelain", "--", "src", "benchmarks/*.py") else ""
    return ask("rev-parse", "--short", "HEAD") + changed


def machine() -> dict[str, Any]:
    versions = {}
    for name in ("numpy", "scipy", "pandas", "chinchilla"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version(), **versions}


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    for suite in sys.argv[1:] or SUITES:
        if suite not in SUITES:
            raise SystemExit(f'there is no suite "{suite}"; known are {", ".join(SUITES)}')
        outcome = run(suite)
        (RESULTS / f"{suite}.json").write_text(json.dumps(outcome, indent=1) + "\n")
        print(f"{suite}:")
        for method, result in outcome["methods"].items():
            ratio = outcome["ratios"].get(method)
            note = f"{ratio:10,.1f} x the time" if ratio else ""
            memory = max(result["peak_megabytes"].values())
            print(f"  {method:<34}{result['seconds']:12.5f} s {memory:7.0f} MB {note}")


if __name__ == "__main__":
    main()
