"""`fit`: from a table of runs and a law to a certified fit with intervals."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalinglens.errors import FitError, did_you_mean
from scalinglens.fit.certificate import certify
from scalinglens.fit.covariance import absorbed_by_groups, coordinate_covariance
from scalinglens.fit.curves.schedule import curve_blocks, law_inputs
from scalinglens.fit.estimate import check_level
from scalinglens.fit.inputs import with_curve_input
from scalinglens.fit.objective import Design, Loss
from scalinglens.fit.profile import profile_intervals
from scalinglens.fit.result import REFUSED, Fit
from scalinglens.fit.search import search
from scalinglens.fit.uncertainty import RESAMPLES, bootstrap, jackknife, normal_draws
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.law import Law
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.runs import Runs, read_runs

__all__ = ["fit"]

INTERVALS = ("percentile", "bca", "profile", "delta")
NORMAL_DRAWS = 1000  # of the delta method, where no other number was asked for
FEW_SPARE = 5  # runs beyond the number of parameters below which intervals are known to be too narrow


def fit(
    runs: Any,
    law: str | Law,
    *,
    x: str | None = None,
    loss: str = "huber",
    delta: float = 1e-3,
    space: str = "log",
    asymmetry: float = 1.0,
    weights: str | np.ndarray | None = None,
    pin: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    target: str | None = None,
    boot: int = 0,
    groups: str | np.ndarray | None = None,
    resample: str = "parametric",
    interval: str = "percentile",
    level: float = 0.9,
    starts: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """Fit a law to training runs and certify the optimum.

    minimise over parameters: sum_rows w rho_delta( ln law(inputs) - ln loss )

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        law: name in the catalogue, or a formula; only the form of a published law is used, never its constants. "auto"
            pools the laws that forecast this table best, see `fit.compare.auto.auto_fit`.
        x: column that is the x of a one-variable law (`caballero2022`); needed where several columns vary.
        loss: "huber", "squares", "lad" (least absolute deviations) or "likelihood" (Huber's density, scale profiled out).
        delta: where Huber's loss turns linear, in units of the residual (of its scale for "likelihood").
        space: "log", "linear" or "log1p": residuals of ln loss, of loss, or of ln(1 + loss).
        asymmetry: factor on the penalty where the prediction lies above a run (10 follows the well-tuned runs).
        weights: name of a column, or one non-negative number per row.
        pin: parameter -> value that it is held at.
        tie: parameter -> formula in the others ("beta": "alpha").
        target: column to fit, by default the law's output, which is `loss` for most.
        boot: number of bootstrap refits (0: none). groups: column or labels of runs that share noise (checkpoints of a
            run, runs of a model size); every run has its own without it.
        resample: what each refit sees: the law with "parametric" noise of the estimated scale, growth and group share
            (best calibrated, see benchmarks/results/coverage.json); resampled "rows", or whole groups (asks nothing of the
            noise, and is what most papers do); the residuals with random signs ("wild").
        interval: "percentile", "bca", "profile" (profile likelihood) or "delta" (robust covariance); the last two need no
            boot.
        level: probability of the intervals.
        starts: independent starts, chosen by the law's difficulty by default.
        seed: of starts and resamples; same seed, same numbers, whatever the number of processors.
        progress: called with (starts done, starts) while searching, then with (refits done, refits).

    Returns:
        The `Fit`. Its `status` says whether the optimum is certified; it never raises for a fit that fails.

    Raises:
        FitError: the request cannot be carried out (fewer runs than parameters, unknown options, impossible weights).
        RunsError: the table lacks a column that the law needs.

    Cost: a few milliseconds for a few hundred runs, about 0.1 ms per bootstrap refit of a three-term law.

    Source: objective of Hoffmann et al. 2022, section D.2; solver in `numerics/newton.py`.
    """
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    if isinstance(law, str) and law.strip() == "auto":
        return _auto(table, locals())
    chosen = _form(law.strip() if isinstance(law, str) else law)
    if tie:
        chosen = chosen.with_ties(tie)
    if not chosen.inputs:
        known = ", ".join(table.columns)
        raise FitError(
            f"no name in the law {chosen.formula!r} is an input, so it cannot follow the runs"
            f"{next(filter(None, (did_you_mean(n, table.columns) for n in chosen.parameters)), '')}; the runs have {known}"
        )
    penalty = Loss(loss, delta, space, asymmetry)
    _check_options(boot, resample, interval, level, starts, seed)
    held = _pins(chosen, pin)
    goal = _target(table, chosen, target)
    table = with_curve_input(table, chosen, x, goal)
    table, inputs = law_inputs(table, chosen, goal)
    observed = table.column(goal)
    _check_values(table, chosen, inputs, goal, observed, space)
    free = [name for name in chosen.parameters if name not in held]
    if len(observed) < len(free):
        raise FitError(
            f"{len(observed)} runs cannot determine {len(free)} parameters ({', '.join(free)}); "
            f"add runs, pin parameters (--pin {free[0]}=VALUE), or take a law with fewer"
        )
    row_weights = _weights(table, weights)
    # a common factor of the weights changes the objective and nothing else: statistics see weights of mean one
    unit = float(row_weights.mean())
    design = Design.build(chosen, penalty, inputs, observed, row_weights / unit, held)

    with single_threaded_blas():
        found = search(design, starts=starts, seed=seed, progress=progress)
        status, certificate = certify(design, found)
        pieces = groups is None and chosen.scheduled
        labels = curve_blocks(table) if pieces else _groups(table, groups)
        draws, left_out, profile, covariance = np.empty((0, len(chosen.parameters))), None, None, None
        absorbed = absorbed_by_groups(design, found.u, labels)
        sound = bool(status not in REFUSED and free)
        if sound and interval in ("delta", "profile"):
            covariance = coordinate_covariance(design, found.u, labels)
            covariance = covariance if np.all(np.isfinite(covariance)) else None
        if sound and interval == "delta" and covariance is not None:
            draws = normal_draws(design, found.u, covariance, boot or NORMAL_DRAWS, seed)
        elif sound and boot:
            draws = bootstrap(design, found.u, labels, boot, seed, progress, resample)
            left_out = jackknife(design, found.u, labels) if interval == "bca" else None
        if sound and interval == "profile":
            errors = np.array([certificate.coordinate_errors.get(name, np.nan) for name in chosen.parameters])
            profile = profile_intervals(design, found.u, found.value, errors, level)

    natural = design.to_natural(found.u[None])[0]
    values = {name: float(v) for name, v in zip(chosen.parameters, natural, strict=True)}
    prediction = chosen.value(values, dict(zip(chosen.inputs, inputs, strict=True)))
    ratios = bool(np.all(observed > 0) and np.all(prediction > 0))
    residuals = np.log(prediction / observed) if ratios else prediction - observed
    scale = None
    if penalty.name == "likelihood":
        scale = float(penalty.scale(design.residuals(found.u[None]), design.weights[None])[0])
    certificate = replace(certificate, basins=tuple(replace(b, value=b.value * unit) for b in certificate.basins))
    return Fit(
        law=chosen,
        loss=penalty,
        status=status,
        values=values,
        pinned=tuple(held),
        certificate=certificate,
        value=found.value * unit,
        scale=scale,
        points=dict(zip(chosen.inputs, inputs, strict=True)),
        observed=observed,
        residuals=residuals,
        ratios=ratios,
        weights=row_weights,
        groups=labels,
        absorbed=absorbed,
        draws=draws,
        left_out=left_out,
        covariance=covariance,
        profile=profile,
        level=level,
        interval_method=interval,
        target=goal,
        table=table.described(),
        settings={
            "boot": boot,
            "groups": "pieces of curves" if pieces else _named(groups),
            "resample": resample,
            "seed": seed,
            "weights": weights if isinstance(weights, str) else None if weights is None else "given",
            "starts": starts,
            "tie": dict(tie or {}),
            "iterations": found.iterations,
        },
        warnings=_warnings(table, chosen, status, certificate.reasons, draws, boot, labels, goal)
        + (
            ("no intervals: the runs give no covariance of the parameters; use boot=1000",)
            if sound and interval == "delta" and covariance is None
            else ()
        )
        + (() if free else ("every parameter is pinned: nothing was fitted, the objective was evaluated",))
        + _few_spare(len(observed) - len(free), bool(boot or profile)),
    )


def _named(groups: str | np.ndarray | None) -> str | None:
    return groups if isinstance(groups, str) else None if groups is None else "given"


def _auto(table: Runs, options: dict[str, Any]) -> Any:
    """Hand over to the pool of laws; it calls `fit` for each of them."""
    from scalinglens.fit.compare.auto import auto_fit

    return auto_fit(table, **{name: value for name, value in options.items() if name not in ("runs", "law", "table")})


@functools.lru_cache(maxsize=64)
def _form(law: str | Law) -> Law:
    """The law without its published constants: only its form is fitted. It keeps the name it was asked for by."""
    found = find_law(law)
    return replace(found, name=law if isinstance(law, str) else law.name, constants={}, tags={})


def _check_options(boot: int, resample: str, interval: str, level: float, starts: int | None, seed: int) -> None:
    if isinstance(boot, bool) or not isinstance(boot, int | np.integer) or boot < 0:
        raise FitError(f"boot is a number of refits, 0 or more, got {boot!r}")
    if interval not in INTERVALS:
        raise FitError(
            f'unknown interval "{interval}"{did_you_mean(interval, INTERVALS)}; known are {", ".join(INTERVALS)}'
        )
    if resample not in RESAMPLES:
        raise FitError(
            f'unknown resample "{resample}"{did_you_mean(resample, RESAMPLES)}; known are {", ".join(RESAMPLES)}'
        )
    if interval == "bca" and not boot:
        raise FitError("bca intervals come from bootstrap draws; add boot=1000")
    check_level(level)
    least = math.ceil(2 / (1 - level) - 1e-9)  # one draw beyond each end
    if 0 < boot < least:
        raise FitError(
            f"boot={boot} does not show the ends of a {level:.0%} interval; ask for {least} at least, 1000 is good"
        )
    if starts is not None and (not isinstance(starts, int) or starts < 1):
        raise FitError(f"starts is a positive whole number, got {starts!r}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise FitError(f"seed is a whole number, 0 or more, got {seed!r}")


def _pins(law: Law, pin: Mapping[str, float] | None) -> dict[str, float]:
    held = {}
    for name, value in (pin or {}).items():
        if name not in law.parameters:
            known = ", ".join(law.parameters)
            raise FitError(
                f'the law has no parameter "{name}" to pin{did_you_mean(name, law.parameters)}; it has {known}'
            )
        if not isinstance(value, int | float | np.number) or not math.isfinite(value) or value not in law.domain(name):
            raise FitError(
                f"{name} cannot be pinned at {value!r}: its domain is {law.domain(name)}; give a number inside it"
            )
        held[name] = float(value)
    return held


def _target(table: Runs, law: Law, target: str | None) -> str:
    """The column to fit: the one asked for, the law's output, or `loss` for laws of any one-variable curve."""
    goal = target or law.output
    if target is None and goal not in table.columns and goal in ("y", "error") and "loss" in table.columns:
        goal = "loss"
    if goal in law.inputs:
        raise FitError(f'"{goal}" is an input of the law {law.formula!r} and cannot be what it is fitted to')
    return goal


def _check_values(
    table: Runs, law: Law, inputs: tuple[np.ndarray, ...], goal: str, observed: np.ndarray, space: str
) -> None:
    for name, values in zip((*law.inputs, goal), (*inputs, observed), strict=True):
        positive = space == "log" if name == goal else law.signs[name] > 0
        if positive and np.any(values <= 0):
            row = int(np.argmax(values <= 0))
            raise FitError(
                f"column {name} of {table.origin} is {values[row]:g} in {int(np.sum(values <= 0))} runs, first at run {row}; "
                f'it must be positive; drop them with where="{name} > 0"'
                + (' or fit in space="linear"' if name == goal else "")
            )


def _weights(table: Runs, weights: str | np.ndarray | None) -> np.ndarray:
    if weights is None:
        return np.ones(len(table))
    array = table.column(weights) if isinstance(weights, str) else np.asarray(weights, dtype=float)
    if array.shape != (len(table),):
        raise FitError(f"there are {len(table)} runs but {array.size} weights; give one weight per run")
    if not np.all(np.isfinite(array)) or np.any(array < 0) or not np.any(array > 0):
        bad = int(np.argmax(~(np.isfinite(array) & (array >= 0))))
        raise FitError(f"weights must be finite, not negative and not all zero; weight {bad} is {array[bad]:g}")
    return array


def _groups(table: Runs, groups: str | np.ndarray | None) -> np.ndarray:
    if groups is None:
        return np.arange(len(table))
    labels = table.labels(groups) if isinstance(groups, str) else np.asarray(groups)
    if labels.shape != (len(table),):
        raise FitError(f"there are {len(table)} runs but {labels.size} group labels; give one per run")
    if labels.dtype == object:  # a mixture of kinds has no order of its own
        labels = labels.astype(str)
    numbers = np.unique(labels, return_inverse=True)[1]
    if int(numbers.max()) < 1:
        raise FitError(
            f"all {len(table)} runs belong to one group ({labels[0]}), so there is nothing to resample; "
            "name other groups, or none"
        )
    return numbers


def _few_spare(spare: int, intervals: bool) -> tuple[str, ...]:
    if not intervals or spare >= FEW_SPARE:
        return ()
    return (f"only {spare} more runs than parameters: the intervals are too narrow",)


def _warnings(
    table: Runs,
    law: Law,
    status: str,
    reasons: tuple[str, ...],
    draws: np.ndarray,
    boot: int,
    labels: np.ndarray,
    goal: str,
) -> tuple[str, ...]:
    found = list(table.warnings)
    found += [f"{status}: {reason}" for reason in reasons]
    if goal != law.output:
        found.append(f"the law's output {law.output} is fitted to column {goal}")
    if boot and status in REFUSED:
        found.append(f"intervals are refused, because the fit is {status}")
    failed = int(np.sum(~np.all(np.isfinite(draws), axis=1))) if len(draws) else 0
    if failed:
        found.append(f"{failed} of {len(draws)} bootstrap refits did not converge and are left out of the intervals")
    count = int(labels.max()) + 1
    if boot and count < 10:
        found.append(f"only {count} groups are resampled; intervals from so few are too narrow")
    return tuple(found)
