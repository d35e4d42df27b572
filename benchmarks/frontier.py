"""How long a frontier of 1,000 budgets takes with intervals from 4,000 draws, and the regret of 1,000 allocations.

    python -m benchmarks.frontier

Each case is run in a process of its own, three times in turn with the others: a law with a closed form, the same law with bounds,
and two laws that are solved numerically (repeated tokens; parameters without embeddings). `regret` compares 1,000 sizes at one
budget, under the same three laws. `scaling`: seconds for 1, 10, 100 and 1,000 budgets; without a loop over budgets they grow
slower than the budgets.
`processor_seconds` are those of 1,000 budgets, less disturbed where others use the machine. Medians are printed and written to
benchmarks/results/frontier.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.plan.frontier import frontier
from scalinglens.plan.regret import regret
from scalinglens.plan.source import as_source

ROUNDS, BUDGETS, DRAWS = 3, 1000, 4000
SCALE = (1, 10, 100, 1000)


def source(name: str) -> Any:
    """A published law with draws around it: 5% on coefficients and floors, 1% on exponents."""
    made = as_source(name)
    head = made.heads[0]
    width = np.where(head.values < 1, 0.01, 0.05)
    noise = np.random.default_rng(0).standard_normal((DRAWS, len(head.values)))
    return replace(made, heads=(replace(head, draws=head.values * np.exp(width * noise)),))


Run = Callable[[Any, int], Any]


def closed(made: Any, n: int) -> Any:
    return frontier(made, np.geomspace(1e18, 1e26, n))


def bounded(made: Any, n: int) -> Any:
    return frontier(made, np.geomspace(1e18, 1e26, n), bounds={"params": (1e6, 1e12)})


def repeated(made: Any, n: int) -> Any:
    return frontier(made, np.geomspace(1e20, 1e25, n), fix={"tokens_unique": 1e11})


def nonembedding(made: Any, n: int) -> Any:
    return frontier(made, np.geomspace(1e16, 1e24, n))


def regrets(made: Any, n: int) -> Any:
    return regret(made, {"params": np.geomspace(1e8, 1e13, n)}, 1e23)


def regrets_repeated(made: Any, n: int) -> Any:
    return regret(made, {"params": np.geomspace(1e9, 1e12, n)}, 1e23, fix={"tokens_unique": 1e11})


def regrets_nonembedding(made: Any, n: int) -> Any:
    return regret(made, {"params_nonembedding": np.geomspace(1e8, 1e13, n)}, 1e23)


CASES: dict[str, tuple[str, Run]] = {
    "closed form": ("besiroglu2024", closed),
    "with bounds": ("besiroglu2024", bounded),
    "repeated tokens": ("muennighoff2023", repeated),
    "without embeddings": ("pearce2024.L", nonembedding),
    "regret, closed form": ("besiroglu2024", regrets),
    "regret, repeated tokens": ("muennighoff2023", regrets_repeated),
    "regret, without embeddings": ("pearce2024.L", regrets_nonembedding),
}


def measure(case: str) -> dict[str, Any]:
    """Seconds of one case in this process, for each number of budgets; the first call of all is left out."""
    name, run = CASES[case]
    made = source(name)
    run(made, 2)
    found, answer, spent = {}, None, 0.0
    for n in SCALE:
        began, spent = time.perf_counter(), time.process_time()
        answer = run(made, n)
        spent = time.process_time() - spent
        found[n] = time.perf_counter() - began
    return {"seconds": found[BUDGETS], "processor_seconds": spent, "scaling": found, "how": getattr(answer, "how", "")}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    rounds: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    for number in range(ROUNDS):
        for case in CASES:
            print(f"\rround {number + 1} of {ROUNDS}, {case:<30}", end="", file=sys.stderr, flush=True)
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.frontier", case]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{case} failed:\n{done.stderr}")
            rounds[case].append(json.loads(done.stdout))
    print(file=sys.stderr)
    rows = {}
    for case, found in rounds.items():
        scaling = {str(n): float(np.median([one["scaling"][str(n)] for one in found])) for n in SCALE}
        seconds = [one["seconds"] for one in found]
        rows[case] = {"seconds": float(np.median(seconds)), "all_seconds": seconds, "scaling": scaling}
        rows[case] |= {
            "how": found[0]["how"],
            "processor_seconds": float(np.median([one["processor_seconds"] for one in found])),
        }
        print(f"{case:<26}{rows[case]['seconds']:8.3f} s   " + "  ".join(f"{n}: {s:.3f}" for n, s in scaling.items()))
    outcome = {"suite": "frontier", "budgets": BUDGETS, "draws": DRAWS, "cases": rows}
    outcome |= {"commit": commit(), "machine": machine()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "frontier.json").write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
