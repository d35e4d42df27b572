"""Bias and spread of every method of planning where the truth is known.

python -m benchmarks.bias [--worlds 100] [--sweeps]

The truth is E + A/params^alpha + B/tokens^beta. Seven budgets from 1e18 to 1e21 FLOP have eleven sizes each, placed around the
best size of their budget as a grid says. Every method sees the losses once without noise, and in `worlds` tables with it. What
is kept: ln of its size over the true best size at the largest budget and at 10 and 100 times as much, the error of its exponent,
and the share of compute that its size wastes. Approach 1 needs training curves, and gets 24 sizes with 60 points each over the
same sizes and compute, with the same noise at every point. With --sweeps only the curves of bias over width and over centre
are made again, without noise.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.numerics.processes import parallel_map
from scalinglens.plan.methods import METHODS, Refused, Task, answer_of
from scalinglens.runs import Runs, read_runs

OUT = RESULTS / "bias.json"
NOISE = 0.003  # standard deviation of ln loss
BUDGETS = np.geomspace(1e18, 1e21, 7)
SIZES = 11
FACTORS = (1, 10, 100)  # times the largest budget
CURVES, POINTS = 24, 60  # of approach 1
MEMBERS = 1  # networks of a surface: seeds differ by less than the noise moves one of them
FLOOR, ANCHOR, BEST = 1.8, 1e20, 1e9  # E, and the budget whose best size is BEST


@dataclass(frozen=True)
class Truth:
    """A law whose best size at 1e20 FLOP is 1e9 parameters and whose loss there is `reducible` above the floor."""

    alpha: float
    beta: float
    reducible: float

    @property
    def a(self) -> float:
        return self.beta / (self.alpha + self.beta)

    @property
    def gamma(self) -> float:
        return self.alpha * self.beta / (self.alpha + self.beta)

    def size(self, flops: Any) -> Any:
        return BEST * (flops / ANCHOR) ** self.a

    def loss(self, params: Any, tokens: Any) -> Any:
        n, d = params / BEST, tokens * 6 * BEST / ANCHOR
        return FLOOR + self.reducible * (self.a * n**-self.alpha + (1 - self.a) * d**-self.beta)

    def waste(self, log_params: np.ndarray, flops: float) -> np.ndarray:
        """Share of compute that a size wastes: 1 - C'/C, where the best at C' does as well."""
        above = self.loss(np.exp(log_params), flops / 6 / np.exp(log_params)) - FLOOR
        return 1 - ANCHOR * (self.reducible / above) ** (1 / self.gamma) / flops


TRUTHS = {
    "equal exponents": Truth(0.31, 0.31, 0.6),
    "Chinchilla": Truth(0.34, 0.28, 0.6),
    "unequal exponents": Truth(0.46, 0.16, 0.6),
    "flat": Truth(0.34, 0.28, 0.1),
}
GRIDS = {  # ln of the half width, of the centre over the best size, and of its drift from the first budget to the last
    "narrow": (np.log(2), 0.0, 0.0),
    "wide": (np.log(10), 0.0, 0.0),
    "off centre": (np.log(10), np.log(3), 0.0),
    "drifting": (np.log(10), 0.0, 2 * np.log(3)),
}


def isoflops(truth: Truth, grid: tuple[float, float, float], rng: np.random.Generator | None) -> Runs:
    """The table of runs at equal compute; without noise where there is no generator."""
    half, offset, drift = grid
    place = np.linspace(-0.5, 0.5, len(BUDGETS))[:, None]
    params = truth.size(BUDGETS)[:, None] * np.exp(np.linspace(-half, half, SIZES) + offset + drift * place)
    return _table(truth, params, np.broadcast_to(BUDGETS[:, None], params.shape), rng)


def curves(truth: Truth, grid: tuple[float, float, float], rng: np.random.Generator | None) -> Runs:
    """Training curves over the same sizes and compute."""
    half, offset, drift = grid
    low, high = truth.size(BUDGETS[[0, -1]]) * np.exp([-half + offset - drift / 2, half + offset + drift / 2])
    params = np.geomspace(low, high, CURVES)[:, None] * np.ones(POINTS)
    return _table(truth, params, np.broadcast_to(np.geomspace(BUDGETS[0], BUDGETS[-1], POINTS), params.shape), rng)


def _table(truth: Truth, params: np.ndarray, flops: np.ndarray, rng: np.random.Generator | None) -> Runs:
    tokens = flops / 6 / params
    loss = truth.loss(params, tokens)
    if rng is not None:
        loss = loss * np.exp(NOISE * rng.standard_normal(loss.shape))
    columns = {"params": params, "tokens": tokens, "flops": flops, "loss": loss}
    return read_runs({name: column.ravel() for name, column in columns.items()}, duplicates="keep")


def errors(kind: tuple[str, str], seed: int | None, methods: Iterable[str] = tuple(METHODS)) -> dict[str, Any]:
    """Method -> (ln size / true size at each factor, error of a), or the kind of its refusal, of one world."""
    truth, grid = TRUTHS[kind[0]], GRIDS[kind[1]]
    stream = None if seed is None else [seed, 11]
    tables = {
        make: make(truth, grid, None if stream is None else np.random.default_rng(stream))
        for make in (isoflops, curves)
    }
    found: dict[str, Any] = {}
    for name in methods:
        table = tables[curves if name == "approach1" else isoflops]
        try:
            answer = answer_of(name, Task(table, float(BUDGETS[-1]), members=MEMBERS, curve=False, seed=seed or 0))
        except Refused as refused:
            found[name] = refused.kind
            continue
        # every method follows one power law, so larger budgets need no new fit
        logs = answer.point[0] + answer.point[1] * np.log(FACTORS)
        right = np.log(truth.size(BUDGETS[-1] * np.array(FACTORS)))
        found[name] = [*(logs - right), answer.point[1] - truth.a]
    return found


def summary(kind: tuple[str, str], name: str, worlds: list[dict[str, Any]]) -> dict[str, Any]:
    """Bias and spread of one method in one kind of world."""
    truth = TRUTHS[kind[0]]
    answers = np.array([w[name] for w in worlds if not isinstance(w[name], str)])
    refusals = [w[name] for w in worlds if isinstance(w[name], str)]
    out: dict[str, Any] = {
        "answered": len(answers) / len(worlds),
        "refusals": {reason: refusals.count(reason) for reason in sorted(set(refusals))},
    }
    if not len(answers):
        return out
    for k, factor in enumerate(FACTORS):
        logs, flops = answers[:, k], BUDGETS[-1] * factor
        out[f"{factor}x"] = _moments(logs)
        waste = truth.waste(logs + np.log(truth.size(flops)), flops)
        out[f"{factor}x"]["waste"] = float(np.median(waste))
    out["a"] = _moments(answers[:, -1])
    return out


def _moments(values: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation, and the median and half the middle 68%, which a few wild fits do not move."""
    low, middle, high = np.quantile(values, [0.16, 0.5, 0.84])
    return {
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "median": float(middle),
        "spread": float((high - low) / 2),
    }


def study(kind: tuple[str, str], worlds: int) -> list[dict[str, Any]]:
    """All methods in one kind of world: a row each without noise, and a row each with it."""
    clean = errors(kind, None)
    noisy = list(parallel_map(lambda seed: errors(kind, seed), range(worlds)))
    return [
        {
            "truth": kind[0],
            "grid": kind[1],
            "method": name,
            "noise_free": summary(kind, name, [clean]),
            "noisy": summary(kind, name, noisy),
        }
        for name in METHODS
    ]


def sweeps() -> list[dict[str, Any]]:
    """Error of a size at the largest budget without noise, over the half width of grids and over where they are centred."""
    places = {
        "half_width": [(float(np.log(factor)), 0.0, 0.0) for factor in np.geomspace(1.3, 30, 25)],
        "offset": [(float(np.log(10)), float(np.log(factor)), 0.0) for factor in np.geomspace(1 / 6, 6, 25)],
    }
    found = []
    for what, grids in places.items():
        for name, truth in TRUTHS.items():
            for method in ("approach2", "akima", "approach3", "varpro"):
                logs = []
                for grid in grids:
                    task = Task(isoflops(truth, grid, None), float(BUDGETS[-1]))
                    logs.append(float(answer_of(method, task).point[0] - np.log(truth.size(BUDGETS[-1]))))
                x = [grid[0] if what == "half_width" else grid[1] for grid in grids]
                found.append({"over": what, "truth": name, "method": method, "x": x, "error": logs})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure bias and spread of methods of planning.")
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--sweeps", action="store_true")
    words = parser.parse_args()
    worlds = words.worlds
    if words.sweeps:
        known = json.loads(OUT.read_text(encoding="utf-8"))
        OUT.write_text(json.dumps(known | {"sweeps": sweeps()}, indent=1) + "\n", encoding="utf-8")
        return
    curves_of_bias = sweeps()
    began = time.perf_counter()
    rows: list[dict[str, Any]] = []
    for truth in TRUTHS:
        for grid in GRIDS:
            rows += study((truth, grid), worlds)
            _write(rows, curves_of_bias, worlds, time.perf_counter() - began)
            print(truth, grid, f"{time.perf_counter() - began:.0f} s", flush=True)


def _write(rows: list[dict[str, Any]], curves_of_bias: list[dict[str, Any]], worlds: int, seconds: float) -> None:
    """Write what there is so far."""
    outcome = {
        "suite": "bias",
        "worlds": worlds,
        "noise": NOISE,
        "budgets": BUDGETS.tolist(),
        "sizes": SIZES,
        "truths": {
            name: {"alpha": t.alpha, "beta": t.beta, "a": t.a, "reducible": t.reducible} for name, t in TRUTHS.items()
        },
        "grids": {
            name: dict(zip(("half_width", "offset", "drift"), map(float, g), strict=True)) for name, g in GRIDS.items()
        },
        "rows": rows,
        "sweeps": curves_of_bias,
        "seconds": seconds,
        "commit": commit(),
        "machine": machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
