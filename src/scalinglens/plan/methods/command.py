"""What `scalinglens plan --methods` does between reading its options and printing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalinglens.plan.methods.compare import compare_methods, refuse_fit
from scalinglens.runs import read_runs

__all__ = ["methods_command"]


def methods_command(
    runs: str | Path,
    methods: str = "all",
    *,
    flops: Any,
    boot: int = 200,
    level: float = 0.9,
    seed: int = 0,
    groups: str | None = None,
    cost: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, str] | None = None,
    plot: str | Path | None = None,
    as_json: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Read a table, compare methods on it, and return what is to be printed: the table, or one JSON object.

    Args:
        runs: path of the table. methods: as `compare_methods`.
        flops, boot, level, seed, groups, cost, progress: as `compare_methods`.
        where: keeps the runs for which it holds. mapping: quantity -> column or formula, as `--map`.
        plot: path of a picture to write.
        as_json: JSON in place of text.

    Returns:
        The text.

    Raises:
        PlanError, RunsError, FitError: as `compare_methods` and `read_runs`.

    Cost: as `compare_methods`.
    """
    refuse_fit(runs)
    table = read_runs(runs, where=where, **dict(mapping or {}))  # type: ignore[arg-type]
    found = compare_methods(
        table,
        flops=flops,
        methods=methods,
        boot=boot,
        level=level,
        seed=seed,
        groups=groups,
        cost=cost,
        progress=progress,
    )
    if plot is not None:
        found.plot(plot)
    return json.dumps(found.to_dict(), indent=1) if as_json else repr(found)
