"""Learning-rate schedules: the loss at the end of each usual shape under a law over whole schedules, and the best decay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, ScheduleError, did_you_mean
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule, series
from scalinglens.fit.estimate import Estimate
from scalinglens.fit.result import REFUSED, Fit
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.schedule import Schedule
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, share
from scalinglens.plan.questions.own import constants_of, numbers_of
from scalinglens.plan.questions.ranges import decades

__all__ = ["schedule"]

_TOLERANCE = 1e-3  # of the loss, for the range of decay shares that are nearly as good
_DECAYS = ("linear", "sqrt", "cosine", "exponential")
_TRIED = 11  # decay shares of the first grid
_LAM = 0.999  # of tissue2024, whose paper uses 0.99 to 0.999
_OTHERS = ("luo2025_mpl.curve_25m", "luo2025_mpl.curve_100m", "luo2025_mpl", "tissue2024")

_MISSES = (
    "laws over schedules miss the end of a decay they were not fitted to by up to 1% (fitted to three curves of luo2025_mpl: "
    "WSD 2.709, measured 2.725), which the intervals do not hold"
)

Loss = Callable[[Schedule], Estimate]


def schedule(
    *,
    steps: Amount,
    peak: float = 3e-4,
    end_share: float = 0.1,
    warmup: int = 0,
    decay: str = "linear",
    decay_shares: str = "0.05,0.1,0.2,0.4",
    source: Any = "luo2025_mpl",
    constants: str = "",
) -> Plan:
    """Compare learning-rate schedules by the loss at the last step, and find the best share of steps to decay over.

    constant; cosine, linear; warm-up, stable, decay (WSD) with the decay over a share of the steps

    Args:
        steps: of training; give more than the runs of the source had for the loss at a future step.
        peak: learning rate after the warm-up.
        end_share: last learning rate over the peak, from 0.
        warmup: steps of the linear warm-up.
        decay: shape of the decay of WSD: linear, sqrt, cosine or exponential.
        decay_shares: shares of the steps to show, with commas.
        source: law over schedules, or a saved fit of one to your curves.
        constants: of the law, NAME=NUMBER with commas, such as lam=0.999 for tissue2024.

    Returns:
        loss[...] of each schedule, decay_share and loss[best]; the range of shares within 0.1% of the best loss.

    Raises:
        PlanError: no law over schedules, or one that lacks constants. ScheduleError: impossible schedules.

    Cost: about 100 evaluations of the law at one step each, half a minute at 100,000 steps.

    Source: Luo et al. 2025 (arXiv 2503.12811), Tissue et al. 2024 (arXiv 2408.11029).

    >>> found = schedule(steps=10000, decay_shares="0.2")
    >>> [f"{found.answer[f'loss[{name}]'].value:.4f}" for name in ("constant", "wsd 20%")]
    ['2.7832', '2.6785']
    """
    given = read(steps=steps, peak=peak)
    count = round(given["steps"])
    given["steps"] = float(count)
    low = share("end_share", end_share, open_high=False) * peak
    if decay not in _DECAYS:
        raise PlanError(f'there is no decay "{decay}"{did_you_mean(decay, _DECAYS)}; there are {", ".join(_DECAYS)}')
    if decay == "exponential" and low == 0:
        raise PlanError("an exponential decay never reaches zero; give end_share=0.1, or another decay")
    shown = [
        share("a share of decay_shares", s, open_low=True, open_high=False)
        for s in numbers_of("decay_shares", decay_shares)
    ]
    name, loss, warnings, far, laws = _loss(source, constants, count, peak)

    def wsd(part: float) -> Schedule:
        first = min(max(count - round(part * count), warmup), count)
        return Schedule.wsd(peak, steps=count, decay_from=first, end=low, shape=decay, warmup=warmup)

    whole: dict[str, Schedule] = {
        "constant": Schedule.constant(peak, steps=count, warmup=warmup),
        "cosine": Schedule.cosine(peak, steps=count, end=low, warmup=warmup),
        "linear": Schedule.linear(peak, steps=count, end=low, warmup=warmup),
    }
    whole |= {f"wsd {100 * s:.3g}%": wsd(s) for s in shown}
    losses = {text: loss(one) for text, one in whole.items()}
    best, known, at = _best_share(lambda s: loss(wsd(s)).value, count, warmup)
    near = _near(at, round(best * count), count, count - warmup)
    tried = np.array(sorted(known))
    values = np.array([known[k] for k in tried.tolist()])
    least = loss(wsd(best))
    answer: dict[str, Estimate] = {f"loss[{text}]": e for text, e in losses.items()}
    answer |= {"decay_share": Estimate(best), "loss[best wsd]": least}
    others: dict[str, dict[str, float]] = {}
    if not isinstance(source, Fit) and not str(source).endswith(".json"):
        for other in _OTHERS:
            if find_law(other, unverified=True).name == name:
                continue
            curve = _loss(other, "", count, peak)[1]
            others[other] = {
                "decay_share": _best_share(lambda s, curve=curve: curve(wsd(s)).value, count, warmup, fine=100)[0]
            }
        laws += [name for name in ("tissue2024",) if name in others]  # the others are luo2025_mpl at other sizes
    winner = min(losses, key=lambda text: losses[text].value)
    told = f"best of those shown: {winner}; best WSD decays over {best:.0%} of the steps to a loss of {least.value:.4f}"
    if best > 0.98:
        told += ", that is over all of them"
    return answered(
        "schedule",
        source=name,
        given={**given, "end_share": end_share, "warmup": warmup, "decay": decay},
        answer=answer,
        laws=laws,
        spread=others,
        near_optimal={"tolerance": _TOLERANCE, "decay_share": near},
        extrapolation_decades=far,
        assumptions=(told, "the same peak and the same data for every schedule; the loss is that of the last step"),
        warnings=warnings,
        figure=_figure(name, whole, wsd(best), tried / count, values, losses, count),
    )


def _loss(
    source: Any, constants: str, steps: int, peak: float
) -> tuple[str, Loss, list[str], dict[str, float], list[str]]:
    """Name, loss of a schedule at its last step, warnings, decades beyond the runs, names for citation."""
    if isinstance(source, Path) or (isinstance(source, str) and source.strip().endswith(".json")):
        source = Fit.load(source)
    if isinstance(source, Fit):
        law = source.law
        if source.status in REFUSED:
            raise PlanError(f"no comparison, because the fit is {source.status}: {source.refusal}; add schedules to it")
    else:
        law = find_law(source, unverified=True) if isinstance(source, str) else source
    if not law.scheduled or set(law.inputs) != {"steps", "schedule"}:
        raise PlanError(
            f"{law.name} is no law over a learning-rate schedule alone; take luo2025_mpl or tissue2024, or a saved fit of one"
        )
    at = steps - 1
    if isinstance(source, Fit):
        fitted = source

        def predicted(one: Schedule) -> Estimate:
            frame = fitted.predict(steps=at, schedule=one, noise=False)
            value, low, high = (float(frame[column].iloc[0]) for column in (fitted.target, "low", "high"))
            if not np.isfinite(low):
                return Estimate(value)
            return Estimate(value, low, high, fitted.level, "percentile")

        seen = np.asarray(fitted.points["steps"], dtype=float)
        far = {"steps": max(0.0, float(np.log10(at / seen.max())))}
        return law.name, predicted, [*fitted.warnings, _MISSES], far, []
    values = {**law.constants, **constants_of(constants)}
    warnings = [f"{law.name} was fitted to other people's runs; fit two or three short schedules of your own"]
    if "lam" in law.parameters and "lam" not in values:
        values["lam"] = _LAM
        warnings.append(f"lam of {law.name} is taken as {_LAM:g}: the paper gives 0.99 to 0.999 and no one value")
    missing = [name for name in law.parameters if name not in values]
    if missing:
        raise PlanError(f"{law.name} has no value for {', '.join(missing)}; give constants={missing[0]}=...")
    unknown = [name for name in values if name not in law.parameters]
    if unknown:
        raise PlanError(
            f'{law.name} has no parameter "{unknown[0]}"{did_you_mean(unknown[0], law.parameters)}; '
            f"it has {', '.join(law.parameters)}"
        )
    far: dict[str, float] = {}
    if law.name.startswith("luo2025_mpl"):
        warnings.append(
            "its printed constants miss single points of the public curves by up to 1% (a cosine of 24,000 steps ends at 2.740, "
            "not 2.757), as much as the schedules shown differ: trust the shape, not the third digit"
        )
        far = decades(law.name, steps=steps, peak=peak)
        if far["peak"] > 0.1:
            warnings.append(
                "luo2025_mpl was fitted at one peak, 3e-4; it does not know what a larger one does to stability"
            )

    def computed(one: Schedule) -> Estimate:
        return Estimate(float(np.ravel(law.value(values, {"steps": at, "schedule": one}))[0]))

    if law.name.startswith("tissue2024"):
        warnings.append("tissue2024 is linear in what the decay anneals, so its best decay runs late and to zero")
    return law.name, computed, warnings, far, [law.name]


def _best_share(
    loss: Callable[[float], float], steps: int, warmup: int, *, fine: int = 1000
) -> tuple[float, dict[int, float], Callable[[float], float]]:
    """The best decay share, the losses tried by number of decaying steps, and the loss by number of decaying steps.

    A grid, even in the logarithm, then ever smaller neighbourhoods of its best point, down to steps/fine or a step.
    """
    most = steps - warmup
    if most < 2:
        raise ScheduleError(f"{steps} steps with a warm-up of {warmup} leave nothing to decay over; give more steps")
    known: dict[int, float] = {}

    def at(steps_of_decay: float) -> float:
        k = min(max(round(steps_of_decay), 1), most)
        if k not in known:
            known[k] = loss(k / steps)
        return known[k]

    grid = [int(k) for k in np.unique(np.geomspace(max(steps / 500, 1), most, _TRIED).round())]
    if min(grid, key=at) == grid[0] > 1:
        grid = [1, *grid]
    i = min(range(len(grid)), key=lambda i: at(grid[i]))
    low, high = grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]
    while high - low > max(2, steps / fine):  # ternary search in whole steps
        first, second = low + (high - low) // 3, high - (high - low) // 3
        if at(first) <= at(second):
            high = second
        else:
            low = first
    for k in range(low, high + 1) if high - low <= 2 else ():
        at(k)
    return min(known, key=known.__getitem__) / steps, known, at


def _near(at: Callable[[float], float], best: int, steps: int, most: int) -> tuple[float, float]:
    """The least and the largest decay share with a loss within the tolerance, to a thousandth of the steps."""
    bar = at(best) * (1 + _TOLERANCE)

    def edge(inside: int, outside: int) -> int:
        if at(outside) <= bar:
            return outside
        while abs(outside - inside) > max(1, steps // 1000):
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if at(middle) <= bar else (inside, middle)
        return inside

    return edge(best, 1) / steps, edge(best, most) / steps


def _figure(
    name: str,
    whole: dict[str, Schedule],
    best: Schedule,
    tried: np.ndarray,
    values: np.ndarray,
    losses: dict[str, Estimate],
    steps: int,
) -> Figure:
    at = np.unique(np.linspace(0, steps - 1, 201).round().astype(int))
    main = [text for text in ("constant", "cosine", "linear") if text in whole]
    shapes = tuple(Line(at, whole[text].rates[at], series(i), 1.4, label=text) for i, text in enumerate(main))
    shapes += (Line(at, best.rates[at], ACCENT, 1.8, label="best wsd"),)
    rules = (Rule(losses["cosine"].value, "y", MUTED, "dotted", "cosine"),)
    return Figure(
        f"Schedules under {name}",
        (
            Panel("Learning rate", Axis("step", format="engineering"), Axis("learning rate"), shapes),
            Panel(
                "Loss of WSD at the last step",
                Axis("share of steps that decay", "log"),
                Axis("loss"),
                (Line(tried, values, ACCENT, 1.8), *rules),
            ),
        ),
    )
