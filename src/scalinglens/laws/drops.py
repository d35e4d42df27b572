"""Sums over the drops of a learning-rate schedule, as laws of loss curves need them.

In a formula `drops(K)` stands for

    sum_{k=1..t} (lr_{k-1} - lr_k) K(lr_k, S(t) - S(k-1), t - k + 1)

with t the step, S the running sum of the learning rate, and K a formula in `lr_after` = lr_k, `lr_since` = S(t) - S(k-1) and
`steps_since` = t - k + 1 (a rise, as in the warm-up, counts with a minus). So the multi-power law is
L0 + A*lr_sum^(-alpha) - B*drops(1 - (1 + C*lr_after^(-gamma)*lr_since)^(-beta)), with lr_sum = S(t).

A cosine has as many drops as steps. Far from t the terms vary slowly with k, so steps are taken together in dyadic blocks
that are at least as far from t as they are long, on which the schedule is smooth and varies by less than a factor of two.
Each block is replaced by the Gauss points of its steps; their weights keep the moments of the true drops. Blocks that are
not like that are split, down to single steps, so jumps and kinks are exact.

Source of the idea: the tree codes of n-body simulation (Barnes and Hut 1986, Nature 324); here in one dimension.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import ScheduleError
from scalinglens.laws.schedule import Schedule

__all__ = ["LOCAL", "Plan", "Sums", "lr_sum", "plan"]

LOCAL = ("lr_after", "lr_since", "steps_since")
"""Names that mean something only inside `drops(...)`."""

POINTS = {False: 4, True: 6}  # Gauss points of a block in fits (loss to about 1e-8) and in values (1e-11)
LEAF = 8  # steps of the smallest block
SMOOTH = 1e-6  # relative error of the interpolated learning rate up to which a block counts as smooth
CHUNK = 2048  # nodes evaluated together, so that temporary arrays stay in cache


@dataclass(frozen=True)
class Plan:
    """Where the kernel is evaluated for each row and how its values add up.

    Attributes:
        rows: number of rows.
        pieces: per chunk of rows: their slice, where each begins among the nodes, the weights of the nodes, the row of
            each node, and what the kernel prepared for them.
    """

    rows: int
    shape: tuple[int, ...]
    pieces: tuple[tuple[slice, np.ndarray, np.ndarray, np.ndarray, Any], ...]


@dataclass(frozen=True)
class Sums:
    """A kernel compiled for summation: value, gradient and Hessian of `drops(K)` by the coordinates.

    Attributes:
        prepare, run: the kernel as array code, inputs `LOCAL` and then `others`.
        count: how many results `run` gives.
        exact: spend more nodes on more digits.
    """

    prepare: Callable[[Any], Any]
    run: Callable[[Any, Any], Any]
    count: int
    exact: bool

    def plan(self, steps: Any, schedule: Any, *others: Any) -> Plan:
        """Lay out the sum for steps under schedules, both broadcast; `others` are further inputs of the kernel."""
        return plan(self.prepare, steps, schedule, others, points=POINTS[self.exact])

    def sums(self, found: Plan, coordinates: tuple[Any, ...]) -> list[np.ndarray]:
        """Return the results of the kernel summed for each row, at coordinates [..., 1] or one value per row."""
        moving = [np.asarray(u, dtype=float) for u in coordinates]
        lead = np.broadcast_shapes(*(u.shape[:-1] for u in moving)) if moving else ()
        results = [np.empty((*lead, found.rows)) for _ in range(self.count)]
        for rows, offsets, weights, row_of, fixed in found.pieces:
            here = [u[..., row_of] if u.ndim and u.shape[-1] > 1 else u for u in moving]
            shape = (*lead, len(weights))
            for result, value in zip(results, self.run(here, fixed), strict=True):
                np.add.reduceat(np.broadcast_to(value * weights, shape), offsets, axis=-1, out=result[..., rows])
        return results if lead else [result.reshape(found.shape) for result in results]


def lr_sum(steps: Any, schedule: Any) -> np.ndarray:
    """Return the running sum of the learning rate at steps under schedules, both broadcast."""
    steps, schedules = np.broadcast_arrays(np.asarray(steps, dtype=float), np.asarray(schedule, dtype=object))
    found = np.empty(steps.shape)
    flat, where = found.reshape(-1), steps.reshape(-1)
    for one, rows in _by_schedule(schedules):
        flat[rows] = one.mass[one.positions(where[rows])]
        if not np.all(flat[rows] > 0):
            step = where[rows][np.argmin(flat[rows])]
            raise ScheduleError(
                f'the learning rate is still zero at step {step:g} of {one}; leave it out: where="steps > 0"'
            )
    return flat.reshape(steps.shape)


def plan(
    prepare: Callable[[Any], Any], steps: Any, schedule: Any, others: tuple[Any, ...] = (), *, points: int
) -> Plan:
    """Choose the nodes of every row; see the head of this file.

    Cost: about 80 nodes per row of a smooth schedule, whatever its length; every step of one without any order.
    """
    arrays = np.broadcast_arrays(
        np.asarray(steps, dtype=float),
        np.asarray(schedule, dtype=object),
        *(np.asarray(o, dtype=float) for o in others),
    )
    shape = arrays[0].shape
    where, schedules, *rest = (array.reshape(-1) for array in arrays)
    parts = []
    for one, rows in _by_schedule(schedules):
        row, values = _nodes(one, one.positions(where[rows]), points)
        parts.append((rows[row], values))
    row = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts], axis=1)
    order = np.argsort(row, kind="stable")
    row, values = row[order], values[:, order]
    first = np.searchsorted(row, np.arange(len(where) + 1))
    pieces, begin = [], 0
    while begin < len(where):
        end = max(int(np.searchsorted(first, first[begin] + CHUNK, side="right")) - 1, begin + 1)
        nodes = slice(first[begin], first[end])
        inputs = (*values[:3, nodes], *(o[row[nodes]] for o in rest))
        with np.errstate(all="ignore"):
            fixed = prepare(inputs)
        pieces.append((slice(begin, end), first[begin:end] - first[begin], values[3, nodes], row[nodes], fixed))
        begin = end
    return Plan(len(where), shape, tuple(pieces))


def _by_schedule(schedules: np.ndarray) -> list[tuple[Schedule, np.ndarray]]:
    """Each schedule with the rows that have it."""
    flat = schedules.reshape(-1)
    known: dict[int, list[int]] = {}
    for i, one in enumerate(flat):
        known.setdefault(id(one), []).append(i)
    return [(flat[rows[0]], np.array(rows)) for rows in known.values()]


def _nodes(schedule: Schedule, positions: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row [n] and (lr_after, lr_since, steps_since, weight) [4, n] of every node for rows at `positions`."""
    tree = _tree(schedule, points)
    drop, rates, before = tree.drop, schedule.rates, schedule.mass - schedule.rates
    tiny = 1e-9 * float(rates.max())  # a learning rate of zero has no power; its drop is all that counts
    found_row, found = [np.arange(len(positions))], [np.array([[1.0], [1.0], [1.0], [0.0]]).repeat(len(positions), 1)]
    row = np.arange(len(positions))
    block = np.zeros(len(positions), dtype=np.int64)
    for depth in range(len(tree.sizes) - 1, -1, -1):
        size, level = tree.sizes[depth], tree.levels[depth]
        keep = level.drops[block] & (block * size <= positions[row])
        row, block = row[keep], block[keep]
        taken = level.smooth[block] & (positions[row] - (block + 1) * size + 1 >= size)
        if taken.any():
            r, b = row[taken, None], block[taken]
            t = positions[r]
            since = schedule.mass[t] - level.before[b]
            steps = t + 1 - (size * b[:, None] + level.places)
            nodes = np.stack([level.rates[b], since, steps, level.weights[b]])
            found_row.append(np.repeat(row[taken], nodes.shape[2]))
            found.append(nodes.reshape(4, -1))
        row, block = np.repeat(row[~taken], 2), np.repeat(2 * block[~taken], 2)
        block[1::2] += 1
    # what is left are halves of the smallest blocks, taken step by step
    half = tree.sizes[0] // 2
    step = (block * half)[:, None] + np.arange(half)
    row = np.repeat(row, half).reshape(step.shape)
    keep = (step < len(rates)) & (step <= positions[row])
    row, step = row[keep], step[keep]
    keep = drop[step] != 0
    row, step = row[keep], step[keep]
    t = positions[row]
    single = np.stack(
        [np.maximum(rates[step], tiny), np.maximum(schedule.mass[t] - before[step], tiny), t - step + 1.0, drop[step]]
    )
    return np.concatenate([*found_row, row]), np.concatenate([*found, single], axis=1)


@dataclass(frozen=True)
class _Level:
    """Blocks of one size: whether they hold a drop, whether they may be condensed, and their nodes."""

    drops: np.ndarray  # [blocks]
    smooth: np.ndarray  # [blocks]
    places: np.ndarray  # [points] within the block, in steps
    rates: np.ndarray  # [blocks, points]
    before: np.ndarray  # [blocks, points] sum of the learning rate before the place
    weights: np.ndarray  # [blocks, points]


@dataclass(frozen=True)
class _Tree:
    sizes: tuple[int, ...]
    levels: tuple[_Level, ...]
    drop: np.ndarray  # lr_{k-1} - lr_k [steps], 0 at step 0


@functools.lru_cache(maxsize=256)
def _tree(schedule: Schedule, points: int) -> _Tree:
    """All blocks of a schedule; schedules are compared by identity."""
    rates = schedule.rates
    drop = np.zeros(len(rates))
    drop[1:] = rates[:-1] - rates[1:]
    sizes = [LEAF]
    while sizes[-1] < len(rates):
        sizes.append(2 * sizes[-1])
    width = sizes[-1]
    padded = np.zeros((3, width))
    padded[0, : len(rates)], padded[1, : len(rates)], padded[2, : len(rates)] = drop, rates, schedule.mass - rates
    return _Tree(tuple(sizes), tuple(_level(padded, size, len(rates), points) for size in sizes), drop)


def _level(padded: np.ndarray, size: int, steps: int, points: int) -> _Level:
    drop, rates, before = (array.reshape(-1, size) for array in padded)
    anchors, to_all, to_points, lagrange, places = _stencil(size, points)
    ends = np.arange(1, len(drop) + 1) * size
    low, high = rates.min(axis=1), rates.max(axis=1)
    smooth = (ends <= steps) & (low > 0) & (high <= 2.0 * low)
    for array, scale in ((rates, high), (before, before.max(axis=1) + high)):
        error = np.abs(array[:, anchors] @ to_all - array).max(axis=1)
        smooth &= error <= SMOOTH * scale
    return _Level(
        drops=(drop != 0).any(axis=1),
        smooth=smooth,
        places=places,
        rates=rates[:, anchors] @ to_points,
        before=before[:, anchors] @ to_points,
        weights=drop @ lagrange,
    )


@functools.lru_cache(maxsize=64)
def _stencil(size: int, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Steps a block is interpolated from, to its steps and to its Gauss points; moments to weights; the points."""
    k = np.arange(size)
    degree = min(10, size - 2)
    anchors = np.unique(np.rint(0.5 * (size - 1) * (1 - np.cos(np.pi * np.arange(degree) / (degree - 1)))).astype(int))
    n = np.arange(1, points)
    beta = (
        n**2 * (size**2 - n**2) / (4.0 * (4.0 * n**2 - 1.0))
    )  # discrete Chebyshev polynomials on the steps of the block
    jacobi = np.diag(np.sqrt(beta), 1) + np.diag(np.sqrt(beta), -1)
    places = np.linalg.eigvalsh(jacobi) + 0.5 * (size - 1)
    scaled = lambda x: 2.0 * np.asarray(x, dtype=float) / (size - 1) - 1.0  # noqa: E731

    def lagrange(nodes: np.ndarray, at: np.ndarray) -> np.ndarray:
        basis = np.polynomial.legendre.legvander
        return np.linalg.solve(basis(scaled(nodes), len(nodes) - 1).T, basis(scaled(at), len(nodes) - 1).T)

    return anchors, lagrange(anchors, k), lagrange(anchors, places), lagrange(places, k).T, places
