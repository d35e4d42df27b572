"""The exponents of the dynamical model, measured from its own losses and set beside what is predicted.

    python -m benchmarks.exponents

Eight pairs of source a and capacity b on both sides of a - 1 = b (where one more feature stops buying signal only) and of
b = a/2, with endless modes. An exponent of losses is a local slope of the logarithm between two sizes or times, a long way out;
coefficients of 1/N and 1/P at early times come from exact derivatives, not from differences of losses; those of the frontier
from its exact slopes. Results: benchmarks/results/exponents.json; `python -m benchmarks.theory_pages` makes a page of them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.theory.random_features.exponents import exponents
from scalinglens.theory.random_features.frontier import frontier
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.static import static_loss
from scalinglens.worlds.spectra import Spectrum, power_law

PAIRS = ((1.5, 1.25), (1.3, 1.5), (1.75, 2.0), (2.2, 2.0), (2.8, 1.6), (3.0, 1.75), (3.0, 1.25), (5.0, 1.5))
SIZES = np.array([1e5, 1e6])  # of a model or a training set, when they bind
LATE = np.array([1e7, 1e8])  # times at which nothing else binds
EARLY = np.array([1e6, 1e7])  # and those at which a size does not bind yet
AMPLE = 1e12  # a size that does not bind at early times
APART, CLOSE = np.array([1e3, 1e4]), 1e9  # times and samples at which test - train keeps its digits
BUDGET = 1e14
MEASURED = (
    "time",
    "features",
    "bias_features",
    "samples",
    "early_features",
    "early_samples",
    "gap",
    "compute",
    "compute_features",
    "compute_time",
)


def slope(values: np.ndarray, at: np.ndarray) -> float:
    """d ln value/d ln at between two places."""
    return float(np.diff(np.log(values))[0] / np.diff(np.log(at))[0])


def measured(source: float, capacity: float) -> dict[str, float]:
    """Measured exponents by the names of `Exponents`: positive where the loss falls, or where a coefficient or optimum grows."""
    spectrum = power_law(source, capacity)
    best = frontier(spectrum, [BUDGET])
    return {
        "time": -slope(solve(RandomFeatures(spectrum), LATE).test, LATE),
        "features": -slope(static_loss(RandomFeatures(spectrum, SIZES))[0], SIZES),
        "bias_features": -slope(bias(spectrum), SIZES),
        "samples": -slope(static_loss(RandomFeatures(spectrum, samples=SIZES))[0], SIZES),
        **early(spectrum),
        "compute": -float(best.slopes["loss"][0]),
        "compute_features": float(best.slopes["features"][0]),
        "compute_time": float(best.slopes["times"][0]),
    }


def bias(spectrum: Spectrum) -> np.ndarray:
    """The loss of an endless ensemble at the sizes, long after they bind."""
    late = 1e4 * float(SIZES[-1]) ** spectrum.exponents["capacity"]
    return solve(RandomFeatures(spectrum, SIZES), late, parts=True, digits=11).parts["bias"][:, 0]


def early(spectrum: Spectrum) -> dict[str, float]:
    """Powers of time in front of 1/N, of 1/P, and of 1/P in test - train, while the size does not bind.

    L(t, N) = L(t) + c(t)/N, so c = -N^2 dL/dN = -N L dlnL/dlnN; the gap is a difference, in a window of its own.
    """
    narrow = solve(RandomFeatures(spectrum, AMPLE), EARLY, slopes=True, digits=11)
    few = solve(RandomFeatures(spectrum, samples=AMPLE), EARLY, slopes=True, digits=11)
    apart = solve(RandomFeatures(spectrum, samples=CLOSE), APART, digits=12)
    return {
        "early_features": slope(-narrow.slopes["features"] * narrow.test, EARLY),
        "early_samples": slope(-few.slopes["samples"] * few.test, EARLY),
        "gap": slope(apart.test - apart.train, APART),
    }


def row(source: float, capacity: float) -> dict[str, Any]:
    known = exponents(source, capacity)
    found = measured(source, capacity)
    return {
        "source": source,
        "capacity": capacity,
        "regime": known.regime,
        "measured": found,
        "predicted": {name: getattr(known, name) for name in MEASURED},
        "published_compute": known.published_compute,
    }


def main() -> None:
    rows = []
    for pair in PAIRS:
        rows.append(row(*pair))
        off = {name: round(rows[-1]["measured"][name] - rows[-1]["predicted"][name], 4) for name in MEASURED}
        print(pair, rows[-1]["regime"], json.dumps(off), flush=True)
    outcome = {
        "suite": "exponents",
        "commit": commit(),
        "machine": machine(),
        "sizes": SIZES.tolist(),
        "late": LATE.tolist(),
        "early": EARLY.tolist(),
        "ample": AMPLE,
        "gap": {"times": APART.tolist(), "samples": CLOSE},
        "budget": BUDGET,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "exponents.json").write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
