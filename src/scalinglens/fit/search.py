"""Find the optimum of a design from many independent starts, and the other optima near it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalinglens.fit.objective import Design, Progress
from scalinglens.fit.starts import candidates, spread
from scalinglens.fit.starts import hidden as to_search
from scalinglens.numerics.newton import Minima

__all__ = ["Basin", "Search", "search"]

AGREE = 1e-8  # two ends are the same optimum when their objectives differ by less than this, relatively
NEAR = 0.01  # other optima within this of the best are reported
MANY = 12  # starts from which on the worse two thirds are given up early
FIRST_STEPS = 40
_FLOOR = 1e-20  # objective per row of data without noise: agreement is then absolute


@dataclass(frozen=True)
class Basin:
    """One optimum: its objective, how far above the best it lies (relative), how many starts ended there, and where."""

    value: float
    excess: float
    starts: int
    parameters: dict[str, float]


@dataclass(frozen=True)
class Search:
    """The outcome of a search.

    Attributes:
        u: coordinates [p] of the best end.
        value: its objective.
        decrement: what a further Newton step promises, see `Minima`.
        converged: whether the best end is stationary.
        starts: how many starts were followed.
        agree: how many of them ended at the best objective.
        basins: distinct optima within 1% of the best, best first.
        iterations: Newton steps over all starts.
    """

    u: np.ndarray
    value: float
    decrement: float
    converged: bool
    starts: int
    agree: int
    basins: tuple[Basin, ...]
    iterations: int


def search(design: Design, *, starts: int | None = None, seed: int = 0, progress: Progress | None = None) -> Search:
    """Follow independent starts to their optima, more of them while too few agree on the best.

    Args:
        design: law, data and loss.
        starts: how many starts to follow at first; by default few for laws that are linear but for one or two exponents,
            more for the others.
        seed: shifts the set of candidates.
        progress: called with (starts followed, starts).

    Cost: about ten to thirty evaluations of the law per start, plus one per candidate.
    """
    hidden = [name for name in to_search(design.law) if name not in design.held]
    easy = len(hidden) <= 2 and getattr(design.model, "log", False)
    count = starts or (3 if easy else 8 if design.law.scheduled else 24)
    pool = 100 if easy or design.law.scheduled else 512 if len(hidden) <= 4 else 1024
    if not np.any(design.free):
        count = pool = 1
    ends: list[np.ndarray] = []
    values: list[np.ndarray] = []
    decrements: list[np.ndarray] = []
    converged: list[np.ndarray] = []
    iterations = 0
    for attempt in range(3):
        first = _choose(design, pool, count, seed + 7919 * attempt)
        found = _follow(design, first, progress)
        ends.append(found.u)
        values.append(found.value)
        decrements.append(found.decrement)
        converged.append(found.converged)
        iterations += int(found.iterations.sum())
        every = np.concatenate(values)
        agree = int(np.sum(_same(every, np.min(every), design)))
        if agree >= min(2 if easy else 3, len(every)) or starts is not None or not np.any(design.free):
            break
        count, pool = 3 * count, 2 * pool
    u, value = np.concatenate(ends), np.concatenate(values)
    settled, promise = np.concatenate(converged), np.concatenate(decrements)
    best = int(np.argmin(np.where(np.isfinite(value), value, np.inf)))
    return Search(
        u=u[best],
        value=float(value[best]),
        decrement=float(promise[best]),
        converged=bool(settled[best]),
        starts=len(value),
        agree=int(np.sum(_same(value, value[best], design))),
        basins=_basins(design, u, value, settled, best),
        iterations=iterations,
    )


def _follow(design: Design, first: np.ndarray, progress: Progress | None) -> Minima:
    """Follow starts to their ends; of many, only the better third goes on after the first steps."""
    if len(first) <= MANY or design.loss.name in ("lad", "likelihood"):
        return design.minimise(first, damping=1.0, progress=progress)
    found = design.minimise(first, damping=1.0, iterations=FIRST_STEPS, progress=progress)
    value = np.where(np.isfinite(found.value), found.value, np.inf)
    promising = np.flatnonzero(~found.converged & (value <= np.quantile(value, 1 / 3)))
    if len(promising):
        rest = design.minimise(found.u[promising], damping=1e-2, progress=progress)
        for field in ("u", "value", "decrement", "converged"):
            getattr(found, field)[promising] = getattr(rest, field)
        found.iterations[promising] += rest.iterations
    return found


def _choose(design: Design, pool: int, count: int, seed: int) -> np.ndarray:
    """Coordinates [count, p] of promising starts at a distance from each other."""
    natural = candidates(
        design.law,
        design.inputs,
        design.observed,
        design.weights,
        held=design.held,
        count=pool,
        seed=seed,
        relative=design.loss.space != "linear",
    )
    u = design.to_coordinates(natural)
    scores = np.sum(design.weights * _score(design, design.residuals(u)), axis=-1)
    chosen = spread(u, np.where(np.all(np.isfinite(u), axis=1), scores, np.inf), count)
    if not len(chosen):  # nothing in the search set gives finite values: start where the parameters are one
        return design.to_coordinates(np.ones((1, u.shape[1])))
    return u[chosen]


def _score(design: Design, residuals: np.ndarray) -> np.ndarray:
    return np.abs(residuals) if design.loss.name == "likelihood" else design.loss.penalty(residuals)


def _same(values: np.ndarray, best: float, design: Design) -> np.ndarray:
    scale = 1.0 + abs(best) if design.loss.name == "likelihood" else best
    return values - best <= AGREE * scale + _FLOOR * len(design.observed)


def _basins(design: Design, u: np.ndarray, value: np.ndarray, settled: np.ndarray, best: int) -> tuple[Basin, ...]:
    """Group the settled ends within 1% of the best by objective."""
    floor = _FLOOR * len(design.observed)
    scale = max(abs(value[best]), floor)
    excess = (value - value[best]) / scale
    near = np.flatnonzero((excess <= NEAR) & (settled | (np.arange(len(value)) == best)))
    near = near[np.argsort(value[near], kind="stable")]
    groups: list[list[int]] = []
    for index in near:
        if groups and value[index] - value[groups[-1][0]] <= 100 * AGREE * scale + floor:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
    natural = design.to_natural(u)
    names = design.law.parameters
    return tuple(
        Basin(
            value=float(value[group[0]]),
            excess=float(max(excess[group[0]], 0.0)),
            starts=len(group),
            parameters={name: float(v) for name, v in zip(names, natural[group[0]], strict=True)},
        )
        for group in groups[:12]
    )
