"""What is known before any run, and what a fit knows: the beliefs that a design starts from.

For laws of the form E + A/params^alpha + B/tokens^beta the published constants are the prior: one opinion per paper, in the
coordinates ln E, ln A/N0^alpha, ln alpha, ln B/D0^beta, ln beta at N0 = 1e9 and D0 = 2e10 (where the terms hardly depend on
the exponents), their mean and covariance, and a floor under the spread because five papers are few. Any other law with
constants gets a wide spread about them, narrowed by one statement: its losses are right within a tenth.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.fit.compare.pool import PooledFit
from scalinglens.fit.derived import _two_powers
from scalinglens.fit.result import Fit
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.catalogue import laws
from scalinglens.laws.law import Law
from scalinglens.plan.design.belief import Belief, conditioned, log_slopes, normal_belief, plain_noise, to_coordinates
from scalinglens.plan.source import as_source

__all__ = ["PRIOR", "beliefs_of", "fitted_belief", "published_belief", "published_constants"]

PRIOR = "prior"
"""Name of the prior from published laws, where there is no fit and no opinion."""
SIZE, DATA = 1e9, 2e10  # where the amplitudes of published laws are compared
FLOOR = np.array([0.1, 0.2, 0.1, 0.2, 0.1])  # least spread of ln E, ln a, ln alpha, ln b, ln beta
SCATTER = 0.005  # relative noise of a run where nothing is known; published seeds differ by 0.2% to 1%
WIDE_LOG, WIDE_PLAIN, RIGHT_WITHIN = 0.7, 0.3, 0.1  # of a law without published relatives
COUNT = 400


def beliefs_of(
    given: Any, *, noise: float | None, seed: int, where: Callable[[Law], Mapping[str, np.ndarray]]
) -> tuple[Belief, ...]:
    """Return what is known: one belief per law.

    Args:
        given: a `Fit` or `PooledFit` with draws, the path of one, the name of a published law, a `Law` with constants, or
            "prior".
        noise: relative scatter of single runs where there is no fit.
        seed: of the draws.
        where: law -> its inputs, values [n], at points whose losses a law without relatives is taken to get right within a tenth.

    Raises:
        PlanError: nothing of these, a fit without draws, or a law without constants.

    Cost: reading the file, where one is given.
    """
    if isinstance(given, Belief):
        return (given,)
    if isinstance(given, Fit | PooledFit):
        members = given.members if isinstance(given, PooledFit) else (given,)
        weights = given.weights if isinstance(given, PooledFit) else (1.0,)
        return tuple(
            fitted_belief(m, w, noise=noise, seed=seed) for m, w in zip(members, weights, strict=True) if w > 0
        )
    if isinstance(given, str) and given.strip() == PRIOR:
        return (published_belief(find_law("hoffmann2022"), None, noise=noise, seed=seed),)
    if isinstance(given, str | Path) and str(given).endswith(".json"):
        return beliefs_of(Fit.load(given), noise=noise, seed=seed, where=where)
    if not isinstance(given, str | Path | Law):
        raise PlanError(
            f"a design starts from a fit with draws, a saved fit, a law with constants or {PRIOR!r}, got "
            f'{type(given).__name__}; pass fit(runs, law, boot=1000), "fit.json", "besiroglu2024" or {PRIOR!r}'
        )
    source = as_source(given)
    if source.law is None:
        raise PlanError(f"{source.name} is no law; pass a fit, a law with constants, or {PRIOR!r}")
    if _two_powers(source.law) is not None:
        return (published_belief(source.law, source.values, noise=noise, seed=seed),)
    return (_wide_belief(source.law, source.values, where(source.law), noise=noise, seed=seed),)


def fitted_belief(fit: Fit, weight: float = 1.0, *, noise: float | None = None, seed: int = 0) -> Belief:
    """Return what a fit knows: its draws, their covariance, the noise of its runs."""
    if fit.law.scheduled:
        raise PlanError(
            f"{fit.law.name} follows a learning-rate schedule, which is no number to design with; fit a law of params and tokens"
        )
    draws = fit.draws[np.all(np.isfinite(fit.draws), axis=1)] if len(fit.draws) else fit.draws
    if fit.refusal and _two_powers(fit.law) is not None and fit.ratios:
        prior = published_belief(fit.law, None, noise=noise, seed=seed)
        after = conditioned(prior, fit.points, fit.observed, seed=seed)
        note = f"the fit has {fit.refusal}; designed from published laws brought up to date with its runs"
        return replace(after, weight=weight, notes=(note,))
    if fit.refusal:
        raise PlanError(
            f"no design, because the fit has {fit.refusal}; pin parameters, or start from published constants: "
            f"design({PRIOR!r}, made=runs, ...)"
        )
    if len(draws) < 10:
        raise PlanError(
            f"the fit has {len(draws)} draws, and a design needs its uncertainty; fit again with boot=1000 (--boot 1000)"
        )
    u = to_coordinates(fit.law, draws)
    best = to_coordinates(fit.law, np.array([[fit.values[name] for name in fit.law.parameters]]))[0]
    groups = fit.settings.get("groups")
    return Belief(
        law=fit.law,
        best=best,
        draws=u,
        covariance=np.cov(u.T).reshape(len(best), len(best)),
        noise=fit.noise if noise is None else plain_noise(noise),
        in_logs=fit.ratios,
        weight=weight,
        points=dict(fit.points),
        groups=groups if isinstance(groups, str) and groups != "given" else None,
    )


@functools.lru_cache(maxsize=1)
def published_constants() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the published constants of E + A/params^alpha + B/tokens^beta and their spread.

    Returns:
        Mean [5] and covariance [5, 5] of ln E, ln A/N0^alpha, ln alpha, ln B/D0^beta, ln beta, every paper counted once;
        and the names of the constant sets.

    Cost: reads the catalogue, once.

    >>> middle, _, names = published_constants()
    >>> np.exp(middle).round(1).tolist(), len(names) > 10
    ([1.1, 0.6, 0.2, 0.6, 0.2], True)
    """
    papers: dict[str, list[np.ndarray]] = {}
    names = []
    for name in (known for known in laws() if "{" not in known):
        found = find_law(name)
        roles = _two_powers(found)
        if roles is None or len(found.parameters) != 5 or any(p not in found.constants for p in found.parameters):
            continue
        papers.setdefault(name.partition(".")[0], []).append(_to_reference(found, found.constants, roles))
        names.append(name)
    each = np.array([np.mean(rows, axis=0) for rows in papers.values()])
    middle = each.mean(axis=0)
    within = np.mean([np.cov(np.array(rows).T, bias=True) for rows in papers.values()], axis=0)
    return middle, np.cov(each.T) + within + np.diag(FLOOR**2), tuple(names)


def published_belief(
    law: Law, constants: Mapping[str, float] | None, *, noise: float | None = None, seed: int = 0, count: int = COUNT
) -> Belief:
    """Return the prior from published laws for a law of two powers.

    Args:
        law: of the form E + A/params^alpha + B/tokens^beta, under any names.
        constants: where the prior is centred; by default at the mean of the papers.
        noise: relative scatter of single runs, by default half a percent.
        seed, count: of the draws.
    """
    roles = _two_powers(law)
    assert roles is not None
    middle, covariance, names = published_constants()
    floor = next((p for p in law.parameters if p not in roles), None)
    if constants is not None:
        middle = _to_reference(law, constants, roles)
    values, vectors = np.linalg.eigh(covariance)
    z = np.random.default_rng([seed, 5]).normal(size=(count, 5))
    reference = middle + z @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    draws, best = (_from_reference(law, at, roles, floor) for at in (reference, middle[None]))
    papers = len({name.partition(".")[0] for name in names})
    return Belief(
        law=law,
        best=to_coordinates(law, best)[0],
        draws=to_coordinates(law, draws),
        covariance=np.cov(to_coordinates(law, draws).T),
        noise=plain_noise(SCATTER if noise is None else noise),
        prior=True,
        notes=(
            f"there are no runs yet: the prior is the spread of {len(names)} published constant sets of {papers} papers",
        ),
    )


def _wide_belief(
    law: Law, constants: Mapping[str, float], where: Mapping[str, np.ndarray], *, noise: float | None, seed: int
) -> Belief:
    """A wide spread about the constants of any law, its losses right within a tenth."""
    best = to_coordinates(law, np.array([[constants[name] for name in law.parameters]]))[0]
    logs = np.array([law.coordinates[name] == "log" for name in law.parameters])
    covariance = np.diag(np.where(logs, WIDE_LOG, WIDE_PLAIN * np.abs(best) + 0.01) ** 2)
    _, slopes = log_slopes(law, best[None], where)
    for slope in slopes[0]:
        pulled = covariance @ slope
        covariance = covariance - np.outer(pulled, pulled) / (RIGHT_WITHIN**2 * len(slopes[0]) ** 0.5 + slope @ pulled)
    note = f"there are no runs yet: the prior is a wide spread about the published constants of {law.name}"
    scatter = plain_noise(SCATTER if noise is None else noise)
    return normal_belief(law, best, covariance, scatter, COUNT, seed, prior=True, notes=(note,))


def _to_reference(law: Law, constants: Mapping[str, float], roles: tuple[str, ...]) -> np.ndarray:
    A, alpha, B, beta = (float(constants[name]) for name in roles)
    floor = next((p for p in law.parameters if p not in roles), None)
    E = float(constants[floor]) if floor is not None else 1.0
    return np.array(
        [np.log(E), np.log(A) - alpha * np.log(SIZE), np.log(alpha), np.log(B) - beta * np.log(DATA), np.log(beta)]
    )


def _from_reference(law: Law, at: np.ndarray, roles: tuple[str, ...], floor: str | None) -> np.ndarray:
    alpha, beta = np.minimum(np.exp(at[:, 2]), 1.5), np.minimum(np.exp(at[:, 4]), 1.5)
    found = dict(
        zip(
            roles,
            (np.exp(at[:, 1] + alpha * np.log(SIZE)), alpha, np.exp(at[:, 3] + beta * np.log(DATA)), beta),
            strict=True,
        )
    )
    if floor is not None:
        found[floor] = np.exp(at[:, 0])
    return np.stack([found[name] for name in law.parameters], axis=1)
