"""How the error of a forecast grows with its distance, measured by forecasting from earlier origins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalinglens.fit.covariance import coordinate_covariance
from scalinglens.fit.objective import Design
from scalinglens.fit.refits import refits
from scalinglens.fit.result import Fit

__all__ = ["BackTest", "ErrorGrowth", "back_test", "distance", "origins_of"]

STEPS = (2.0, 4.0, 8.0, 32.0)  # how far the origins lie below the largest run
LEAST = 2  # rows beyond an origin, and beyond the parameters on its near side
NEAR = 0.1  # distances below this are measured as this: noise there is not growth


@dataclass(frozen=True)
class ErrorGrowth:
    """Error of a forecast against its distance d = ln(how many times larger): standard deviation rate * d.

    Attributes:
        rate: error, of the logarithm, per e-fold beyond the runs.
        origins: how many earlier origins it was measured from.
        errors: root mean square error from each origin.
    """

    rate: float
    origins: int
    errors: tuple[float, ...] = ()

    def at(self, far: np.ndarray) -> np.ndarray:
        """Return the standard deviation at distances."""
        return self.rate * np.maximum(far, 0.0)

    def pushes(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw standard deviations [count]: of Student's t, because the rate rests on few origins."""
        freedom = max(self.origins, 1) + 2.0
        return rng.standard_t(freedom, size=count) * np.sqrt((freedom - 2) / freedom) * np.sqrt(1 + 1 / self.origins)


def distance(where: Mapping[str, np.ndarray], points: Mapping[str, np.ndarray], extents: tuple[str, ...]) -> np.ndarray:
    """ln of how many times larger than the largest run; zero inside.

    >>> distance({"x": np.array([50.0, 1000.0])}, {"x": np.array([1.0, 100.0])}, ("x",)).round(3)
    array([0.   , 2.303])
    """
    size = lambda columns: sum(np.log(columns[name]) for name in extents)  # noqa: E731
    return np.maximum(size(where) - np.max(size(points)), 0.0)


@dataclass(frozen=True, eq=False)
class BackTest:
    """What the members forecast from earlier origins.

    Attributes:
        observed: on the scale of averaging [rows].
        size: ln of the extent of the rows [rows].
        edges: ln of the extent of the largest run known at each origin [origins].
        predicted: [members, origins, rows] on the scale of averaging; NaN where a member has none.
        noise: standard deviation of single runs on that scale.
        shares: weights at each origin [members, origins], or None where they are those of the whole.
        variance: of the members' forecasts because their parameters are estimates [members, origins, rows], or None where
            it is taken for part of the growth.
    """

    observed: np.ndarray
    size: np.ndarray
    edges: np.ndarray
    predicted: np.ndarray
    noise: float
    shares: np.ndarray | None = None
    variance: np.ndarray | None = None

    def of(self, members: np.ndarray) -> BackTest:
        """Return the back-test of some of the members."""
        part = lambda array: None if array is None else array[members]  # noqa: E731
        return replace(self, predicted=self.predicted[members], shares=part(self.shares), variance=part(self.variance))

    @property
    def errors(self) -> np.ndarray:
        """Root mean square error of each member ahead of the origins [members], every origin counted alike."""
        ahead = self.size > self.edges[:, None]
        square = np.where(ahead, (self.predicted - self.observed) ** 2, np.nan)
        with np.errstate(all="ignore"):
            rows = np.nansum(square, axis=2) / np.sum(ahead, axis=1)
            rows = np.where(np.isnan(square).all(axis=2), np.nan, rows)
        known = np.isfinite(rows)
        count = known.sum(axis=1)
        return np.where(count > 0, np.sqrt(np.nansum(rows, axis=1) / np.maximum(count, 1)), np.nan)

    def _estimated(self, k: int, ahead: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Variance of the pool's forecast at one origin because parameters are estimates [rows ahead]."""
        if self.variance is None:
            return np.zeros(int(ahead.sum()))
        return np.nansum(share[:, None] * self.variance[:, k, ahead], axis=0)

    def growth(self, weights: np.ndarray, how: str) -> ErrorGrowth | None:
        """The growth of the error of the pool."""
        from scalinglens.fit.compare.pool import pooled

        rates, sizes = [], []
        for k, edge in enumerate(self.edges):
            share = weights if self.shares is None else self.shares[:, k]
            ahead = self.size > edge
            error = pooled(self.predicted[:, k, ahead], share[:, None], how) - self.observed[ahead]
            far = np.maximum(self.size[ahead] - edge, NEAR)
            good = np.isfinite(error)
            if not good.any():
                continue
            # runs far ahead say more about growth; noise is no error of the forecast, and what the draws of a fit to so few
            # runs allow for is not to be carried to a fit to all of them
            expected = self.noise**2 + self._estimated(k, ahead, share)[good]
            rates.append(np.sum(np.maximum(error[good] ** 2 - expected, 0.0)) / np.sum(far[good] ** 2))
            sizes.append(float(np.sqrt(np.mean(error[good] ** 2))))
        if not rates:
            return None
        return ErrorGrowth(float(np.sqrt(np.mean(rates))), len(rates), tuple(sizes))


def origins_of(size: np.ndarray, least: int) -> np.ndarray:
    """Edges (ln of extent) at which at least `least` rows with different extents are known and some lie ahead.

    >>> origins_of(np.log(np.geomspace(1, 1024, 11)), 5).round(2)
    array([6.24, 5.55, 4.85, 3.47])
    """
    top = float(size.max())
    edges: list[float] = []
    for step in STEPS:
        edge = top - np.log(step)
        known = size <= edge + 1e-9
        if known.sum() < least or len(np.unique(size[known])) < min(least, 3) or not np.any(~known):
            break
        edge = float(size[known].max())
        if not edges or edge < edges[-1] - 1e-9:
            edges.append(edge)
    return np.array(edges)


def back_test(
    fits: Sequence[Fit], points: Mapping[str, np.ndarray], extents: tuple[str, ...], *, starts: int = 3, seed: int = 0
) -> BackTest | None:
    """Fit the laws of fits again at earlier origins and let them forecast the larger runs.

    Args:
        fits: of the same runs.
        points: input -> values of these runs.
        extents: inputs whose product says how large a run is.

    Returns:
        None where no earlier origin leaves enough runs for the law with most parameters.

    Cost: a fit per law and origin, all origins of a law in one batch.
    """
    size = np.asarray(sum(np.log(points[name]) for name in extents))
    free = max(len(fit.law.parameters) - len(fit.pinned) for fit in fits)
    edges = origins_of(size, free + LEAST)
    if not len(edges):
        return None
    logs = all(fit.ratios for fit in fits)
    scaled: Callable[[np.ndarray], np.ndarray] = np.log if logs else lambda v: v
    predicted = np.full((len(fits), len(edges), len(size)), np.nan)
    variance = np.zeros_like(predicted)
    for j, fit in enumerate(fits):
        held = {name: fit.values[name] for name in fit.pinned}
        unit = float(fit.weights.mean())
        inputs = tuple(fit.points[name] for name in fit.law.inputs)
        design = Design.build(fit.law, fit.loss, inputs, fit.observed, fit.weights / unit, held)
        known = size <= edges[:, None] + 1e-9
        found = refits(design, known * design.weights, starts=starts, seed=seed)
        natural = design.to_natural(found.u)
        for k in np.flatnonzero(np.isfinite(found.value)):
            with np.errstate(all="ignore"):
                values = dict(zip(fit.law.parameters, natural[k], strict=True))
                predicted[j, k] = scaled(fit.law.value(values, fit.points))
            origin = replace(design, weights=known[k] * design.weights)
            variance[j, k] = _forecast_variance(origin, found.u[k], fit.groups, logs)
    noise = min(float(fit.noise.scale) for fit in fits)
    return BackTest(scaled(fits[0].observed), size, edges, predicted, noise, variance=variance)


def _forecast_variance(design: Design, u: np.ndarray, groups: np.ndarray, logs: bool) -> np.ndarray:
    """Variance of the law's value, or of its logarithm, at every row because its parameters are estimates [rows].

    Zero where the rows do not determine the parameters: nothing is forgiven there.
    """
    covariance = coordinate_covariance(design, u, groups)
    step = 1e-3 * np.sqrt(np.maximum(np.diag(covariance), 0.0))
    rows = len(design.observed)
    if not np.all(np.isfinite(covariance)) or np.any(step > 5e-3):  # known to a factor of 150 at best
        return np.zeros(rows)
    inputs = dict(zip(design.law.inputs, design.inputs, strict=True))

    def value(coordinates: np.ndarray) -> np.ndarray:
        natural = design.to_natural(coordinates)
        columns = {name: natural[:, i : i + 1] for i, name in enumerate(design.law.parameters)}
        with np.errstate(all="ignore"):
            values = design.law.value(columns, {name: array[None, :] for name, array in inputs.items()})
            return np.log(values) if logs else values

    ahead, behind = value(u + np.diag(step)), value(u - np.diag(step))
    slope = np.where(step[:, None] > 0, (ahead - behind) / np.where(step > 0, 2 * step, 1.0)[:, None], 0.0)
    found = np.einsum("ir,ij,jr->r", slope, covariance, slope)
    return np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0)
