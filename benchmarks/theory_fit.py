"""What a Chinchilla fit makes of losses that are known exactly.

python -m benchmarks.theory_fit

Losses of the dynamical model on power-law spectra, without noise and without luck, are fitted with E + A/N^alpha + B/t^beta (data
without end) and with E + A/N^alpha + B/P^beta (each run stopped at its best time), on grids of small and of large runs, as a user
would. The true floor E is zero. Fitted exponents are set against those of the theory, the fitted allocation of compute C = N t
against the exact optimum at the largest budget inside the grid and 100 times beyond. `python -m benchmarks.theory_pages` writes
the page.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import scalinglens as sl
from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.theory.random_features.exponents import exponents
from scalinglens.theory.random_features.frontier import frontier
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve, solve_each
from scalinglens.worlds.spectra import Spectrum, power_law

TASKS = ((1.25, 1.25), (1.5, 1.25), (1.75, 2.0), (2.0, 1.25), (2.5, 1.25), (3.0, 1.25))
BY_TIME, BY_SAMPLES = "E + A/params^alpha + B/steps^beta", "E + A/params^alpha + B/tokens_unique^beta"
WINDOWS = {"small": (32.0, 2048.0), "large": (4096.0, 262144.0)}  # N; times are N^b, so that both matter
SIZES = 9
BEYOND = (1.0, 100.0)
STOPS = np.geomspace(0.1, 1e9, 61)


def window(name: str, capacity: float) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and times of a grid: the times at which these sizes begin to matter."""
    low, high = WINDOWS[name]
    sizes = np.round(np.geomspace(low, high, SIZES))
    return sizes, np.geomspace(low**capacity / 10, high**capacity, SIZES)


def by_time(source: float, capacity: float, name: str = "small", *, pinned: bool = False) -> dict[str, Any]:
    """Fit L(N, t); exponents and allocation against the true ones."""
    spectrum, true = power_law(source, capacity), exponents(source, capacity)
    sizes, times = window(name, capacity)
    runs = solve(RandomFeatures(spectrum, sizes), times).runs()
    fit = sl.fit(runs, BY_TIME, loss="squares", pin={"E": 0.0} if pinned else None)
    found = {key: estimate.value for key, estimate in fit.parameters.items()}
    alpha, beta = found["alpha"], found["beta"]
    predicted = np.asarray(fit.predict(params=runs.column("params"), steps=runs.column("steps"))["loss"], dtype=float)
    off = np.log(predicted / runs.column("loss"))
    # the largest budget of which the exact best run lies inside the grid
    budgets = np.geomspace(sizes[0] * times[0] * 10, sizes[-1] * times[-1], 60)
    best = frontier(spectrum, budgets)
    inside = (best.features <= sizes[-1]) & (best.times <= times[-1])
    largest = float(budgets[inside][-1])
    return {
        "source": source,
        "capacity": capacity,
        "window": name,
        "pinned": pinned,
        "status": str(fit.status),
        "fitted": found | {"compute": alpha * beta / (alpha + beta), "compute_features": beta / (alpha + beta)},
        "true": {
            "alpha": true.features,
            "beta": true.time,
            "compute": true.compute,
            "compute_features": true.compute_features,
        },
        "misfit": float(np.sqrt(np.mean(off**2))),
        "allocation": [_allocation(spectrum, found, largest * factor, factor) for factor in BEYOND],
    }


def _allocation(spectrum: Spectrum, found: dict[str, float], budget: float, factor: float) -> dict[str, float]:
    """The size that the fit would choose, and what it costs: loss there over the least loss."""
    alpha, beta = found["alpha"], found["beta"]
    size = (alpha * found["A"] / (beta * found["B"])) ** (1 / (alpha + beta)) * budget ** (beta / (alpha + beta))
    size = float(np.clip(size, 1.0, budget))
    best = frontier(spectrum, [budget])
    at = solve_each(
        RandomFeatures(spectrum, np.array([size]), np.array([np.inf]), np.array([0.0])), np.array([budget / size])
    )
    said = found["E"] + found["A"] / size**alpha + found["B"] / (budget / size) ** beta
    return {
        "flops": budget,
        "beyond": factor,
        "size_ratio": size / float(best.features[0]),
        "loss_ratio": float(at["test"][0] / best.loss[0]),
        "forecast_ratio": float(said / at["test"][0]),
    }


def by_samples(source: float, capacity: float, name: str = "small") -> dict[str, Any]:
    """Fit L(N, P) at the best time of each run."""
    true = exponents(source, capacity)
    low, high = WINDOWS[name]
    sizes = np.geomspace(low, high, SIZES)
    N, P = (axis.ravel() for axis in np.meshgrid(sizes, sizes))
    stops = STOPS[30 * high**capacity >= STOPS]
    curves = solve(RandomFeatures(power_law(source, capacity), N, P), stops)
    loss = curves.test.min(axis=1)
    fit = sl.fit({"params": N, "tokens_unique": P, "loss": loss}, BY_SAMPLES, loss="squares")
    found = {key: estimate.value for key, estimate in fit.parameters.items()}
    predicted = np.asarray(fit.predict(params=N, tokens_unique=P)["loss"], dtype=float)
    return {
        "source": source,
        "capacity": capacity,
        "window": name,
        "status": str(fit.status),
        "fitted": found,
        "true": {"alpha": true.features, "beta": true.samples},
        "misfit": float(np.sqrt(np.mean(np.log(predicted / loss) ** 2))),
    }


def joint(source: float, capacity: float, features: float = 131072.0) -> dict[str, Any]:
    """L(N, t) over L(N, inf) + L(inf, t), for t from N^b/10^4 to 10 N^b: one where the loss is a sum."""
    spectrum = power_law(source, capacity)
    times = features**capacity * np.geomspace(1e-4, 10, 16)
    both = solve(RandomFeatures(spectrum, features), [*times, np.inf]).test
    endless = solve(RandomFeatures(spectrum), times).test
    ratios = both[:-1] / (both[-1] + endless)
    return {"source": source, "capacity": capacity, "features": features, "joint": ratios.tolist()}


def main() -> None:
    outcome: dict[str, Any] = {"by_time": [], "by_samples": [], "joint": []}
    for source, capacity in TASKS:
        outcome["joint"].append(joint(source, capacity))
        for name in WINDOWS:
            for pinned in (False, True):
                outcome["by_time"].append(by_time(source, capacity, name, pinned=pinned))
                row = outcome["by_time"][-1]
                compute = row["fitted"]["compute"], row["true"]["compute"]
                print(
                    f"a {source:g} b {capacity:g} {name}: {row['status']}, compute {compute[0]:.3f} ({compute[1]:.3f})"
                )
        outcome["by_samples"].append(by_samples(source, capacity))
    outcome |= {"commit": commit(), "machine": machine()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "theory_fit.json").write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
