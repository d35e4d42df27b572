"""`PooledFit`: a forecast made of several laws, with the uncertainty about which of them is right.

Laws that fit the same runs equally well part company beyond them, and no in-sample score tells which will be right. Their mean
forecast is better than most of them, and their spread is part of its error. What they all get wrong is not in that spread;
it is measured: the pool is fitted to the smaller runs, forecasts the larger ones, and the growth of that error with the
distance is carried to the distance asked for (`ErrorGrowth`).

    ln prediction = sum_j w_j ln prediction_j
    draws         = draws of the laws in proportion to w_j, moved together by N(0, max((rate d)^2 - variance of the draws, 0))

d is the distance beyond the runs: the logarithm of how many times larger the product of the inputs is that say how large a
run is (params x tokens; the x of a curve).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError, PredictionError
from scalinglens.fit.certificate import STATUSES
from scalinglens.fit.compare.growth import ErrorGrowth, distance
from scalinglens.fit.estimate import check_level
from scalinglens.fit.result import FAR, Fit
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.quantities import format_quantity, parse_quantity

__all__ = ["HOW", "LINKS", "PooledFit", "pool"]

HOW = ("mean", "median")
MOST_WIDENED = 2.0  # factor on the draws of a law with hardly more runs than parameters

# how the column relates to what the laws are fitted to: (column -> fitted, fitted -> column)
LINKS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "": (lambda v: v, lambda v: v),
    "1 - y": (lambda v: 1.0 - v, lambda v: 1.0 - v),
    "1/y": (lambda v: 1.0 / v, lambda v: 1.0 / v),
}


@dataclass(frozen=True, eq=False)
class PooledFit:
    """Several fits of the same runs as one forecast; what `fit(runs, "auto")` and `pool` return.

    Attributes:
        members: fits of the same column of the same runs.
        weights: share of each [members], sum one.
        how: "mean" or "median", of the logarithms of the predictions (of the predictions where some are not positive).
        growth: error of the pool at earlier origins against the distance, or None where there was nothing to try it on.
        level: of the intervals.
        target: column that is predicted.
        points: input -> values [n] of the runs.
        observed: values of the target [n].
        link: "" where the laws are fitted to the column itself, else what they are fitted to: "1 - y" for an accuracy,
            "1/y" for another rising column.
        extents: inputs whose product says how large a run is.
        tried: one row per law that was considered: law, weight, status, ahead (its error at earlier origins), reason.
        table: what is known of the table, as in `Fit`.
        settings: boot, seed, and how the rule decided.
        refusal: why there are no intervals, or an empty string.
        warnings: what a reader should know, in sentences.
    """

    members: tuple[Fit, ...]
    weights: tuple[float, ...]
    how: str
    growth: ErrorGrowth | None
    level: float
    target: str
    points: Mapping[str, np.ndarray]
    observed: np.ndarray
    link: str
    extents: tuple[str, ...]
    tried: tuple[Mapping[str, Any], ...]
    table: Mapping[str, Any]
    settings: Mapping[str, Any]
    refusal: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that predictions need: those of all members."""
        return tuple(dict.fromkeys(name for member in self.members for name in member.law.inputs))

    @property
    def status(self) -> str:
        """The best status that members with half of the weight reach; "not_identified" where intervals are refused.

        A parameter that the runs leave open counts against a law, not against a forecast whose error is measured.
        """
        if self.refusal:
            return "not_identified"
        total = 0.0
        for status in STATUSES[:2]:
            total += sum(w for w, member in zip(self.weights, self.members, strict=True) if member.status == status)
            if total >= 0.5:
                return status
        return "at_bound" if any(member.status != "not_converged" for member in self.members) else "not_converged"

    # ---- prediction -------------------------------------------------------------------------------------------------

    def predict(
        self,
        points: pd.DataFrame | Mapping[str, Any] | None = None,
        level: float | None = None,
        noise: bool = True,
        **columns: Any,
    ) -> pd.DataFrame:
        """Predict the target, with an interval for a single new run that holds the uncertainty about the law.

        Args:
            points: a frame, `Runs`, or mapping with the inputs; keyword arrays or numbers are added to it.
            level: probability of the interval, by default that of the pool.
            noise: let the interval hold a new run, with the scatter of the runs; without it, the mean of many such runs.
            columns: inputs by name.

        Returns:
            A frame with the inputs, the target, `low` and `high` (NaN without draws).

        Raises:
            PredictionError: an input is missing or impossible.

        Cost: draws x points evaluations of the laws.
        """
        level = self.level if level is None else level
        check_level(level)
        where = self._where(points, columns)
        value = self._back(self._centre(where))
        low = high = np.full(len(value), np.nan)
        drawn = self._drawn(where, noise)
        if len(drawn):
            low, high = percentile_interval(drawn, level)
        return pd.DataFrame({**where, self.target: value, "low": low, "high": high})

    def sample(
        self, points: pd.DataFrame | Mapping[str, Any] | None = None, noise: bool = False, **columns: Any
    ) -> np.ndarray:
        """Draw predictions [draws, points], of laws in proportion to their weights; with `noise` of single new runs.

        Args: as `predict`.
        """
        return self._drawn(self._where(points, columns), noise)

    def extrapolation(self, points: pd.DataFrame | Mapping[str, Any] | None = None, **columns: Any) -> tuple[str, ...]:
        """Return a sentence for each input that lies far outside the runs (more than ten times). Args: as `predict`."""
        found = []
        for name, asked in self._where(points, columns).items():
            low, high = float(self.points[name].min()), float(self.points[name].max())
            for far, edge, ratio, words in (
                (asked.min(), low, low / asked.min() if asked.min() > 0 else 1.0, "below the smallest"),
                (asked.max(), high, asked.max() / high if high > 0 else 1.0, "above the largest"),
            ):
                if ratio > FAR:
                    shown = format_quantity(float(far)), format_quantity(edge)
                    found.append(f"{name} {shown[0]} is {ratio:.3g} times {words} of the fit, {shown[1]}")
        return tuple(found)

    def _where(self, points: Any, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Input -> values, all of one length."""
        frame = {} if points is None else getattr(points, "frame", points)
        given: dict[str, Any] = {name: frame[name] for name in getattr(frame, "columns", frame) if name in self.inputs}
        given |= {name: parse_quantity(v) if isinstance(v, str) else v for name, v in columns.items()}
        missing = [name for name in self.inputs if name not in given]
        if missing:
            raise PredictionError(
                f'the pool needs "{missing[0]}"; give its value, for example {missing[0]}=1e9 (--{missing[0]} 1e9)'
            )
        for member in self.members:  # its checks say what is wrong with a value, or that a name is unknown
            member.law.input_arrays(
                {k: np.atleast_1d(v) for k, v in given.items() if k in member.law.inputs or k not in self.inputs}
            )
        arrays = [np.atleast_1d(np.asarray(given[name], dtype=float)) for name in self.inputs]
        try:
            arrays = [a.ravel() for a in np.broadcast_arrays(*arrays)]
        except ValueError:
            sizes = ", ".join(f"{name} {len(a)}" for name, a in zip(self.inputs, arrays, strict=True))
            raise PredictionError(
                f"the points have different lengths: {sizes}; give one value or as many everywhere"
            ) from None
        if not len(arrays[0]):
            raise PredictionError(f"there are no points to predict at; give values of {', '.join(self.inputs)}")
        return dict(zip(self.inputs, arrays, strict=True))

    @property
    def _in_logs(self) -> bool:
        """Whether laws are averaged, and errors measured, in logarithms: they agree with each other in those."""
        return all(member.ratios for member in self.members)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.log(values) if self._in_logs else values

    def _back(self, scaled: np.ndarray) -> np.ndarray:
        """From the scale of averaging to the column."""
        return LINKS[self.link][1](np.exp(np.minimum(scaled, 700.0)) if self._in_logs else scaled)

    def _predictions(self, where: Mapping[str, np.ndarray]) -> np.ndarray:
        """The members' predictions [members, points] on the scale of averaging."""
        return np.stack(
            [
                self._scaled(member.law.value(member.values, {name: where[name] for name in member.law.inputs}))
                for member in self.members
            ]
        )

    def _centre(self, where: Mapping[str, np.ndarray]) -> np.ndarray:
        return pooled(self._predictions(where), np.array(self.weights)[:, None], self.how)

    def _drawn(self, where: Mapping[str, np.ndarray], noise: bool) -> np.ndarray:
        """Draws [draws, points] of the column."""
        total = int(self.settings.get("boot") or 0)
        size = len(next(iter(where.values())))
        if self.refusal or not total:
            return np.empty((0, size))
        rng = np.random.default_rng([int(self.settings.get("seed", 0)), 2])
        each = self._predictions(where)
        centre = pooled(each, np.array(self.weights)[:, None], self.how)
        counts = _apportioned(np.array(self.weights), total)
        drawn = np.concatenate(
            [
                self._of_member(member, value, where, count, rng)
                for member, value, count in zip(self.members, each, counts, strict=True)
            ]
        )
        if self.growth is not None:
            spread = np.mean((drawn - centre) ** 2, axis=0)
            far = distance(where, self.points, self.extents)
            missing = np.sqrt(np.maximum(self.growth.at(far) ** 2 - spread, 0.0))
            # one push for all points: what is wrong with the laws is wrong in the same direction all along
            drawn = drawn + missing * self.growth.pushes(len(drawn), rng)[:, None]
        if noise:
            drawn = drawn + self.quietest.noise.sample(np.exp(drawn) if self._in_logs else drawn, rng)
        return self._back(drawn)

    def _of_member(
        self, member: Fit, value: np.ndarray, where: Mapping[str, np.ndarray], count: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Draws [count, points] of one law on the scale of averaging, spread for the parameters it spent."""
        good = member.draws[np.all(np.isfinite(member.draws), axis=1)]
        if not len(good) or not count:
            return np.repeat(value[None], count, axis=0)
        picked = good[rng.permutation(np.resize(np.arange(len(good)), max(count, len(good))))[:count]]
        parameters = {name: picked[:, i : i + 1] for i, name in enumerate(member.law.parameters)}
        drawn = self._scaled(member.law.value(parameters, {name: where[name][None, :] for name in member.law.inputs}))
        rows, free = len(member.observed), len(member.law.parameters) - len(member.pinned)
        factor = min(np.sqrt(rows / max(rows - free, 1)), MOST_WIDENED)
        drawn = value + factor * (drawn - value)
        return np.where(np.isfinite(drawn), drawn, value)

    @cached_property
    def quietest(self) -> Fit:
        """The member with the smallest scatter: the others add to the scatter what they cannot follow."""
        return min(self.members, key=lambda member: member.noise.scale)

    # ---- views ------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the pool as plain data: the JSON of the command line."""
        from scalinglens.fit.compare.pooled_text import to_dict

        return to_dict(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with one row per law that was considered: weight, status, error ahead, reason."""
        return pd.DataFrame([dict(row) for row in self.tried]).set_index("law")

    def save(self, path: str | Path) -> None:
        """Write the pool with all its members to one JSON file, written to a temporary name first and renamed."""
        from scalinglens.fit.compare.pooled_text import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> PooledFit:
        """Read a pool that `save` wrote."""
        from scalinglens.fit.compare.pooled_text import load

        return load(path)

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the members rest on, and those of pooling."""
        found = [text for member in self.members for text in member.citations()]
        found.append("Bates and Granger 1969, The combination of forecasts, Operational Research Quarterly 20")
        return tuple(dict.fromkeys(found))

    def __repr__(self) -> str:
        from scalinglens.fit.compare.pooled_text import as_text

        return as_text(self)


def pool(fits: Sequence[Fit], weights: Sequence[float] | str | None = None, how: str = "mean") -> PooledFit:
    """Pool fits of the same runs into one forecast.

    Args:
        fits: two or more fits, to the same column of the same runs.
        weights: one non-negative number per fit; "skill" for weights by their errors at earlier origins; equal by default.
        how: "mean" or "median" of the logarithms of the predictions.

    Returns:
        The `PooledFit`; its draws are those of the fits, so ask these for `boot`.

    Raises:
        FitError: fewer than two fits, fits of different runs or columns, or impossible weights.

    Cost: every fit again at up to three earlier origins.

    Source: equal and skill weights of Bates and Granger 1969; laws differ less in weight than their errors suggest.

    >>> from scalinglens.fit import fit
    >>> runs = {"params": [1e6, 4e6, 2e7, 9e7, 4e8, 2e9], "loss": [4.20, 3.63, 3.09, 2.69, 2.38, 2.10]}
    >>> both = pool([fit(runs, "A/params^alpha + E"), fit(runs, "A/params^alpha")])
    >>> both.weights
    (0.5, 0.5)
    >>> 1.9 < both.predict(params=4e9)["loss"].item() < 2.05
    True
    """
    fits = tuple(fits)
    _check_members(fits, weights, how)
    from scalinglens.fit.compare.growth import back_test

    first = fits[0]
    extents = extents_of(tuple(dict.fromkeys(name for fit in fits for name in fit.law.inputs)))
    points = {name: values for fit in fits for name, values in fit.points.items()}
    tested = back_test(fits, points, extents)
    ahead = tested.errors if tested is not None else np.full(len(fits), np.nan)
    if isinstance(weights, str):
        shares = skill_weights(ahead)
    else:
        given = np.ones(len(fits)) if weights is None else np.asarray(weights, dtype=float)
        shares = given / given.sum()
    growth = None if tested is None else tested.growth(shares, how)
    boot = max(len(fit.draws) for fit in fits)
    notes = [note for fit in fits for note in fit.warnings]
    if growth is None and boot:
        notes.append("too few runs to forecast from earlier origins: the intervals show the laws' spread only")
    return PooledFit(
        members=fits,
        weights=tuple(float(w) for w in shares),
        how=how,
        growth=growth,
        level=first.level,
        target=first.target,
        points=points,
        observed=first.observed,
        link="",
        extents=extents,
        tried=tuple(
            {"law": fit.law.name, "weight": float(w), "status": fit.status, "ahead": float(a), "reason": ""}
            for fit, w, a in zip(fits, shares, ahead, strict=True)
        ),
        table=first.table,
        settings={
            "boot": boot,
            "seed": first.settings.get("seed", 0),
            "weights": weights if isinstance(weights, str) else "given" if weights is not None else "equal",
        },
        warnings=tuple(dict.fromkeys(notes)),
    )


def pooled(scaled: np.ndarray, weights: np.ndarray, how: str) -> np.ndarray:
    """Weighted mean or median over the first axis; members without a finite value are left aside.

    >>> pooled(np.array([[1.0], [2.0], [9.0]]), np.full((3, 1), 1 / 3), "median")
    array([2.])
    """
    weights = np.where(np.isfinite(scaled), weights, 0.0)
    scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    total = weights.sum(axis=0)
    with np.errstate(all="ignore"):
        if how == "mean":
            return np.where(total > 0, np.sum(weights * scaled, axis=0) / total, np.nan)
        order = np.argsort(np.where(weights > 0, scaled, np.inf), axis=0)
        values = np.take_along_axis(scaled, order, axis=0)
        share = np.take_along_axis(np.broadcast_to(weights, scaled.shape), order, axis=0) / total
        middle = np.cumsum(share, axis=0) - 0.5 * share
        above = np.clip(np.sum(middle < 0.5, axis=0), 0, len(scaled) - 1)
        below = np.clip(above - 1, 0, None)
        pick = lambda a, i: np.take_along_axis(a, i[None], axis=0)[0]  # noqa: E731
        low, high, at_low, at_high = pick(values, below), pick(values, above), pick(middle, below), pick(middle, above)
        part = np.where(at_high > at_low, (0.5 - at_low) / (at_high - at_low), 0.0)
        return np.where(total > 0, low + np.clip(part, 0.0, 1.0) * (high - low), np.nan)


def skill_weights(errors: np.ndarray) -> np.ndarray:
    """Shares from errors at earlier origins: inverse squares, a member without a figure like the worst.

    >>> skill_weights(np.array([0.1, 0.1, 0.2])).round(3)
    array([0.444, 0.444, 0.111])
    """
    known = np.isfinite(errors) & (errors > 0)
    if not known.any():
        return np.full(len(errors), 1 / len(errors))
    filled = np.where(known, errors, np.max(errors[known]))
    shares = (filled / filled.min()) ** -2.0
    return shares / shares.sum()


def extents_of(inputs: tuple[str, ...]) -> tuple[str, ...]:
    """The inputs whose product says how large a run is."""
    sizes = [name for name in inputs if name.startswith("params")][:1]
    lengths = [name for name in ("tokens", "examples", "steps", "epochs") if name in inputs][:1]
    known = (*sizes, *lengths) or tuple(name for name in ("flops", "x") if name in inputs)
    return known or inputs[:1]


def _apportioned(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to the weights, sum `total`: largest remainders first."""
    exact = weights * total
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]] += 1
    return counts


def _check_members(fits: tuple[Fit, ...], weights: Sequence[float] | str | None, how: str) -> None:
    if how not in HOW:
        raise FitError(f'how is "mean" or "median", got {how!r}')
    if len(fits) < 2 or not all(isinstance(fit, Fit) for fit in fits):
        raise FitError(f"a pool needs two or more fits, got {len(fits)}: pool([fit(runs, a), fit(runs, b)])")
    first = fits[0]
    for other in fits[1:]:
        if other.target != first.target or not np.array_equal(other.observed, first.observed):
            raise FitError(
                f"{other.law.name} is fitted to {len(other.observed)} values of {other.target}, {first.law.name} to "
                f"{len(first.observed)} of {first.target}; pool fits of the same runs"
            )
    if isinstance(weights, str):
        if weights != "skill":
            raise FitError(f'weights are numbers, one per fit, or "skill", got "{weights}"')
    elif weights is not None:
        array = np.asarray(weights, dtype=float)
        if array.shape != (len(fits),) or not np.all(np.isfinite(array)) or np.any(array < 0) or array.sum() <= 0:
            raise FitError(
                f"there are {len(fits)} fits and weights {list(weights)}; give one number, 0 or more, per fit"
            )
