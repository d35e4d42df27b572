"""The rule for curves of one variable: which laws are pooled, which rows count, and how much each law weighs.

Every law of a curve is misspecified, and what is asked lies beyond its end; so rows near the end count more, by as much as the
noise allows. With x in units of its largest value and the signal-to-noise ratio S = (range of ln y)/(scatter of ln y),

    w(x) = 1/(1 + k (1/x^2 - 1)),   k = S/300 between .05 and 1

from almost uniform weights for a noisy curve to w = x^2 for a clean one. The laws are M2, M3 and M4 of Alabdulmohsin et al. 2022
and the broken law of Caballero et al. 2022 with one break that has runs on either side of it and slopes that go down. Their log
predictions are averaged with shares proportional to s^(-1/2), s the weighted standard error of the residuals of each.

Members, k and the power of s were chosen among some hundred rules by the error beyond a cut at a half, a quarter or an eighth
of the range, as a ratio to that of M4 and averaged over three groups: the fitting parts of the 92 public curves of the benchmark
(.46), 112 other public curves (1.00, no better than M4), 127 made ones (.81). The mean over groups is flat (k half or twice as
large, or equal shares, cost 3%), the groups are not: k = 1 without the broken law gives .51, .83 and .87. Two families of
public curves (21 curves, on which all rules agree within 1%) were left out. The members are those of a published study that had
looked at the held-out ends of the 92 curves. A pure power law without a floor is where the rule loses most against one law.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalinglens.errors import FitError
from scalinglens.fit.certificate import certify
from scalinglens.fit.compare.growth import BackTest, origins_of
from scalinglens.fit.compare.pool import LINKS, PooledFit
from scalinglens.fit.covariance import absorbed_by_groups
from scalinglens.fit.objective import Design, Loss, Progress
from scalinglens.fit.refits import Refits, refits
from scalinglens.fit.result import Fit
from scalinglens.fit.search import Search
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.domain import Domain
from scalinglens.laws.law import Law
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.runs import Runs

__all__ = ["Curve", "curve_laws", "curve_of", "member_fit", "pool_curve", "recency"]

LEAST = 5  # runs, and different x, that a curve needs
CLEAN = 300.0  # signal-to-noise ratio from which the weights are x^2
BOUNDS = (0.05, 1.0)  # of k
POWER = 0.5  # of the standard error in the shares
FREE_REFITS = 25  # Newton steps of a refit that starts at the optimum: more do not move its predictions
STARTS = {"M2": 2, "M3": 2, "M4": 4, "broken": 4}
FLAT = 2.0  # a trend must lower the log likelihood per parameter by this much, or there is nothing to forecast


@dataclass(frozen=True, eq=False)
class Curve:
    """Rows of a curve in the order of x, with what is fitted in place of the column."""

    x: np.ndarray
    y: np.ndarray
    link: str
    order: np.ndarray  # row numbers of the table

    @property
    def size(self) -> np.ndarray:
        return np.log(self.x)


def curve_laws(x: np.ndarray, y: np.ndarray) -> dict[str, Law]:
    """Return the laws of the rule with the bounds that the data give; the broken law needs seven runs, M4 six.

    Args:
        x, y: the curve [rows], y falling.

    >>> list(curve_laws(np.arange(1.0, 7.0), 1 / np.arange(1.0, 7.0)))
    ['M2', 'M3', 'M4']
    """
    form = lambda name: replace(find_law(name), constants={}, tags={})  # noqa: E731
    found = {"M2": form("alabdulmohsin2022.M2")}
    # c at -20 is an exponential in 1/x, which would run away otherwise
    found["M3"] = _bounded(form("alabdulmohsin2022.M3"), c=Domain(-20.0, 0.0))
    if len(x) >= 6:
        found["M4"] = _bounded(
            form("alabdulmohsin2022.M4"), a=Domain(0.0, 20.0, False), e0=Domain(0.0, 20.0 * float(y.max()))
        )
    if len(x) >= 7:
        broken = _bounded(
            form("caballero2022.n1"),
            c0=Domain(0.0, np.inf, False),
            c1=Domain(0.0, np.inf, False),
            f1=Domain(0.1, 5.0, False),
        )
        low, high = _break_range(x)
        found["broken"] = _bounded(broken, d1=Domain(low, high, False))
    return found


def recency(x: np.ndarray, k: float) -> np.ndarray:
    """Return weights w = 1/(1 + k ((max x/x)^2 - 1)).

    >>> recency(np.array([1.0, 2.0, 4.0]), 1.0)
    array([0.0625, 0.25  , 1.    ])
    """
    return 1.0 / (1.0 + k * ((x.max() / x) ** 2 - 1.0))


def pool_curve(
    table: Runs,
    target: str,
    *,
    boot: int = 0,
    level: float = 0.9,
    seed: int = 0,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    progress: Progress | None = None,
) -> PooledFit:
    """Pool the laws of the rule over a curve.

    Args:
        table: runs with the columns x and `target`, complete.
        target: column to forecast.
        boot: draws in all; none gives no intervals.
        level: of the intervals.
        seed: of starts and draws.
        groups: group number of each row, resampled together.
        weights: of the rows, multiplied with those of the rule.
        progress: called with (laws done, laws).

    Returns:
        The pool; intervals are refused where the curve shows no trend.

    Raises:
        FitError: fewer than five different x, x or the column not positive.

    Cost: about half a second for sixty rows and 100 draws.
    """
    curve = curve_of(table, target)
    order = curve.order
    given = np.ones(len(curve.x)) if weights is None else weights[order]
    labels = np.arange(len(curve.x)) if groups is None else groups[order]
    laws = curve_laws(curve.x, curve.y)
    with single_threaded_blas():
        noise, ratio = _noise(curve, laws, given, seed)
        k = float(np.clip(ratio / CLEAN, *BOUNDS))
        edges = origins_of(curve.size, LEAST)
        known = np.vstack([np.ones(len(curve.x), bool), *(curve.size <= edge + 1e-9 for edge in edges)])
        seen = np.zeros(known.shape)
        for row, mask in zip(seen, known, strict=True):
            row[mask] = given[mask] * recency(curve.x[mask], k)
        designs, ends, errors = {}, {}, {}
        for count, (name, law) in enumerate(laws.items()):
            designs[name] = Design.build(law, Loss("squares"), (curve.x,), curve.y, seen[0] / seen[0].mean(), {})
            ends[name] = _followed(designs[name], name, curve, seen, known, seed)
            errors[name] = _standard_errors(designs[name], ends[name], seen)
            if progress:
                progress(count + 1, len(laws))
        usable = [name for name in laws if np.isfinite(errors[name][0])]
        shares = _shares(np.stack([errors[name] for name in usable]))
        tested = _back_test(curve, [designs[n] for n in usable], [ends[n] for n in usable], edges, noise, shares)
        fits = []
        for name, share in zip(usable, shares[:, 0], strict=True):
            draws = _draws(designs[name], ends[name].u[0], labels, int(np.ceil(boot * share)), seed)
            fits.append(
                member_fit(designs[name], ends[name], table, target, draws=draws, groups=labels, level=level, seed=seed)
            )
    growth = tested.growth(shares[:, 0], "mean") if tested is not None else None
    ahead = tested.errors if tested is not None else np.full(len(usable), np.nan)
    refusal = _no_trend(curve, noise)
    inverse = np.argsort(order)
    notes = list(table.warnings)
    if growth is None:
        notes.append(
            f"{len(curve.x)} runs are too few to forecast from earlier origins; intervals show the laws' spread only"
        )
    if refusal:
        notes.append(refusal)
    half = np.sqrt(1.0 / (1.0 + 1.0 / k))
    return PooledFit(
        members=tuple(fits),
        weights=tuple(float(w) for w in shares[:, 0]),
        how="mean",
        growth=growth,
        level=level,
        target=target,
        points={"x": curve.x[inverse]},
        observed=LINKS[curve.link][1](curve.y)[inverse],
        link=curve.link,
        extents=("x",),
        tried=_tried(laws, usable, shares[:, 0], fits, ahead),
        table=fits[0].table,
        settings={
            "boot": boot,
            "seed": seed,
            "rule": "curve",
            "noise": noise,
            "signal_to_noise": ratio,
            "recency": k,
            "decided": {
                "noise": f"{noise:.2g} of the logarithm, signal-to-noise ratio {ratio:.3g}",
                "weights": f"rows at {half:.2g} of the largest x count half as much as those at its end (k = {k:.2g})",
            },
        },
        refusal=refusal,
        warnings=tuple(dict.fromkeys(notes)),
    )


# ---- reading ----------------------------------------------------------------------------------------------------------


def curve_of(table: Runs, target: str, falls: bool = False) -> Curve:
    """Read a curve from the columns x and `target`; what rises is turned round, unless it is taken as it is (`falls`).

    Raises:
        FitError: values that are not positive, or fewer than five different x.
    """
    x, y = table.column("x"), table.column(target)
    for name, values in (("x", x), (target, y)):
        if np.any(values <= 0):
            row = int(np.argmax(values <= 0))
            raise FitError(
                f"column {name} of {table.origin} is {values[row]:g} in {int(np.sum(values <= 0))} runs, first at run {row}; "
                f'the laws of curves need positive values; drop them with where="{name} > 0"'
            )
    different = len(np.unique(x))
    if different < LEAST:
        raise FitError(
            f"{len(x)} runs with {different} different x of {table.origin} show no curve: {LEAST} are needed; "
            "add runs, or fit one law with fewer parameters"
        )
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    # a column that rises is fitted as what it lacks to one, or upside down: both fall, as the laws do
    rising = not falls and np.ptp(y) > 0 and np.corrcoef(np.log(x), y)[0, 1] > 0.0 and _late(y) > _early(y)
    link = "" if not rising else "1 - y" if y.max() < 1.0 else "1/y"
    return Curve(x, LINKS[link][0](y), link, order)


def _early(y: np.ndarray) -> float:
    return float(np.median(y[: max(len(y) // 4, 1)]))


def _late(y: np.ndarray) -> float:
    return float(np.median(y[-max(len(y) // 4, 1) :]))


def _bounded(law: Law, **domains: Domain) -> Law:
    return replace(law, domains={**dict(law.domains), **domains})


def _break_range(x: np.ndarray) -> tuple[float, float]:
    """Where a break has three different x on either side (two of fewer than twelve)."""
    different = np.unique(x)
    side = 3 if len(different) >= 12 else 2
    return float(different[side - 1]), float(different[-side])


# ---- fitting ----------------------------------------------------------------------------------------------------------


def _noise(curve: Curve, laws: dict[str, Law], given: np.ndarray, seed: int) -> tuple[float, float]:
    """Scatter of ln y from neighbouring residuals of the most flexible law, and the range of ln y relative to it."""
    name = "broken" if "broken" in laws else "M2"
    design = Design.build(laws[name], Loss("squares"), (curve.x,), curve.y, given, {})
    found = refits(design, given[None], starts=STARTS[name], seed=seed)
    residuals = design.residuals(found.u)[0]
    rows = len(residuals)
    # differences leave out what bends slowly; the parameters of the law took their share of the rest
    scatter = np.sqrt(np.mean(np.diff(residuals) ** 2) / 2 * rows / max(rows - 5, 1.5))
    span = float(np.ptp(np.log(curve.y)))
    noise = float(max(scatter, 1e-9 * max(span, 1.0)))
    return noise, span / noise


def _followed(design: Design, name: str, curve: Curve, seen: np.ndarray, known: np.ndarray, seed: int) -> Refits:
    """Ends under the weights of the rule at all origins; a break must lie among the runs known at each."""
    lower, upper = np.tile(design.lower, (len(seen), 1)), np.tile(design.upper, (len(seen), 1))
    if "d1" in design.law.parameters:
        place = design.law.parameters.index("d1")
        for row, mask in enumerate(known):
            if len(np.unique(curve.x[mask])) >= 2:
                low, high = _break_range(curve.x[mask])
                lower[row, place], upper[row, place] = np.log(min(low, high)), np.log(max(low, high))
    return refits(design, seen, starts=STARTS[name], seed=seed, lower=lower, upper=upper)


def _standard_errors(design: Design, ends: Refits, seen: np.ndarray) -> np.ndarray:
    """Weighted standard error of the residuals at each origin, with as many rows as the weights are worth."""
    residuals = design.residuals(ends.u)
    total = seen.sum(axis=1)
    worth = total**2 / np.sum(seen**2, axis=1)
    free = len(design.law.parameters)
    spare = np.maximum(worth - np.minimum(free, worth - 1), 0.5)
    with np.errstate(all="ignore"):
        mean = np.sum(np.where(seen > 0, seen * residuals**2, 0.0), axis=1) / total
    return np.where(np.isfinite(ends.value), np.sqrt(mean * worth / spare + 1e-24), np.nan)


def _shares(errors: np.ndarray) -> np.ndarray:
    """Shares [laws, origins] that sum to one at each origin."""
    with np.errstate(all="ignore"):
        raw = np.where(np.isfinite(errors), (errors / np.nanmin(errors, axis=0)) ** -POWER, 0.0)
    return raw / np.maximum(raw.sum(axis=0), 1e-300)


def _back_test(
    curve: Curve, designs: list[Design], ends: list[Refits], edges: np.ndarray, noise: float, shares: np.ndarray
) -> BackTest | None:
    if not len(edges):
        return None
    predicted = np.stack(
        [
            design.residuals(found.u[1:]) + np.log(curve.y) * np.isfinite(found.value[1:, None])
            for design, found in zip(designs, ends, strict=True)
        ]
    )
    return BackTest(np.log(curve.y), curve.size, edges, predicted, noise, shares[:, 1:])


def _draws(design: Design, u: np.ndarray, groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Parameters [draws, p] under random weights of the groups (Rubin's Bayesian bootstrap): few rows are never lost."""
    if not count:
        return np.empty((0, len(u)))
    rng = np.random.default_rng([seed, 3])
    each = rng.exponential(size=(count, int(groups.max()) + 1))
    factor = (each / each.mean(axis=1, keepdims=True))[:, groups]
    found = design.minimise(
        np.tile(u, (count, 1)), factor * design.weights, damping=0.1, iterations=FREE_REFITS, rough=True
    )
    return np.where(np.isfinite(found.value)[:, None], design.to_natural(found.u), np.nan)


def member_fit(
    design: Design,
    ends: Refits,
    table: Runs,
    target: str,
    *,
    draws: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Fit:
    """Return the first of the ends as a `Fit`, certified like any other."""
    draws = np.empty((0, len(design.law.parameters))) if draws is None else draws
    groups = np.arange(len(design.observed)) if groups is None else groups
    u = ends.u[0]
    found = Search(
        u=u,
        value=float(design.loss.value(design.residuals(u[None]), design.weights[None])[0]),
        decrement=0.0,
        converged=bool(ends.converged[0]),
        starts=int(ends.starts),
        agree=int(ends.agree[0]),
        basins=(),
        iterations=0,
    )
    status, certificate = certify(design, found)
    values = {n: float(v) for n, v in zip(design.law.parameters, design.to_natural(u[None])[0], strict=True)}
    prediction = design.law.value(values, {"x": design.inputs[0]})
    return Fit(
        law=design.law,
        loss=design.loss,
        status=status,
        values=values,
        pinned=(),
        certificate=certificate,
        value=found.value,
        scale=None,
        points={"x": design.inputs[0]},
        observed=design.observed,
        residuals=np.log(prediction / design.observed),
        ratios=True,
        weights=design.weights,
        groups=groups,
        absorbed=absorbed_by_groups(design, u, groups),
        draws=draws,
        left_out=None,
        covariance=None,
        profile=None,
        level=level,
        interval_method="percentile",
        target=target,
        table=_described(table),
        settings={"boot": len(draws), "groups": None, "resample": "rows", "seed": seed, "weights": "given", "tie": {}},
        warnings=tuple(f"{status}: {reason}" for reason in certificate.reasons),
    )


def _described(table: Runs) -> dict[str, Any]:
    return {
        "origin": table.origin,
        "sha256": table.digest(),
        "read": table.rows_read,
        "used": len(table),
        "dropped": [{"reason": item.reason, "count": item.count} for item in table.dropped],
        "columns": {name: column.says() for name, column in table.columns.items()},
    }


def _no_trend(curve: Curve, noise: float) -> str:
    """A sentence where a constant explains the curve as well as a power law of x does, or an empty string."""
    z, t = np.log(curve.y), curve.size
    slope, offset = np.polyfit(t, z, 1)
    flat, sloped = np.sum((z - z.mean()) ** 2), np.sum((z - offset - slope * t) ** 2)
    rows = len(z)
    gain = 0.5 * rows * np.log(max(flat, 1e-300) / max(sloped, 1e-300))
    late = abs(np.log(_late(curve.y) / _early(curve.y)))
    if gain < FLAT and late < 3 * noise:
        return f"a constant explains the curve as well as a trend does (gain in log likelihood {gain:.2g}): no forecast"
    return ""


def _tried(
    laws: dict[str, Law], usable: list[str], shares: np.ndarray, fits: list[Fit], ahead: np.ndarray
) -> tuple[dict[str, Any], ...]:
    found = []
    for name, law in laws.items():
        if name not in usable:
            found.append(
                {"law": law.name, "weight": 0.0, "status": "failed", "ahead": np.nan, "reason": "no finite fit"}
            )
            continue
        i = usable.index(name)
        found.append(
            {
                "law": law.name,
                "weight": float(shares[i]),
                "status": fits[i].status,
                "ahead": float(ahead[i]),
                "reason": "",
            }
        )
    return tuple(found)
