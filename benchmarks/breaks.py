"""False alarms and power of `choose_breaks` on made curves: power laws with a floor, with and without a planted break.

    python -m benchmarks.breaks [WORLDS]

An unbroken world is y = E + A x^-c with x over two to five decades, 15 to 80 rows and 0.3% to 3% of noise. A broken one is
y = x^-c0 (1 + (x/d)^(1/f))^(-c1 f) with a change of slope c1 of at least 0.3, of which the noise is an eighth to a twelfth, a
break in the middle three fifths of the range, f = 0.1 and 30 rows or more. Results: benchmarks/results/breaks.json.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.fit.curves.breaks import THRESHOLD, choose_breaks
from scalinglens.numerics.processes import parallel_map

WORLDS = 400


def unbroken(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A power law with a floor."""
    rng = np.random.default_rng([seed, 1])
    x = np.geomspace(1.0, 10 ** rng.uniform(2, 5), int(rng.choice([15, 20, 30, 50, 80])))
    floor, slope = rng.uniform(0.0, 0.9), rng.uniform(0.05, 0.9)
    noise = np.exp(rng.uniform(np.log(0.003), np.log(0.03)))
    return x, (floor + (1 - floor) * x**-slope) * np.exp(noise * rng.normal(size=len(x)))


def broken(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A power law whose slope changes inside the range."""
    rng = np.random.default_rng([seed, 2])
    decades = rng.uniform(3, 5)
    x = np.geomspace(1.0, 10**decades, int(rng.choice([30, 50, 80])))
    place = 10 ** (decades * rng.uniform(0.2, 0.8))
    before, change = rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.6)
    noise = change / rng.uniform(8, 12)
    y = x**-before * (1 + (x / place) ** 10) ** (-change / 10)
    return x, y * np.exp(noise * rng.normal(size=len(x)))


def statistic(world: tuple[np.ndarray, np.ndarray]) -> tuple[int, float]:
    found = choose_breaks({"x": world[0], "loss": world[1]})  # up to three: each is a chance of a false alarm
    return found.count, float(found.evidence["statistic"].iloc[1])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    rows = {}
    for kind, make in (("unbroken", unbroken), ("broken", broken)):
        found = list(parallel_map(lambda seed, make=make: statistic(make(seed)), range(count)))
        values = np.array([value for _, value in found])
        rows[kind] = {
            "worlds": count,
            "breaks_found": float(np.mean([number > 0 for number, _ in found])),
            "statistic_quantiles": {q: float(np.quantile(values, q)) for q in (0.05, 0.5, 0.9, 0.95, 0.99)},
        }
        print(kind, rows[kind])
    outcome = {"suite": "breaks", "threshold": THRESHOLD, **rows, "commit": commit(), "machine": machine()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "breaks.json").write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
