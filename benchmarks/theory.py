"""How fast and how exact is the solver of random features? Against itself at twelve digits, two-time matrices and simulation.

    python -m benchmarks.theory

One configuration with endless modes over twelve decades of time; 1,000 configurations on all processors; a frontier of 50
budgets; the two-time equations of a problem of 1,000 modes, up to the 2,000 steps they take; 800 random draws. Wall time and
processor time, the median of some rounds; ratios are of processor times. Results: benchmarks/results/theory.json.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.numerics.processes import available_processors, parallel_map
from scalinglens.theory.random_features.frontier import frontier
from scalinglens.theory.random_features.optimizers import GradientDescent
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.simulate import simulate
from scalinglens.theory.two_time import two_times
from scalinglens.worlds.spectra import power_law

A, B = 1.5, 1.25
TIMES = np.geomspace(1, 1e12, 30)
CONFIGURATIONS, BLOCK = 1000, 25
RATE = 0.2
STEPS = (100, 400, 2000)
DRAWS = 800
ROUNDS = 5


def timed(work: Callable[[], Any], rounds: int = ROUNDS) -> tuple[dict[str, float], Any]:
    """Median wall and processor seconds, and the last result."""
    walls, processors = [], []
    found = None
    for _ in range(rounds):
        before = time.perf_counter(), processor_seconds()
        found = work()
        walls.append(time.perf_counter() - before[0])
        processors.append(processor_seconds() - before[1])
    return {"wall_seconds": statistics.median(walls), "processor_seconds": statistics.median(processors)}, found


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = os.times()
    return time.process_time() + used.children_user + used.children_system


def one_configuration() -> dict[str, Any]:
    problem = RandomFeatures(power_law(A, B), 512, 1024)
    spent, found = timed(lambda: solve(problem, TIMES))
    exact = solve(problem, TIMES, digits=12)
    deviation = {
        name: float(np.max(np.abs(getattr(found, name) / getattr(exact, name) - 1))) for name in ("test", "train")
    }
    return {**spent, "times": len(TIMES), "largest_relative_deviation_from_12_digits": deviation}


def block(sizes: np.ndarray) -> np.ndarray:
    return solve(RandomFeatures(power_law(A, B), sizes[:, 0], sizes[:, 1]), TIMES).test


def many_configurations() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.uniform(np.log(32), np.log(1e5), (CONFIGURATIONS, 2)))
    parts = list(np.split(sizes, CONFIGURATIONS // BLOCK))
    spent, found = timed(lambda: list(parallel_map(block, parts)), rounds=3)
    losses = np.concatenate(found)
    return {**spent, "configurations": CONFIGURATIONS, "times": len(TIMES), "processes": available_processors(),
            "not_finite": int(np.sum(~np.isfinite(losses)))}  # fmt: skip


def budgets() -> dict[str, Any]:
    flops = np.geomspace(1e4, 1e12, 50)
    spent, found = timed(lambda: frontier(power_law(A, B), flops))
    return {**spent, "budgets": len(flops), "last_loss_slope": float(found.slopes["loss"][-1]),
            "expected_slope": -(A - 1) / (1 + B)}  # fmt: skip


def two_time_matrices() -> dict[str, Any]:
    problem, method = RandomFeatures(power_law(A, B, 1000), 128, 256), GradientDescent(RATE)
    rows = []
    for steps in STEPS:
        spent, direct = timed(lambda steps=steps: two_times(problem, steps, method), rounds=1)
        own, found = timed(lambda steps=steps: solve(problem, np.arange(steps + 1.0), method))
        last, _ = timed(lambda steps=steps: solve(problem, [float(steps)], method))
        rows.append({"steps": steps, "two_times": spent, "solve": own, "solve_last_step": last,
                     "ratio_last_step": spent["processor_seconds"] / last["processor_seconds"],
                     "ratio": spent["processor_seconds"] / own["processor_seconds"],
                     "largest_relative_difference": float(np.max(np.abs(found.test / direct.test - 1)))})  # fmt: skip
    spent = [row["two_times"]["processor_seconds"] for row in rows]
    growth = float(np.polyfit(np.log(STEPS), np.log(spent), 1)[0])
    return {"rows": rows, "growth_of_two_times_with_steps": growth}


def draws() -> dict[str, Any]:
    problem, at = RandomFeatures(power_law(A, B, 1000), 128, 256), np.geomspace(1, 1e6, 13)
    spent, drawn = timed(lambda: simulate(problem, at, seeds=DRAWS), rounds=1)
    own, theory = timed(lambda: solve(problem, at))
    above = drawn.mean / theory.test - 1
    return {**spent, "draws": DRAWS, "solve": own, "mean_above_theory": above.tolist(),
            "relative_stderr": (drawn.stderr / drawn.mean).tolist()}  # fmt: skip


def main() -> None:
    parts = (one_configuration, many_configurations, budgets, two_time_matrices, draws)
    outcome: dict[str, Any] = {"suite": "theory", "commit": commit(), "machine": machine(), "load": os.getloadavg()[0]}
    with threadpool_limits(1):
        for part in parts:
            outcome[part.__name__] = part()
            print(part.__name__, json.dumps(outcome[part.__name__])[:600], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "theory.json").write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
