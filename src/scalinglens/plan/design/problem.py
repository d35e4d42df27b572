"""From beliefs, a question and candidates to the arrays that a search needs.

No law is exact. What it gets wrong, `departure`, is taken to be the same for all runs within half a decade of each input, so
that the tenth run in a corner of the grid says little that nine have not, and other places are worth a look.

A pool of laws becomes one set of draws, each with its own law; a comparison of two recipes one vector of both laws'
coordinates, in which shared parameters are held equal by conditioning, S - S h h' S/(h' S h) for each equality h' u = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.fit.noise import Noise
from scalinglens.plan.design.belief import Belief
from scalinglens.plan.design.candidates import read_columns
from scalinglens.plan.design.criterion import Problem
from scalinglens.plan.design.decision import Decided, Question, decide

__all__ = ["Doubt", "Posed", "pose", "pose_difference"]

QUIETEST = 1e-6  # relative noise of a run: a law that passes through every run is not known for ever
WORK = 60_000  # draws times candidates
CELL = 0.5  # decades
FEWEST = 4  # draws of one of several beliefs


@dataclass(frozen=True)
class Doubt:
    """What the law itself may get wrong at the target: variance `now`, in proportion to the squared distance beyond the runs.

    Attributes:
        now: variance of the decision with the runs there are.
        extents: inputs whose product says how large a run is.
        target: ln of that product at the target.
        largest: ln of that product for the largest run there is; -inf without runs.
    """

    now: float
    extents: tuple[str, ...]
    target: float
    largest: float

    def put_into(self, posed: Posed, frame: pd.DataFrame) -> Posed:
        """The problem with this doubt."""
        found = self.of(read_columns(frame, self.extents))
        return replace(posed, problem=replace(posed.problem, doubt=found, doubt_before=self.now))

    def of(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Variance if a run is the largest [n]."""
        size = sum((np.log(columns[name]) for name in self.extents), np.zeros(len(next(iter(columns.values())))))
        far = self.target - self.largest
        if not np.isfinite(far) or far <= 0:
            return np.full(len(size), self.now)
        nearer = np.clip(self.target - np.maximum(size, self.largest), 0.0, None)
        return self.now * np.minimum(nearer / far, 1.0) ** 2


@dataclass(frozen=True, eq=False)
class Posed:
    """A problem with what is needed to say what it means.

    Attributes:
        problem: for the search.
        decided: the decision at the draws, of each belief.
        value: the decision as of today.
        draws: of the decision [draws], on the scale of `in_logs`.
        in_logs: whether the decision is a logarithm.
        plain: mean variance of the decision now, if the law is right everywhere.
    """

    problem: Problem
    decided: tuple[Decided, ...]
    value: float
    draws: np.ndarray
    in_logs: bool
    plain: float


def pose(
    beliefs: Sequence[Belief],
    question: Question,
    frame: pd.DataFrame,
    made: pd.DataFrame | None,
    *,
    departure: float | None,
    draws: int,
    seed: int,
) -> Posed:
    """Return the problem of one recipe, under one law or several."""
    rng = np.random.default_rng([seed, 11])
    most = max(24, min(draws, WORK // max(len(frame), 1)))
    width = max(len(b.best) for b in beliefs)
    total = sum(b.weight for b in beliefs)
    noise = min((b.noise for b in beliefs), key=lambda n: n.scale)  # the others add what they cannot follow
    labels, shared = _group_numbers(frame, beliefs[0].groups), noise.shared
    extra = 0.0
    if shared == 0.0 or not (labels >= 0).any():
        extra = noise.scale if departure is None else departure
        labels, shared = _cells(frame, beliefs[0].law.inputs), extra**2 / max(extra**2 + noise.scale**2, 1e-300)
    same = all(b.law == beliefs[0].law for b in beliefs)  # one law with bends of several sizes: each has its own noise
    parts, decided = [], []
    for belief in beliefs:
        u = belief.thinned(max(FEWEST, round(most * belief.weight / total)), rng)
        found = decide(belief, u, question)
        good = np.isfinite(found.values) & np.isfinite(found.slopes).all(axis=1)
        if good.sum() < 0.5 * len(u):
            raise PlanError(
                f"the decision has a value at {int(good.sum())} of {len(u)} draws only; move the target nearer to the runs"
            )
        slopes, past = (
            _whitened(belief, belief.noise if same else noise, u[good], table, extra) for table in (frame, made)
        )
        parts.append((belief, found, found.slopes[good], slopes, past, int(good.sum())))
        decided.append(found)
    count = sum(part[-1] for part in parts)
    goal, before = np.zeros((count, width)), np.zeros((count, width, width))
    slopes, past = np.zeros((count, len(frame), width)), np.zeros((count, 0 if made is None else len(made), width))
    weights, first = np.zeros(count), 0
    for belief, _, own_goal, own, own_past, size in parts:
        p, lanes = len(belief.best), slice(first, first + size)
        goal[lanes, :p], slopes[lanes, :, :p], past[lanes, :, :p] = own_goal, own, own_past
        before[lanes, :p, :p] = belief.covariance
        weights[lanes] = belief.weight / total / size
        first += size
    for row in range(past.shape[1]):
        before = _after(before, past[:, row])
    problem = Problem(
        slopes=slopes,
        goal=goal,
        before=before,
        weights=weights,
        groups=labels,
        shared=shared,
        doubt=np.zeros(len(frame)),
        doubt_before=0.0,
        cost=frame["cost"].to_numpy(),
    )
    plain = 0.0
    for belief, _, own_goal, _, _, _ in parts:
        spread = _law_only(belief)
        plain += belief.weight / total * float(np.mean(np.einsum("ki,ij,kj->k", own_goal, spread, own_goal)))
    value = sum(b.weight / total * d.best for b, d in zip(beliefs, decided, strict=True))
    return Posed(problem, tuple(decided), value, np.concatenate([d.values for d in decided]), decided[0].in_logs, plain)


def pose_difference(
    named: Mapping[str, Belief],
    question: Question,
    frame: pd.DataFrame,
    made: pd.DataFrame | None,
    *,
    shared: Sequence[str],
    departure: float | None,
    draws: int,
    seed: int,
) -> Posed:
    """Return the problem of comparing two recipes; `recipe` names in candidates and runs made which of them a run belongs to."""
    (one, first), (two, second) = named.items()
    for table, what in ((frame, "candidates"), (made, "runs made")):
        if table is not None and (wrong := sorted({str(r) for r in table["recipe"]} - {one, two})):
            near = did_you_mean(wrong[0], (one, two))
            raise PlanError(f'the {what} have the recipe "{wrong[0]}"{near}; the two recipes are "{one}" and "{two}"')
    count = max(24, min(draws, WORK // max(len(frame), 1), len(first.draws), len(second.draws)))
    rng = np.random.default_rng([seed, 11])
    drawn = [b.thinned(count, rng) for b in (first, second)]
    count = min(map(len, drawn))
    drawn = [u[:count].copy() for u in drawn]
    width, p = len(first.best) + len(second.best), len(first.best)
    before = np.zeros((width, width))
    before[:p, :p], before[p:, p:] = first.covariance, second.covariance
    for name in shared:
        for belief, of in ((first, one), (second, two)):
            if name not in belief.law.parameters:
                near = did_you_mean(name, belief.law.parameters)
                raise PlanError(f'"{name}" cannot be shared: the law of {of} has no such parameter{near}')
        drawn[1][:, second.law.parameters.index(name)] = drawn[0][:, first.law.parameters.index(name)]
        equal = np.zeros(width)
        equal[first.law.parameters.index(name)], equal[p + second.law.parameters.index(name)] = 1.0, -1.0
        held = before @ equal
        if (size := float(equal @ held)) > 0:
            before = before - np.outer(held, held) / size
    pairs = [(b, u, decide(b, u, question)) for b, u in zip((first, second), drawn, strict=True)]
    goal = np.concatenate([pairs[0][2].slopes[:count], -pairs[1][2].slopes[:count]], axis=1)

    scale = min(first.noise.scale, second.noise.scale)
    extra = scale if departure is None else departure

    def slopes_of(table: pd.DataFrame) -> np.ndarray:
        found = np.zeros((count, len(table), width))
        for (belief, u, _), name, place in zip(pairs, (one, two), (slice(0, p), slice(p, width)), strict=True):
            rows = np.flatnonzero(table["recipe"].astype(str) == name)
            if len(rows):
                found[:, rows, place] = _whitened(belief, belief.noise, u[:count], table.iloc[rows], extra)
        return found

    covariance = np.repeat(before[None], count, axis=0)
    if made is not None:
        past = slopes_of(made)
        for row in range(past.shape[1]):
            covariance = _after(covariance, past[:, row])
    problem = Problem(
        slopes=slopes_of(frame),
        goal=goal,
        before=covariance,
        weights=np.full(count, 1.0 / count),
        groups=_cells(frame, (*first.law.inputs, "recipe")),
        shared=extra**2 / max(extra**2 + scale**2, 1e-300),
        doubt=np.zeros(len(frame)),
        doubt_before=0.0,
        cost=frame["cost"].to_numpy(),
    )
    decided = tuple(found for _, _, found in pairs)
    apart = decided[0].values[:count] - decided[1].values[:count]
    return Posed(problem, decided, decided[0].best - decided[1].best, apart, False, float(np.var(apart)))


def _law_only(belief: Belief) -> np.ndarray:
    """Covariance of the coordinates [p, p] as the draws have it, without what a bend adds."""
    return np.cov(belief.draws.T).reshape(len(belief.best), len(belief.best))


def _whitened(belief: Belief, noise: Noise, u: np.ndarray, table: pd.DataFrame | None, extra: float) -> np.ndarray:
    """Slopes of runs in units of their noise [draws, runs, p]."""
    if table is None or not len(table):
        return np.zeros((len(u), 0, u.shape[1]))
    value, slopes = belief.slopes(u, read_columns(table, belief.law.inputs))
    sd = np.hypot(noise.at(np.exp(value) if belief.in_logs else value), extra)
    floor = QUIETEST if belief.in_logs else QUIETEST * np.abs(np.nan_to_num(value, nan=1.0))
    sd = np.where(np.isfinite(sd), np.maximum(sd, floor), np.inf)
    return slopes / sd[:, :, None]


def _after(covariance: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Covariance [draws, p, p] with one more run, its slope [draws, p] in units of noise."""
    pulled = np.matmul(covariance, slope[:, :, None])[:, :, 0]
    share = 1.0 / (1.0 + np.sum(pulled * slope, axis=1))
    return covariance - share[:, None, None] * pulled[:, :, None] * pulled[:, None, :]


def _group_numbers(frame: pd.DataFrame, groups: str | None) -> np.ndarray:
    name = "group" if "group" in frame.columns else groups
    if name is None or name not in frame.columns:
        return np.full(len(frame), -1)
    return np.unique(frame[name].astype(str), return_inverse=True)[1]


def _cells(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Number of the cell of each run: runs within half a decade of each input share what the law gets wrong there."""
    keys = [
        frame[n].astype(str).to_numpy()
        if n == "recipe"
        else np.floor(np.log10(np.maximum(frame[n].to_numpy(dtype=float), 1e-300)) / CELL).astype(int).astype(str)
        for n in dict.fromkeys(names)
    ]
    return np.unique(["/".join(key) for key in zip(*keys, strict=True)], return_inverse=True)[1]
