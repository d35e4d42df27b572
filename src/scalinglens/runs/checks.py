"""What is suspicious about a table of runs, in sentences with the numbers; nothing is changed and nothing guessed.

Each check takes the frame and the canonical columns and returns its warnings. `check_runs` runs them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalinglens.quantities import QUANTITIES, format_quantity
from scalinglens.runs.cells import holds_numbers, is_missing
from scalinglens.runs.recognise import LABELS, shared_stem

if TYPE_CHECKING:
    from scalinglens.runs.table import Column

__all__ = ["check_runs", "exact_duplicates"]

Columns = Mapping[str, "Column"]

_SIZES = ("params", "params_nonembedding", "params_active")
_LARGEST_VOCABULARY = 1e6  # tokens; ln of it bounds the loss of a model that has learned nothing
_COLLINEAR = 1e-6  # share of the variance left; counts rounded to three digits leave more than that
_FLOPS_FACTOR = 1.5  # attention and embeddings move C off 6 N D by less than this for models worth a law


def check_runs(frame: pd.DataFrame, columns: Columns) -> tuple[str, ...]:
    """Return every warning about a table of runs.

    Cost: one pass per check; sorting for the duplicates.

    >>> frame = pd.DataFrame({"params": [7.0, 13.0, 70.0], "loss": [2.0, 1.9, 1.8]})
    >>> check_runs(frame, dict.fromkeys(frame))[0][:60]
    'params runs from 7 to 70: no model is that small; if these a'
    """
    return tuple(warning for check in _CHECKS for warning in check(frame, columns))


def exact_duplicates(frame: pd.DataFrame) -> np.ndarray:
    """Return which rows repeat an earlier row in every column, bool [n].

    >>> exact_duplicates(pd.DataFrame({"loss": [1.0, 2.0, 1.0]}))
    array([False, False,  True])
    """
    # objects such as lists cannot be hashed, their text can
    words = {name: frame[name].map(str) for name in frame.columns if frame[name].dtype == object}
    cells = frame.assign(**words) if words else frame
    return cells.duplicated(keep="first").to_numpy()


def _duplicates(frame: pd.DataFrame, columns: Columns) -> list[str]:
    repeats = exact_duplicates(frame)
    if not repeats.any():
        return []
    return [
        f"{repeats.sum()} of {len(frame)} rows are exact duplicates of earlier rows, first row {int(repeats.argmax())} "
        'of those kept; a fit counts each again, unless you read with duplicates="drop"'
    ]


def _repeated_settings(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Find runs of the same inputs with different losses: seeds, or several evaluation sets in one column."""
    inputs = [name for name in columns if name not in LABELS and name != "loss"]
    if "loss" not in columns or not inputs or len(frame) < 2:
        return []
    setting = frame.groupby(inputs, dropna=False, sort=False).ngroup().to_numpy()
    loss, count = frame["loss"].to_numpy(), setting.max() + 1
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(lowest, setting, loss)
    np.maximum.at(highest, setting, loss)
    several = highest > lowest
    if not several.any():
        return []
    ratio = (highest / lowest).max()
    apart = f"up to {ratio - 1:.2%} apart" if ratio < 2 else f"up to a factor {ratio:.3g} apart"
    differ = _differing(frame, columns, setting, several)
    why = f"they differ in {', '.join(differ)}; keep one kind with where=..." if differ else "repeated seeds?"
    return [
        f"{several[setting].sum()} of {len(frame)} rows share their inputs with a row of another loss ({several.sum()} "
        f"settings, losses {apart}): {why}"
    ]


def _differing(frame: pd.DataFrame, columns: Columns, setting: np.ndarray, several: np.ndarray) -> list[str]:
    """Return the columns, other than canonical ones, that differ between rows of equal inputs; four at most."""
    found = []
    # words before numbers: a group is more often named than counted
    for name in sorted(frame.columns, key=lambda name: frame[name].dtype.kind in "iuf"):
        if name in columns:
            continue
        codes = pd.factorize(frame[name].map(str))[0]
        lowest, highest = np.full(len(several), len(frame)), np.full(len(several), -1)
        np.minimum.at(lowest, setting, codes)
        np.maximum.at(highest, setting, codes)
        if (highest > lowest)[several].any():
            found.append(repr(str(name)))
    return [*found[:4], "..."] if len(found) > 4 else found


def _loss_units(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Find losses that no model of tokens can have in nats."""
    if "loss" not in columns:
        return []
    loss = frame["loss"].to_numpy()
    found = []
    column = columns["loss"]
    if column is not None and column.unit not in ("", QUANTITIES["loss"].unit):
        found.append(
            f"loss is in {column.unit}, not in nats/token: constants of published laws do not apply to it, exponents do"
        )
    if "vocab" in columns:
        ceiling = np.log(frame["vocab"].to_numpy())
        above = loss > ceiling * 1.05
        limit = f"ln(vocab) = {np.nanmax(ceiling):.3g}, the loss of guessing"
    else:
        ceiling = math.log(_LARGEST_VOCABULARY)
        above = loss > ceiling
        limit = f"{ceiling:.1f} nats, the loss of guessing among a million tokens"
    if not above.any():
        return found
    where = _belonging(frame, columns, above)
    if above.all():
        what = "they may be perplexities; if so, map loss to the formula log of that column"
    else:
        what = "mixed units? they may be perplexities beside nats; leave them out with where=..., or convert them first"
    found.append(f"{above.sum()} of {len(frame)} losses exceed {limit} (largest {loss.max():.4g}){where}: {what}")
    return found


def _belonging(frame: pd.DataFrame, columns: Columns, rows: np.ndarray) -> str:
    """Say which groups of a text column hold the rows, when few do."""
    for name in frame.columns:
        if frame[name].dtype.kind in "iufb":
            continue
        cells = frame[name]
        inside = sorted({str(cell) for cell in cells[rows] if not is_missing(cell)})
        outside = {str(cell) for cell in cells if not is_missing(cell)}
        if inside and len(inside) < len(outside) and len(outside) < len(frame):
            shown = ", ".join(inside[:4]) + (", ..." if len(inside) > 4 else "")
            return f", all where {name} is {shown}"
    return ""


def _count_units(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Find counts that look like millions, billions or logarithms."""
    sizes = [name for name in _SIZES if name in columns]
    large = any(np.median(_finite(frame, name)) > 1e6 for name in sizes)
    found = []
    for name in sizes:
        low, high = _finite(frame, name).min(), _finite(frame, name).max()
        if high <= 1e4:
            found.append(
                f"{name} runs from {low:.4g} to {high:.4g}: no model is that small; if these are millions or billions, "
                f'map {name}="{_source(columns, name)} * 1e6" or "... * 1e9"'
            )
        elif low < 1000 and high > 1e6:
            found.append(_mixed(frame, name))
    for name, least in (("tokens", 1e4), ("tokens_unique", 1e4), ("flops", 1e9)):
        if name not in columns or not _measured(columns, name) or not (large or name == "flops"):
            continue
        low, high = _finite(frame, name).min(), _finite(frame, name).max()
        source = _source(columns, name)
        remedies = [f'if these are billions, map {name}="{source} * 1e9"'] if name != "flops" else []
        if low > 5 and high < 30:
            remedies.append(f'if these are log10, map {name}="10 ^ {source}"')
        if high < least:
            remedy = "; ".join(remedies) or "map the column that holds FLOP"
            found.append(f"{name} runs from {low:.4g} to {high:.4g}, too few for models worth a law; {remedy}")
        elif name != "flops" and low < 1000 and high > 1e9:
            found.append(_mixed(frame, name))
    return found


def _mixed(frame: pd.DataFrame, name: str) -> str:
    values = _finite(frame, name)
    few, high = (values < 1000).sum(), format_quantity(values.max())
    return (
        f"{name} mixes units: {few} of {len(frame)} values are below 1,000 (smallest {values.min():.4g}) beside others "
        f"up to {high}; convert them first, or leave them out with where=..."
    )


def _finite(frame: pd.DataFrame, name: str) -> np.ndarray:
    values = frame[name].to_numpy()
    values = values[np.isfinite(values)]
    return values if len(values) else np.array([np.nan])


def _measured(columns: Columns, name: str) -> bool:
    return columns[name] is None or columns[name].how != "derived"


def _source(columns: Columns, name: str) -> str:
    column = columns[name]
    source = column.source if column is not None and column.how in ("name", "mapped") else name
    return source if source.isidentifier() else f"`{source}`"


def _constant(frame: pd.DataFrame, columns: Columns) -> list[str]:
    measured = [name for name in columns if name not in LABELS and _measured(columns, name)]
    same = [name for name in measured if np.ptp(frame[name].to_numpy()) == 0]
    if not same or len(frame) < 3:
        return []
    listed = ", ".join(f"{name} = {_amount(name, frame[name].iloc[0])}" for name in same)
    return [f"constant in all {len(frame)} runs: {listed}; no law can tell their influence"]


def _amount(name: str, value: float) -> str:
    return format_quantity(value) if QUANTITIES.get(name) and QUANTITIES[name].unit in _COUNTS else f"{value:.4g}"


_COUNTS = ("parameters", "tokens", "FLOP")


def _design(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Find designs that cannot separate the size term from the data term."""
    size = next((name for name in _SIZES if name in columns), None)
    found = []
    if len(frame) < 6 and "loss" in columns:
        found.append(
            f"only {_counted(len(frame), 'run')}: a law of more than {_counted(len(frame), 'free parameter')} cannot be "
            "fitted to them, and one of as many cannot be tested on them"
        )
    if size is None or "tokens" not in columns or len(frame) < 3:
        return found
    N, D = frame[size].to_numpy(), frame["tokens"].to_numpy()
    fine = np.isfinite(N) & np.isfinite(D) & (N > 0) & (D > 0)
    if fine.sum() < 3:
        return found
    N, D = np.log(N[fine]), np.log(D[fine])
    before = len(found)
    for name, values in ((size, N), ("tokens", D)):
        exponent = "alpha" if name == size else "beta"
        distinct = np.unique(np.round(values, 6))
        if len(distinct) <= 2:
            many = "one value" if len(distinct) == 1 else "two distinct values"
            shown = " and ".join(format_quantity(math.exp(value)) for value in distinct)
            found.append(
                f"{name} takes {many} only ({shown}): its term and the irreducible loss E cannot be told apart, so E "
                f"and the exponent of {name} ({exponent}) are not identified; add runs of other sizes"
                if name == size
                else f"{name} takes {many} only ({shown}): the exponent of {name} ({exponent}) is not identified; "
                "add runs of other lengths"
            )
    if len(found) > before:
        return found
    if np.ptp(D - N) < 1e-3:
        found.append(
            f"tokens / {size} is {math.exp(np.median(D - N)):.4g} in every run: tokens are proportional to {size}, so "
            "alpha and beta cannot be separated; add runs off that line"
        )
    elif np.ptp(D + N) < 1e-3:
        budget = format_quantity(6 * math.exp(np.median(D + N)))
        found.append(
            f"{size} x tokens is the same in every run (6 N D = {budget} FLOP): "
            "one compute budget only; alpha and beta are hard to separate, add a second budget"
        )
    else:
        slope, rest = _line(N, D)
        if rest < _COLLINEAR:
            found.append(
                f"tokens follow {size}^{slope:.3g} exactly: alpha and beta cannot be separated; add runs off that line"
            )
    return found


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the slope of y on x and the share of the variance of y that a line leaves."""
    x, y = x - x.mean(), y - y.mean()
    slope = float(x @ y / (x @ x))
    return slope, float(((y - slope * x) ** 2).sum() / (y @ y))


def _flops(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Compare measured compute with 6 N D."""
    size = next((name for name in ("params_active", *_SIZES) if name in columns), None)
    needed = ("flops", size, "tokens")
    if size is None or any(name not in columns or not _measured(columns, name) for name in needed if name):
        return []
    with np.errstate(all="ignore"):
        ratio = (frame["flops"] / (6 * frame[size] * frame["tokens"])).to_numpy()
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not len(ratio):
        return []
    off = np.abs(np.log(ratio)) > math.log(_FLOPS_FACTOR)
    if not off.any():
        return []
    return [
        f"measured flops are {np.median(ratio):.3g} times 6 {size} tokens at the median ({ratio.min():.3g} to "
        f"{ratio.max():.3g}; {off.sum()} of {len(frame)} runs are off by more than a factor {_FLOPS_FACTOR}): another "
        "counting convention, or another unit"
    ]


def _order(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Find curves that a monotone law cannot follow, and logs whose steps run backwards."""
    found = []
    if "x" in columns and "loss" in columns and len(frame) > 2:
        curve = frame.groupby("x")["loss"].median().sort_index().to_numpy()
        change = np.diff(curve) / curve[:-1]
        rises = change > 0.01
        # a rising curve read from the other end is monotone as well
        if rises.any() and (change < -0.01).any():
            found.append(
                f"loss is not monotone in x: it rises {int(rises.sum())} times by more than 1 % as x grows, at most by "
                f"{change.max():.1%}; a plain power law cannot follow that"
            )
    if "steps" in columns and "run" in columns:
        code = pd.factorize(frame["run"])[0]  # -1 where there is no name; numbered as they come
        order = np.argsort(code, kind="stable")
        steps = frame["steps"].to_numpy()[order]
        back = (np.diff(steps) < 0) & (np.diff(code[order]) == 0) & (code[order][1:] >= 0)
        if back.any():
            row = int(order[int(back.argmax()) + 1])
            found.append(
                f"steps of run {frame['run'].iloc[row]} go back at row {row} of those kept: the log of a resumed run, or "
                "several runs of one name"
            )
    return found


def _without_loss(frame: pd.DataFrame, columns: Columns) -> list[str]:
    if "loss" in columns:
        return []
    near = shared_stem([str(name) for name in frame.columns if name not in columns], "loss")
    near = [name for name in near if holds_numbers(frame[name].to_numpy())]
    shown = ", ".join(repr(name) for name in near[:6]) + (", ..." if len(near) > 6 else "")
    mention = f" (columns that mention one: {shown})" if near else ""
    return [f"no column is recognised as loss; a fit needs one, name it with --map loss=...{mention}"]


_CHECKS: tuple[Callable[[pd.DataFrame, Columns], list[str]], ...] = (
    _without_loss,
    _count_units,
    _loss_units,
    _flops,
    _duplicates,
    _repeated_settings,
    _constant,
    _design,
    _order,
)
