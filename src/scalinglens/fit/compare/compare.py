"""`compare`: which law forecasts a table best, by how much, and whether the runs can tell."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, ScalingLensError, did_you_mean
from scalinglens.fit.compare.advice import advice
from scalinglens.fit.compare.baselines import BASELINES, View
from scalinglens.fit.compare.check import Check
from scalinglens.fit.compare.comparison import Comparison, ranked
from scalinglens.fit.compare.contenders import FAILED, Contender, Trial, contenders, try_on
from scalinglens.fit.compare.holdout import Fold, check_column, equal_to, parse_holdout, roll, subset
from scalinglens.fit.compare.paired import Paired, all_pairs
from scalinglens.fit.compare.scores import errors
from scalinglens.fit.curves.schedule import with_schedules
from scalinglens.fit.estimate import check_level
from scalinglens.fit.fit import fit
from scalinglens.fit.inputs import with_curve_input
from scalinglens.fit.result import REFUSED, Fit
from scalinglens.numerics.processes import parallel_map
from scalinglens.runs import Runs, read_runs

__all__ = ["compare"]

SPARE = 5  # runs beyond the parameters of the largest law that an earlier origin must leave
LEAST = 10  # runs that it must leave in any case
DISTINCT = 3  # different values of every input that it must leave: fewer determine no exponent and no floor
SAME_SIZE = 3  # digits to which two sizes agree that count as one
MOST_SIZES = 60  # beyond which advice does without a fit, because it leaves out each size in turn
OWN = ("runs", "law", "x", "target", "boot", "level", "seed", "progress")  # options of fit that compare sets itself


def compare(
    runs: Any,
    laws: Any,
    *,
    holdout: str = "top:flops:0.5",
    origins: int | None = None,
    x: str | None = None,
    target: str | None = None,
    boot: int = 200,
    level: float = 0.9,
    seed: int = 0,
    baselines: bool = True,
    progress: Callable[[int, int], None] | None = None,
    **fit_options: Any,
) -> Comparison:
    """Fit laws to the smaller runs of a table, let them forecast the larger ones, and say which did best.

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        laws: names in the catalogue, formulas, `Law` objects, "auto", or (name, function from runs to a forecast); one,
            several, or a mapping from names to them.
        holdout: what is forecast: "top:flops:0.5" (the half of the runs with the largest flops, equal values together),
            "factor:flops:4" (above a quarter of the largest), "above:params:7B", "last:params" (the largest only) or
            "is:family=opt" (the runs so named).
        origins: from how many origins laws forecast; the last is the hold-out as stated, each earlier one applies the same
            rule to what the later one was fitted on. By default as many as leave enough runs, three at most.
        x: column that is the x of one-variable laws.
        target: column that is forecast, by default the output of the laws, which is `loss` for most.
        boot: bootstrap refits for the intervals of each fit (0: no intervals).
        level: probability of the intervals; 1 - level is the size of the tests.
        seed: of starts, resamples and sign patterns.
        baselines: whether forecasts that need no fit are scored too.
        progress: called with (fits done, fits).
        fit_options: further options of `fit` (loss, delta, weights, groups, pin, ...); `groups` also says which held-out
            runs belong together in the tests.

    Returns:
        The `Comparison`. A law that cannot be fitted is a row with its reason.

    Raises:
        HoldoutError: the hold-out is not written as it must be, or leaves nothing to fit or to forecast.
        UnknownLawError, FormulaError: a law that nobody knows, found before any work.
        RunsError: a column is missing. FitError: impossible options, or no law at all could be fitted.

    Cost: one fit with its refits per law and origin, spread over the processors.

    Source: rolling-origin evaluation of Tashman 2000 (Int. J. Forecasting 16), over size in place of time.

    >>> sizes = [1e6, 2e6, 4e6, 8e6, 16e6, 32e6, 64e6, 128e6]
    >>> loss = [1.7 + 400 / n**0.35 for n in sizes]
    >>> found = compare({"params": sizes, "loss": loss}, ["kaplan2020.L_N", "E + A/params^alpha"], holdout="last:params", boot=0)
    >>> found.best
    'E + A/params^alpha'
    """
    chosen = contenders(laws)
    rule = parse_holdout(holdout)
    _check_options(fit_options, chosen)
    check_level(level)
    table = read_runs(runs)
    if any(c.form is not None and c.form.scheduled for c in chosen):
        table = with_schedules(table)  # before rows are held out: a schedule is known from all rows of a run
    goal = _target(table, chosen, target)
    whole, table = table, _with_x(table, chosen, x, goal)
    inputs = tuple(dict.fromkeys(name for c in chosen for name in c.inputs if name in table.columns))
    check_column(table, rule, inputs, goal)
    # all laws are scored on the same runs: those with everything that any of them needs
    table = table.complete(goal, *inputs, *((rule.column,) if rule.kind != "is" else ()))
    options = _per_row(fit_options, whole, table)
    enough = _enough(table, chosen, inputs, options)
    folds = roll(table, rule, origins=origins, enough=enough)
    settings = {"boot": boot, "level": level, "seed": seed, "target": goal}

    trials = []
    tasks = [(contender, fold) for fold in folds for contender in chosen]
    # workers are sent numbers only: a function under a name cannot be sent, and is there already when they fork
    for trial in parallel_map(lambda k: _tried(table, *tasks[k], x, settings, options), range(len(tasks))):
        trials.append(trial)
        if progress:
            progress(len(trials), len(tasks))
    if all(trial.status == FAILED for trial in trials):
        reasons = dict.fromkeys(f"{trial.name}: {trial.reason}" for trial in reversed(trials))
        raise FitError("no law could be fitted and forecast: " + "; ".join(reasons))
    if baselines:
        trials += _baselines(table, folds, inputs, goal)
    observed = table.column(goal)
    clusters, clustered = _clusters(table, options.get("groups"))
    predictions = _predictions(table, folds, trials, goal, inputs, clusters)
    logs = bool(np.all(observed[np.concatenate([fold.test for fold in folds])] > 0))
    names = tuple(contender.name for contender in chosen)
    scores, by_origin = ranked(names, trials, predictions, folds, level=level, logs=logs)
    order = [str(name) for name in scores.index]
    best = next(name for name in order if name in names)
    tests = _tests(predictions, names, order, best, logs=logs, level=level, seed=seed)
    return Comparison(
        laws=names,
        target=goal,
        holdout=rule.text,
        folds=folds,
        level=level,
        table=scores,
        by_origin=by_origin,
        predictions=predictions,
        tests=tests,
        clusters=clustered,
        best=best,
        advice=_advice(table, _best_single(chosen, order), x, settings, options),
        warnings=tuple(table.warnings),
        data={"origin": table.origin, "sha256": table.digest(), "read": table.rows_read, "used": len(table)},
        settings={"boot": boot, "seed": seed, "origins": origins, "x": x, **_plain(fit_options)},
    )


# ---- before the work ------------------------------------------------------------------------------------------------


def _check_options(options: Mapping[str, Any], chosen: Sequence[Contender]) -> None:
    known = [name for name in inspect.signature(fit).parameters if name not in OWN]
    for name in options:
        if name not in known:
            raise FitError(
                f'neither compare nor fit has an option "{name}"{did_you_mean(name, known)}; those of fit are '
                f"{', '.join(known)}"
            )
    parameters = dict.fromkeys(p for c in chosen if c.form is not None for p in c.form.parameters)
    for option in ("pin", "tie"):
        for name in options.get(option) or {}:
            if name not in parameters:
                raise FitError(
                    f'no law that is compared has a parameter "{name}" to {option}{did_you_mean(name, parameters)}; '
                    f"they have {', '.join(parameters)}"
                )


def _target(table: Runs, chosen: Sequence[Contender], target: str | None) -> str:
    if target is not None:
        table.column(target)
        return target
    outputs = list(dict.fromkeys(c.form.output for c in chosen if c.form is not None)) or ["loss"]
    found: dict[str, None] = {}
    for name in outputs:  # as in `fit`: laws of any curve return y or an error, which is the loss where there is one
        if name not in table.columns and name in ("y", "error") and "loss" in table.columns:
            found["loss"] = None
        elif name in table.columns or name in table.frame.columns:
            found[name] = None
    if len(found) > 1:
        raise FitError(
            f"the laws forecast different columns ({', '.join(found)}), which cannot be compared; say which one with "
            f"target={next(iter(found))!r} or --target {next(iter(found))}"
        )
    if not found:
        table.column(outputs[0])  # says what is missing and how to name it
    return next(iter(found))


def _with_x(table: Runs, chosen: Sequence[Contender], x: str | None, goal: str) -> Runs:
    """The table with the column x, where a one-variable law is compared and it is clear what x is."""
    curve = next((c.form for c in chosen if c.form is not None and "x" in c.form.inputs), None)
    if curve is None:
        if x is None or any(c.form is None for c in chosen):
            return table
        raise FitError(f"none of the laws has an x, so x={x!r} says nothing; leave it away")
    try:
        return with_curve_input(table, curve, x, goal)
    except ScalingLensError:
        if x is not None:
            raise
        return table  # those laws fail one by one, and their rows say why


def _per_row(options: Mapping[str, Any], before: Runs, after: Runs) -> dict[str, Any]:
    """Options with one value per run, brought to the runs that are left."""
    kept = np.isin(before.rows, after.rows)
    found = dict(options)
    for name in ("weights", "groups"):
        values = options.get(name)
        if values is None or isinstance(values, str):
            continue
        array = np.asarray(values)
        if array.shape != (len(before),):
            raise FitError(f"there are {len(before)} runs but {array.size} {name}; give one per run")
        found[name] = array[kept]
    return found


def _enough(
    table: Runs, chosen: Sequence[Contender], inputs: Sequence[str], options: Mapping[str, Any]
) -> Callable[[np.ndarray], bool]:
    """Whether rows suffice for the largest of the laws."""
    pinned = set(options.get("pin") or {}) | set(options.get("tie") or {})
    free = [len(set(c.form.parameters) - pinned) for c in chosen if c.form is not None]
    least = max([LEAST, *(count + SPARE for count in free)])
    columns = [equal_to(table.column(name), SAME_SIZE) for name in inputs]
    wanted = [min(DISTINCT, len(np.unique(values))) for values in columns]

    def enough(rows: np.ndarray) -> bool:
        varied = all(len(np.unique(values[rows])) >= count for values, count in zip(columns, wanted, strict=True))
        return len(rows) >= least and varied

    return enough


# ---- the work -------------------------------------------------------------------------------------------------------


def _tried(
    table: Runs,
    contender: Contender,
    fold: Fold,
    x: str | None,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Trial:
    train = subset(table, fold.train, "held out to be forecast")
    own = {k: v[fold.train] if isinstance(v, np.ndarray) else v for k, v in options.items()}
    own = _own(own, contender)
    points = table.frame.iloc[fold.test]
    if "x" in table.columns and x is not None and x not in points.columns:
        points = points.assign(**{x: points["x"]})
    return try_on(contender, fold.origin, train, points, settings["target"], settings["level"], x, {**settings, **own})


def _own(options: Mapping[str, Any], contender: Contender) -> dict[str, Any]:
    """Options of one law's fit: of pins and ties each takes what it has a parameter for."""
    has = contender.form.parameters if contender.form is not None else ()
    found = dict(options)
    for option in ("pin", "tie"):
        if found.get(option):
            found[option] = {name: value for name, value in found[option].items() if name in has}
    return found


def _baselines(table: Runs, folds: Sequence[Fold], inputs: Sequence[str], goal: str) -> list[Trial]:
    trials = []
    for fold, (name, rule) in itertools.product(folds, BASELINES.items()):
        extent = table.column(fold.extent) if fold.extent else np.full(len(table), np.nan)
        found = rule(View({i: table.column(i) for i in inputs}, extent, table.column(goal), fold.train, fold.test))
        if isinstance(found, str):
            trials.append(Trial(name, fold.origin, FAILED, found))
        else:
            nothing = np.full(len(found), np.nan)
            trials.append(Trial(name, fold.origin, "no fit", "", (), found, nothing, nothing))
    return trials


def _predictions(
    table: Runs,
    folds: Sequence[Fold],
    trials: Sequence[Trial],
    goal: str,
    inputs: Sequence[str],
    clusters: np.ndarray,
) -> pd.DataFrame:
    """One row per forecaster and held-out run."""
    observed, by_origin = table.column(goal), {fold.origin: fold for fold in folds}
    pieces = []
    for trial in trials:
        fold = by_origin[trial.origin]
        if trial.status == FAILED:
            continue
        pieces.append(
            pd.DataFrame(
                {
                    "law": trial.name,
                    "origin": fold.origin,
                    "row": table.rows[fold.test],
                    "cluster": clusters[fold.test],
                    **{name: table.column(name)[fold.test] for name in inputs},
                    "ahead": fold.ahead,
                    "observed": observed[fold.test],
                    "predicted": trial.predicted,
                    "low": trial.low,
                    "high": trial.high,
                }
            )
        )
    return pd.concat(pieces, ignore_index=True)


def _clusters(table: Runs, groups: str | np.ndarray | None) -> tuple[np.ndarray, str]:
    """Label of the cluster of each run, and what the runs of one cluster share."""
    if groups is not None:
        labels, what = (table.labels(groups), groups) if isinstance(groups, str) else (np.asarray(groups), "the groups")
        return labels.astype(str), what
    for name in ("run", "params", "params_nonembedding", "params_active"):
        if name not in table.columns:
            continue
        labels = table.labels(name)
        if labels.dtype != object:
            labels = equal_to(labels, SAME_SIZE if name != "run" else 15)
        if len(set(labels.tolist())) < len(table):
            return labels.astype(str), name
    return np.arange(len(table)).astype(str), ""


def _tests(
    predictions: pd.DataFrame,
    laws: Sequence[str],
    order: Sequence[str],
    best: str,
    *,
    logs: bool,
    level: float,
    seed: int,
) -> tuple[Paired, ...]:
    """Compare every law, then every baseline, with the best law.

    All pairs of laws count in the correction, and not just those with the best: which law is the best was read off the
    same runs.
    """
    error = errors(predictions["observed"].to_numpy(), predictions["predicted"].to_numpy(), logs)
    wide = predictions.assign(error=error).pivot(index="row", columns="law", values="error")
    sizes = {str(name): wide[name].to_numpy(dtype=float) for name in wide.columns}
    labels = predictions.drop_duplicates("row").set_index("row").loc[wide.index, "cluster"].to_numpy(dtype=str)
    forecast = [name for name in order if name in sizes]
    names = [name for name in forecast if name in laws]
    others = [name for name in forecast if name not in laws]
    pairs = [(b, a) for a, b in itertools.combinations(sorted(names, key=lambda name: name != best), 2)]
    among = all_pairs(sizes, labels, pairs, level=level, seed=seed)
    against = all_pairs(sizes, labels, [(name, best) for name in others], level=level, seed=seed)
    return (*(found for found in among if found.against == best), *against)


def _best_single(chosen: Sequence[Contender], order: Sequence[str]) -> Contender | None:
    laws = {contender.name: contender for contender in chosen if contender.form is not None}
    return next((laws[name] for name in order if name in laws), None)


def _advice(
    table: Runs,
    contender: Contender | None,
    x: str | None,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
) -> tuple[Check, ...]:
    """What to change in the table or the design, with the best single law fitted to all runs where that is cheap."""
    fitted = None
    sizes = table.column("params") if "params" in table.columns else np.empty(0)
    if contender is not None and len(np.unique(equal_to(sizes, SAME_SIZE))) <= MOST_SIZES:
        try:
            fitted = contender.forecast(table, {**settings, **_own(options, contender)}, x)
        except ScalingLensError:
            fitted = None
    # refits of a fit that is refused would say nothing
    return tuple(advice(table, fit=fitted if isinstance(fitted, Fit) and fitted.status not in REFUSED else None, x=x))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    plain = (str, int, float, bool, type(None))
    return {
        name: value if isinstance(value, plain) else dict(value) if isinstance(value, Mapping) else "given"
        for name, value in options.items()
    }
