"""`isoflop`: from runs of equal compute to the compute-optimal frontier, without a law of the loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalinglens.errors import FitError, did_you_mean
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.fit.isoflop.budgets import Budget, budgets_of
from scalinglens.fit.isoflop.envelope import envelope_optima
from scalinglens.fit.isoflop.optima import Optimum, akima_optimum, bend_of, parabola_optimum, scatter_of
from scalinglens.fit.isoflop.result import IsoFlop
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.runs import Runs, read_runs

__all__ = ["isoflop"]

METHODS = ("akima", "parabola", "envelope")
_BEND = 3.0  # standard errors by which the losses of all budgets must bend upwards: noise does so once in 700 tables
_LEAST = 3  # budgets for a frontier
_ENVELOPE = 200  # budgets at which training curves are compared
_WIDE = 1.0  # ln of the sizes' range to one side of the optimum, relative to the other side, that biases a parabola


def isoflop(
    runs: Any,
    method: str = "akima",
    *,
    budgets: str | np.ndarray | None = None,
    noise: float | str | None = None,
    draws: int = 1000,
    near: float = 1e-3,
    weighted: bool | None = None,
    size: str = "params",
    target: str = "loss",
    tolerance: float = 0.05,
    level: float = 0.9,
    seed: int = 0,
) -> IsoFlop:
    """Find the best size of each compute budget, and the power law that these follow.

    size*(C) = argmin over sizes of loss at compute C;   ln size* = const + a ln C

    Args:
        runs: `Runs`, or anything `read_runs` takes, with compute (`flops`), size, tokens and loss.
        method: "akima" interpolates ln loss over ln size; "parabola" fits one to loss over ln size; "envelope" compares
            training curves (several rows per size) at common compute.
        budgets: column of compute, by default `flops`; or the budgets themselves, FLOPs [budgets].
        noise: standard deviation of a single loss, a number or a column; by default what cubics in ln size leave over.
            Resamples of sizes take its place for the envelope.
        draws: of noise (0: no intervals).
        near: relative tolerance of the near-optimal range of sizes.
        weighted: whether budgets count by the inverse square of the error of their optimum; by default for "akima" only, as
            published. An optimum is never taken to be better known than to a third of the spacing of sizes.
        size, target: columns.
        tolerance: relative difference up to which compute is one budget, and sizes are one size.
        level: probability of intervals.
        seed: of the draws.

    Returns:
        The `IsoFlop`. Each budget has a status; without three good ones there are no exponents, and it says why.

    Raises:
        FitError: no two runs share a budget, or options are impossible.
        RunsError: a column is missing.

    Cost: draws x 25 x sizes per budget, milliseconds.

    Source: Porian et al. 2024 (akima), Hoffmann et al. 2022 (parabola: approach 2; envelope: approach 1). A parabola is
        biased where sizes are not centred on the optimum or alpha differs from beta: compare with a law.

    >>> size, flops = map(np.ravel, np.meshgrid(10.0 ** np.arange(6, 10, 0.25), 10.0 ** np.arange(17, 21)))
    >>> loss = 1.8 + 400 / size**0.34 + 2000 / (flops / 6 / size) ** 0.34
    >>> round(isoflop({"params": size, "flops": flops, "loss": loss}, draws=0).a.value, 2)
    0.5
    """
    _check_options(method, noise, draws, near, tolerance, level, seed)
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    column = budgets if isinstance(budgets, str) else "flops"
    given = None if budgets is None or isinstance(budgets, str) else _given(budgets)
    spread = noise if isinstance(noise, str) else None
    table = table.complete(column, size, "tokens", target, *([spread] if spread else []))
    for name in (column, size, "tokens", target):
        values = table.column(name)
        if np.any(values <= 0):
            row = int(np.argmax(values <= 0))
            raise FitError(
                f"column {name} of {table.origin} is {values[row]:g} at run {row}; it must be positive; drop such runs "
                f'with where="{name} > 0"'
            )
    scatter = bend = float("nan")
    if method == "envelope":
        optima, warnings = envelope_optima(
            table, column=column, given=given, size=size, target=target, count=_ENVELOPE, draws=draws, near=near,
            level=level, seed=seed,
        )  # fmt: skip
    else:
        found, warnings = budgets_of(
            table, column=column, given=given, size=size, target=target, noise=spread, tolerance=tolerance
        )
        scatter = float(noise) if isinstance(noise, int | float) else scatter_of(found)
        if draws and spread is None and math.isnan(scatter):
            warnings += (
                "the noise of single losses cannot be told from these runs, so there are no intervals; give noise=",
            )
        bend = bend_of(found, scatter)
        optima = _optima(method, found, scatter, draws, near, level, seed)
        warnings += _off_centre(optima) if method == "parabola" else ()
    weighted = method == "akima" if weighted is None else weighted
    lines, drawn = _frontier(optima, weighted)
    status = "too_few_budgets" if lines is None else "no_bend" if bend < _BEND else "ok"
    if status == "no_bend":
        lines, drawn = None, drawn[:0]
    a, b = (_exponent(lines, drawn, k, level) for k in (2, 4))
    return IsoFlop(
        method=method,
        size=size,
        status=status,
        optima=optima,
        a=a,
        b=b,
        lines=lines,
        drawn=drawn,
        noise=scatter,
        near=near,
        level=level,
        table=table.described(),
        settings={
            "budgets": column if given is None else given.tolist(),
            "noise": noise,
            "draws": draws,
            "weighted": weighted,
            "tolerance": tolerance,
            "seed": seed,
        },
        warnings=(*table.warnings, *warnings),
    )


def _optima(
    method: str, found: tuple[Budget, ...], scatter: float, draws: int, near: float, level: float, seed: int
) -> tuple[Optimum, ...]:
    rng = np.random.default_rng(seed)
    one = akima_optimum if method == "akima" else parabola_optimum
    optima = []
    for budget in found:
        deviation = budget.noise if budget.noise is not None else np.full(len(budget.sizes), scatter)
        known = draws if np.all(np.isfinite(deviation)) and np.any(deviation > 0) else 0
        added = deviation * rng.normal(size=(known, len(budget.sizes)))
        optima.append(one(budget, added, near, level))
    return tuple(optima)


def _frontier(
    optima: tuple[Optimum, ...], weighted: bool
) -> tuple[tuple[float, float, float, float, float] | None, np.ndarray]:
    """Lines through ln size and ln tokens over ln compute, and the same under every draw [draws, 4]."""
    good = [o for o in optima if o.size is not None and o.tokens is not None]
    if len(good) < _LEAST:
        return None, np.empty((0, 4))
    x = np.log([o.flops for o in good])
    weights = np.array([o.error for o in good]) ** -2.0 if weighted else np.ones(len(good))
    middle = float(np.average(x, weights=weights))
    values = np.log([[o.size.value, o.tokens.value] for o in good if o.size and o.tokens]).T
    n, a = _line(x - middle, values[:1], weights)[0]
    d, b = _line(x - middle, values[1:], weights)[0]
    count = min(len(o.draws) for o in good)
    drawn = np.empty((0, 4))
    if count:
        sizes, tokens = (np.stack([getattr(o, name) for o in good], axis=1) for name in ("draws", "token_draws"))
        drawn = np.concatenate([_line(x - middle, sizes, weights), _line(x - middle, tokens, weights)], axis=1)
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
    return (middle, float(n), float(a), float(d), float(b)), drawn


def _line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted regressions of each row of y [k, n] on x [n]: value at zero and slope [k, 2]; NaN with too few points."""
    w = np.where(np.isfinite(y), weights, 0.0)
    y = np.where(np.isfinite(y), y, 0.0)
    total = w.sum(axis=1)
    with np.errstate(all="ignore"):
        centre = (w @ x) / total
        deviation = x - centre[:, None]
        slope = (w * deviation * y).sum(axis=1) / (w * deviation**2).sum(axis=1)
        value = (w * y).sum(axis=1) / total - slope * centre
    found = np.stack([value, slope], axis=1)
    found[(w > 0).sum(axis=1) < _LEAST] = np.nan
    return found


def _exponent(lines: tuple[float, ...] | None, drawn: np.ndarray, k: int, level: float) -> Estimate | None:
    if lines is None:
        return None
    if len(drawn) < 2 / (1 - level):
        return Estimate(lines[k])
    low, high = percentile_interval(drawn[:, k - 1], level)
    return Estimate(lines[k], float(low), float(high), level, "percentile")


def _off_centre(optima: tuple[Optimum, ...]) -> tuple[str, ...]:
    """Warn where the sizes of many budgets lie mostly to one side of the optimum, which shifts the vertex."""
    sides = [
        math.log(o.largest / o.size.value) - math.log(o.size.value / o.smallest) for o in optima if o.size is not None
    ]
    off = sum(abs(side) > _WIDE for side in sides)
    if 2 * off <= len(sides):
        return ()
    return (
        f"in {off} of {len(sides)} budgets the sizes reach much farther to one side of the optimum than to the other; a "
        'parabola is biased there: compare with method="akima" and with a law',
    )


def _given(budgets: Any) -> np.ndarray:
    try:
        array = np.asarray(budgets, dtype=float)
    except (TypeError, ValueError):
        raise FitError(f"budgets is a column or FLOPs, got {budgets!r:.60}") from None
    if array.ndim != 1 or not len(array) or not np.all(np.isfinite(array) & (array > 0)):
        raise FitError(f"budgets are positive finite FLOPs, one after the other, got {budgets!r:.60}")
    return array


def _check_options(
    method: str, noise: float | str | None, draws: int, near: float, tolerance: float, level: float, seed: int
) -> None:
    if method not in METHODS:
        raise FitError(f'unknown method "{method}"{did_you_mean(str(method), METHODS)}; known are {", ".join(METHODS)}')
    number = isinstance(noise, int | float) and math.isfinite(noise) and noise >= 0
    if not (noise is None or isinstance(noise, str) or number):
        raise FitError(f"noise is a standard deviation of the loss, 0 or more, or a column; got {noise!r}")
    for name, value in (("draws", draws), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise FitError(f"{name} is a whole number, 0 or more, got {value!r}")
    for name, value in (("near", near), ("tolerance", tolerance)):
        if not isinstance(value, int | float) or not 0 < value < 1:
            raise FitError(f"{name} is a fraction between 0 and 1, got {value!r}")
    check_level(level)
    least = math.ceil(2 / (1 - level) - 1e-9)
    if 0 < draws < least:
        raise FitError(f"draws={draws} do not show the ends of a {level:.0%} interval; ask for {least} at least")
