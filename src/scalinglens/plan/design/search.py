"""Choosing runs under a budget: greedy from several sides, then exchange until no swap helps (Fedorov 1972)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.plan.design.criterion import Problem, State

__all__ = ["alternatives", "brute_force", "search"]

THRIFT = (1.0, 0.5, 0.0)  # powers of the cost that a gain is divided by: no rule is best at every budget
SWEEPS = 6
DRAWS = 64  # that a search looks at
PUSHES = 5  # runs tried by force, the most informative first
GAIN = 1e-7  # of the score, below which a run or a swap is not worth it
SLACK = 1 + 1e-9


def search(
    problem: Problem, budget: float, *, copies: int, most: int, forced: Sequence[int] = (), exchange: bool = True
) -> State:
    """Return the best set of runs found within the budget.

    Args:
        problem: the candidates and what they say.
        budget: of the sum of costs.
        copies: how often one candidate may be run.
        most: at most so many runs.
        forced: runs that must be in the set.
        exchange: improve the greedy sets by swaps.

    Returns:
        The state with its runs in the order of choice, those forced first.

    Cost: three greedy passes, and for each run chosen one evaluation of all candidates per sweep.
    """
    with single_threaded_blas():
        return _search(problem, budget, copies, most, forced, exchange)


def _search(problem: Problem, budget: float, copies: int, most: int, forced: Sequence[int], exchange: bool) -> State:
    thin = _thinned(problem)
    starts = [_greedy(_forced(thin, forced), budget, copies, most, power) for power in THRIFT]
    if exchange:
        starts = [_exchanged(state, budget, copies, most, len(forced)) for state in starts]
        best = min(starts, key=lambda state: state.score)
        starts = [_exchanged(_pushed(best, budget, copies, most, len(forced)), budget, copies, most, len(forced))]
    best = min(starts, key=lambda state: (state.score, sum(problem.cost[state.chosen])))
    return best if thin is problem else _forced(problem, best.chosen)


def _thinned(problem: Problem) -> Problem:
    """The problem at some of the draws, evenly spaced: which run is best hardly depends on how many there are."""
    count = len(problem.weights)
    if count <= DRAWS:
        return problem
    lanes = np.round(np.linspace(0, count - 1, DRAWS)).astype(int)
    weights = problem.weights[lanes] / problem.weights[lanes].sum()
    parts = {name: getattr(problem, name)[lanes] for name in ("slopes", "goal", "before")}
    return replace(problem, weights=weights, **parts)


def brute_force(problem: Problem, budget: float) -> tuple[float, tuple[int, ...]]:
    """Return the best score over all subsets within the budget, each run once; for tests and tiny problems."""
    best = (problem.start().score, ())
    for code in range(1, 2**problem.size):
        runs = tuple(i for i in range(problem.size) if code >> i & 1)
        if problem.cost[list(runs)].sum() <= budget * SLACK:
            state = _forced(problem, runs)
            best = min(best, (state.score, runs))
    return best


def alternatives(state: State, run: int, within: float) -> np.ndarray:
    """Return the candidates that could stand in for a run without making the variance more than `within` larger (a share).

    None for a run that hardly matters: its absence would make the variance no more than three times `within` larger.
    """
    others = state.copy()
    others.remove(run)
    if others.score <= state.score + 3 * np.log1p(within):
        return np.empty(0, dtype=int)
    return np.flatnonzero(others.scores() <= state.score + np.log1p(within))


def _forced(problem: Problem, runs: Sequence[int]) -> State:
    state = problem.start()
    for run in runs:
        state.add(run)
    return state


def _allowed(state: State, left: float, copies: int) -> np.ndarray:
    made = np.bincount(state.chosen, minlength=state.problem.size)
    return (made < copies) & (state.problem.cost <= left * SLACK)


def _greedy(state: State, budget: float, copies: int, most: int, power: float) -> State:
    """Add the run with the largest gain per cost to that power until nothing more fits or helps."""
    problem = state.problem
    dearest = max(float(problem.cost.max(initial=0.0)), 1e-300)
    price = np.maximum(problem.cost / dearest, 1e-12) ** power
    while len(state.chosen) < most:
        allowed = _allowed(state, budget - problem.cost[state.chosen].sum(), copies)
        if not allowed.any():
            break
        gain = np.where(allowed, state.score - state.scores(), -np.inf)
        run = int(np.argmax(gain / price))
        if gain[run] <= GAIN:
            break
        state.add(run)
    return state


def _pushed(state: State, budget: float, copies: int, most: int, held: int) -> State:
    """Force a run in that does not fit, drop those that are worth least for their cost until it does; keep what is better.

    A swap of one for one never gives up ten small runs for a large one.
    """
    problem = state.problem
    for _ in range(SWEEPS):
        made = np.bincount(state.chosen, minlength=problem.size)
        left = budget - problem.cost[state.chosen].sum()
        blocked = (made < copies) & (problem.cost > left * SLACK) & (problem.cost <= budget * SLACK)
        scores = np.where(blocked, state.scores(), np.inf)
        better = False
        for run in np.argsort(scores)[: min(PUSHES, int(blocked.sum()))]:
            trial = state.copy()
            trial.add(int(run))
            others = np.array(trial.chosen[held:-1], dtype=int)
            for other in others[np.argsort(_worth(trial, others) / np.maximum(problem.cost[others], 1e-300))]:
                if problem.cost[trial.chosen].sum() <= budget * SLACK:
                    break
                trial.remove(int(other))
            if problem.cost[trial.chosen].sum() > budget * SLACK:
                continue
            trial = _greedy(trial, budget, copies, most, 1.0)
            if trial.score < state.score - GAIN:
                state, better = _forced(problem, trial.chosen), True
                break
        if not better:
            break
    return state


def _worth(state: State, runs: np.ndarray) -> np.ndarray:
    """How much the score would rise without each run [runs], the others staying (noise taken as independent)."""
    problem = state.problem
    slopes = problem.slopes[:, runs]
    pulled = np.matmul(slopes, state.covariance)
    toward = np.matmul(pulled, problem.goal[:, :, None])[:, :, 0]
    regained = toward**2 / np.maximum(1.0 - np.sum(pulled * slopes, axis=2), 1e-9)
    variance = state.variance[:, None] + state.doubt
    return problem.weights @ np.log1p(regained / variance)


def _exchanged(state: State, budget: float, copies: int, most: int, held: int) -> State:
    """Swap one run for the best other as long as the score falls; the first `held` stay."""
    problem = state.problem
    for _ in range(SWEEPS):
        better = False
        for run in sorted(set(state.chosen[held:]), key=lambda i: -problem.cost[i]):
            if run not in state.chosen[held:]:
                continue
            score = state.score
            trial = state.copy()
            trial.remove(run)
            allowed = _allowed(trial, budget - problem.cost[trial.chosen].sum(), copies)
            allowed[run] = False
            scores = np.where(allowed, trial.scores(), np.inf)
            if scores.min(initial=np.inf) < np.inf:
                trial.add(int(np.argmin(scores)))
            trial = _greedy(trial, budget, copies, most, 1.0)  # what a cheaper run leaves over
            if trial.score < score - GAIN:
                state, better = _forced(problem, trial.chosen), True  # from scratch: rounding does not add up
        if not better:
            break
    return state
