"""Minimise a robust sum over rows for many parameter vectors at once.

    F(u) = sum_r w_r rho(T(m_r(u)) - y_r),   rho(z) = z^2/2 for |z| <= d, else d (|z| - d/2)

Each parameter vector (a start, a resample, a point of a profile) is a *lane*. Nine residuals in ten lie in the linear part
of rho, where the matrix of Gauss and Newton is nearly zero and methods built for squares crawl; so the step uses the exact
Hessian, damped by the matrix M of iteratively reweighted squares (weights min(1, d/|z|)), which has the right scale in
every direction. Where the damped Hessian is not positive definite the step is that of reweighted squares, which always
leads down but crawls along a flat valley: it is doubled as long as that succeeds.

Lanes that are done leave the batch and waiting ones take their place, so the arrays stay in cache and no lane waits for
the slowest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from scalinglens.numerics.cholesky import solve_positive_definite

__all__ = ["Expansion", "Minima", "Model", "Objective", "expand", "minimise"]

MAX_DAMPING = 1e10
_ROUNDS = 3  # of stopping at bounds within one step; the next step goes on from there


class Model(Protocol):
    """Values m [lanes, rows] of a model, with sums of their derivatives over rows."""

    size: int
    block: int  # lanes to evaluate at a time

    def evaluate(self, u: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return m [lanes, rows] at u [lanes, p], and whatever `assemble` needs."""
        ...

    def assemble(
        self, state: Any, first: np.ndarray, gauss: np.ndarray, curve: np.ndarray, majorant: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return, with sums over rows and all four arguments [lanes, rows]:

        gradient [lanes, p] = sum first dm;  H [lanes, p, p] = sum gauss dm dm' + sum curve d2m;  M = sum majorant dm dm'.
        """
        ...


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    Attributes:
        model: gives m.
        target: y [rows], or [lanes, rows] for made-up data.
        weights: w [rows], or [lanes, rows] for resamples.
        threshold: d, a number or [lanes]; infinity makes squares.
        link: T as a function of m returning T, T', T'' (None is the identity).
        asymmetry: factor on rho where the model lies above the target (1 is symmetric).
    """

    model: Model
    target: np.ndarray
    weights: np.ndarray
    threshold: float | np.ndarray = np.inf
    link: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | float, np.ndarray | float]] | None = None
    asymmetry: float = 1.0

    def lanes(self, index: np.ndarray) -> Objective:
        """Return the objective of some of the lanes."""
        weights = self.weights if self.weights.ndim == 1 else self.weights[index]
        threshold = self.threshold[index] if isinstance(self.threshold, np.ndarray) else self.threshold
        target = self.target if self.target.ndim == 1 else self.target[index]
        return replace(self, target=target, weights=weights, threshold=threshold)


@dataclass
class Expansion:
    """Objective, gradient, Hessian and majorant at one point per lane, and the residuals there."""

    value: np.ndarray  # [lanes]
    gradient: np.ndarray  # [lanes, p]
    hessian: np.ndarray  # [lanes, p, p]
    majorant: np.ndarray  # [lanes, p, p]


@dataclass(frozen=True)
class Minima:
    """Where each lane ended.

    Attributes:
        u: [lanes, p] coordinates.
        value: [lanes] objective.
        decrement: [lanes] sqrt of the decrease the next step promises, relative to sqrt(value).
        converged: [lanes] the objective no longer falls and the promised decrease is negligible.
        iterations: [lanes].
    """

    u: np.ndarray
    value: np.ndarray
    decrement: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray


@np.errstate(all="ignore")  # a step into nonsense gives NaN, which the caller rejects
def expand(objective: Objective, u: np.ndarray) -> Expansion:
    """Evaluate the objective with its derivatives at u [lanes, p].

    Cost: one evaluation of the model and one assembly.
    """
    m, state = objective.model.evaluate(u)
    if objective.link is None:
        residual, slope, bend = m - objective.target, 1.0, 0.0
    else:
        value, slope, bend = objective.link(m)
        residual = value - objective.target
    weights = objective.weights
    if objective.asymmetry != 1.0:
        weights = weights * np.where(residual > 0, objective.asymmetry, 1.0)
    d = objective.threshold
    if isinstance(d, np.ndarray):
        d = d[:, None]
    if np.ndim(d) == 0 and not np.isfinite(d):
        force = weights * residual
        inside = majorant = np.broadcast_to(weights, residual.shape)
        total = 0.5 * np.einsum("lr,lr->l", force, residual)
    else:
        size = np.maximum(np.abs(residual), 1e-300)  # so that the weight of a residual of zero is one
        clipped = np.minimum(size, d)
        # rho = c (|z| - c/2) with c = min(|z|, d), in both branches
        rho = clipped * (size - 0.5 * clipped)
        total = np.einsum("lr,lr->l", np.broadcast_to(weights, rho.shape), rho)
        force = weights * np.copysign(clipped, residual)
        inside = weights * (size <= d)
        majorant = clipped / size
        majorant *= weights
    if objective.link is None:
        parts = force, inside, force, majorant
    else:
        square = slope * slope
        parts = force * slope, inside * square + force * bend, force * slope, majorant * square
    gradient, hessian, scale = objective.model.assemble(state, *parts)
    return Expansion(total, gradient, hessian, scale)


@np.errstate(all="ignore")  # a lane far out overflows; its NaN is a step that is not taken
def minimise(
    objective: Objective,
    start: np.ndarray,
    *,
    lower: np.ndarray | float = -np.inf,
    upper: np.ndarray | float = np.inf,
    iterations: int = 200,
    tolerance: float = 1e-12,
    damping: float = 1e-3,
    block: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Minima:
    """Minimise the objective from each start.

    Args:
        objective: see `Objective`; lanes of weights and thresholds match the starts.
        start: [lanes, p].
        lower, upper: bounds on the coordinates, [p] or [lanes, p]; equal bounds hold a coordinate fixed.
        iterations: most iterations per lane.
        tolerance: relative fall of the objective below which a lane may stop.
        damping: first damping; small for starts near their optimum.
        block: lanes in work at a time, by default what suits the model.
        progress: called with (lanes done, lanes).

    Returns:
        One minimum per lane; a lane that never had a finite objective has value inf.

    Cost: about ten evaluations per lane from a good start.
    """
    _keep_freed_memory()
    block = block or objective.model.block
    lanes, size = start.shape
    lower = np.broadcast_to(np.asarray(lower, dtype=float), start.shape)
    upper = np.broadcast_to(np.asarray(upper, dtype=float), start.shape)
    bounded = bool(np.any(np.isfinite(lower)) or np.any(np.isfinite(upper)))
    result = Minima(
        u=np.clip(start, lower, upper),
        value=np.full(lanes, np.inf),
        decrement=np.full(lanes, np.inf),
        converged=np.zeros(lanes, dtype=bool),
        iterations=np.zeros(lanes, dtype=int),
    )
    floor = 1e-27 * float(np.max(np.sum(objective.weights, axis=-1), initial=1.0))  # residuals at rounding level
    work = _Lanes.empty(size)
    waiting = 0
    while waiting < lanes or len(work):
        if len(work) <= block // 2 and waiting < lanes:
            taken = min(block - len(work), lanes - waiting)
            work = work.joined(_Lanes.fresh(np.arange(waiting, waiting + taken), result.u, damping))
            waiting += taken
            part = objective if (len(work) == lanes) else objective.lanes(work.index)
            low, high = lower[work.index], upper[work.index]
        step, promised, crawling = _step(work, low, high, bounded)
        if bounded:
            _stop_at_bounds(work, step, promised, crawling, low, high)
        trial = np.clip(work.u + step, low, high) if bounded else work.u + step
        there = expand(part, trial)
        better = (there.value <= work.value) & ((there.value < np.inf) | (work.iterations == 0))  # NaN is not better
        fall = np.where(better, work.value - there.value, np.inf)
        relative = fall / np.maximum(there.value, 1e-300)
        small = (relative <= tolerance) | (there.value <= floor)
        work.accept(better, trial, there)
        overdone = ~better & (work.stretch > 1)  # the stretched step failed: the damping is not to blame
        heavier = np.where(overdone, work.damping, np.maximum(work.damping, 1e-6) * 8.0)
        work.damping = np.where(better, np.maximum(work.damping * 0.1, 1e-14), heavier)
        work.stretch = np.where(crawling & better, np.minimum(work.stretch * 2.0, 1e6), 1.0)
        work.iterations += 1
        size_of_promise = np.sqrt(promised / np.maximum(work.value, 1e-300))
        work.quiet = np.where(better & small, work.quiet + 1, 0)
        negligible = (size_of_promise <= 1e-5) | (work.value <= floor)
        stalled = work.damping > MAX_DAMPING
        done = ((work.quiet >= 1) & negligible) | (work.quiet >= 8) | stalled | (work.iterations >= iterations)
        if done.any():
            leaving = work.index[done]
            result.u[leaving] = work.u[done]
            result.value[leaving] = work.value[done]
            result.decrement[leaving] = size_of_promise[done]
            result.converged[leaving] = (negligible | stalled & (size_of_promise <= 1e-3))[done] & np.isfinite(
                work.value[done]
            )
            result.iterations[leaving] = work.iterations[done]
            work = work.chosen(~done)
            part = objective.lanes(work.index)
            low, high = lower[work.index], upper[work.index]
            if progress:
                progress(waiting - len(work), lanes)
    return result


@functools.cache
def _keep_freed_memory() -> None:
    """Let the allocator keep what it is given back, once per process.

    The arrays of a batch are just large enough that glibc returns each one to the system when it is freed and fetches it
    again, page by page, for the next; that takes as long as the arithmetic. Freeing one block of 31 MB, which is never
    touched, raises both of its thresholds for good (`mallopt(3)`, dynamic mmap threshold). Elsewhere this does nothing.
    """
    np.empty(31 * 2**20, dtype=np.uint8)


@dataclass
class _Lanes:
    """The lanes in work."""

    index: np.ndarray
    u: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    majorant: np.ndarray
    damping: np.ndarray
    iterations: np.ndarray
    quiet: np.ndarray  # how many times in a row the objective hardly fell
    stretch: np.ndarray  # factor on a step of reweighted squares

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def empty(cls, size: int) -> _Lanes:
        return cls.fresh(np.arange(0), np.empty((0, size)), 0.0)

    @classmethod
    def fresh(cls, index: np.ndarray, starts: np.ndarray, damping: float) -> _Lanes:
        """Lanes that have not been evaluated: their zero gradient makes the first step stay at the start."""
        count, size = len(index), starts.shape[1]
        eye = np.broadcast_to(np.eye(size), (count, size, size))
        return cls(
            index, starts[index], np.full(count, np.inf), np.zeros((count, size)), eye.copy(), eye.copy(),
            np.full(count, damping * 10), np.zeros(count, dtype=int), np.zeros(count, dtype=int), np.ones(count),
        )  # fmt: skip

    def joined(self, other: _Lanes) -> _Lanes:
        if not len(self):
            return other
        return _Lanes(*(np.concatenate(pair) for pair in zip(self._arrays(), other._arrays(), strict=True)))

    def chosen(self, mask: np.ndarray) -> _Lanes:
        return _Lanes(*(array[mask] for array in self._arrays()))

    def accept(self, better: np.ndarray, u: np.ndarray, there: Expansion) -> None:
        if better.all():
            self.u, self.value = u, there.value
            self.gradient, self.hessian, self.majorant = there.gradient, there.hessian, there.majorant
            return
        for name, new in (("u", u), ("value", there.value), ("gradient", there.gradient),
                          ("hessian", there.hessian), ("majorant", there.majorant)):  # fmt: skip
            getattr(self, name)[better] = new[better]

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return (
            self.index, self.u, self.value, self.gradient, self.hessian, self.majorant,
            self.damping, self.iterations, self.quiet, self.stretch,
        )  # fmt: skip


def _stop_at_bounds(
    work: _Lanes, step: np.ndarray, promised: np.ndarray, crawling: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Where steps lead over a bound, go there and no further, and let the other coordinates answer to that (in place).

    Cutting the step off alone would leave them where a coordinate was meant to go that did not: the objective rises, the
    damping with it, and the lane is stuck beside the bound.
    """
    stopped = np.zeros(step.shape, dtype=bool)
    for _ in range(min(step.shape[1], _ROUNDS)):
        trial = work.u + step
        over = ((trial < low) | (trial > high)) & ~stopped
        if not over.any():
            break
        lanes = np.flatnonzero(over.any(axis=1))
        stopped |= over
        moved = np.where(stopped, np.clip(trial, low, high) - work.u, 0.0)[lanes]
        again = _step(work.chosen(lanes), low[lanes], high[lanes], True, stopped[lanes], moved)
        step[lanes], promised[lanes], crawling[lanes] = again


def _step(
    work: _Lanes,
    low: np.ndarray,
    high: np.ndarray,
    bounded: bool,
    stopped: np.ndarray | None = None,
    moved: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the step, the fall of the objective that a Newton step promises, and where it is one of reweighted squares.

    Coordinates that are `stopped` [lanes, p] make the step `moved` [lanes, p], zero elsewhere, and the others follow.
    """
    gradient, hessian, majorant = work.gradient, work.hessian, work.majorant
    size = gradient.shape[1]
    extra: np.ndarray | float = 0.0
    if moved is not None:
        extra = np.maximum(-np.einsum("li,li->l", gradient, moved), 0.0)
        gradient = gradient + np.einsum("lij,lj->li", hessian, moved)
    if bounded:
        below, above = work.u <= low, work.u >= high
        if below.any() or above.any() or stopped is not None:
            held = (below & (gradient >= 0)) | (above & (gradient <= 0)) | (low == high)
            if stopped is not None:
                held |= stopped
            free = ~held
            both = free[:, :, None] & free[:, None, :]
            eye = np.eye(size)
            gradient = np.where(held, 0.0, gradient)
            hessian = np.where(both, hessian, eye)
            majorant = np.where(both, majorant, eye)
    diagonal = majorant.reshape(len(majorant), -1)[:, :: size + 1]
    # beside a vanishing term (x^a at a = 1e-9) a coordinate of little influence would be sent far away: the longer a lane is
    # stuck, the more influence a coordinate needs to move
    least = 1e-30 * np.maximum(work.damping, 1.0) ** 2 * np.max(diagonal, axis=1, initial=0.0)
    influence = diagonal > np.maximum(least, 1e-280)[:, None]
    scale = 1.0 / np.sqrt(np.where(influence, diagonal, 1.0))
    outer = scale[:, :, None] * scale[:, None, :]
    relative = majorant * outer
    relative.reshape(len(relative), -1)[:, :: size + 1] += 1e-14
    damped = hessian * outer + work.damping[:, None, None] * relative
    if not influence.all():  # a coordinate without any stays where it is, and does not make the others look singular
        for matrix in (relative, damped):
            matrix.reshape(len(matrix), -1)[:, :: size + 1] += ~influence
    right = -gradient * scale
    x, good = solve_positive_definite(damped, right, floor=1e-13)
    if not good.all():
        bad = ~good
        fallback, fine = solve_positive_definite(
            (1.0 + work.damping[bad, None, None]) * (relative[bad] + 1e-10 * np.eye(size)), right[bad], 0.0
        )
        x[bad] = np.where(fine[:, None], fallback, right[bad])
    # damping shortens the promise too: undo that, or a lane stuck far from its optimum would look finished
    promised = np.einsum("li,li->l", x, right) * (1.0 + work.damping)
    x *= scale
    if not good.all():
        x[~good] *= work.stretch[~good, None]
    if moved is not None:
        x += moved
    return x, np.maximum(promised, 0.0) + extra, ~good
