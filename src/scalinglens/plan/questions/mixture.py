"""Data mixture: shares of the domains that give the least loss, and how far each may move."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Band, Figure, Panel, Points
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, share
from scalinglens.plan.questions.own import numbers_of, own_source, words_of
from scalinglens.plan.source import Source

__all__ = ["data_mixture"]

_SHARE = re.compile(r"[hr]([1-9][0-9]?)")
_DRAWS = 60  # optima under draws; each is a search of its own
_STARTS = 6  # further random starts, besides the middle and near every corner
_FLOOR = 1e-6  # least share in a search: powers of a share have no slope at zero

Loss = Callable[[np.ndarray], np.ndarray]


def data_mixture(
    *,
    source: Any,
    constants: str = "",
    params: Amount | None = None,
    tokens: Amount | None = None,
    domains: str = "",
    weights: str = "",
    least_share: float = 0.0,
    tolerance: float = 1e-3,
) -> Plan:
    """Find the shares of the domains that give the least loss under a mixture law.

    minimise sum_t w_t L_t(h, N, D)  subject to  sum_i h_i = 1, h_i >= least_share

    Args:
        source: mixture law (shukor2025.mixture3, ye2024.mixture3) or saved fit of one; several with commas, one for each
            target whose loss counts.
        constants: of the law, NAME=NUMBER with commas; nothing is published, all are of somebody's domains.
        params: model size, where the law has it.
        tokens: training tokens, where the law has them.
        domains: names of the domains with commas, in the order of the law.
        weights: of the targets with commas, where there are several; equal by default.
        least_share: that every domain keeps.
        tolerance: of the loss, for the range in which each share may move, the others adapting.

    Returns:
        share[...] of each domain and the loss; the loss of equal shares to compare.

    Raises:
        PlanError: a law without shares, missing constants, more minimum than there is to share.

    Cost: a few hundred evaluations of the law, and as many under each of 60 draws of a fit.

    Source: Shukor et al. 2025 (arXiv 2507.09404), Ye et al. 2024 (arXiv 2403.16952).

    >>> words = "E=1.5,C1=1,C2=1,g1=0.5,g2=0.5,A=400,alpha=0.34,B=400,beta=0.28"
    >>> found = data_mixture(source="shukor2025.additive", constants=words, params="1B", tokens="20B")
    >>> round(found.answer["share[h1]"].value, 4)
    0.5
    """
    given = read(params=params, tokens=tokens)
    if not 0 < tolerance < 1:
        raise PlanError(f"tolerance is {tolerance:g}; it is a share of the loss, such as 0.001")
    names: list[Any] = words_of(source) if isinstance(source, str) else source if isinstance(source, list) else [source]
    if not names:
        raise PlanError("the source is empty; name a mixture law or a saved fit of one")
    sources = [own_source(one, constants, example="constants (NAME=NUMBER,...)") for one in names]
    shares = _shares(sources)
    labels = words_of(domains) or list(shares)
    if len(labels) != len(shares):
        raise PlanError(f"{len(labels)} domains are named, and the law has {len(shares)} shares; name each once")
    floor = share("least_share", least_share)
    if floor * len(shares) > 1 - 1e-9:
        raise PlanError(
            f"{len(shares)} domains with at least {floor:g} each are more than everything; lower least_share"
        )
    each = numbers_of("weights", weights) if weights else [1.0] * len(sources)
    if len(each) != len(sources):
        raise PlanError(f"{len(each)} weights are given for {len(sources)} targets; give one for each")
    parts = np.array(each) / sum(each)
    floor = max(floor, _FLOOR)
    total = _loss(sources, parts, shares, given)
    best = _best(total, len(shares), floor)
    level = sources[0].level
    drawn = _drawn(sources, parts, shares, given, floor, best)
    near = _near(total, best, floor, tolerance)
    answer = {
        f"share[{label}]": _estimate(best[i], drawn[:, i] if len(drawn) else None, level)
        for i, label in enumerate(labels)
    }
    equal = np.full(len(shares), 1 / len(shares))
    answer |= {"loss": Estimate(float(total(best))), "loss[equal shares]": Estimate(float(total(equal)))}
    far = {
        name: d for one in sources for name, d in one.beyond({**given, **dict(zip(shares, best, strict=True))}).items()
    }
    corner = [label for label, h in zip(labels, best, strict=True) if h == 0]
    warnings = [w for one in sources for w in one.warnings]
    if corner:
        warnings.append(f"nothing for {', '.join(corner)}: the law was hardly fitted there; keep a least_share")
    return answered(
        "data_mixture",
        source=", ".join(one.name for one in sources),
        given={**given, "domains": ",".join(labels), "least_share": least_share},
        answer=answer,
        laws=[one.name for one in sources if one.published],
        near_optimal={"tolerance": tolerance, **{f"share[{label}]": near[i] for i, label in enumerate(labels)}},
        extrapolation_decades=far,
        assumptions=(
            "each range moves one share with the others adapting; shares sum to 1",
            f"searched from {len(shares) + 1 + _STARTS} starts, the best kept",
        ),
        warnings=warnings,
        figure=_figure(labels, best, near),
        level=level,
    )


def _shares(sources: Sequence[Source]) -> list[str]:
    """The inputs that are shares, in order; the same for every target."""
    found = [sorted((n for n in one.inputs if _SHARE.fullmatch(n)), key=lambda n: int(n[1:])) for one in sources]
    for one, names in zip(sources, found, strict=True):
        if len(names) < 2:
            raise PlanError(
                f"{one.name} has no shares of domains (h1, h2, ... or r1, r2, ...); take shukor2025.mixture3 or ye2024.mixture3"
            )
        if len(names) != len(found[0]):
            raise PlanError(
                f"{one.name} has {len(names)} domains and {sources[0].name} has {len(found[0])}; they must agree"
            )
    return found[0]


def _loss(sources: Sequence[Source], weights: np.ndarray, shares: Sequence[str], given: dict[str, float]) -> Loss:
    """Weighted loss at shares [..., k]."""

    def total(at: np.ndarray) -> np.ndarray:
        found = np.zeros(np.shape(at)[:-1])
        for weight, one in zip(weights, sources, strict=True):
            names = sorted((n for n in one.inputs if _SHARE.fullmatch(n)), key=lambda n: int(n[1:]))
            columns = {name: at[..., i] for i, name in enumerate(names)}
            found = found + weight * one.value({**given, **columns})
        return found

    return total


def _gradient(loss: Loss) -> Callable[[np.ndarray], np.ndarray]:
    """Central differences, all in one evaluation of the law; relative steps, since powers of small shares are steep."""

    def slope(at: np.ndarray) -> np.ndarray:
        step = 1e-5 * np.maximum(at, 1e-4)
        moved = np.concatenate([at + np.diag(step), at - np.diag(step)])
        value = loss(moved)
        return (value[: len(at)] - value[len(at) :]) / (2 * step)

    return slope


def _best(loss: Loss, k: int, floor: float, start: np.ndarray | None = None) -> np.ndarray:
    """The least loss on the simplex, from several starts, or one where an optimum is nearby."""
    if start is not None:
        starts = [start]
    else:
        corners = [np.where(np.arange(k) == i, 1 - floor * (k - 1), floor) for i in range(k)]
        middle = np.full(k, 1 / k)
        rng = np.random.default_rng(0)
        starts = [
            middle,
            *(0.9 * c + 0.1 * middle for c in corners),
            *(floor + (1 - k * floor) * h for h in rng.dirichlet(np.ones(k), _STARTS)),
        ]
    slope = _gradient(loss)
    found = [
        minimize(
            loss, at, jac=slope, method="SLSQP", bounds=[(floor, 1.0)] * k, constraints=[LinearConstraint(np.ones(k), 1.0, 1.0)],
            options={"ftol": 1e-12, "maxiter": 200},
        )
        for at in starts
    ]  # fmt: skip
    best = min(found, key=lambda one: float(one.fun) if np.isfinite(one.fun) else np.inf)
    kept = np.clip(best.x, floor, 1.0)
    kept = np.where(kept < 2 * _FLOOR, 0.0, kept)  # a share at the floor of the search is none
    return kept / kept.sum()


def _near(loss: Loss, best: np.ndarray, floor: float, tolerance: float) -> list[tuple[float, float]]:
    """Least and most of each share with a loss within the tolerance, the other shares adapting."""
    k = len(best)
    least = float(loss(best))
    bar = least + tolerance * abs(least)
    slope = _gradient(loss)
    allowed = [
        LinearConstraint(np.ones(k), 1.0, 1.0),
        NonlinearConstraint(
            lambda h: (bar - loss(h)) / (tolerance * abs(least)),
            0.0,
            np.inf,
            jac=lambda h: -slope(h) / (tolerance * abs(least)),  # pyright: ignore[reportArgumentType]
        ),
    ]
    ranges = []
    for i in range(k):
        ends = []
        for sign in (1.0, -1.0):
            axis = sign * np.eye(k)[i]
            one = minimize(
                lambda h, axis=axis: float(axis @ h), best, jac=lambda h, axis=axis: axis, method="SLSQP",
                bounds=[(floor, 1.0)] * k, constraints=allowed, options={"ftol": 1e-10, "maxiter": 300},
            )  # fmt: skip
            inside = float(loss(one.x)) <= bar + 1e-3 * tolerance * abs(least)
            ends.append(float(one.x[i]) if inside else float(best[i]))
        ranges.append((ends[0] if ends[0] >= 2 * _FLOOR else 0.0, min(ends[1], 1.0)))
    return ranges


def _drawn(
    sources: Sequence[Source],
    weights: np.ndarray,
    shares: Sequence[str],
    given: dict[str, float],
    floor: float,
    best: np.ndarray,
) -> np.ndarray:
    """Best shares under draws [draws, k]; none where a source has none."""
    if any(len(one.heads) != 1 or not len(one.heads[0].draws) for one in sources):
        return np.empty((0, len(shares)))
    count = min(_DRAWS, *(len(one.heads[0].draws) for one in sources))
    found = []
    for i in range(count):
        under = []
        for one in sources:
            head = one.heads[0]
            row = head.draws[i * len(head.draws) // count]
            under.append((head.law, dict(zip(head.law.parameters, map(float, row), strict=True))))

        def total(at: np.ndarray, under: list = under) -> np.ndarray:
            value = np.zeros(np.shape(at)[:-1])
            for weight, (law, parameters) in zip(weights, under, strict=True):
                names = sorted((n for n in law.inputs if _SHARE.fullmatch(n)), key=lambda n: int(n[1:]))
                columns = np.broadcast_arrays(
                    *(given[n] if n in given else at[..., names.index(n)] for n in law.inputs)
                )
                value = value + weight * law.value(parameters, dict(zip(law.inputs, columns, strict=True)))
            return value

        found.append(_best(total, len(shares), floor, best))
    return np.array(found)


def _estimate(value: float, drawn: np.ndarray | None, level: float) -> Estimate:
    if drawn is None:
        return Estimate(float(value))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(min(low, value)), float(max(high, value)), level, "percentile")


def _figure(labels: Sequence[str], best: np.ndarray, near: Sequence[tuple[float, float]]) -> Figure:
    panels = []
    marks = []
    for i, (low, high) in enumerate(near):
        marks.append(Band([i + 0.7, i + 1.3], [low, low], [high, high], MUTED))
    marks.append(Points(np.arange(1, len(labels) + 1), best, ACCENT, size=7))
    said = ", ".join(f"{i}: {label}" for i, label in enumerate(labels, 1))
    panels.append(
        Panel(
            "Best share and range nearly as good", Axis(f"domain ({said})"), Axis("share of the tokens"), tuple(marks)
        )
    )
    return Figure("Data mixture", tuple(panels))
