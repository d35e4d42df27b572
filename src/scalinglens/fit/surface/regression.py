"""`surface`: from a table of runs to a `Surface`, by an ensemble of networks or by kernel regression."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scalinglens.errors import FitError, did_you_mean
from scalinglens.fit.estimate import check_level
from scalinglens.fit.fit import _groups
from scalinglens.fit.surface.kernel import Kernel
from scalinglens.fit.surface.network import Network
from scalinglens.fit.surface.posterior import Model, Posterior, estimate
from scalinglens.fit.surface.region import Region
from scalinglens.fit.surface.surface import Rise, Surface
from scalinglens.numerics.bootstrap import resampling_weights
from scalinglens.numerics.processes import parallel_map
from scalinglens.quantities import QUANTITIES, format_quantity
from scalinglens.runs import Runs, read_runs

__all__ = ["surface"]

KINDS = ("network", "kernel")
MOST_INPUTS = 4
_LANES = 8  # members that share one array program
_PER_INPUT = 4  # runs per input (and the constant) below which a smooth function is not determined
_MOST_FAILED = 0.25  # share of members that may stop before they converge: each is near its optimum and one of many
_EXPLAINED = 0.5  # share of the variance of ln target below which the inputs hardly matter
_RISE = 0.01  # share of the region that may rise before it is said: at the edges noise alone makes that much
# units of inputs of which more is better
_LOWERING = ("parameters", "tokens", "FLOP", "steps", "examples")


def surface(
    runs: Any,
    kind: str = "network",
    *,
    inputs: Sequence[str] = ("params", "tokens"),
    target: str = "loss",
    members: int = 8,
    boot: int = 0,
    groups: str | np.ndarray | None = None,
    width: int = 8,
    ridge: float | None = None,
    delta: float = 1e-3,
    level: float = 0.9,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Surface:
    """Regress the logarithm of a loss on the logarithms of what was varied, without a law.

    ln target = mean over members of f(ln inputs); each member minimises Huber's loss of ln target plus Gaussian priors,
    whose strengths maximise the evidence.

    Args:
        runs: `Runs`, or anything `read_runs` takes.
        kind: "network" (members of two hidden layers and a linear part) or "kernel" (sum of Gaussian kernels).
        inputs: one to four columns.
        target: column to predict.
        members: networks that start from different seeds; a kernel regression has one optimum and so one member.
        boot: members fitted to resamples, for intervals (0: none); each starts from its own seed, so that the intervals
            hold the scatter of seeds as well.
        groups: column or labels whose groups are resampled whole; rows without it.
        width: neurons of each hidden layer.
        ridge: hold the strength of regularisation at this, on standardised ln target, instead of the evidence's.
        delta: where Huber's loss turns linear, in ln target.
        level: probability of the intervals.
        seed: of members and resamples; same seed, same numbers, whatever the number of processors.
        progress: called with (members done, members).

    Returns:
        The `Surface`; its `status` says whether all members converged and whether the runs span a region.

    Raises:
        FitError: too few runs, inputs that do not vary, values that have no logarithm, unknown options.
        RunsError: the table lacks a column.

    Cost: about 0.1 s per network and 0.02 s per kernel of 240 runs; members are spread over processors.

    Source: Barkeshli, Alfarano and Gromov 2026 (arXiv 2601.10684), their regressors; evidence after MacKay 1992. The
        published recipe trains networks of width 512 by AdamW with early stopping: 100 times slower, no more accurate on
        runs held out (tests/published/test_random_walks.py).

    >>> rng = np.random.default_rng(0)
    >>> params, tokens = 10 ** rng.uniform(7, 9, 80), 10 ** rng.uniform(9, 11, 80)
    >>> loss = 1.8 + 400 / params**0.34 + 2000 / tokens**0.37
    >>> found = surface({"params": params, "tokens": tokens, "loss": loss}, "kernel")
    >>> found.status, round(float(found.predict(params=1e8, tokens=1e10)["loss"].iloc[0]), 2)
    ('certified', 2.96)
    """
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    inputs = _checked_inputs(inputs, target)
    _check_options(kind, members, boot, width, ridge, delta, level, seed)
    table = table.complete(*inputs, target)
    points = {name: table.column(name) for name in inputs}
    observed = table.column(target)
    _check_values(table, {**points, target: observed})
    labels = _groups(table, groups)

    nodes = np.log(np.stack(list(points.values()), axis=1))
    centre, spread = nodes.mean(axis=0), nodes.std(axis=0)
    y = np.log(observed)
    centre_target, spread_target = float(y.mean()), float(y.std())
    x, y = (nodes - centre) / spread, (y - centre_target) / spread_target
    model: Model = Network(len(inputs), width) if kind == "network" else Kernel.build(x)
    count = members if kind == "network" else 1
    found = _members(model, x, y, labels, count, boot, seed, delta / spread_target, ridge, progress)

    region = Region.of(nodes)
    status, reasons = "certified", []
    ended = found.converged[:count]
    if np.mean(~ended) > _MOST_FAILED:
        status, reasons = "not_converged", [f"{int(np.sum(~ended))} of {count} members did not converge"]
    if region.flat:
        status, reasons = "not_identified", [*reasons, region.flat]
    rises = _rises(model, found.theta[:count], region, centre, spread, spread_target, inputs, target)
    return Surface(
        kind=kind,
        inputs=inputs,
        target=target,
        status=status,
        reasons=tuple(reasons),
        model=model,
        members=found.theta[:count],
        draws=found.theta[count:],
        centre=centre,
        spread=spread,
        centre_target=centre_target,
        spread_target=spread_target,
        points=points,
        observed=observed,
        groups=labels,
        determined=float(found.determined[:count].mean()),
        rises=rises,
        level=level,
        table=table.described(),
        settings={
            "members": count,
            "boot": boot,
            "groups": groups if isinstance(groups, str) else None if groups is None else "given",
            "width": width if kind == "network" else None,
            "ridge": ridge,
            "delta": delta,
            "seed": seed,
        },
        warnings=(
            *table.warnings,
            *(f"{status}: {reason}" for reason in reasons),
            *_doubts(found, count, model, x, y, rises, target),
        ),
    )


def _doubts(
    found: Posterior,
    count: int,
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    rises: dict[str, Rise],
    target: str,
) -> list[str]:
    """What a reader should know of a surface that was fitted."""
    doubts = []
    late = int(np.sum(~found.converged[count:]))
    if late > _MOST_FAILED * max(len(found.converged) - count, 1):
        doubts.append(f"{late} of {len(found.converged) - count} bootstrap refits stopped before they converged")
    explained = 1 - float(np.mean((model.values(found.theta[:count], x).mean(axis=0) - y) ** 2))
    if explained < _EXPLAINED:
        doubts.append(f"the inputs explain only {max(explained, 0):.0%} of the variance of ln {target}")
    for name, rise in rises.items():
        if rise.share > _RISE:
            where = ", ".join(f"{n} {format_quantity(v)}" for n, v in rise.where.items())
            doubts.append(f"{target} rises with {name} in {rise.share:.1%} of the region of the runs, most at {where}")
    return doubts


def _members(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    labels: np.ndarray,
    count: int,
    boot: int,
    seed: int,
    delta: float,
    ridge: float | None,
    progress: Callable[[int, int], None] | None,
) -> Posterior:
    """The members on all runs [count], then those on resamples [boot]."""
    weights = np.ones((count, len(y)))
    if boot:
        weights = np.concatenate([weights, resampling_weights(labels, boot, seed)])
    start = np.concatenate([model.start(1, np.random.default_rng([seed, lane])) for lane in range(count + boot)])

    def fitted(first: int) -> Posterior:
        lanes = slice(first, first + _LANES)
        return estimate(model, x, y, weights[lanes], start[lanes], delta=delta, ridge=ridge)

    parts = []
    for part in parallel_map(fitted, range(0, count + boot, _LANES)):
        parts.append(part)
        if progress:
            progress(min(len(parts) * _LANES, count + boot), count + boot)
    return Posterior(
        theta=np.concatenate([part.theta for part in parts]),
        determined=np.concatenate([part.determined for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
        iterations=max(part.iterations for part in parts),
    )


def _rises(
    model: Model,
    theta: np.ndarray,
    region: Region,
    centre: np.ndarray,
    spread: np.ndarray,
    spread_target: float,
    inputs: tuple[str, ...],
    target: str,
) -> dict[str, Rise]:
    """Look all over the region for places where more of a good thing raises the loss."""
    if target not in QUANTITIES or QUANTITIES[target].unit not in ("nats/token", "fraction"):
        return {}
    places = region.places()
    x = (places - centre) / spread
    found = {}
    for i, name in enumerate(inputs):
        if name not in QUANTITIES or QUANTITIES[name].unit not in _LOWERING:
            continue
        step = np.zeros(len(inputs))
        step[i] = 1e-4
        slope = (model.values(theta, x + step) - model.values(theta, x - step)).mean(axis=0) / 2e-4
        slope *= spread_target / spread[i]
        worst = int(np.argmax(slope))
        where = {n: float(v) for n, v in zip(inputs, np.exp(places[worst]), strict=True)}
        found[name] = Rise(float(np.mean(slope > 0)), float(slope[worst]), where)
    return found


def _checked_inputs(inputs: Sequence[str], target: str) -> tuple[str, ...]:
    names = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    if not 1 <= len(names) <= MOST_INPUTS or len(set(names)) < len(names):
        raise FitError(
            f"a surface has one to {MOST_INPUTS} different inputs, got {len(names)}: {', '.join(map(str, names)) or 'none'}"
        )
    if target in names:
        raise FitError(f'"{target}" is the column to predict and cannot be an input; name another')
    return names


def _check_options(
    kind: str, members: int, boot: int, width: int, ridge: float | None, delta: float, level: float, seed: int
) -> None:
    if kind not in KINDS:
        raise FitError(f'unknown kind "{kind}"{did_you_mean(str(kind), KINDS)}; known are {", ".join(KINDS)}')
    for name, value, least in (("members", members, 1), ("boot", boot, 0), ("width", width, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise FitError(f"{name} is a whole number, {least} or more, got {value!r}")
    for name, value in (("ridge", ridge), ("delta", delta)):
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise FitError(f"{name} is a positive number, got {value!r}")
    check_level(level)
    least = math.ceil(2 / (1 - level) - 1e-9)  # one draw beyond each end
    if 0 < boot < least:
        raise FitError(f"boot={boot} does not show the ends of a {level:.0%} interval; ask for {least} at least")


def _check_values(table: Runs, columns: dict[str, np.ndarray]) -> None:
    need = _PER_INPUT * len(columns)
    if len(table) < need:
        raise FitError(
            f"{len(table)} runs do not show a surface over {len(columns) - 1} inputs; {need} are the least: add runs, or "
            "fit a law"
        )
    for name, values in columns.items():
        if np.any(values <= 0):
            row = int(np.argmax(values <= 0))
            raise FitError(
                f"column {name} of {table.origin} is {values[row]:g} in {int(np.sum(values <= 0))} runs, first at run {row}; "
                f'it must be positive; drop them with where="{name} > 0"'
            )
        if np.std(np.log(values)) < 1e-9:
            raise FitError(
                f"column {name} of {table.origin} is {values[0]:g} in all {len(table)} runs, so nothing can be said about "
                "it; leave it out of inputs, or add runs"
            )
