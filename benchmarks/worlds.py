"""Synthetic worlds for the coverage study: ladders of runs made from a known law with a known kind of noise.

Each world draws its own law, its own grid of runs and its own noise, so that a share over worlds is the coverage a user can
expect, and not that at one lucky point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["MISSPECIFIED", "WELL_SPECIFIED", "World", "make_world"]

Law = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class World:
    """A table of runs, and new runs at 10 and 100 times its largest compute.

    Attributes:
        table: column -> values, as `read_runs` takes it.
        groups: column whose runs share noise, or None.
        ahead: column -> values of the new runs, compute-optimal ones.
        factor: compute of the new runs over the largest of the table.
        loss: of the new runs, with their own noise.
        mean: the same without noise.
    """

    table: dict[str, np.ndarray]
    groups: str | None
    ahead: dict[str, np.ndarray]
    factor: np.ndarray
    loss: np.ndarray
    mean: np.ndarray


WELL_SPECIFIED = ("homoscedastic", "growing", "clustered", "undertuned", "few", "checkpoints")
MISSPECIFIED = ("broken", "coupled", "curved")


def make_world(kind: str, seed: int) -> World:
    """Return world number `seed` of a kind.

    | kind | noise, design or truth |
    |---|---|
    | homoscedastic | 60 runs, the same relative noise everywhere, 0.3% to 1.5% |
    | growing | noise that grows as loss^2 to loss^5 |
    | clustered | 20 runs with 4 checkpoints at constant learning rate, most of the noise shared by a run |
    | undertuned | 10 sizes with 6 runs; two of the sizes are under-tuned and lose 1% to 4% |
    | few | 12 to 20 runs |
    | checkpoints | 25 runs whose last loss is logged five times |
    | broken | truth with a break in tokens inside the range (Caballero et al. 2022) |
    | coupled | truth that couples size and data (Kaplan et al. 2020) with a floor |
    | curved | exponents that fall slowly with scale, as in finite-width theory |
    """
    rng = np.random.default_rng(
        [WELL_SPECIFIED.index(kind) if kind in WELL_SPECIFIED else 100 + MISSPECIFIED.index(kind), seed]
    )
    truth = _truth(kind, rng)
    params, tokens = _grid(kind, rng)
    mean = truth(params, tokens)
    noise = 10 ** rng.uniform(-2.5, -1.8)
    growth = rng.uniform(2.0, 5.0) if kind == "growing" else 0.0
    middle = np.exp(np.mean(np.log(mean)))
    run = np.arange(len(params))
    groups: str | None = None
    error = rng.normal(size=len(params))
    if kind == "clustered":
        run, groups = run // 4, "run"
        error = np.sqrt(0.85) * rng.normal(size=run.max() + 1)[run] + np.sqrt(0.15) * error
    excess = np.zeros(len(params))
    if kind == "undertuned":
        sizes = np.unique(params)
        poor = rng.choice(sizes, size=len(sizes) // 5, replace=False)
        groups = "params"  # a rung is tuned once
        excess = np.isin(params, poor) * rng.uniform(0.01, 0.04, len(sizes))[np.searchsorted(sizes, params)]
    loss = mean * np.exp(noise * (mean / middle) ** growth * error + excess)
    if kind == "checkpoints":
        params, tokens, run, groups = np.repeat(params, 5), np.repeat(tokens, 5), np.repeat(run, 5), "run"
        tokens = tokens * np.tile([0.98, 0.985, 0.99, 0.995, 1.0], len(loss))
        loss = np.repeat(loss, 5) * np.exp(0.1 * noise * rng.normal(size=len(params)))
    ahead, factor = _ahead(truth, params, tokens)
    future = truth(ahead["params"], ahead["tokens"])
    new = future * np.exp(noise * (future / middle) ** growth * rng.normal(size=len(future)))
    table = {"params": params, "tokens": tokens, "loss": loss, "run": run}
    return World(table, groups, ahead, factor, new, future)


def _truth(kind: str, rng: np.random.Generator) -> Law:
    E, alpha, beta = rng.uniform(1.5, 2.0), rng.uniform(0.28, 0.42), rng.uniform(0.28, 0.42)
    A, B = rng.uniform(0.25, 0.6) * 1e9**alpha, rng.uniform(0.25, 0.6) * 2e10**beta
    if kind == "broken":
        place, extra, sharp = 10 ** rng.uniform(9.8, 10.6), rng.uniform(0.1, 0.3), rng.uniform(0.2, 0.6)

        def broken(N: np.ndarray, D: np.ndarray) -> np.ndarray:
            return E + A / N**alpha + B / D**beta * (1 + (D / place) ** (1 / sharp)) ** (extra * sharp)

        return broken
    if kind == "coupled":
        ratio = rng.uniform(0.5, 0.9)

        def coupled(N: np.ndarray, D: np.ndarray) -> np.ndarray:
            return E + ((A / N**alpha) ** (1 / ratio) + (B / D**beta) ** (1 / ratio)) ** ratio

        return coupled
    if kind == "curved":
        bend = rng.uniform(0.005, 0.015)

        def curved(N: np.ndarray, D: np.ndarray) -> np.ndarray:
            n, d = np.log(N / 1e9), np.log(D / 2e10)
            return (
                E
                + A * 1e9**-alpha * np.exp(-alpha * n + bend * n**2)
                + B * 2e10**-beta * np.exp(-beta * d + bend * d**2)
            )

        return curved
    return lambda N, D: E + A / N**alpha + B / D**beta


def _grid(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens [rows]: sizes over 1.5 decades, each trained around 20 tokens per parameter, 2 to 200."""
    if kind == "few":
        rows = int(rng.integers(12, 21))
        params = np.geomspace(5e7, 2e9, rows // 3 + 1).repeat(3)[:rows]
        return params, params * 20 * 10 ** np.linspace(-1, 1, 3)[np.arange(rows) % 3] * 10 ** rng.uniform(
            -0.2, 0.2, rows
        )
    if kind == "clustered":  # checkpoints at 10%, 25%, 50% and all of a run
        params = 10 ** rng.uniform(7.7, 9.3, 20)
        last = params * 20 * 10 ** rng.uniform(-0.5, 1.0, 20)
        return params.repeat(4), (last[:, None] * [0.1, 0.25, 0.5, 1.0]).ravel()
    sizes, each = (25, 1) if kind == "checkpoints" else (10, 6)
    params = np.geomspace(5e7, 2e9, sizes).repeat(each)
    return params, params * 20 * 10 ** rng.uniform(-1.0, 1.0, len(params))


def _ahead(truth: Law, params: np.ndarray, tokens: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The compute-optimal runs at 10 and 100 times the largest compute of the table."""
    factor = np.array([10.0, 100.0])
    budgets = factor * np.max(6 * params * tokens)
    sizes = np.geomspace(1e8, 1e13, 2001)
    best = np.array([sizes[np.argmin(truth(sizes, budget / 6 / sizes))] for budget in budgets])
    return {"params": best, "tokens": budgets / 6 / best}, factor
