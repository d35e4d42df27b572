"""`Source`: what a plan rests on, a law with constants or a forecast, with draws that carry its uncertainty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, SavedFitError, UnknownLawError, did_you_mean
from scalinglens.fit.compare.pool import PooledFit, pooled
from scalinglens.fit.downstream import TwoStep
from scalinglens.fit.forecast import Forecast
from scalinglens.fit.result import REFUSED, Fit
from scalinglens.fit.surface import Surface
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.catalogue import laws
from scalinglens.laws.law import Law
from scalinglens.plan.optimum.head import Head, Model, negative

__all__ = ["RISING", "Head", "Source", "as_source"]

# targets of which more is better; of every other one less is
RISING = ("accuracy", "reward", "score", "bleu", "elo", "coverage", "intrinsic_performance")
_STEP = 1e-4  # of a logarithm, for derivatives of what has no formula


@dataclass(frozen=True, eq=False)
class Source:
    """What a plan rests on; made by `as_source`.

    Attributes:
        name: of the law, the pool or the file, for titles.
        inputs: quantities that the value depends on.
        target: what is predicted, `loss` for most.
        heads: laws with parameters and draws; none for a forecast without a law.
        how: how several heads make one value: "mean" or "median" (of logarithms where `in_logs`).
        in_logs: see `how`.
        link: how the column relates to the heads' value, as in `PooledFit`.
        forecast: the `Forecast`, or None for published constants.
        range: input -> (smallest, largest) of the runs behind it; empty for published constants.
        level: of intervals, where none is asked for.
        assumptions: sentences that a plan on this source repeats.
        warnings: what a reader should know.
    """

    name: str
    inputs: tuple[str, ...]
    target: str
    heads: tuple[Head, ...] = ()
    how: str = "mean"
    in_logs: bool = True
    link: str = ""
    forecast: Forecast | None = None
    range: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    level: float = 0.9
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def law(self) -> Law | None:
        """The law, where there is exactly one."""
        return self.heads[0].law if len(self.heads) == 1 else None

    @cached_property
    def quiet(self) -> Forecast | None:
        """The forecast without its draws, whose values cost no intervals."""
        if isinstance(self.forecast, PooledFit):
            return replace(self.forecast, settings={**self.forecast.settings, "boot": 0})
        if isinstance(self.forecast, Surface):
            return replace(self.forecast, draws=self.forecast.draws[:0])
        return self.forecast

    @cached_property
    def values(self) -> dict[str, float]:
        """Parameter -> value of the one law; empty where there is not exactly one."""
        if self.law is None:
            return {}
        return {name: float(v) for name, v in zip(self.law.parameters, self.heads[0].values, strict=True)}

    @property
    def published(self) -> bool:
        """Whether it is a law with given constants, without runs of the user behind it."""
        return self.forecast is None

    @property
    def falls(self) -> bool:
        """Whether less of the target is better."""
        return self.target not in RISING

    @cached_property
    def draws(self) -> int:
        """How many draws carry the uncertainty; 0 where there are none."""
        if self.heads:
            return sum(len(head.draws) for head in self.heads)
        return 0 if self.forecast is None or self.forecast.refusal else len(getattr(self.forecast, "draws", ()))

    # ---- evaluation -------------------------------------------------------------------------------------------------

    def value(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Evaluate the target.

        Args:
            columns: input -> number or array, in the units of the glossary.

        Returns:
            Array of the broadcast shape.

        Raises:
            PlanError: an input is missing. PredictionError: it is impossible.

        Cost: one evaluation of the law; of each member of a pool.
        """
        given, shape = self._columns(columns)
        if len(self.heads) == 1 and not self.link:
            return self.heads[0].law.value(self.values, given)
        return self._predicted({name: array.ravel() for name, array in given.items()}).reshape(shape)

    def _predicted(self, flat: Mapping[str, np.ndarray]) -> np.ndarray:
        """The forecast at points [n]; NaN where an input is no positive number."""
        assert self.quiet is not None
        known = np.all([np.isfinite(array) & (array > 0) for array in flat.values()], axis=0)
        value = np.full(known.shape, np.nan)
        if known.any():
            at = {name: array[known] for name, array in flat.items()}
            value[known] = self.quiet.predict(at, noise=False)[self.target].to_numpy()
        return value

    def sampled(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Draw the target, without the scatter of single runs.

        Args: as `value`.

        Returns:
            [draws, ...]; no rows where there are no draws.

        Cost: draws x points evaluations of the law.
        """
        given, shape = self._columns(columns)
        if len(self.heads) == 1 and not self.link:
            head = self.heads[0]
            if not len(head.draws):
                return np.empty((0, *shape))
            around = head.draws.reshape(len(head.draws), -1, *(1,) * len(shape))
            drawn = head.law.value({name: around[:, i] for i, name in enumerate(head.law.parameters)}, given)
            return _spread(drawn, self.value(given), head.widening)
        assert self.forecast is not None
        flat = {name: array.ravel() for name, array in given.items()}
        return self.forecast.sample(flat).reshape(-1, *shape)

    def elasticities(self, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return d(target)/d(ln input) for each input, exactly for laws.

        Args: as `value`. Returns: input -> array of the broadcast shape.
        """
        given, shape = self._columns(columns)
        if len(self.heads) == 1 and not self.link:
            return self.heads[0].law.elasticities(self.values, given)
        model = self._numeric() if self.link else self.model()
        _, slopes = model({name: np.log(array).reshape(1, -1) for name, array in given.items()})
        sign = 1.0 if self.falls else -1.0
        return {name: sign * np.broadcast_to(s, (1, max(s.size, 1))).reshape(shape) for name, s in slopes.items()}

    def model(self) -> Model:
        """Return what is to be minimised as a function of log inputs [1, n]: its value and derivatives by log inputs.

        It is the target, its negative where more is better, or what a pool with a link averages.
        """
        if not self.heads:
            return self._numeric()
        sign = -1.0 if not self.falls and self.link == "" else 1.0
        models = [head.model() for head in self.heads]
        if len(models) == 1:
            one = models[0]
            return one if sign > 0 else negative(one)
        weights = np.array([head.weight for head in self.heads])[:, None]

        def evaluate(logs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            parts = [model(logs) for model in models]
            with np.errstate(all="ignore"):
                scaled = np.stack([np.log(v) if self.in_logs else v for v, _ in parts])
                flat = scaled.reshape(len(parts), -1)
                centre = pooled(flat, weights, self.how).reshape(scaled.shape[1:])
                # of the median, the slope of the middle member; of the mean, the mean of those that have a value
                if self.how == "median":
                    nearest = np.argmin(np.abs(np.where(np.isfinite(scaled), scaled, np.inf) - centre), axis=0)
                    share = (np.arange(len(parts)).reshape(-1, *(1,) * centre.ndim) == nearest).astype(float)
                else:
                    share = np.where(np.isfinite(scaled), weights.reshape(-1, *(1,) * centre.ndim), 0.0)
                    share = share / share.sum(axis=0)
                value = np.exp(centre) if self.in_logs else centre
                slopes = {}
                for name in self.inputs:
                    total = np.zeros(centre.shape)
                    for part, (own, gradient) in zip(share, parts, strict=True):
                        if name in gradient:
                            slope = gradient[name] * (value / own if self.in_logs else 1.0)
                            total = total + np.where(part > 0, part * slope, 0.0)
                    slopes[name] = total
            return value, slopes

        return evaluate if sign > 0 else negative(evaluate)

    def _numeric(self) -> Model:
        """The model of a forecast without a law; derivatives are differences."""
        sign = 1.0 if self.falls else -1.0

        def evaluate(logs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            arrays = np.broadcast_arrays(*(np.asarray(logs[name], dtype=float) for name in self.inputs))
            moved = [arrays] + [
                tuple(a + step * (i == j) for j, a in enumerate(arrays))
                for i in range(len(arrays))
                for step in (_STEP, -_STEP)
            ]
            flat = {name: np.exp(np.stack([m[i] for m in moved])).ravel() for i, name in enumerate(self.inputs)}
            found = self._predicted(flat)
            values = sign * found.reshape(len(moved), *arrays[0].shape)
            slopes = {name: (values[2 * i + 1] - values[2 * i + 2]) / (2 * _STEP) for i, name in enumerate(self.inputs)}
            return values[0], slopes

        return evaluate

    def _columns(self, columns: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
        missing = [name for name in self.inputs if name not in columns]
        if missing:
            raise PlanError(
                f"{self.name} needs {', '.join(missing)}; give the value, for example fix={{'{missing[0]}': 1e9}} "
                f"(--fix {missing[0]}=1e9)"
            )
        arrays = np.broadcast_arrays(*(np.asarray(columns[name], dtype=float) for name in self.inputs))
        return dict(zip(self.inputs, arrays, strict=True)), arrays[0].shape

    def rewritten(self, formula: str, *, name: str) -> Source:
        """Return the source with its one law written in other inputs; parameters, draws and all that is known stay.

        Args:
            formula: in the same parameters. name: of the new law.

        >>> source = as_source("besiroglu2024").rewritten("E + A/params^alpha + B/(20*params)^beta", name="twenty")
        >>> source.inputs, float(source.value({"params": 1e9}).round(4))
        (('params',), 2.5301)
        """
        law, head = self.heads[0].law, self.heads[0]
        assert len(self.heads) == 1
        made = Law(
            name=name,
            formula=formula,
            output=law.output,
            unit=law.unit,
            domains={k: v for k, v in law.domains.items() if re.search(rf"\b{re.escape(k)}\b", formula)},
            derived=law.derived,
            constants=law.constants,
            tags=law.tags,
            source=law.source,
            about=dict(law.about),
        )
        order = [law.parameters.index(parameter) for parameter in made.parameters]
        tied = replace(head, law=made, values=head.values[order], draws=head.draws[:, order])
        return replace(self, inputs=made.inputs, heads=(tied,))

    # ---- words ------------------------------------------------------------------------------------------------------

    def beyond(self, columns: Mapping[str, Any]) -> dict[str, float]:
        """Return how many decades each quantity lies outside the runs behind the source; 0 inside.

        Args:
            columns: quantity -> number or array; the farthest of an array counts.

        Returns:
            Quantity -> decades, of those whose range is known; empty for published constants.
        """
        found = {}
        for name, asked in columns.items():
            if name in self.range:
                low, high = self.range[name]
                asked = np.asarray(asked, dtype=float)
                with np.errstate(all="ignore"):
                    far = np.maximum(np.log10(asked / high), np.log10(low / asked))
                far = far[np.isfinite(far)]
                found[name] = float(np.maximum(far, 0.0).max()) if far.size else 0.0
        return found

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the source rests on."""
        if self.forecast is not None:
            return self.forecast.citations()
        known = [head.law.about.get("citation") or head.law.source for head in self.heads]
        return tuple(dict.fromkeys(text for text in known if text))


def as_source(given: Any, *, constants: Mapping[str, float] | None = None, level: float | None = None) -> Source:
    """Return the `Source` of a forecast, a saved fit, or a law with constants.

    Args:
        given: a `Fit`, `PooledFit`, `Surface` or any `Forecast`; the path of a saved fit ("fit.json"); the name of a
            published law ("besiroglu2024"); a `Law` or a formula, whose constants are published or given.
        constants: parameter -> value, for a law; published ones fill what is missing.
        level: of intervals where none is asked for; by default that of the forecast, or 0.9.

    Returns:
        The source.

    Raises:
        PlanError: nothing of these, a law without constants, or a fit that is not identified or did not converge.
        SavedFitError: the file is no saved fit. UnknownLawError: no such law.

    Cost: reading the file, where one is given.

    >>> source = as_source("besiroglu2024")
    >>> source.inputs, float(source.value({"params": 70e9, "tokens": 1.4e12}).round(4))
    (('params', 'tokens'), 1.9739)
    """
    if isinstance(given, Source):
        return given
    if isinstance(given, Path) or (isinstance(given, str) and _is_path(given)):
        name, given = str(given), Fit.load(given)
        return _of_forecast(given, name, level)
    if isinstance(given, str | Law):
        return _of_law(_found_law(given) if isinstance(given, str) else given, constants, level)
    if isinstance(given, Forecast):
        return _of_forecast(given, "", level)
    raise PlanError(
        f"a plan rests on a fit, a saved fit, or a law with constants, got {type(given).__name__}; "
        'pass fit(runs, law), "fit.json", or a name such as "besiroglu2024"'
    )


def _is_path(text: str) -> bool:
    return text.strip().endswith(".json") or (("/" in text or "\\" in text) and Path(text).is_file())


def _found_law(text: str) -> Law:
    if not text.strip():
        raise PlanError('the name of the law is empty; pass for example "besiroglu2024" or "fit.json"')
    try:
        return find_law(text)
    except UnknownLawError as problem:
        if Path(text).is_file():
            raise SavedFitError(
                f"{text} is no saved fit; write one with `scalinglens fit RUNS --save fit.json`"
            ) from None
        raise UnknownLawError(f"{problem}; a saved fit is named fit.json") from None


def _of_law(law: Law, constants: Mapping[str, float] | None, level: float | None) -> Source:
    constants = dict(constants or {})
    for name in constants:
        if name not in law.parameters:
            raise PlanError(
                f'the law has no parameter "{name}"{did_you_mean(name, law.parameters)}; it has {", ".join(law.parameters)}'
            )
    if law.scheduled:
        raise PlanError(
            f"{law.name} follows a learning-rate schedule, which is no number to plan with; compare schedules with `predict`"
        )
    values = {**law.constants, **constants}
    missing = [name for name in law.parameters if name not in values]
    if missing:
        more = "" if law.name not in laws() else ", or take its unverified constants with law(name, unverified=True)"
        raise PlanError(
            f"{law.name} has no value for {', '.join(missing)}, so it plans nothing; fit it to runs, "
            f"or give constants={{'{missing[0]}': ...}}{more}"
        )
    if not law.inputs:
        raise PlanError(f"{law.name} has no inputs, so there is nothing to choose; take a law of params and tokens")
    bad = next((name for name in law.parameters if not np.isfinite(values[name])), None)
    if bad is not None:
        raise PlanError(f"the parameter {bad} of {law.name} is {values[bad]!r}; give a finite number")
    from_user = f" with {', '.join(constants)} given" if constants else ""
    said = f"{law.name}{from_user}: {law}" if law.name != law.formula else f"{law}"
    words = [said]
    if valid := law.about.get("valid"):
        words.append(f"{law.name} is known for {valid}")
    return Source(
        name=law.name,
        inputs=law.inputs,
        target=law.output,
        heads=(
            Head(law, np.array([float(values[name]) for name in law.parameters]), np.empty((0, len(law.parameters)))),
        ),
        level=0.9 if level is None else level,
        assumptions=tuple(words),
        warnings=()
        if constants
        else (f"{law.name} was fitted to other people's runs; its constants carry no interval here",),
    )


def _of_forecast(forecast: Any, name: str, level: float | None) -> Source:
    if not isinstance(forecast, Forecast):
        raise PlanError(
            f"{name or type(forecast).__name__} is no forecast to plan with; save a fit of params and tokens"
        )
    if forecast.status in REFUSED:
        said = forecast.refusal or f"the forecast is {forecast.status}"
        raise PlanError(
            f"no plan, because the fit is {forecast.status}: {said.partition(': ')[2] or said}; add runs that vary the "
            "inputs apart from each other, pin parameters, or take a law with fewer"
        )
    if "schedule" in forecast.inputs:
        raise PlanError(
            "the fit follows a learning-rate schedule, which is no number to plan with; compare schedules with `predict`"
        )
    level = forecast.level if level is None else level
    heads, how, in_logs, link = _heads(forecast, level)
    bounds = {
        key: (float(np.min(values)), float(np.max(values))) for key, values in forecast.points.items() if len(values)
    }
    if {"params", "tokens"} <= set(forecast.points) and "flops" not in bounds:
        flops = 6 * np.asarray(forecast.points["params"]) * np.asarray(forecast.points["tokens"])
        bounds["flops"] = (float(flops.min()), float(flops.max()))
    warnings = list(forecast.warnings)
    if forecast.refusal:
        warnings.append(forecast.refusal)
    elif not any(len(head.draws) for head in heads) and not len(getattr(forecast, "draws", ())):
        warnings.append("the fit has no draws, so the plan has no intervals; fit with boot=1000 (--boot 1000)")
    title = name or _title(forecast)
    return Source(
        name=title,
        inputs=tuple(forecast.inputs),
        target=forecast.target,
        heads=heads,
        how=how,
        in_logs=in_logs,
        link=link,
        forecast=forecast,
        range=bounds,
        level=level,
        assumptions=(f"{title}: {len(forecast.observed)} runs, {forecast.status}",),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _title(forecast: Any) -> str:
    if isinstance(forecast, Fit):
        return forecast.law.name
    if isinstance(forecast, PooledFit):
        return f"pool of {len(forecast.members)} laws"
    return type(forecast).__name__.lower()


def _heads(forecast: Any, level: float) -> tuple[tuple[Head, ...], str, bool, str]:
    """The laws inside a forecast, how they make one value, whether in logs, and the link to the column."""
    if isinstance(forecast, Fit):
        draws = np.empty((0, len(forecast.law.parameters))) if forecast.refusal else _finite(forecast.draws)
        widening = forecast._method.widening(level) if len(draws) else 1.0
        best = np.array([forecast.values[name] for name in forecast.law.parameters])
        return (Head(forecast.law, best, draws, 1.0, widening),), "mean", forecast.ratios, ""
    if isinstance(forecast, TwoStep):  # the accuracy follows the loss, so both are best at the same place
        heads, how, in_logs, _ = _heads(forecast.loss_fit, level)
        return heads, how, in_logs, "two steps"
    if not isinstance(forecast, PooledFit):
        return (), "mean", True, ""
    total = 0 if forecast.refusal else int(forecast.settings.get("boot") or 0)
    heads = []
    rng = np.random.default_rng([int(forecast.settings.get("seed", 0)), 3])
    counts = np.floor(np.array(forecast.weights) * total + 0.5).astype(int)
    for member, weight, count in zip(forecast.members, forecast.weights, counts, strict=True):
        good = _finite(member.draws)
        best = np.array([member.values[name] for name in member.law.parameters])
        if len(good) and count:
            # a member gives as many draws as its weight; it repeats some where it has fewer
            good = good[rng.permutation(np.resize(np.arange(len(good)), max(count, len(good))))[:count]]
        else:
            good = np.repeat(best[None], count, axis=0)
        free = len(member.law.parameters) - len(member.pinned)
        widening = min(float(np.sqrt(len(member.observed) / max(len(member.observed) - free, 1))), 2.0)
        heads.append(Head(member.law, best, good, float(weight), widening))
    in_logs = all(member.ratios for member in forecast.members)
    return tuple(heads), forecast.how, in_logs, forecast.link


def _spread(drawn: np.ndarray, value: np.ndarray, factor: float) -> np.ndarray:
    """Draws [draws, ...] moved away from the estimate, in logarithms where all are positive."""
    if factor == 1.0:
        return drawn
    if np.all(value > 0) and np.all(drawn > 0):
        return value * (drawn / value) ** factor
    return value + factor * (drawn - value)


def _finite(draws: np.ndarray) -> np.ndarray:
    return draws[np.all(np.isfinite(draws), axis=1)] if len(draws) else draws
