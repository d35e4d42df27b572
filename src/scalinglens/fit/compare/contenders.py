"""What is compared: laws by name, formula or object, `auto`, and any other way from runs to a forecast."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, PredictionError, ScalingLensError
from scalinglens.fit.compare.scores import aicc
from scalinglens.fit.fit import fit
from scalinglens.fit.forecast import Forecast
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.law import Law
from scalinglens.runs import Runs

__all__ = ["Contender", "Trial", "contenders", "try_on"]

FAILED = "failed"


@dataclass(frozen=True, eq=False)
class Contender:
    """One way to forecast, under a name.

    Attributes:
        name: shown in every table.
        law: what `fit` takes: text, a `Law`, or "auto"; None for a function.
        form: the law, where it is one.
        make: function from runs to a forecast, where it is none.
    """

    name: str
    law: str | Law | None = None
    form: Law | None = None
    make: Callable[[Runs], Forecast] | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns it is known to need before it is fitted."""
        return self.form.inputs if self.form is not None else ()

    def forecast(self, runs: Runs, options: Mapping[str, Any], x: str | None) -> Forecast:
        """Fit to runs."""
        if self.make is not None:
            return self.make(runs)
        assert self.law is not None
        # a one-variable law finds the column x in the table; only the pool chooses its laws by it
        own: dict[str, Any] = {"x": x} if self.law == "auto" and x is not None else {}
        return fit(runs, self.law, **{**options, **own})


@dataclass(frozen=True, eq=False)
class Trial:
    """What one contender forecast from one origin.

    Attributes:
        name, origin: whose and from which origin.
        status: of the fit, or "failed".
        reason: why there is no forecast, or no interval.
        warnings: of the fit.
        predicted, low, high: of the test rows [n]; empty where it failed, NaN ends without intervals.
        aicc: on the training part, NaN where it does not exist.
    """

    name: str
    origin: int
    status: str
    reason: str = ""
    warnings: tuple[str, ...] = ()
    predicted: np.ndarray = field(default_factory=lambda: np.empty(0))
    low: np.ndarray = field(default_factory=lambda: np.empty(0))
    high: np.ndarray = field(default_factory=lambda: np.empty(0))
    aicc: float = math.nan


def contenders(laws: Any) -> tuple[Contender, ...]:
    """Read what is to be compared; a name that nobody knows is refused here, before any work.

    Args:
        laws: one or several of: name in the catalogue, formula, `Law`, "auto", or (name, function); also a mapping from
            names to any of these. A function takes `Runs` and returns a forecast.

    Raises:
        UnknownLawError, FormulaError: as `laws.catalogue.law`. FitError: nothing, or the same name twice.

    >>> [c.name for c in contenders(["hoffmann2022", "E + A/params^alpha"])]
    ['hoffmann2022', 'E + A/params^alpha']
    """
    if isinstance(laws, Mapping):
        items: Sequence[Any] = list(laws.items())
    elif isinstance(laws, str | Law) or callable(laws) or not isinstance(laws, Iterable):
        items = [laws]
    else:
        items = list(laws)
    found = [_contender(item) for item in items]
    if not found:
        raise FitError("there is no law to compare; name some, as in laws=['hoffmann2022', 'kaplan2020.L_N']")
    names = [contender.name for contender in found]
    for name in names:
        if names.count(name) > 1:
            raise FitError(f'"{name}" is compared twice; keep one, or give them names: {{"one": ..., "other": ...}}')
    return tuple(found)


def _contender(given: Any) -> Contender:
    item: Any
    name, item = given if isinstance(given, tuple) and len(given) == 2 else (None, given)
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise FitError(f"a law is compared under a name that is text, got {name!r}")
    if isinstance(item, Law):
        return Contender(name or item.name, item, item)
    if callable(item):
        name = name or getattr(item, "__name__", "")
        if not name or name == "<lambda>":
            raise FitError('a function needs a name to be compared under; write ("name", function)')
        return Contender(name, make=cast(Any, item))
    if isinstance(item, str):
        text = item.strip()
        if text == "auto":
            return Contender(name or text, text)
        return Contender(name or text, text, find_law(text))
    raise FitError(
        f"cannot compare {type(item).__name__} {item!r}; give the name of a law, a formula, a Law, or (name, function)"
    )


def try_on(
    contender: Contender,
    origin: int,
    train: Runs,
    points: pd.DataFrame,
    target: str,
    level: float,
    x: str | None,
    options: Mapping[str, Any],
) -> Trial:
    """Fit to the training part and forecast the test part; whatever a user can cause ends in a typed status."""
    name = contender.name
    try:
        forecast = contender.forecast(train, options, x)
        if forecast.target != target:
            raise PredictionError(f"it forecasts {forecast.target}, and {target} is compared")
        # a held-out run is a new run: its own scatter belongs into the interval
        frame = forecast.predict(points, level=level, noise=True)
    except ScalingLensError as problem:
        return Trial(name, origin, FAILED, str(problem))
    predicted, low, high = (np.asarray(frame[column], dtype=float) for column in (target, "low", "high"))
    bad = int(np.sum(~np.isfinite(predicted)))
    if bad:
        return Trial(
            name, origin, FAILED, f"the forecast of {bad} of {len(predicted)} runs is no finite number",
            tuple(forecast.warnings),
        )  # fmt: skip
    return Trial(
        name, origin, forecast.status, forecast.refusal, tuple(forecast.warnings), predicted, low, high, aicc(forecast)
    )
