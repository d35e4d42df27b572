"""`Belief`: what is known of a law before the next runs are made, as draws of its coordinates.

The draws of a fit are one; published constants of the same form, with their spread, are another; and either may be brought
up to date with runs by one robust least-squares step after another (Laplace),

    minimise over u: sum_i t_i (ln y_i - ln L(x_i; u))^2 / sd_i^2 + (u - u0)' V^-1 (u - u0)
    V after = (V^-1 + sum_i t_i J_i J_i'/sd_i^2)^-1

with t_i the weights of Student's t, so that a stray run does not carry the rest away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.fit.noise import Noise
from scalinglens.laws.law import Law
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.plan.design.bend import Bend

__all__ = [
    "Belief",
    "conditioned",
    "evidence",
    "log_slopes",
    "normal_belief",
    "plain_noise",
    "to_coordinates",
    "to_natural",
]

Slopes = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

STEPS = 60  # of the search for the most likely coordinates
EXACT = 1e-4  # of a log posterior, below which nobody can tell: a hundredth of a standard deviation
FREEDOM = 4.0  # of the t density that runs are weighted by
FARTHEST = 6.0  # robust standard deviations beyond which a draw of a coordinate is moved in: a runaway is no scale


@dataclass(frozen=True, eq=False)
class Belief:
    """A law with draws of its coordinates.

    Attributes:
        law: the law; its coordinates are logarithms for amplitudes, plain for exponents (`Law.coordinates`).
        best: the most likely coordinates [p].
        draws: of the coordinates [draws, p].
        covariance: of the coordinates [p, p].
        noise: the scatter of single runs.
        in_logs: whether scatter and decision are those of logarithms.
        weight: share of the law among several.
        points: input -> values [n] of the runs behind it; empty where there are none.
        groups: column whose runs share noise, or None.
        prior: whether it rests on published constants only.
        notes: what a reader should know, in sentences.
        bend: what the law gets wrong away from the target, or None; its coefficients are the last coordinates.
    """

    law: Law
    best: np.ndarray
    draws: np.ndarray
    covariance: np.ndarray
    noise: Noise
    in_logs: bool = True
    weight: float = 1.0
    points: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: str | None = None
    prior: bool = False
    notes: tuple[str, ...] = ()
    bend: Bend | None = None

    def slopes(self, u: np.ndarray, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return what the law with its bend predicts [draws, n], and the derivatives by the coordinates [draws, n, p]."""
        return self.slopes_at(columns)(u)

    def slopes_at(self, columns: Mapping[str, np.ndarray]) -> Slopes:
        """Return `slopes` as a function of the coordinates alone, what depends on the runs only done once."""
        law, bend = _slopes_at(self.law, columns, self.in_logs), self.bend
        if bend is None:
            return law
        features, count = bend.features(columns), bend.count

        def both(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            value, slopes = law(u[:, : u.shape[1] - count])
            bent = features if self.in_logs else features * np.abs(np.nan_to_num(value.mean(axis=0)))[:, None]
            value = value + u[:, u.shape[1] - count :] @ bent.T
            return value, np.concatenate([slopes, np.broadcast_to(bent, (*slopes.shape[:2], count))], axis=2)

        return both

    def bent(self, bend: Bend | None) -> Belief:
        """Return the belief with a bend, which the runs behind it have felt as well.

        Their fit u = u0 + H d is moved by the error d = F q of the law at them, H = (J'WJ)^-1 J'W, and their residuals have
        seen what of it no coordinate can follow: q has the covariance C = (I + F'W(1 - JH)F)^-1, u has S + HF C (HF)', and
        both together -HF C.
        """
        if bend is None or bend.size == 0.0 or self.bend is not None:
            return self
        p, q = len(self.best), bend.count
        covariance = np.zeros((p + q, p + q))
        covariance[:p, :p], covariance[p:, p:] = self.covariance, np.eye(q)
        if self.points and not self.prior:
            value, slopes = self.slopes(self.best[None], self.points)
            sd = np.maximum(self.noise.at(np.exp(value[0]) if self.in_logs else value[0]), 1e-12)
            weighted, bent = slopes[0] / sd[:, None], bend.features(self.points) / sd[:, None]
            pull = np.linalg.lstsq(weighted, bent, rcond=1e-10)[0]
            seen = bent - weighted @ pull
            pull[np.diag(self.covariance) <= 0] = 0.0
            left = np.linalg.inv(np.eye(q) + seen.T @ seen)
            covariance[:p, :p] += pull @ left @ pull.T
            covariance[:p, p:], covariance[p:, :p] = -pull @ left, -(pull @ left).T
            covariance[p:, p:] = left
        draws = np.concatenate([self.draws, np.zeros((len(self.draws), q))], axis=1)
        return replace(self, best=np.append(self.best, np.zeros(q)), draws=draws, covariance=covariance, bend=bend)

    def thinned(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return at most `count` draws of the coordinates."""
        return self.draws if len(self.draws) <= count else self.draws[rng.permutation(len(self.draws))[:count]]


def plain_noise(scale: float) -> Noise:
    """Scatter of one relative size everywhere."""
    return Noise(scale, 0.0, 1.0, 0.0, np.zeros(1), 10.0)


def to_natural(law: Law, u: np.ndarray) -> np.ndarray:
    """Coordinates [..., p] to parameters."""
    logs = np.array([law.coordinates[name] == "log" for name in law.parameters])
    return np.where(logs, np.exp(np.clip(np.where(logs, u, 0.0), -700.0, 700.0)), u)


def to_coordinates(law: Law, natural: np.ndarray) -> np.ndarray:
    """Parameters [draws, p] to coordinates, runaways moved in to six robust standard deviations."""
    logs = np.array([law.coordinates[name] == "log" for name in law.parameters])
    with np.errstate(all="ignore"):
        u = np.where(logs, np.log(np.maximum(natural, 1e-300)), natural)
    middle = np.median(u, axis=0)
    reach = FARTHEST * 1.4826 * np.median(np.abs(u - middle), axis=0)
    return np.where(reach > 0, np.clip(u, middle - reach, middle + reach), u)


def log_slopes(
    law: Law, u: np.ndarray, columns: Mapping[str, np.ndarray], in_logs: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return ln of the law and its derivatives by the coordinates.

    Args:
        law: any law without a schedule.
        u: coordinates [draws, p].
        columns: input -> values [n], or [draws, n] where each draw has its own points.
        in_logs: False for the law itself in place of its logarithm.

    Returns:
        Values [draws, n] and slopes [draws, n, p], zero where the law has no finite value.

    Cost: one evaluation of the compiled derivatives.

    >>> from scalinglens.laws.catalogue import law
    >>> value, slopes = log_slopes(law("A/params^alpha"), np.array([[2.0, 0.5]]), {"params": np.array([np.e**2])})
    >>> value.tolist(), slopes.tolist()
    ([[1.0]], [[[1.0, -2.0]]])
    """
    return _slopes_at(law, columns, in_logs)(u)


def _slopes_at(law: Law, columns: Mapping[str, np.ndarray], in_logs: bool) -> Slopes:
    compiled = law.compiled("fit")
    arrays = law.input_arrays({name: np.asarray(columns[name], dtype=float) for name in law.inputs})
    arrays = tuple(a if a.ndim == 2 else a.reshape(1, -1) for a in arrays)
    count = max((a.shape[1] for a in arrays), default=1)
    with np.errstate(all="ignore"):
        ready = compiled.prepare(arrays)

    def at(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            value, *rest = compiled.run(tuple(u[:, i : i + 1] for i in range(u.shape[1])), ready)
            value = np.broadcast_to(np.asarray(value, dtype=float), (len(u), count))
            slopes = np.zeros((len(u), count, u.shape[1]))
            for place, slope in zip(compiled.gradient, rest, strict=False):
                slopes[:, :, place] = slope
            if compiled.log and not in_logs:
                value = np.exp(value)
                slopes = slopes * value[:, :, None]
            elif in_logs and not compiled.log:
                slopes = slopes / value[:, :, None]
                value = np.log(value)
        good = np.isfinite(value) & np.isfinite(slopes).all(axis=2)
        return np.where(good, value, np.nan), np.where(good[:, :, None], slopes, 0.0)

    return at


def normal_belief(
    law: Law, best: np.ndarray, covariance: np.ndarray, noise: Noise, count: int, seed: int, **more: object
) -> Belief:
    """Return a belief with `count` normal draws, inside the domains of the parameters."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = best + np.random.default_rng([seed, 7]).normal(size=(count, len(best))) @ root.T
    draws = np.clip(draws, *_ends(law, best, covariance))
    return Belief(law, np.asarray(best, dtype=float), draws, covariance, noise, **more)  # type: ignore[arg-type]


def _ends(law: Law, best: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest coordinates [p]: those of the law so far from an open end that derivatives can be taken by differences,
    those of a bend without any."""
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    ends = np.repeat([[-np.inf], [np.inf]], len(best), axis=1)
    for i, name in enumerate(law.parameters):
        where = law.domain(name)
        low, high = where.low, where.high
        if law.coordinates[name] == "log":
            low, high = (np.log(end) if 0 < end < np.inf else (-np.inf if end <= 0 else np.inf) for end in (low, high))
        elif where.open and np.isfinite(low):
            low = low + 2e-3 * max(abs(best[i] - low), sd[i], 1e-9)
        ends[:, i] = low, high
    return ends[0], ends[1]


def conditioned(
    belief: Belief,
    columns: Mapping[str, np.ndarray],
    observed: np.ndarray,
    *,
    seed: int = 0,
    start: np.ndarray | None = None,
) -> Belief:
    """Return the belief after runs were made.

    Args:
        belief: before.
        columns: input -> values [n] of the runs.
        observed: what they gave [n].
        seed: of the new draws.
        start: coordinates that the search starts from, by default the most likely ones before.

    Returns:
        A belief around the most likely coordinates; its noise is estimated anew from the residuals, which count against the
        ten runs that the old estimate is taken to rest on.

    Raises:
        PlanError: a value that has no logarithm.

    Cost: some thirty evaluations of the derivatives.
    """
    y = np.asarray(observed, dtype=float)
    if belief.in_logs and np.any(y <= 0):
        raise PlanError(f"a run made has the loss {y.min():g}, which has no logarithm; leave it out of made")
    y = np.log(y) if belief.in_logs else y
    with single_threaded_blas():
        u, covariance, scale, freedom = _most_likely(belief, belief.slopes_at(columns), y, start)
    noise = replace(belief.noise, scale=scale, freedom=freedom)
    joined = {
        name: np.concatenate([belief.points[name], values])
        if name in belief.points
        else np.asarray(values, dtype=float)
        for name, values in columns.items()
    }
    return normal_belief(
        belief.law,
        u,
        covariance,
        noise,
        len(belief.draws),
        seed,
        in_logs=belief.in_logs,
        weight=belief.weight,
        points=joined,
        groups=belief.groups,
        prior=False,
        notes=belief.notes,
        bend=belief.bend,
    )


def _most_likely(
    belief: Belief, at: Slopes, y: np.ndarray, start: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """The most likely coordinates, their covariance, the scale of the noise, and its degrees of freedom."""
    precision = np.linalg.pinv(belief.covariance, rcond=1e-12, hermitian=True)
    u, scale = (belief.best if start is None else start).copy(), belief.noise.scale
    covariance, freedom, damping = belief.covariance, belief.noise.freedom, 1e-4
    low, high = _ends(belief.law, belief.best, belief.covariance)
    for _ in range(3):  # the scale of the noise, then the law again
        noise = replace(belief.noise, scale=scale)
        here = _deviations(belief, noise, u, at, y)
        cost = _cost(here, u - belief.best, precision)
        for _ in range(STEPS):
            sd, residual, slopes = here
            share = (FREEDOM + 1) / (FREEDOM + (residual / sd) ** 2)
            gradient = slopes.T @ (share * residual / sd**2) - precision @ (u - belief.best)
            hessian = (slopes.T * (share / sd**2)) @ slopes + precision
            size = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
            scaled = hessian / np.outer(size, size) + damping * np.eye(len(u))
            step = np.linalg.solve(scaled, gradient / size) / size
            ahead = np.clip(u + step, low, high)  # no law has a value outside of its domain
            there = _deviations(belief, noise, ahead, at, y)
            then = _cost(there, ahead - belief.best, precision)
            if then <= cost:
                u, here, gained, cost, damping = ahead, there, cost - then, then, max(damping / 10, 1e-9)
                if gained < EXACT:
                    break
            elif damping > 1e9:
                break
            else:
                damping *= 10
        sd, residual, slopes = here
        share = (FREEDOM + 1) / (FREEDOM + (residual / sd) ** 2)
        information = (slopes.T * (share / sd**2)) @ slopes
        covariance = np.linalg.pinv(information + precision, rcond=1e-14, hermitian=True)
        spent = float(np.trace(covariance @ information))
        known = belief.noise.freedom
        square = np.sum(np.minimum(residual**2 / sd**2, 9.0)) * scale**2
        freedom = known + max(len(y) - spent, 0.0)
        scale = float(np.sqrt((known * belief.noise.scale**2 + square) / freedom))
    return u, covariance, scale, freedom


def _cost(state: tuple[np.ndarray, np.ndarray, np.ndarray], pull: np.ndarray, precision: np.ndarray) -> float:
    """Minus the logarithm of the posterior, up to a constant."""
    sd, residual, _ = state
    return float(0.5 * (FREEDOM + 1) * np.sum(np.log1p((residual / sd) ** 2 / FREEDOM)) + 0.5 * pull @ precision @ pull)


def evidence(before: Belief, after: Belief, columns: Mapping[str, np.ndarray], observed: np.ndarray) -> float:
    """Return the logarithm of the probability of runs, up to a constant that all beliefs of one law share (Laplace).

    Args:
        before, after: the belief, and what `conditioned` made of it.
        columns, observed: the runs.

    Cost: one evaluation of the derivatives.
    """
    y = np.log(observed) if before.in_logs else np.asarray(observed, dtype=float)
    sd, residual, slopes = _deviations(after, after.noise, after.best, after.slopes_at(columns), y)
    slopes = slopes / sd[:, None]
    values, vectors = np.linalg.eigh(before.covariance)
    root = slopes @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    pull = vectors.T @ (after.best - before.best)
    known = values > 1e-12 * values[-1]
    along = np.diag(np.where(known, 1.0 / np.where(known, values, 1.0), 0.0))
    cost = _cost((sd, residual, slopes), pull, along) + float(np.sum(np.log(sd)))
    ratio = max(after.noise.scale / max(before.noise.scale, 1e-300), 1e-12)  # the scale itself has a prior
    cost += 0.5 * before.noise.freedom * (2 * np.log(ratio) + ratio**-2)
    return float(-cost - 0.5 * np.linalg.slogdet(np.eye(len(values)) + root.T @ root)[1])


def _deviations(
    belief: Belief, noise: Noise, u: np.ndarray, at: Slopes, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard deviation, observed minus predicted, slopes [n, p] at coordinates."""
    value, slopes = at(u[None])
    value = np.where(np.isfinite(value[0]), value[0], 1e3)
    sd = np.maximum(noise.at(np.exp(value) if belief.in_logs else value), 1e-12)
    return sd, y - value, slopes[0]
