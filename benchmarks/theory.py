"""How fast and how exact is the solver of random features? Against itself at twelve digits, two-time matrices and simulation.

    python -m benchmarks.theory [PART ...]

One configuration with endless modes over twelve decades of time; 1,000 configurations on all processors; a frontier of 50
budgets; momentum near one and schedules of many steps; 800 random draws; the two-time equations of a problem of 1,000 modes, up
to the 2,000 steps they take (six minutes of a processor). Wall time and processor time, the median of some rounds; ratios are of
processor times. Results: benchmarks/results/theory.json, part by part, each with its commit and the load of the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.numerics.processes import available_processors, parallel_map
from scalinglens.theory.random_features.frontier import frontier
from scalinglens.theory.random_features.optimizers import GradientDescent, HeavyBall, Optimizer
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.scheduled import ScheduledDescent
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


def long_runs() -> dict[str, Any]:
    """Filters that oscillate for thousands of steps, or that are products of as many factors."""
    problem = RandomFeatures(power_law(A, B, 1000), 128, 256)
    methods: dict[str, tuple[Optimizer, int]] = {
        "heavy ball, momentum 0.99": (HeavyBall(RATE, 0.99), 4000),
        "heavy ball, momentum 0.999": (HeavyBall(RATE / 100, 0.999), 40_000),
        "cosine with warm-up": (ScheduledDescent(f"cosine({RATE}, steps=10000, warmup=500)"), 10_000),
        "warm-up, stable, decay": (
            ScheduledDescent(f"wsd({RATE}, steps=100000, decay_from=80000, end=0.001)"),
            100_000,
        ),
    }
    found = {}
    for name, (method, steps) in methods.items():
        at = np.unique(np.round(np.geomspace(1, steps, 12)))
        spent, curves = timed(lambda at=at, method=method: solve(problem, at, method), rounds=3)
        exact = solve(problem, at, method, digits=11)
        off = float(np.max(np.abs(curves.test / exact.test - 1)))
        found[name] = {**spent, "steps": steps, "times": len(at), "largest_relative_deviation_from_11_digits": off}
    return found


def draws() -> dict[str, Any]:
    problem, at = RandomFeatures(power_law(A, B, 1000), 128, 256), np.geomspace(1, 1e6, 13)
    spent, drawn = timed(lambda: simulate(problem, at, seeds=DRAWS), rounds=1)
    own, theory = timed(lambda: solve(problem, at))
    above = drawn.mean / theory.test - 1
    return {**spent, "draws": DRAWS, "solve": own, "mean_above_theory": above.tolist(),
            "relative_stderr": (drawn.stderr / drawn.mean).tolist()}  # fmt: skip


PARTS = {
    part.__name__: part
    for part in (one_configuration, many_configurations, budgets, long_runs, draws, two_time_matrices)
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise SystemExit(f'there is no part "{unknown[0]}"; known are {", ".join(PARTS)}')
    path = RESULTS / "theory.json"
    outcome = json.loads(path.read_text()) if sys.argv[1:] and path.exists() else {}
    outcome |= {"suite": "theory", "machine": machine()}
    RESULTS.mkdir(exist_ok=True)
    with threadpool_limits(1):
        for name in wanted:
            load = os.getloadavg()[0]
            outcome[name] = {**PARTS[name](), "commit": commit(), "load": load}
            print(name, json.dumps(outcome[name])[:600], flush=True)
            path.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
