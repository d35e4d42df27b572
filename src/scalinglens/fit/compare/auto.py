"""`fit(runs, "auto")`: choose and pool laws for a table, using nothing but its rows.

One input that varies makes a curve, with a rule of its own (`fit/curves/rule.py`). For tables with a size and a length of
training, and possibly repeated data, experts or parallel streams, the candidates are the laws whose inputs are there and vary.
Each is fitted, forecasts the larger runs from earlier origins, and gets a share inverse to its squared error there; one whose
optimum is doubtful counts less, one below 10% is dropped. Each that was considered is listed with what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scalinglens.errors import FitError, RunsError, ScalingLensError
from scalinglens.fit.compare.growth import back_test
from scalinglens.fit.compare.pool import PooledFit, extents_of, skill_weights
from scalinglens.fit.curves.rule import FLAT, pool_curve
from scalinglens.fit.estimate import check_level
from scalinglens.fit.inputs import with_curve_input
from scalinglens.fit.result import Fit
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.domain import Domain
from scalinglens.laws.law import Law
from scalinglens.runs import Runs, read_runs

__all__ = ["auto_fit", "candidate_laws"]

SIZES = ("params", "params_nonembedding", "params_dense", "params_active")
LENGTHS = ("tokens", "examples", "steps", "epochs")
DOUBT = {"certified": 1.0, "at_bound": 1.0, "not_identified": 0.7, "not_converged": 0.3}  # factor on the share
LEAST_SHARE = 0.1  # a law whose share reaches the tail of an interval would set its end
SPARE = 2  # runs that a law needs beyond its parameters

_EXPERTS = "1/(1/(experts - 1 + 1/(1/Es - 1/Em)) + 1/Em)"  # the saturated number of experts of Clark et al. 2022
_REAL = Domain(-np.inf, np.inf)


def auto_fit(
    runs: Any,
    *,
    x: str | None = None,
    target: str | None = None,
    boot: int = 0,
    level: float = 0.9,
    seed: int = 0,
    groups: str | np.ndarray | None = None,
    weights: str | np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> PooledFit:
    """Pool the laws that forecast a table best.

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        x: column that a curve runs over, where the table has several that vary.
        target: column to forecast, by default `loss`.
        boot: draws for the intervals; none gives no intervals.
        level: of the intervals.
        seed: of starts and draws; same seed, same numbers.
        groups: column or labels whose groups are resampled whole.
        weights: column or one number per row.
        progress: called with (laws done, laws).
        options: of `fit`, for tables that are no curve: loss, delta, space, asymmetry, resample, starts.

    Returns:
        The `PooledFit`; its text says which laws were considered, their shares, and why.

    Raises:
        FitError: nothing varies, too few runs, or an option that concerns one law (pin, tie).
        RunsError: the table lacks a column that was named.

    Cost: half a second for a curve of sixty rows; a fit per candidate, two for those that stay, for a table.

    >>> runs = {"x": [1, 2, 4, 8, 16, 32, 64], "loss": [4.1, 3.4, 2.9, 2.55, 2.3, 2.12, 2.0]}
    >>> pool = auto_fit(runs)
    >>> 1.85 < pool.predict(x=128)["loss"].item() < 1.93
    True
    """
    _check(boot, level, seed, options)
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    goal = _goal(table, target)
    if x is not None or not _is_table(table):
        return _curve(table, x, goal, boot, level, seed, groups, weights, progress)
    names = candidate_laws(table)
    if not names:
        return _curve(table, x, goal, boot, level, seed, groups, weights, progress)
    used = {name for law in names.values() for name in law.inputs}
    table = table.complete(*sorted(used), goal)
    shared = {"target": goal, "level": level, "seed": seed, "weights": weights, **_plain(options)}
    fits, reasons = _fitted(table, names, shared, progress)
    if not fits:
        raise FitError(
            f"none of {len(names)} laws could be fitted to {table.origin}: "
            + "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        )
    points = {name: values for fit in fits.values() for name, values in fit.points.items()}
    extents = extents_of(tuple(points))
    tested = back_test(list(fits.values()), points, extents, seed=seed)
    ahead = tested.errors if tested is not None else np.full(len(fits), np.nan)
    scores = ahead if np.any(np.isfinite(ahead)) else np.array([_spread(fit) for fit in fits.values()])
    shares = skill_weights(scores) * np.array([DOUBT[fit.status] for fit in fits.values()])
    shares = shares / shares.sum()
    kept = shares >= min(LEAST_SHARE, shares.max())
    final = np.where(kept, shares, 0.0) / shares[kept].sum()
    members = [
        _again(table, fit, names[name], boot, groups, shared)
        for (name, fit), stays in zip(fits.items(), kept, strict=True)
        if stays
    ]
    growth = None
    if tested is not None:
        growth = tested.of(kept).growth(final[kept], "mean")
    rows = [
        {
            "law": name,
            "weight": float(w),
            "status": fit.status,
            "ahead": float(a),
            "reason": "" if stays else "forecasts worse than the others",
        }
        for (name, fit), w, a, stays in zip(fits.items(), final, ahead, kept, strict=True)
    ]
    rows += [
        {"law": name, "weight": 0.0, "status": "failed", "ahead": np.nan, "reason": r} for name, r in reasons.items()
    ]
    first = members[0]
    refusal = _no_trend(members)
    notes = [note for member in members for note in member.warnings if not note.startswith("intervals are refused")]
    if growth is None:
        notes.append("too few runs to forecast from earlier origins: the intervals show the laws' spread only")
    if refusal:
        notes.append(refusal)
    return PooledFit(
        members=tuple(members),
        weights=tuple(float(w) for w in final[kept]),
        how="mean",
        growth=growth,
        level=level,
        target=goal,
        points=points,
        observed=first.observed,
        link="",
        extents=extents,
        tried=tuple(rows),
        table=first.table,
        settings={
            "boot": boot,
            "seed": seed,
            "rule": "table",
            "decided": {
                "weights": "inverse squared errors ahead of earlier origins, less where the optimum is doubtful"
                if tested is not None
                else "scatter of the residuals, because no earlier origin leaves enough runs",
                "distance": " x ".join(extents),
            },
        },
        refusal=refusal,
        warnings=tuple(dict.fromkeys(notes)),
    )


def candidate_laws(table: Runs) -> dict[str, Law]:
    """Return the laws whose inputs the table has and varies, by name; none for a table without a size and a length.

    A law of the catalogue keeps its name where the columns are those it is written for; for others the same formula is
    written in the columns that are there.
    """
    size, length = _varying(table, SIZES), _varying(table, LENGTHS)
    experts, streams, unique = (_varies(table, name) for name in ("experts", "streams", "tokens_unique"))
    found: dict[str, Law] = {}
    if size and experts:
        clark = "exp(a*log({S}) + b*log({X}) + c*log({S})*log({X}) + d)"
        product = "E + A*{S}^(-a)*({X})^(-b)"
        split = "E + A*{S}^(-a) + B*({X})^(-b)*{S}^(-c)"
        typed = {"clark2022 (log-bilinear)": clark, "floor and product": product, "floor and two terms": split}
        for name, text in typed.items():
            signed = {"a": _REAL, "b": _REAL, "c": _REAL, "d": _REAL} if name.startswith("clark") else {}
            found[name] = _typed(text.format(S=size, X=_EXPERTS), signed)
    elif size and streams:
        found["parscale2025"] = _formed("parscale2025.pile", {"params_nonembedding": size})
        found["floor and two terms"] = _typed(f"E + A/{size}^alpha + B/streams^beta", {})
    elif size and length and unique and length == "tokens":
        found["muennighoff2023"] = _formed("muennighoff2023", {"params": size})
        found["hoffmann2022 + unique"] = _typed(f"E + A/{size}^alpha + B/{length}^beta + C/tokens_unique^gam", {})
        found["hoffmann2022"] = _typed(f"E + A/{size}^alpha + B/{length}^beta", {})
    elif size and length:
        found["hoffmann2022"] = _typed(f"E + A/{size}^alpha + B/{length}^beta", {})
        found["kaplan2020.L_ND"] = _typed(f"((Nc/{size})^(alphaN/alphaD) + Dc/{length})^alphaD", {})
        found["busbridge2025"] = _typed(f"E + (A*{size}^(-alpha) + B*{length}^(-beta))^gam", {})
        found["droppo2021"] = _typed(f"(L_inf^(1/a) + (Nc/{size})^(aN/a) + (Dc/{length})^(aD/a))^a", {})
        found["powers without floor"] = _typed(f"A/{size}^alpha + B/{length}^beta", {})
    return found


# ---- the parts --------------------------------------------------------------------------------------------------------


def _check(boot: int, level: float, seed: int, options: dict[str, Any]) -> None:
    if isinstance(boot, bool) or not isinstance(boot, int | np.integer) or boot < 0:
        raise FitError(f"boot is a number of draws, 0 or more, got {boot!r}")
    check_level(level)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise FitError(f"seed is a whole number, 0 or more, got {seed!r}")
    for name in ("pin", "tie"):
        if options.get(name):
            raise FitError(f"{name} concerns the parameters of one law, and auto pools several; name the law")


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options of `fit` that concern every law; intervals of a pool come from draws."""
    return {name: value for name, value in options.items() if name not in ("pin", "tie", "interval", "x")}


def _goal(table: Runs, target: str | None) -> str:
    if target is not None:
        table.column(target)  # says what is missing
        return target
    goal = next((name for name in ("loss", "error", "y") if name in table.columns or name in table.frame), None)
    if goal is None:
        known = ", ".join(table.columns)
        raise RunsError(f'{table.origin} has no column loss; name the one to forecast: target="..." (it has {known})')
    return goal


def _varies(table: Runs, name: str) -> bool:
    if name not in table.columns:
        return False
    values = table.column(name)
    values = values[np.isfinite(values)]
    return len(np.unique(values)) > 1


def _varying(table: Runs, names: Sequence[str]) -> str:
    return next((name for name in names if _varies(table, name)), "")


def _is_table(table: Runs) -> bool:
    """Whether two or more inputs vary that do not follow from each other."""
    if "x" in table.columns or not _varying(table, SIZES):
        return False
    if any(_varies(table, name) for name in ("experts", "streams")):
        return True
    size, length = _varying(table, SIZES), _varying(table, LENGTHS)
    if not length:
        return False
    pairs = np.log(np.stack([table.column(size), table.column(length)], axis=1).clip(1e-300))
    pairs = pairs[np.all(np.isfinite(pairs), axis=1)]
    return bool(len(pairs) > 2 and abs(np.corrcoef(pairs.T)[0, 1]) < 1 - 1e-9)


def _typed(text: str, domains: dict[str, Domain]) -> Law:
    return Law(text, text, domains=domains)


def _formed(name: str, columns: dict[str, str]) -> Law:
    """The form of a published law, written in the columns of the table."""
    found = find_law(name)
    if all(old == new for old, new in columns.items()):
        return replace(found, constants={}, tags={})
    text = found.formula
    for old, new in columns.items():
        text = text.replace(old, new)
    return replace(found, formula=text, constants={}, tags={}, about={})


def _curve(
    table: Runs,
    x: str | None,
    goal: str,
    boot: int,
    level: float,
    seed: int,
    groups: Any,
    weights: Any,
    progress: Callable[[int, int], None] | None,
) -> PooledFit:
    from scalinglens.fit.fit import _groups, _weights

    table = with_curve_input(table, find_law("alabdulmohsin2022.M2"), x, goal)
    table = table.complete("x", goal)
    rows = None if weights is None else _weights(table, weights)
    labels = None if groups is None else _groups(table, groups)
    return pool_curve(table, goal, boot=boot, level=level, seed=seed, groups=labels, weights=rows, progress=progress)


def _fitted(
    table: Runs, laws: dict[str, Law], shared: dict[str, Any], progress: Callable[[int, int], None] | None
) -> tuple[dict[str, Fit], dict[str, str]]:
    """Fits by name, and the reason for each law that has none."""
    from scalinglens.fit.fit import fit

    fits: dict[str, Fit] = {}
    reasons: dict[str, str] = {}
    for count, (name, law) in enumerate(laws.items()):
        if len(table) < len(law.parameters) + SPARE:
            reasons[name] = f"{len(table)} runs are too few for {len(law.parameters)} parameters"
            continue
        try:
            found = fit(table, replace(law, name=name), **shared)
        except ScalingLensError as problem:
            reasons[name] = str(problem)
            continue
        if np.all(np.isfinite(found.residuals)):
            fits[name] = found
        else:
            reasons[name] = "its predictions are not finite"
        if progress:
            progress(count + 1, len(laws))
    return fits, reasons


def _again(table: Runs, fit: Fit, law: Law, boot: int, groups: Any, shared: dict[str, Any]) -> Fit:
    """The fit with draws where they are wanted."""
    from scalinglens.fit.fit import fit as fit_law

    if not boot and groups is None:
        return fit
    return fit_law(table, replace(law, name=fit.law.name), boot=boot, groups=groups, **shared)


def _spread(fit: Fit) -> float:
    spare = max(len(fit.residuals) - len(fit.law.parameters), 1)
    return float(np.sqrt(np.sum(fit.residuals**2) / spare))


def _no_trend(members: Sequence[Fit]) -> str:
    """A sentence where a constant explains the runs as well as the best law does, or an empty string."""
    best = min(members, key=_spread)
    logs = np.log(best.observed) if best.ratios else best.observed
    flat = float(np.sum((logs - logs.mean()) ** 2))
    gain = 0.5 * len(logs) * np.log(max(flat, 1e-300) / max(float(np.sum(best.residuals**2)), 1e-300))
    if gain < FLAT * (len(best.law.parameters) - 1):
        return f"a constant explains the runs as well as {best.law.name} does (gain in log likelihood {gain:.2g}): no forecast"
    return ""
