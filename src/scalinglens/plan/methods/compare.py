"""`compare_methods`: one question, every method of planning, one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import FitError, PlanError, RunsError, ScalingLensError, did_you_mean
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.fit.result import REFUSED
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.plan.cost import Cost
from scalinglens.plan.cost import cost as read_cost
from scalinglens.plan.methods.by_budget import akima, approach1, approach2
from scalinglens.plan.methods.by_law import approach3, kaplan, varpro
from scalinglens.plan.methods.by_surface import kernel, network
from scalinglens.plan.methods.result import Methods, Row
from scalinglens.plan.methods.task import LAW, Answer, Refused, Task
from scalinglens.plan.optimum.problem import positive
from scalinglens.plan.regret import Regret, regret
from scalinglens.plan.source import Source, as_source
from scalinglens.runs import Runs, read_runs

__all__ = ["METHODS", "answer_of", "compare_methods", "refuse_fit"]

METHODS: Mapping[str, Callable[[Task], Answer]] = {
    "approach1": approach1,
    "approach2": approach2,
    "akima": akima,
    "approach3": approach3,
    "varpro": varpro,
    "kaplan": kaplan,
    "network": network,
    "kernel": kernel,
}
"""Name -> method; each takes a `Task` and gives an `Answer` or raises `Refused`."""

_KINDS = ((RunsError, "missing_column"), (PlanError, "no_optimum"), (FitError, "too_few_runs"))
_OFF = 0.03  # by which compute may differ from 6 params tokens before it is said


def compare_methods(
    runs: Any,
    *,
    flops: Any,
    methods: str | Iterable[str] = "all",
    boot: int = 200,
    level: float = 0.9,
    seed: int = 0,
    groups: str | None = None,
    cost: str | Cost | None = None,
    truth: Any = None,
    members: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> Methods:
    """Ask every method for the best size and data at a budget, and price its answer.

    params*(C) ~ C^a, tokens*(C) ~ C^b;  regret = loss(method's allocation) - least loss at the same cost

    Args:
        runs: `Runs`, or anything `read_runs` takes, with params, tokens and loss.
        flops: the budget in FLOP, a number or text such as "1e24".
        methods: "all", names separated by commas, or a sequence of them; see `METHODS`.
        boot: resamples per method, for intervals (0: none); surfaces take 40 at most, being trained anew each time. What is
            resampled is the method's own: noise of the law, runs, noise of single losses, or sizes.
        level: probability of intervals.
        seed: of resamples.
        groups: column of runs that belong together; resampled whole where rows are resampled, and sharing noise in a law.
        cost: formula or name of what a run costs; by default 6 FLOP per parameter and token. Methods without a law refuse
            any other.
        truth: what prices allocations, as `as_source` takes it; by default the certified fit of the Chinchilla law to these
            runs.
        members: networks of the network surface.
        progress: called with (methods done, methods).

    Returns:
        The `Methods`, one row each; a method that cannot be used on this table has a typed refusal in its row.

    Raises:
        PlanError: an impossible budget, an unknown method.
        FitError: impossible options. RunsError: the table cannot be read.

    Cost: a second without surfaces; half a minute with them.

    The truth below is 0.37/(0.34 + 0.37) = 0.521; approach 2 is off by its geometry, the same sizes at every budget.

    Source: Hoffmann et al. 2022 (approaches 1, 2, 3), Porian et al. 2024 (akima), Czech et al. 2026 (varpro, and the bias),
        Kaplan et al. 2020, Barkeshli et al. 2026 (network, kernel).

    >>> size, flops = map(np.ravel, np.meshgrid(10.0 ** np.arange(7, 10, 0.25), 10.0 ** np.arange(18, 22)))
    >>> loss = 1.8 + 400 / size**0.34 + 2000 / (flops / 6 / size) ** 0.37
    >>> found = compare_methods({"params": size, "flops": flops, "loss": loss}, flops=1e23, methods="approach2,varpro", boot=0)
    >>> [(row.method, round(row.a.value, 3)) for row in found.rows]
    [('approach2', 0.468), ('varpro', 0.521)]
    """
    names = _names(methods)
    _check_options(boot, level, seed, members)
    refuse_fit(runs)
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    if flops is None:
        raise PlanError("methods are compared at a budget; give flops=1e24 (--flops 1e24)")
    budget = positive("flops", flops, "flops")
    paid = None if cost is None else read_cost(cost)
    if paid is not None and paid.unit != "FLOP":
        raise PlanError(f"flops is a budget in FLOP, and the cost is in {paid.unit}; give a cost in FLOP")
    task = Task(table, budget, boot, level, seed, groups, paid, members)
    if groups is not None:
        table.labels(groups)
    reference, warnings = _reference(task, truth)
    rows = []
    with single_threaded_blas():
        for done, name in enumerate(names, 1):
            rows.append(_row(name, task, reference, _certified(task)))
            if progress:
                progress(done, len(names))
    return Methods(
        rows=tuple(rows),
        flops=budget,
        reference="" if reference is None else reference.name,
        given=truth is not None,
        level=level,
        decades=_decades(table, budget),
        table=table.described(),
        settings={
            "methods": list(names),
            "boot": boot,
            "seed": seed,
            "groups": groups,
            "cost": None if paid is None else paid.formula,
            "members": members,
        },
        warnings=(*table.warnings, *warnings, *_counting(table, paid)),
    )


def answer_of(name: str, task: Task) -> Answer:
    """Ask one method.

    Raises:
        Refused: it cannot be used on this table.
    """
    try:
        return METHODS[name](task)
    except Refused:
        raise
    except ScalingLensError as problem:
        kind = next((kind for error, kind in _KINDS if isinstance(problem, error)), "impossible")
        raise Refused(kind, str(problem)) from None


def _row(name: str, task: Task, reference: Source | None, certified: bool) -> Row:
    """One method's row: its answer with intervals, what it costs to follow it, and how biased it is on such runs."""
    try:
        answer = answer_of(name, task)
    except Refused as refused:
        return Row(name, refused.kind, str(refused))
    priced = _priced(answer, task, reference)
    estimates = [_estimate(answer.point[k], answer.draws[:, k], task.level) for k in range(4)]
    return Row(
        method=name,
        status="ok",
        a=estimates[1],
        b=estimates[3],
        params=_exp(estimates[0]),
        tokens=_exp(estimates[2]),
        loss=answer.loss,
        excess=None if priced is None else _priced_estimate(priced.excess.value, task.level),
        waste=None if priced is None else _priced_estimate(priced.waste.value, task.level),
        bias=_bias(name, task) if certified else None,
        resampled=answer.resampled,
        draws=len(answer.draws),
        notes=answer.notes,
    )


def _bias(name: str, task: Task) -> float | None:
    """How far the method's size is off where the certified law is exactly true at these very runs, relative."""
    try:
        found = answer_of(name, task.noiseless)
        right = answer_of("approach3", task)
    except Refused:
        return None
    return float(np.expm1(found.point[0] - right.point[0]))


def _priced(answer: Answer, task: Task, reference: Source | None) -> Regret | None:
    """The regret of the allocation and of those of the draws, under the reference alone."""
    if reference is None:
        return None
    sizes = np.exp(np.concatenate([answer.point[:1], answer.draws[:, 0]]))
    size = next((name for name in reference.inputs if name.startswith("params")), None)
    if size is None:
        return None
    try:
        return regret(reference, {size: sizes}, task.flops, task.cost)
    except ScalingLensError:
        return None


def _reference(task: Task, truth: Any) -> tuple[Source | None, tuple[str, ...]]:
    """What prices allocations, without its own draws: these would mix its uncertainty with the methods'."""
    if truth is not None:
        return _quiet(as_source(truth)), ()
    try:
        found = task.fitted
    except ScalingLensError as problem:
        return None, (f"no regrets, because the law cannot be fitted: {problem}",)
    if found.status in REFUSED:
        return None, (f"no regrets and no biases, because the fit of {LAW} is {found.status}",)
    return _quiet(as_source(found)), ()


def _certified(task: Task) -> bool:
    try:
        return task.fitted.status not in REFUSED
    except ScalingLensError:
        return False


def _quiet(source: Source) -> Source:
    return replace(source, heads=tuple(replace(head, draws=head.draws[:0]) for head in source.heads))


def _estimate(value: float, draws: np.ndarray, level: float) -> Estimate:
    if len(draws) < 2 / (1 - level) - 1e-9:
        return Estimate(float(value))
    low, high = percentile_interval(draws, level)
    return Estimate(float(value), float(low), float(high), level, "percentile")


def _exp(e: Estimate) -> Estimate:
    low, high = (None if end is None else math.exp(end) for end in (e.low, e.high))
    return Estimate(math.exp(e.value), low, high, e.level, e.method)


def _priced_estimate(values: np.ndarray, level: float) -> Estimate:
    """The first is the estimate, the others are its draws."""
    return _estimate(float(values[0]), values[1:], level)


def _decades(table: Runs, budget: float) -> float:
    try:
        largest = float(np.nanmax(table.column("flops")))
    except RunsError:
        return float("nan")
    return max(math.log10(budget / largest), 0.0)


def _counting(table: Runs, paid: Cost | None) -> tuple[str, ...]:
    """Say where the table's compute is not what the laws are charged."""
    try:
        part = table.complete("flops", "params", "tokens")
        ratio = part.column("flops") / (part.column("params") * part.column("tokens"))
    except RunsError:
        return ()
    middle = float(np.median(ratio))
    if paid is not None or abs(middle / 6 - 1) <= _OFF:
        return ()
    return (
        f"flops is {middle:.3g} per parameter and token in this table, not 6: approaches 1, 2 and akima follow that column, laws "
        "and surfaces are charged 6",
    )


def refuse_fit(runs: Any) -> None:
    """Refuse the path of a saved fit, which is no table of runs.

    Raises: PlanError: it is one.
    """
    if not isinstance(runs, str | Path) or not str(runs).endswith(".json"):
        return
    try:
        start = Path(runs).read_text(encoding="utf-8")[:2000]
    except (OSError, UnicodeDecodeError):
        return
    if '"parameters"' in start and '"law"' in start:
        raise PlanError(f"{runs} is a saved fit; methods are compared on a table of runs: give that table")


def _names(methods: str | Iterable[str]) -> tuple[str, ...]:
    words = methods.split(",") if isinstance(methods, str) else list(methods)
    words = [str(word).strip() for word in words]
    if words == ["all"]:
        return tuple(METHODS)
    for word in words:
        if word not in METHODS:
            raise PlanError(
                f'unknown method "{word}"{did_you_mean(word, METHODS)}; known are all, {", ".join(METHODS)}'
            )
    if not words:
        raise PlanError(f"no method is named; give all, or some of {', '.join(METHODS)}")
    return tuple(dict.fromkeys(words))


def _check_options(boot: int, level: float, seed: int, members: int) -> None:
    check_level(level)
    for name, value, least in (("boot", boot, 0), ("seed", seed, 0), ("members", members, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise FitError(f"{name} is a whole number, {least} or more, got {value!r}")
    fewest = math.ceil(2 / (1 - level) - 1e-9)
    if 0 < boot < fewest:
        raise FitError(f"boot={boot} does not show the ends of a {level:.0%} interval; ask for {fewest} at least")
