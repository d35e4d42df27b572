"""Is a running job worth continuing? A forecast of its final loss, a comparison, a verdict with the number behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalinglens.errors import FitError, ScheduleError
from scalinglens.fit.curves.outlook import DECAY_EFFECT, Outlook, anneal, outlook, windows
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.laws.schedule import Schedule
from scalinglens.quantities import format_quantity

__all__ = ["SCHEMA", "LiveForecast", "forecast_run"]

SCHEMA = 1
EARLY = 0.1  # share of the run below which no verdict is given
UNLIKELY = 0.05  # probability below which a run is given up
LITTLE = 0.001  # fall of the loss, relative, that is not worth the rest of the run,
AT_MOST = 0.01  # if it is also unlikely to be more than this
TAIL = 0.02  # share of a run whose mean loss is its final loss
MEASURED = 0.3  # share of the run from which on the intervals were measured on public curves
DECAY = DECAY_EFFECT[0] + DECAY_EFFECT[1]  # what a decay of the learning rate may still do, relative to the loss
AT_PEAK = "the learning rate stays at its peak until the end"
FALLEN = 0.03  # relative fall of the learning rate that counts as a decay


@dataclass(frozen=True)
class LiveForecast:
    """What is known about the end of a run that still goes on.

    Attributes:
        verdict: "continue", "stop" or "too early".
        reason: why, with the number behind it.
        final: forecast of the mean loss over the last 2% of the run, with its interval; None where there is none yet.
        now: mean loss of the latest rows, None without rows.
        at, end: progress now and at the end, in `unit`.
        unit: "steps" or "tokens".
        rows: rows used.
        target: loss that was to be reached, or the final loss of the earlier run; None where neither was given.
        against: name of the earlier run, "" without.
        ahead: earlier run's loss at the same progress minus this run's, None without.
        probability: that the final loss is below the target.
        gain: forecast of the fall of the loss from now to the end.
        assumptions: what the forecast takes for granted, in sentences.
        warnings: what is odd about the log, in sentences.
        draws: equally likely final losses.
    """

    verdict: str
    reason: str
    final: Estimate | None = None
    now: float | None = None
    at: float = 0.0
    end: float = 0.0
    unit: str = "steps"
    rows: int = 0
    target: float | None = None
    against: str = ""
    ahead: float | None = None
    probability: float | None = None
    gain: Estimate | None = None
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    draws: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        return min(self.at / self.end, 1.0) if self.end > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as plain data, the JSON of `scalinglens watch --json`."""
        estimate = lambda e: None if e is None else {"value": e.value, "low": e.low, "high": e.high, "level": e.level}  # noqa: E731
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "reason": self.reason,
            "progress": self.progress,
            "at": self.at,
            "end": self.end,
            "unit": self.unit,
            "rows": self.rows,
            "now": self.now,
            "final": estimate(self.final),
            "gain": estimate(self.gain),
            "target": self.target,
            "against": self.against or None,
            "ahead": self.ahead,
            "probability": self.probability,
            "assumptions": list(self.assumptions),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.reason}"]
        lines += [
            f"  progress     {self.progress:.0%} ({format_quantity(self.at)} of {format_quantity(self.end)} {self.unit})"
        ]
        if self.now is not None:
            lines.append(f"  loss now     {self.now:.4f}, mean of the latest of {self.rows} rows")
        if self.final is not None:
            low, high, level = self.final.low, self.final.high, self.final.level
            lines.append(f"  final loss   {self.final.value:.4f} ({low:.4f} to {high:.4f}, {level:.0%} interval)")
        if self.target is not None:
            what = f"final loss of {self.against}" if self.against else "target"
            said = f", below it with probability {self.probability:.0%}" if self.probability is not None else ""
            lines.append(f"  {'earlier run' if self.against else 'target':<12} {self.target:.4f}, the {what}{said}")
        if self.ahead is not None:
            lines.append(
                f"  same point   {abs(self.ahead):.4f} {'below' if self.ahead > 0 else 'above'} the earlier run"
            )
        lines += [f"  assumes      {sentence}" for sentence in self.assumptions]
        lines += [f"  ! {sentence}" for sentence in self.warnings]
        return "\n".join(lines)


def forecast_run(
    at: Any,
    loss: Any,
    *,
    final: float,
    unit: str = "steps",
    learning_rate: Any = None,
    schedule: Schedule | str | None = None,
    target: float | None = None,
    against: tuple[Any, Any] | None = None,
    against_name: str = "earlier run",
    level: float = 0.9,
    seed: int = 0,
    diverged: float | None = None,
    warnings: tuple[str, ...] = (),
) -> LiveForecast:
    """Forecast the final loss of a run from its log so far, and say whether it is worth continuing.

    Args:
        at: progress of each row (steps or tokens), rising [rows].
        loss: loss there [rows]; rows that are not finite are left out.
        final: progress at the end of the run.
        unit: "steps" or "tokens".
        learning_rate: logged learning rate [rows], NaN where missing.
        schedule: the planned `Schedule` or its text; its length is the whole run.
        target: loss to be reached.
        against: (progress, loss) of an earlier run that this one must beat.
        against_name: how to call that one.
        level: probability of the interval.
        seed: of the resamples.
        diverged: progress since which losses are no numbers.
        warnings: what is odd about the log already.

    Raises:
        FitError: impossible options. ScheduleError: the schedule cannot be read.

    Cost: a tenth of a second, whatever the length of the log.

    >>> steps = np.arange(1, 501)
    >>> found = forecast_run(steps, 2 + 3 * steps**-0.5, final=1000, target=2.0)
    >>> found.verdict, round(found.final.value, 2)
    ('stop', 2.1)
    """
    check_level(level)
    if not np.isfinite(final) or final <= 0:
        raise FitError(f"the end of the run must be a positive number of {unit}, got {final!r}")
    if target is not None and not np.isfinite(target):
        raise FitError(f"the target must be a loss, got {target!r}")
    place, value = np.asarray(at, dtype=float).ravel(), np.asarray(loss, dtype=float).ravel()
    rate = np.full(len(place), np.nan) if learning_rate is None else np.asarray(learning_rate, dtype=float).ravel()
    good = np.isfinite(place) & np.isfinite(value) & (place > 0)
    place, value, rate = place[good], value[good], rate[good]
    notes = list(warnings)
    goal, name, ahead = _goal(target, against, against_name, place, value, final)
    base = {"end": float(final), "unit": unit, "rows": len(place), "target": goal, "against": name if against else ""}
    if not len(place):
        return LiveForecast("too early", "the log has no loss yet", warnings=tuple(notes), **base)
    here = float(place[-1])
    base |= {"at": here, "ahead": ahead}
    plan, assumptions = _plan(place, rate, schedule, final, unit, notes)
    found = _outlook(place, value, plan, final, seed)
    if diverged is not None:
        recent = float(np.mean(value[place >= (1 - TAIL) * here]))
        return LiveForecast(
            "stop", f"the loss is not a number since {unit[:-1]} {format_quantity(diverged)}", now=recent,
            warnings=tuple(notes), **base,
        )  # fmt: skip
    if found is None:
        recent = float(np.mean(value[place >= (1 - TAIL) * here]))
        reason = (
            f"{len(place)} rows over a factor of {here / place[0]:.3g} of progress do not show the shape of the curve"
        )
        return LiveForecast("too early", reason, now=recent, warnings=tuple(notes), **base)
    draws = found.draws
    if here >= final * (1 - TAIL / 2):  # it has ended: what was measured is the answer
        tail = value[place >= (1 - TAIL) * here]
        draws = float(tail.mean()) + (draws - found.value) * 0.0
        assumptions = ["the run has ended: its final loss is measured, not forecast"]
    elif here < MEASURED * final:
        notes.append(f"intervals were measured from {MEASURED:.0%} of a run on, this one is at {here / final:.0%}")
    if found.rising:
        notes.append(
            "the loss rises at the end of the log; no law of learning curves does, so its trend counts as much as all laws"
        )
    low, high = (float(v) for v in np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]))
    middle = float(np.median(draws))
    gain = Estimate(found.now - middle, found.now - high, found.now - low, level, "pooled curve laws")
    probability = None if goal is None else float(np.mean(draws < goal))
    verdict, reason = _verdict(
        found, draws, here / final, goal, name if against else "", probability, gain, base, AT_PEAK in assumptions
    )
    return LiveForecast(
        verdict, reason, Estimate(middle, low, high, level, "pooled curve laws"), found.now, probability=probability,
        gain=gain, assumptions=tuple(assumptions), warnings=tuple(notes), draws=draws, **base,
    )  # fmt: skip


def _verdict(
    found: Outlook, draws: np.ndarray, progress: float, goal: float | None, earlier: str, probability: float | None,
    gain: Estimate, base: dict[str, Any], undecayed: bool,
) -> tuple[str, str]:  # fmt: skip
    what = (
        f"the final loss {goal:.4f} of {earlier}" if earlier else f"the target {goal:.4f}" if goal is not None else ""
    )
    if progress >= 1 - TAIL / 2:
        if goal is None:
            return "continue", "the run has ended"
        reached = "below" if float(np.median(draws)) < goal else "not below"
        return "continue" if reached == "below" else "stop", f"the run has ended {reached} {what}"
    if progress < EARLY:
        return "too early", f"only {progress:.1%} of the run is done, a verdict takes {EARLY:.0%}"
    if probability is not None:
        if probability < UNLIKELY and undecayed and goal is not None and goal > float(np.median(draws)) * (1 - DECAY):
            return "continue", (
                f"{what} is reached with probability {probability:.1%} at the present learning rate, but a decay still to "
                f"come may lower the loss by up to {DECAY:.0%}: give --schedule to count it in"
            )
        if probability < UNLIKELY:
            return "stop", f"{what} is reached with probability {probability:.1%}, less than {UNLIKELY:.0%}"
        return "continue", f"{what} is reached with probability {probability:.0%}"
    if found.rising:
        return "stop", "the loss is rising, beyond its scatter"
    left = f"{format_quantity(base['end'] - base['at'])} {base['unit']}"
    most = float(np.quantile(found.now - draws, 1 - UNLIKELY))
    if gain.value < LITTLE * abs(found.now) and most < AT_MOST * abs(found.now):
        return (
            "stop",
            f"the {left} left are expected to lower the loss by {max(gain.value, 0.0):.4f}, at most by {max(most, 0.0):.4f}",
        )
    return "continue", f"the {left} left are expected to lower the loss by {gain.value:.4f}"


def _goal(
    target: float | None, against: tuple[Any, Any] | None, name: str, place: np.ndarray, value: np.ndarray, final: float
) -> tuple[float | None, str, float | None]:
    """The loss to beat, whose it is, and how far this run is ahead at the same progress."""
    if against is None:
        return target, "", None
    if target is not None:
        raise FitError("a target and an earlier run were both given; compare with one of them")
    x, y = (np.asarray(part, dtype=float).ravel() for part in against)
    good = np.isfinite(x) & np.isfinite(y) & (x > 0)
    x, y = x[good], y[good]
    if not len(x):
        raise FitError(f"{name} has no losses, so there is nothing to compare with")
    end = min(float(x[-1]), final)
    goal = float(np.mean(y[(x >= (1 - TAIL) * end) & (x <= end)])) if np.any(x <= end) else float(y[0])
    ahead = None
    if len(place):
        here = float(place[-1])
        same = (x >= 0.9 * here) & (x <= here)
        mine = place >= 0.9 * here
        ahead = float(np.mean(y[same]) - np.mean(value[mine])) if same.any() and here <= x[-1] else None
    return goal, name, ahead


def _outlook(place: np.ndarray, value: np.ndarray, plan: Schedule | None, final: float, seed: int) -> Outlook | None:
    """Forecast in the running sum of the learning rate where the schedule is known, else in steps or tokens."""
    here = float(place[-1])
    keep = place >= 0.01 * here
    if plan is None:
        return outlook(windows(place[keep], value[keep]), max(final, here), seed=seed)
    # steps of the schedule stand for shares of the run, so tokens work as well
    step = np.minimum(np.floor(place / final * plan.steps * (1 + 1e-12)).astype(int), plan.steps - 1)
    warm = int(np.argmax(plan.rates >= plan.rates.max() * (1 - 1e-9)))
    keep &= (step >= warm) & (plan.mass[step] > 0)
    if keep.sum() < 2:
        return None
    fall = anneal(plan)
    seen = windows(plan.mass[step[keep]], value[keep], fall[step[keep]])
    end = float(max(plan.mass[-1], seen.x[-1]))
    return outlook(seen, end, float(fall[-1]), distance=float(np.log2(final / here)), seed=seed)


def _plan(
    place: np.ndarray, rate: np.ndarray, schedule: Schedule | str | None, final: float, unit: str, notes: list[str]
) -> tuple[Schedule | None, list[str]]:
    """The schedule of the whole run as far as it is known, and what is assumed about it."""
    if schedule is not None:
        one = Schedule.from_text(schedule) if isinstance(schedule, str) else schedule
        if unit == "steps" and not 0.9 <= one.steps / final <= 1.1:
            raise ScheduleError(
                f"the schedule {one} has {one.steps} steps, but the run has {final:g}; give the schedule of the whole run"
            )
        return one, [f"the learning rate follows {one}"]
    known = np.isfinite(rate) & (rate > 0)
    if known.sum() < 2:
        return None, ["the learning rate is not logged: the rest of the run is like its past"]
    top = float(rate[known].max())
    first_top = int(np.argmax(known & (rate >= top * (1 - 1e-6))))
    last = float(rate[known][-1])
    if last >= (1 - FALLEN) * top:
        notes.append(
            f"the learning rate is still at its peak {top:.3g}; a decay later in the run lowers the loss further, by 2 to 6 "
            "percent in public runs: give --schedule to count it in"
        )
        return None, [AT_PEAK]
    guess = _recognised(place, rate, known, top, first_top, final)
    if guess is not None:
        return guess[0], [guess[1]]
    notes.append("the learning rate decays in a way that is not recognised; give --schedule for a better forecast")
    return None, ["the learning rate goes on as the loss curve itself suggests"]


def _recognised(
    place: np.ndarray, rate: np.ndarray, known: np.ndarray, top: float, first_top: int, final: float
) -> tuple[Schedule, str] | None:
    """A cosine or a straight line from the peak to the end of the run, where the logged rates lie on one."""
    share = 1.0 / 4096  # the schedule is rebuilt on so many steps
    falling = known & (np.arange(len(rate)) >= first_top)
    x, y = place[falling] / final, rate[falling] / top
    constant = y >= 1 - 1e-6
    begin = float(x[np.flatnonzero(constant)[-1]])
    starts = {begin, float(place[first_top] / final)}
    best: tuple[float, Schedule, str] | None = None
    for start in starts:
        t = np.clip((x - start) / max(1 - start, 1e-9), 0.0, 1.0)
        for name, shape in (("a cosine", 0.5 * (1 + np.cos(np.pi * t))), ("a straight line", 1 - t)):
            rest = 1 - shape
            end = float(np.clip(np.sum((y - shape) * rest) / np.sum(rest**2), 0.0, 1.0))
            miss = float(np.abs(shape + end * rest - y).max())
            if miss < 0.01 and (best is None or miss < best[0]):
                steps, first = round(1 / share), round(start / share)
                kind = "cosine" if name == "a cosine" else "linear"
                made = Schedule.wsd(top, steps=steps, decay_from=first, end=end * top, shape=kind)
                warm = round(float(place[first_top]) / final / share)
                rates = made.rates.copy()
                rates[:warm] = np.linspace(0.0, top, warm) if warm > 1 else rates[:warm]
                said = f"the learning rate goes on as {name} from {top:.3g} to {end * top:.2g} at the end, as it has so far"
                best = (miss, Schedule(rates), said)
    return None if best is None else best[1:]
