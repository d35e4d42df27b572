"""How long the simulation of random features takes, and how far its mean lies from the theory.

    python -m benchmarks.theory [--seeds 800]

800 draws of N = 128 features, P = 256 samples and M = 1,000 modes under gradient flow, at five times; the wall time is that of
a machine that others may use too, so the seconds of all processors together are written beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.simulate import simulate
from scalinglens.worlds.spectra import power_law

OUT = RESULTS / "theory_simulation.json"
TIMES = (1.0, 10.0, 100.0, 1e3, 1e5)


def simulation(seeds: int) -> dict[str, Any]:
    """Draws, their time, and the relative distance of their mean from the theory."""
    problem = RandomFeatures(power_law(1.5, 1.25, 1000), 128, 256)
    before, started = os.times(), time.perf_counter()
    drawn = simulate(problem, TIMES, seeds=seeds)
    seconds, after = time.perf_counter() - started, os.times()
    theory = solve(problem, TIMES)
    return {
        "seeds": seeds,
        "features": 128,
        "samples": 256,
        "modes": 1000,
        "times": list(TIMES),
        "seconds": seconds,
        "processor_seconds": sum(after[:4]) - sum(before[:4]),
        "mean": drawn.mean.tolist(),
        "stderr": drawn.stderr.tolist(),
        "theory": theory.test.tolist(),
        "excess": (drawn.mean / theory.test - 1).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=800)
    found = simulation(parser.parse_args().seeds)
    OUT.write_text(json.dumps({**found, "commit": commit(), "machine": machine()}, indent=1) + "\n")
    print(f"{found['seeds']} draws in {found['seconds']:.1f} s ({found['processor_seconds']:.1f} s of processors)")
    for t, mean, error, theory in zip(found["times"], found["mean"], found["stderr"], found["theory"], strict=True):
        print(f"  t = {t:<8g} simulated {mean:.4f} +- {error:.4f}   theory {theory:.6f}")


if __name__ == "__main__":
    main()
