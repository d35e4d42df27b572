"""`Surface`: losses as a smooth function of what was varied, without a law; it knows nothing outside the runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.errors import PredictionError, did_you_mean
from scalinglens.fit.estimate import check_level
from scalinglens.fit.noise import Noise, estimate_noise
from scalinglens.fit.surface.posterior import Model
from scalinglens.fit.surface.region import Region
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.quantities import format_quantity, parse_quantity

if TYPE_CHECKING:
    from scalinglens.fit.surface.frontier import Frontier

__all__ = ["REACH", "Rise", "Surface"]

REACH = 1.25  # times outside the hull of the runs from which on intervals are refused
_BLOCK = 4_000_000  # numbers of one array when many members are evaluated at many points


@dataclass(frozen=True)
class Rise:
    """Where the surface rises with an input that should lower it.

    Attributes:
        share: of the region where d ln loss / d ln input > 0.
        worst: largest such derivative (negative where there is none).
        where: input -> value at the worst place.
    """

    share: float
    worst: float
    where: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Surface:
    """The result of `surface`: ln target = centre + spread * mean over members of f(standardised ln inputs).

    Attributes:
        kind: "network" or "kernel".
        inputs: columns it predicts from.
        target: column it predicts.
        status: "certified" (every member converged, the runs span a region), "not_identified" or "not_converged".
        reasons: what keeps it from being certified.
        model: network or kernel.
        members: parameters of the members, whose mean is the prediction [members, parameters].
        draws: parameters of members fitted to resamples [draws, parameters]; may be empty.
        centre, spread: of ln inputs [inputs].
        centre_target, spread_target: of ln target.
        points: input -> values [n] of the runs.
        observed: values [n] of the target.
        groups: group number of each run [n], resampled whole.
        determined: effective number of parameters, mean over members.
        rises: input -> where the surface rises with it, for inputs that should lower the target.
        level: of the intervals.
        table: what is known of the table: origin, digest, rows read, dropped, columns.
        settings: members, boot, groups, width, ridge, delta, seed.
        warnings: what a reader should know, in sentences.
    """

    kind: str
    inputs: tuple[str, ...]
    target: str
    status: str
    reasons: tuple[str, ...]
    model: Model
    members: np.ndarray
    draws: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    centre_target: float
    spread_target: float
    points: Mapping[str, np.ndarray]
    observed: np.ndarray
    groups: np.ndarray
    determined: float
    rises: Mapping[str, Rise]
    level: float
    table: Mapping[str, Any]
    settings: Mapping[str, Any]
    warnings: tuple[str, ...] = field(default=())

    # ---- what is known ----------------------------------------------------------------------------------------------

    @property
    def refusal(self) -> str:
        """Why there are no intervals anywhere, or an empty string."""
        if self.status != "certified":
            return f"no intervals, because the surface is {self.status}: " + "; ".join(self.reasons)
        return ""

    @cached_property
    def region(self) -> Region:
        """Where the runs are."""
        return Region.of(np.log(np.stack([self.points[name] for name in self.inputs], axis=1)))

    @cached_property
    def residuals(self) -> np.ndarray:
        """ln(prediction) - ln(observed) of the runs [n]."""
        return np.log(self._values(self.members, self.points).mean(axis=0)) - np.log(self.observed)

    @cached_property
    def noise(self) -> Noise:
        """The scatter of single runs about the surface."""
        prediction = self.observed * np.exp(self.residuals)
        absorbed = min(self.determined, 0.5 * (int(self.groups.max()) + 1))
        free = round(self.determined)
        return estimate_noise(-self.residuals, prediction, self.groups, free, absorbed)

    # ---- prediction -------------------------------------------------------------------------------------------------

    def predict(
        self,
        points: pd.DataFrame | Mapping[str, Any] | None = None,
        level: float | None = None,
        noise: bool = True,
        **columns: Any,
    ) -> pd.DataFrame:
        """Predict the target, with an interval for a single new run.

        Args:
            points: a frame, `Runs`, or mapping with the inputs; keyword arrays or numbers are added to it.
            level: probability of the interval, by default that of the surface.
            noise: let the interval hold a new run, with the scatter of the runs; without it, the mean of many such runs.
            columns: inputs by name, `params=70e9, tokens=1.4e12`.

        Returns:
            A frame with the inputs, the target, `low` and `high`. These are NaN without draws, and for points more than
            1.25 times outside the runs: there the value is a guess of the network or the kernel, see `extrapolation`.

        Raises:
            PredictionError: an input is missing or impossible.

        Cost: (members + draws) x points evaluations of the network or the kernel.
        """
        level = self.level if level is None else level
        check_level(level)
        where = self._where(points, columns)
        value = np.exp(np.log(self._values(self.members, where)).mean(axis=0))
        low, high = np.full((2, len(value)), np.nan)
        drawn = self._drawn(where, noise)
        near = self._factor(where) <= REACH
        if len(drawn) and near.any():
            low[near], high[near] = percentile_interval(drawn[:, near], level)
        return pd.DataFrame({**where, self.target: value, "low": low, "high": high})

    def sample(
        self, points: pd.DataFrame | Mapping[str, Any] | None = None, noise: bool = False, **columns: Any
    ) -> np.ndarray:
        """Draw predictions [draws, points]: of the surface, or with `noise` of a single new run.

        Args: as `predict`.

        Returns:
            Draws; NaN at points more than 1.25 times outside the runs; no rows where intervals are refused or were not
            asked for.
        """
        where = self._where(points, columns)
        drawn = self._drawn(where, noise)
        drawn[:, self._factor(where) > REACH] = np.nan
        return drawn

    def extrapolation(self, points: pd.DataFrame | Mapping[str, Any] | None = None, **columns: Any) -> tuple[str, ...]:
        """Return a sentence for points more than 1.25 times outside the region of the runs, where nothing is known.

        Args: as `predict`.
        """
        where = self._where(points, columns)
        factor = self._factor(where)
        out = factor > REACH
        if not out.any():
            return ()
        far = int(np.argmax(factor))
        place = ", ".join(f"{name} {format_quantity(float(values[far]))}" for name, values in where.items())
        return (
            f"{int(out.sum())} of {len(out)} points lie outside the runs, up to {factor[far]:.3g} times ({place}); a surface "
            "knows nothing there and gives no interval: fit a law",
        )

    def frontier(self, **options: Any) -> Frontier:
        """Return the compute-optimal frontier; see `scalinglens.fit.surface.frontier.frontier`."""
        from scalinglens.fit.surface.frontier import frontier

        return frontier(self, **options)

    def _where(self, points: Any, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Input -> values, all of one length, checked."""
        frame = {} if points is None else getattr(points, "frame", points)
        given: dict[str, Any] = {name: frame[name] for name in getattr(frame, "columns", frame) if name in self.inputs}
        given |= {name: parse_quantity(v) if isinstance(v, str) else v for name, v in columns.items()}
        for name in given:
            if name not in self.inputs:
                known = ", ".join(self.inputs)
                raise PredictionError(
                    f'the surface has no input "{name}"{did_you_mean(name, self.inputs)}; it needs {known}'
                )
        for name in self.inputs:
            if name not in given:
                raise PredictionError(f'the surface needs "{name}"; give its value, for example {name}=1e9')
        arrays = []
        for name in self.inputs:
            try:
                array = np.atleast_1d(np.asarray(given[name], dtype=float))
            except (TypeError, ValueError):
                raise PredictionError(f'"{name}" is no number: {given[name]!r:.60}; give numbers') from None
            if not np.all(np.isfinite(array) & (array > 0)):
                bad = float(array[~(np.isfinite(array) & (array > 0))][0])
                raise PredictionError(f'"{name}" must be a positive finite number, got {bad:g}; leave such points out')
            arrays.append(array)
        try:
            arrays = [a.ravel() for a in np.broadcast_arrays(*arrays)]
        except ValueError:
            sizes = ", ".join(f"{name} {a.size}" for name, a in zip(self.inputs, arrays, strict=True))
            raise PredictionError(
                f"the points have different lengths: {sizes}; give one value or as many everywhere"
            ) from None
        if not len(arrays[0]):
            raise PredictionError(f"there are no points to predict at; give values of {', '.join(self.inputs)}")
        return dict(zip(self.inputs, arrays, strict=True))

    def _logs(self, where: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.log(np.stack([where[name] for name in self.inputs], axis=1))

    def _factor(self, where: Mapping[str, np.ndarray]) -> np.ndarray:
        return self.region.factor(self._logs(where))

    def _values(self, theta: np.ndarray, where: Mapping[str, np.ndarray]) -> np.ndarray:
        """The target [lanes, n] under members [lanes, parameters]."""
        x = (self._logs(where) - self.centre) / self.spread
        lanes = max(1, _BLOCK // (len(x) * 16))
        parts = [self.model.values(theta[k : k + lanes], x) for k in range(0, len(theta), lanes)]
        return np.exp(np.clip(self.centre_target + self.spread_target * np.concatenate(parts), -700.0, 700.0))

    def _drawn(self, where: Mapping[str, np.ndarray], noise: bool) -> np.ndarray:
        """Draws [draws, n]."""
        if self.refusal or not len(self.draws):
            return np.empty((0, len(next(iter(where.values())))))
        drawn = self._values(self.draws, where)
        if noise:
            rng = np.random.default_rng([int(self.settings.get("seed", 0)), 1])
            drawn = drawn * np.exp(self.noise.sample(drawn, rng))
        return drawn

    # ---- views ------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of the surface as plain data (without the members' numbers)."""
        return {
            "schema": 1,
            "kind": self.kind,
            "inputs": list(self.inputs),
            "target": self.target,
            "status": self.status,
            "reasons": list(self.reasons),
            "refusal": self.refusal or None,
            "members": len(self.members),
            "draws": len(self.draws),
            "determined": self.determined,
            "scatter": self.noise.scale,
            "region": {name: [float(v.min()), float(v.max())] for name, v in self.points.items()},
            "rises": {
                name: {"share": rise.share, "worst": rise.worst, "where": dict(rise.where)}
                for name, rise in self.rises.items()
            },
            "level": self.level,
            "rows": {"read": self.table["read"], "used": self.table["used"], "dropped": list(self.table["dropped"])},
            "columns": dict(self.table["columns"]),
            "settings": dict(self.settings),
            "data": {"origin": self.table["origin"], "sha256": self.table["sha256"]},
            "citations": list(self.citations()),
            "warnings": list(self.warnings),
        }

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the method rests on."""
        found = [
            "Barkeshli, Alfarano and Gromov 2026, arXiv 2601.10684 (compute-optimal frontiers from regression)",
            "MacKay 1992, Bayesian interpolation, Neural Computation 4",
        ]
        if len(self.draws):
            found.append("Efron 1979, Bootstrap methods: another look at the jackknife, Ann. Statist. 7")
        return tuple(found)

    def __repr__(self) -> str:
        used, read = self.table["used"], self.table["read"]
        rows = f"{used} runs" if used == read else f"{used} of {read} runs"
        what = f"{len(self.members)} networks" if self.kind == "network" else "kernel regression"
        lines = [
            f"surface of {self.target} over {', '.join(self.inputs)} ({what}), {rows} of {self.table['origin']}: {self.status}"
        ]
        width = max(map(len, self.inputs))
        for name, values in self.points.items():
            ends = " to ".join(format_quantity(float(end)) for end in (values.min(), values.max()))
            rise = self.rises.get(name)
            falls = "" if rise is None else f"   {self.target} falls with it in {1 - rise.share:.1%} of the region"
            lines.append(f"  {name:<{width}}  {ends}{falls}")
        lines.append(
            f"  scatter      {self.noise.scale:.3g} of ln {self.target}, {self.determined:.0f} parameters determined"
        )
        unit = self.settings.get("groups") or "rows"
        draws = f"percentile, {len(self.draws)} bootstrap refits over {unit}" if len(self.draws) else "none (boot=100)"
        lines.append(f"  intervals    {'refused' if self.refusal else draws}")
        lines.append("  outside      nothing is known: predictions there are guesses without intervals")
        return "\n".join(lines + [f"  ! {warning}" for warning in self.warnings])
