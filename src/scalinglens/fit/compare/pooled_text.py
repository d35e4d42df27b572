"""A pool of laws as text, as plain data, and as one JSON file that brings it back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalinglens.errors import SavedFitError
from scalinglens.fit import saved
from scalinglens.fit.compare.growth import ErrorGrowth
from scalinglens.quantities import format_number

if TYPE_CHECKING:
    from scalinglens.fit.compare.pool import PooledFit

__all__ = ["as_text", "load", "restored", "save", "to_dict"]


def as_text(pool: PooledFit) -> str:
    """Return the pool as a block of text: members with their weights, how the rule decided, warnings."""
    used, read = pool.table["used"], pool.table["read"]
    rows = f"{used} runs" if used == read else f"{used} of {read} runs"
    lines = [f"pool of {len(pool.members)} laws fitted to {rows} of {pool.table['origin']}: {pool.status}"]
    shown = {"": pool.target, "1 - y": f"1 - {pool.target}", "1/y": f"1/{pool.target}"}[pool.link]
    scale = "of logarithms" if pool._in_logs else "of values"
    lines += [f"  {shown} = weighted {pool.how} {scale}", ""]
    cells = [("law", "weight", "status", "error ahead", "")]
    for row in pool.tried:
        ahead = row.get("ahead")
        error = format_number(ahead) if ahead is not None and np.isfinite(ahead) else "-"
        weight = f"{row['weight']:.2f}" if row["weight"] > 0 else "-"
        cells.append((str(row["law"]), weight, str(row["status"]), error, str(row.get("reason") or "")))
    widths = [max(len(row[k]) for row in cells) for k in range(4)]
    lines += [("  " + "  ".join(c.ljust(w) for c, w in zip(row, [*widths, 0], strict=True))).rstrip() for row in cells]
    lines += ["", *(f"  {name:<12}{text}" for name, text in _facts(pool))]
    lines += [f"  ! {warning}" for warning in pool.warnings]
    return "\n".join(lines)


def _facts(pool: PooledFit) -> list[tuple[str, str]]:
    facts = [(name, str(text)) for name, text in pool.settings.get("decided", {}).items()]
    growth = pool.growth
    if growth is not None:
        each = ", ".join(format_number(error) for error in growth.errors)
        facts.append(
            (
                "back-test",
                f"errors {each} from {growth.origins} earlier origin{'s' if growth.origins > 1 else ''}: "
                f"{format_number(growth.rate)} per factor e beyond the runs",
            )
        )
    boot = pool.settings.get("boot")
    if pool.refusal:
        facts.append(("intervals", "refused: " + pool.refusal))
    elif boot:
        facts.append(("intervals", f"{boot} draws over laws by weight, widened by the back-test"))
    else:
        facts.append(("intervals", "none asked for (boot=200)"))
    return facts


def to_dict(pool: PooledFit) -> dict[str, Any]:
    """Return a pool as the JSON object of `scalinglens fit --law auto --json`, numbers unrounded."""
    return saved._finite(
        {
            "schema": saved.SCHEMA,
            "law": "auto",
            "status": pool.status,
            "refusal": pool.refusal,
            "how": pool.how,
            "laws": [dict(row) for row in pool.tried],
            "members": [saved.to_dict(member) | {"weight": w} for member, w in _pairs(pool)],
            "growth": None if pool.growth is None else _growth(pool.growth),
            "level": pool.level,
            "rows": {"read": pool.table["read"], "used": pool.table["used"], "dropped": list(pool.table["dropped"])},
            "columns": dict(pool.table["columns"]),
            "target": pool.target,
            "link": pool.link,
            "settings": dict(pool.settings),
            "data": {"origin": pool.table["origin"], "sha256": pool.table["sha256"]},
            "citations": list(pool.citations()),
            "warnings": list(pool.warnings),
        }
    )


def save(pool: PooledFit, path: str | Path) -> None:
    """Write a pool with its members to one JSON file."""
    state = {
        "pool": [saved.to_document(member) for member in pool.members],
        "weights": list(pool.weights),
        "observed": pool.observed.tolist(),
        "points": {name: values.tolist() for name, values in pool.points.items()},
        "extents": list(pool.extents),
        "table": dict(pool.table),
    }
    saved.write_document(to_dict(pool) | {"saved": saved._finite(state)}, path)


def load(path: str | Path) -> PooledFit:
    """Read a pool written by `save`.

    Raises:
        SavedFitError: the file is no saved pool; see `scalinglens.fit.saved.load`.
    """
    from scalinglens.fit.compare.pool import PooledFit

    found = saved.load(path)
    if not isinstance(found, PooledFit):
        raise SavedFitError(f"{path} holds a fit of one law, not a pool; read it with Fit.load")
    return found


def restored(document: Mapping[str, Any]) -> PooledFit:
    """Return the pool that `save` made plain data of."""
    from scalinglens.fit.compare.pool import PooledFit

    state = document["saved"]
    growth = document["growth"]
    return PooledFit(
        members=tuple(saved.restored(part) for part in state["pool"]),
        weights=tuple(state["weights"]),
        how=document["how"],
        growth=None if growth is None else ErrorGrowth(growth["rate"], growth["origins"], tuple(growth["errors"])),
        level=document["level"],
        target=document["target"],
        points={name: np.array(values, dtype=float) for name, values in state["points"].items()},
        observed=np.array(state["observed"], dtype=float),
        link=document["link"],
        extents=tuple(state["extents"]),
        tried=tuple(document["laws"]),
        table=state["table"],
        settings=document["settings"],
        refusal=document["refusal"],
        warnings=tuple(document["warnings"]),
    )


def _pairs(pool: PooledFit) -> list[tuple[Any, float]]:
    return list(zip(pool.members, pool.weights, strict=True))


def _growth(growth: ErrorGrowth) -> dict[str, Any]:
    return {"rate": growth.rate, "origins": growth.origins, "errors": list(growth.errors)}
