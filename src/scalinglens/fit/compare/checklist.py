"""The checklist of Li et al. 2025 ("(Mis)Fitting", arXiv 2502.18969) as checks: what a reader must be told, and is it well?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from scalinglens.fit.compare.check import Answer, Check, checked
from scalinglens.fit.compare.shape import Shape
from scalinglens.fit.result import Fit
from scalinglens.quantities import QUANTITIES, format_quantity
from scalinglens.runs.checks import exact_duplicates
from scalinglens.runs.table import SIZES

__all__ = ["checklist"]

MISFITTING = "Li et al. 2025, checklist: {}"
DECADES = 1.0  # that each input should span; an exponent from less is one of the noise
OFF_DIAGONAL = 0.5  # decades of tokens per parameter; less and the two exponents are one
KNOWN_FLOOR = 0.1  # standard error of ln E above which the floor is not visible
SEED_SPREAD = 0.035  # relative, between runs that differ in their seed only
FLOPS_FACTOR = 1.5  # between measured compute and 6 N D
RATES = 3  # learning rates per setting that make a sweep
MOST_DROPPED = 0.1  # share of the rows

Rule = Callable[[Shape, Fit | None, Mapping[str, float]], Answer]


def checklist(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> list[Check]:
    """Return the checks of the list, in its order."""
    rules: tuple[tuple[Rule, str], ...] = (
        (_law, "form of the law"), (_rows, "data points used and excluded"), (_counting, "how parameters are counted"),
        (_compute, "how compute is counted"), (_size_range, "range of sizes"), (_length_range, "range of tokens"),
        (_off_diagonal, "ratio of tokens to parameters"), (_duplicates, "how points are collected"),
        (_seeds, "repeats"), (_policy, "checkpoints or final losses"), (_rates, "hyper-parameters tuned per size"),
        (_objective, "objective"), (_starts, "optimiser and initialisation"), (_optimum, "optimiser and initialisation"),
        (_floor, "form of the law"), (_intervals, "uncertainty"), (_held_out, "validation on held-out runs"),
    )  # fmt: skip
    return [checked(rule(shape, fit, scores), MISFITTING.format(words)) for rule, words in rules]


def _law(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    if fit is None:
        return "law stated", None, None, None, "needs a fit"
    free = len(fit.law.parameters) - len(fit.pinned)
    spare = len(fit.observed) - free
    says = f"{fit.target} = {fit.law.formula}; {free} free parameters, {len(fit.observed)} runs"
    return "law stated", spare >= free, spare, free, says


def _rows(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    runs = shape.runs
    gone = sum(item.count for item in runs.dropped)
    share = gone / max(runs.rows_read, 1)
    why = "; ".join(f"{item.count}: {item.reason}" for item in runs.dropped)
    says = f"{len(runs)} of {runs.rows_read} rows used" + (f" ({why})" if why else "")
    return "rows used", share <= MOST_DROPPED, share, MOST_DROPPED, says


def _counting(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "counting convention"
    if not shape.size:
        return name, None, None, None, "the table has no column of sizes"
    measured = [s for s in SIZES if s in shape.runs.columns and shape.runs.columns[s].how != "derived"]
    if not measured:
        return (
            name,
            False,
            0.0,
            1.0,
            f"{shape.size} is {shape.runs.columns[shape.size].says().split(' <- ')[1]}, not counted",
        )
    told = ", ".join(f"{s} ({QUANTITIES[s].description})" for s in measured)
    explicit = len(measured) > 1 or measured[0] != "params"
    rest = "" if explicit else "; with or without embeddings is not told, and moves exponents by up to 0.13"
    return name, (True if explicit else None), len(measured), 1.0, told + rest


def _compute(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "compute convention"
    runs = shape.runs
    if "flops" not in runs.columns or runs.columns["flops"].how == "derived" or shape.length != "tokens":
        return name, None, None, FLOPS_FACTOR, "compute is not measured beside size and tokens"
    if runs.columns["tokens"].how == "derived" or not shape.size:
        return name, None, None, FLOPS_FACTOR, "tokens are derived from compute"
    ratio = runs.column("flops") / (6 * runs.column(shape.size) * runs.column("tokens"))
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not len(ratio):
        return name, None, None, FLOPS_FACTOR, "no row has compute, size and tokens"
    worst = float(np.exp(np.max(np.abs(np.log(ratio)))))
    return name, worst <= FLOPS_FACTOR, worst, FLOPS_FACTOR, f"measured compute is within a factor {worst:.3g} of 6 N D"


def _decades(name: str, values: np.ndarray, what: str) -> Answer:
    if not len(values):
        return name, None, None, DECADES, f"the table has no column of {what}"
    span = float(np.log10(values.max() / values.min()))
    ends = f"{format_quantity(float(values.min()))} to {format_quantity(float(values.max()))}"
    return name, span >= DECADES, span, DECADES, f"{what} from {ends}: {span:.2g} decades"


def _size_range(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    return _decades("range of sizes", shape.values(shape.size), shape.size or "sizes")


def _length_range(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    return _decades("range of lengths", shape.values(shape.length), shape.length or "tokens")


def _off_diagonal(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "tokens per parameter"
    N, D = shape.pairs()
    if len(N) < 2:
        return name, None, None, OFF_DIAGONAL, "needs sizes and lengths"
    low, high = np.quantile(np.log10(D / N), [0.05, 0.95])
    span = float(high - low)
    rest = "" if span >= OFF_DIAGONAL else "; alpha and beta cannot be told apart, add runs off the diagonal"
    return (
        name,
        span >= OFF_DIAGONAL,
        span,
        OFF_DIAGONAL,
        f"{shape.length}/{shape.size} varies over {span:.2g} decades{rest}",
    )


def _duplicates(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    count = int(np.sum(exact_duplicates(shape.runs.frame)))
    rest = "; they count twice, drop them with duplicates='drop'" if count else ""
    return "duplicates", count == 0, count, 0.0, f"{count} rows repeat an earlier one in every column{rest}"


def _seeds(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "seed noise"
    runs = shape.runs
    settings = [c for c in runs.columns if c not in ("loss", "seed", "run", "error")]
    if "loss" not in runs.columns or not settings or np.any(runs.column("loss") <= 0):
        return name, None, None, SEED_SPREAD, "needs a positive loss"
    log = np.log(runs.column("loss"))
    groups = runs.frame.groupby(settings, dropna=False, sort=False).ngroup().to_numpy()
    count = np.bincount(groups)
    mean = np.bincount(groups, log) / count
    repeated = count[groups] > 1
    if not repeated.any():
        return name, None, None, SEED_SPREAD, "no setting is repeated, so the noise of a seed is not known"
    freedom = int(repeated.sum() - np.sum(count > 1))
    spread = float(np.sqrt(np.sum((log - mean[groups])[repeated] ** 2) / freedom))
    rest = "" if spread <= SEED_SPREAD else "; do the repeats differ in more than their seed?"
    return (
        name,
        spread <= SEED_SPREAD,
        spread,
        SEED_SPREAD,
        f"{int(np.sum(count > 1))} settings are repeated, {spread:.2%} apart{rest}",
    )


def _policy(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "checkpoint policy"
    curves = shape.curves()
    if curves is None:
        return name, True, 0.0, 0.0, "final losses only"
    extent = np.nan_to_num(shape.extent())
    ends = np.zeros(curves.max() + 1)
    np.maximum.at(ends, curves, extent)
    share = float(np.mean(extent < ends[curves]))
    if share == 0:
        return name, True, 0.0, 0.0, "final losses only"
    if fit is not None and fit.law.scheduled:
        return name, True, share, None, f"{share:.0%} of the rows lie inside a run; the law knows the schedule"
    words = (
        "say whether the learning rate was constant there: under a decaying one, losses inside a run are not final ones"
    )
    return name, None, share, None, f"{share:.0%} of the rows lie inside a run; {words}"


def _rates(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "learning rate tuned"
    runs = shape.runs
    if "learning_rate" not in runs.columns or not shape.size:
        return name, None, None, RATES, "the table has no learning rates"
    settings = [c for c in (shape.size, shape.length) if c]
    rate = runs.column("learning_rate")
    each = runs.frame.groupby(settings, sort=False)["learning_rate"].nunique().to_numpy()
    swept = float(np.median(each))
    if swept >= RATES:
        words = f"{swept:g} learning rates per setting at the median; keep the best of each for a law of tuned runs"
        return name, True, swept, RATES, words
    sizes = runs.column(shape.size)
    # a size without a rate says nothing
    middle = [np.median(known) for size in np.unique(sizes) if len(known := rate[(sizes == size) & np.isfinite(rate)])]
    changes = len(np.unique(middle)) > 1
    words = (
        "it changes with the size"
        if changes
        else "one value for all sizes: small models will look too bad, or large ones"
    )
    return name, changes, swept, RATES, f"{swept:g} per setting; {words}"


def _objective(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    if fit is None:
        return "objective stated", None, None, None, "needs a fit"
    delta = f" with delta {fit.loss.delta:g}" if fit.loss.name in ("huber", "likelihood") else ""
    return (
        "objective stated",
        True,
        fit.value,
        None,
        f"{fit.loss.name}{delta} in {fit.loss.space} space, {fit.value:.6g} in all",
    )


def _starts(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    if fit is None:
        return "starts", None, None, 2.0, "needs a fit"
    agree, starts = fit.certificate.starts_agree, fit.certificate.starts
    seed = fit.settings.get("seed", 0)
    return "starts", agree >= 2, agree, 2.0, f"{agree} of {starts} independent starts agree (seed {seed})"


def _optimum(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    if fit is None:
        return "optimum certified", None, None, None, "needs a fit"
    why = "; ".join(fit.certificate.reasons)
    return (
        "optimum certified",
        fit.status == "certified",
        fit.certificate.gradient,
        None,
        fit.status + (f": {why}" if why else ""),
    )


def _floor(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "floor visible"
    if fit is None:
        return name, None, None, KNOWN_FLOOR, "needs a fit"
    floor = _floor_of(fit)
    if not floor:
        return name, None, None, KNOWN_FLOOR, "the law has no floor"
    if floor in fit.pinned:
        return name, None, None, KNOWN_FLOOR, f"{floor} is held at {fit.values[floor]:g}"
    error = fit.certificate.coordinate_errors.get(floor, math.nan)
    if floor in fit.certificate.bounds or not math.isfinite(error):
        return (
            name,
            False,
            math.inf,
            KNOWN_FLOOR,
            f"{floor} is at the bound of its domain: the runs do not see it; drop or pin it",
        )
    rest = "" if error <= KNOWN_FLOOR else "; pin it, or widen the range of the runs"
    return (
        name,
        error <= KNOWN_FLOOR,
        error,
        KNOWN_FLOOR,
        f"{floor} = {fit.values[floor]:.4g} is known to {error:.2%}{rest}",
    )


def _floor_of(fit: Fit) -> str:
    """The parameter that is added to the rest of the law, or an empty string."""
    points = {name: np.asarray(values)[:50] for name, values in fit.points.items()}
    here = fit.law.value(fit.values, points)
    for name in fit.law.parameters:
        step = 1e-3 * max(abs(fit.values[name]), 1e-3)
        moved = fit.law.value({**fit.values, name: fit.values[name] + step}, points)
        if np.allclose(moved - here, step, rtol=1e-6, atol=1e-12):
            return name
    return ""


def _intervals(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "intervals"
    if fit is None:
        return name, None, None, None, "needs a fit"
    if fit.refusal:
        return name, False, 0.0, None, fit.refusal
    known = [n for n, e in fit.parameters.items() if e.low is not None or e.high is not None]
    if not known:
        return name, False, 0.0, None, "none were asked for; add boot=1000 or interval='profile'"
    return name, True, len(known), None, f"{fit.interval_method}, {fit.level:.0%}, for {len(known)} parameters"


def _held_out(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "held out"
    if "are" not in scores:
        return name, None, None, None, "needs a fit and three sizes"
    return name, True, scores["are"], None, "the largest size was left out and forecast (see expected error)"
