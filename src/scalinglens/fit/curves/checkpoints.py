"""Which intermediate checkpoints of a run may take part in a fit: an explicit choice, never a default behind the back.

A loss in the middle of a cosine decay is higher than that of a run of the same length that has finished its decay, so
such checkpoints bias a law of final losses (Hoffmann et al. 2022; Porian et al. 2024). Checkpoints at a constant learning
rate bias all rows alike and help a lot where runs are few (Choshen et al. 2024, section 4). A law that knows the schedule
may use every row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from scalinglens.errors import OptionError, QuantityError, RunsError, did_you_mean
from scalinglens.fit.curves.schedule import RUN_COLUMNS, own_schedules, with_schedules
from scalinglens.quantities import format_quantity, parse_quantity
from scalinglens.runs import Runs, read_runs

__all__ = ["POLICIES", "checkpoints"]

POLICIES = {
    "all": "every checkpoint",
    "final": "the last checkpoint of each run",
    "constant_rate": "checkpoints at the peak learning rate, and the last one of each run",
    "schedule": "every checkpoint, each with the schedule of its run, for a law that knows it",
}
"""Policy -> the rows it keeps."""

PROGRESS = ("tokens", "steps", "flops", "examples", "epochs")  # what tells how far a run is, the most telling first
_SAME_RATE = 1e-6  # relative difference up to which two logged learning rates are the same
_RULE = re.compile(
    r"(?P<number>[^%]*?)\s*(?P<percent>%)?\s*(?P<what>of\s+(?:the\s+)?run|tokens?|steps?|flops?|epochs?|examples?)"
)


def checkpoints(
    runs: Any, policy: str = "final", *, warmup: str | float | None = None, by: str | Sequence[str] | None = None
) -> Runs:
    """Keep the checkpoints that a policy allows.

    Args:
        runs: `Runs`, or anything `read_runs` takes; one row per checkpoint.
        policy: one of `POLICIES`.
        warmup: rule for the rows at the beginning of each run, which are dropped before the policy is applied: "10B tokens",
            "2000 steps", "0.3 of run" (of the largest value in the run), several with commas; a number counts tokens. Rows
            up to an absolute cut are dropped, rows at a share of the run or beyond it are kept.
        by: column or columns whose values together name a run; by default `run` (or `curve`).

    Returns:
        The runs that are left; the others join `dropped` with their reason.

    Raises:
        RunsError: the table cannot say: no names of runs, no column of tokens or steps, no learning rate, or nothing left.
        OptionError: unknown policy, or a rule that cannot be read.

    Cost: a sort of the rows.

    >>> table = {"run": ["a", "a", "b", "b"], "tokens": [1e9, 4e9, 2e9, 8e9], "loss": [4.0, 3.5, 3.8, 3.2]}
    >>> checkpoints(table, "final").column("loss").tolist()
    [3.5, 3.2]
    >>> [(d.reason, d.count) for d in checkpoints(table, "all", warmup="0.3 of run").dropped]
    [('in the warm-up: tokens below 0.3 of its run', 2)]
    """
    if policy not in POLICIES:
        raise OptionError(
            f'unknown policy of checkpoints "{policy}"{did_you_mean(str(policy), POLICIES)}; known are '
            + ", ".join(f"{name} ({what})" for name, what in POLICIES.items())
        )
    table = runs if isinstance(runs, Runs) else read_runs(runs)
    if policy == "schedule":
        _logged_rates(table)  # refuses peak rates
        table = with_schedules(table)
    for rule in _rules(warmup):
        table = _cut(table, rule, by)
    if policy == "final":
        keep = _last(table, _labels(table, by))
        return table._without(~keep, "not the last checkpoint of its run")
    if policy == "constant_rate":
        return _constant_rate(table, by)
    return table


def _labels(table: Runs, by: str | Sequence[str] | None) -> np.ndarray:
    """Number of the run of each row."""
    if by is None:
        names = [name for name in RUN_COLUMNS if name in table.columns or name in table.frame.columns][:1]
        if not names:
            raise RunsError(
                f"{table.origin} has no column that names the run of a checkpoint, so the last one of each run is not known; "
                'map one (run="experiment", --map run=COLUMN), or name the columns that together tell runs apart '
                '(by=("params", "seed"), --by params,seed)'
            )
    else:
        names = [part.strip() for part in by.split(",")] if isinstance(by, str) else list(by)
    number = np.zeros(len(table), dtype=np.int64)
    for name in names:
        labels = table.labels(name)
        each = np.unique(labels.astype(str) if labels.dtype == object else labels, return_inverse=True)[1]
        number = np.unique(number * (int(each.max()) + 1) + each, return_inverse=True)[1]
    return number


def _progress(table: Runs, name: str | None = None) -> tuple[str, np.ndarray]:
    """The column that tells how far a run is."""
    for known in PROGRESS if name is None else (name,):
        if known in table.columns:
            return known, table.column(known)
    wanted = name or ", ".join(PROGRESS[:-1]) + " or " + PROGRESS[-1]
    raise RunsError(
        f"{table.origin} has no column of {wanted}, so it does not say how far its runs are; "
        f"map one (--map {name or 'tokens'}=COLUMN)"
    )


def _last(table: Runs, labels: np.ndarray) -> np.ndarray:
    """Which rows are the farthest of their run; equally far rows are all kept, they come from runs that share a name."""
    _, far = _progress(table)
    far = np.where(np.isfinite(far), far, -np.inf)
    most = np.full(int(labels.max()) + 1, -np.inf)
    np.maximum.at(most, labels, far)
    return far >= most[labels]


def _rules(warmup: str | float | None) -> list[tuple[str, float]]:
    """Read rules as (column, cut), with "run" for a share of the run."""
    if warmup is None or warmup == "":
        return []
    if isinstance(warmup, int | float) and not isinstance(warmup, bool):
        return [("tokens", float(warmup))]
    found = []
    for part in str(warmup).split(","):
        match = _RULE.fullmatch(part.strip())
        try:
            number = parse_quantity(match["number"]) if match else None
        except QuantityError:
            number = None
        if match is None or number is None or number < 0:
            raise OptionError(
                f"cannot read the warm-up rule {part.strip()!r}; write it as 10B tokens, 2000 steps, 0.1 of run or 10% of run"
            )
        share = match["what"].startswith("of")
        number = number / 100 if match["percent"] else number
        if share and number >= 1:
            raise OptionError(
                f"the warm-up rule {part.strip()!r} drops whole runs; a share of the run lies between 0 and 1"
            )
        if match["percent"] and not share:
            raise OptionError(
                f"the warm-up rule {part.strip()!r} is a share of {match['what']}; write {match['number']}% of run"
            )
        found.append(("run" if share else match["what"].rstrip("s") + "s", number))
    return found


def _cut(table: Runs, rule: tuple[str, float], by: str | Sequence[str] | None) -> Runs:
    what, cut = rule
    if what == "run":
        labels = _labels(table, by)
        name, far = _progress(table)
        most = np.full(int(labels.max()) + 1, -np.inf)
        np.maximum.at(most, labels, np.where(np.isfinite(far), far, -np.inf))
        gone, reason = ~(far >= cut * most[labels] * (1 - 1e-12)), f"in the warm-up: {name} below {cut:g} of its run"
    else:
        name, far = _progress(table, what)
        gone, reason = ~(far > cut), f"in the warm-up: {name} up to {format_quantity(cut)}"
    if gone.all():
        raise RunsError(f"the warm-up rule leaves none of the {len(table)} checkpoints of {table.origin} ({reason})")
    return table._without(gone, reason)


def _logged_rates(table: Runs) -> np.ndarray | None:
    """The learning rate at each checkpoint, or None where schedules stand in the table themselves."""
    if own_schedules(table) is not None:
        return None
    if "learning_rate" not in table.columns:
        raise RunsError(
            f"{table.origin} has no learning rate, so it does not say where it decays; map it (--map learning_rate=COLUMN), "
            "or choose the policy final"
        )
    source = table.columns["learning_rate"].source
    if re.search(r"peak|max", source, re.IGNORECASE):
        raise RunsError(
            f"the learning rate of {table.origin} is column {source!r}, the largest of each run and not that of each "
            "checkpoint, so it does not say where it decays; choose the policy final, or map the logged rate"
        )
    return table.column("learning_rate")


def _constant_rate(table: Runs, by: str | Sequence[str] | None) -> Runs:
    rate = _logged_rates(table)
    labels = _labels(table, by)
    if rate is None:
        steps = table.column("steps")
        rate = np.array([one.at([t])[0] for one, t in zip(with_schedules(table).frame["schedule"], steps, strict=True)])
    table = table._without(~np.isfinite(rate), "missing value in column learning_rate")
    known = np.isfinite(rate)
    rate, labels = rate[known], labels[known]
    _, far = _progress(table)
    last = _last(table, labels)
    peak = np.full(int(labels.max()) + 1, -np.inf)
    np.maximum.at(peak, labels, rate)
    at_peak = rate >= peak[labels] * (1 - _SAME_RATE)
    first = np.full(len(peak), np.inf)
    np.minimum.at(first, labels[at_peak], far[at_peak])
    rising = ~at_peak & (far < first[labels])
    falling = ~at_peak & ~rising & ~last
    reasons = np.where(rising, 1, np.where(falling, 2, 0))
    table = table._without(reasons == 1, "the learning rate still rises")
    return table._without(reasons[reasons != 1] == 2, "the learning rate has begun to decay and has not ended")
