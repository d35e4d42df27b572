"""From one line of a sweep file to experiments: cross products, ladders, isoFLOP designs, and runs asked for by size.

[[grid]]
width = [16, 32, 64]                    every combination of the lists
learning_rate = "0.005:0.04:4"          a geometric range

[[grid]]
isoflop = {budgets = ["1e12", "4e12"], widths = [16, 32, 64]}      tokens = C / (6 N); convention = "exact" and others
seed = [0, 1]

[[grid]]
ladder = {params = ["20k", "100k"], tokens_per_param = [20, 80]}

[[run]]
params = 120000
tokens = 2000000
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import ExperimentError, PlanError, QuantityError, ScalingLensError, did_you_mean
from scalinglens.plan.architecture.operations import CONVENTIONS
from scalinglens.quantities import format_quantity, parse_quantity
from scalinglens.sweep.experiment import Experiment, flattened
from scalinglens.train.counts import architecture, parameters

__all__ = ["SIZES", "expanded", "nearest_width", "sized"]

SIZES = ("params", "params_nonembedding")
"""Words that say a size and not a shape: the nearest width that can be built stands for them."""
FAR = 0.05  # relative distance from what was asked for from which on it is said
GENERATORS: Mapping[str, tuple[str, ...]] = {
    "isoflop": ("budgets", "widths", *SIZES, "convention"),
    "ladder": ("widths", *SIZES, "tokens_per_param", "tokens"),
}


@dataclass(frozen=True)
class _Point:
    """One run to be made: words over the base, and how it came about."""

    words: Mapping[str, Any]
    note: str = ""


def expanded(block: Mapping[str, Any], base: Experiment, origin: str) -> tuple[list[Experiment], list[str]]:
    """Return the experiments of a [[grid]] block, in order, and what was decided on the way.

    Args:
        block: lists over which all combinations are taken, single values, and perhaps one generator. base: what the block
        does not say. origin: begins every message.

    Raises:
        ExperimentError: an unknown key, an impossible value, a budget below one batch; with the place.
    """
    found, notes = [], []
    generators = [name for name in GENERATORS if name in block]
    if len(generators) > 1:
        raise ExperimentError(f"{origin} has both {' and '.join(generators)}; write two [[grid]] blocks")
    plain = flattened({key: value for key, value in block.items() if key not in GENERATORS})
    axes = {key: _values(key, value, origin) for key, value in plain.items()}
    for key, values in axes.items():
        if not values:
            raise ExperimentError(f"{origin}: {key} = [] is an empty list; give one value at least")
    for combination in itertools.product(*axes.values()):
        words = dict(zip(axes, combination, strict=True))
        start, said = _in(origin, lambda words=words: sized(base, words))
        notes += [f"{origin}: {said}"] if said else []
        if not generators:
            found.append(start)
            continue
        name = generators[0]
        table = block[name]
        if not isinstance(table, Mapping):
            raise ExperimentError(f"{origin}: {name} = {table!r} must be a table {{{', '.join(GENERATORS[name])}}}")
        for key in table:
            if key not in GENERATORS[name]:
                near = did_you_mean(key, GENERATORS[name])
                raise ExperimentError(
                    f"{origin}: {name}.{key} = {table[key]!r} is not known{near}; it has {', '.join(GENERATORS[name])}"
                )
        make = _isoflop if name == "isoflop" else _ladder
        for point in make(start, table, f"{origin}: {name}"):
            found.append(_in(origin, lambda start=start, point=point: start.having(point.words)))
            notes += [point.note] if point.note else []
    return found, list(dict.fromkeys(notes))


def sized(base: Experiment, words: Mapping[str, Any]) -> tuple[Experiment, str]:
    """Return the experiment with other values, among which a size may stand for the width.

    Returns:
        The experiment, and what was said of the size; empty where the words name a shape.

    Raises:
        ExperimentError, WorldError: as `Experiment.having`.
    """
    rest = {key: value for key, value in words.items() if key not in SIZES}
    sizes = {key: value for key, value in words.items() if key in SIZES}
    start = base.having(rest)
    if not sizes or any(key in rest for key in ("width", "model.width")):
        return start, ""
    if len(sizes) > 1:
        raise ExperimentError(f"params = {sizes['params']!r} and params_nonembedding are two sizes; give one of them")
    ((name, value),) = sizes.items()
    count = _number(name, value)
    width, real = nearest_width(start, name, count)
    said = (
        f"{name} = {format_quantity(count)} becomes width {width}, {format_quantity(real)} at depth {start.model.depth}"
    )
    return start.having({"model.width": width}), said


def nearest_width(experiment: Experiment, name: str, count: float) -> tuple[int, int]:
    """Return the width whose size is nearest, by ratio, and that size.

    Args:
        experiment: gives depth, heads, feedforward and the vocabulary. name: of `SIZES`. count: parameters.

    >>> from scalinglens.sweep.experiment import WorldWords
    >>> nearest_width(Experiment(WorldWords("kernel", {"nodes": 64})), "params", 30_000)
    (32, 28672)
    """
    step = 2 * experiment.model.heads
    width = step
    while _size(experiment, width, name) < count:
        width *= 2
    low, high = width // 2 // step * step, width
    choices = range(max(low, step), high + 1, step)
    best = min(choices, key=lambda w: abs(math.log(_size(experiment, w, name) / count)))
    return best, _size(experiment, best, name)


def _isoflop(start: Experiment, table: Mapping[str, Any], origin: str) -> Iterator[_Point]:
    convention = table.get("convention", "6nd")
    if convention not in CONVENTIONS:
        raise ExperimentError(
            f"{origin}.convention = {convention!r} is none{did_you_mean(str(convention), CONVENTIONS)}; "
            f"there are {', '.join(CONVENTIONS)}"
        )
    budgets = _list(table, "budgets", origin, lambda value: _number("budgets", value, "flops"))
    for budget in budgets:
        for words, said in _shapes(start, table, origin):
            one = start.having(words)
            each = _flops_per_token(one, convention)
            tokens, note = _whole(
                one, budget / each, f"{origin} {format_quantity(budget)} FLOP at width {one.model.width}"
            )
            yield _Point({**words, "training.tokens": tokens}, "; ".join(filter(None, (said, note))))


def _ladder(start: Experiment, table: Mapping[str, Any], origin: str) -> Iterator[_Point]:
    if ("tokens" in table) == ("tokens_per_param" in table):
        raise ExperimentError(f"{origin} needs either tokens or tokens_per_param")
    for words, said in _shapes(start, table, origin):
        one = start.having(words)
        name = "tokens" if "tokens" in table else "tokens_per_param"
        times = 1 if name == "tokens" else sum(_weights(one).values())
        for amount in _list(table, name, origin, lambda value: _number("tokens", value)):
            tokens, note = _whole(one, amount * times, f"{origin} at width {one.model.width}")
            yield _Point({**words, "training.tokens": tokens}, "; ".join(filter(None, (said, note))))


def _shapes(start: Experiment, table: Mapping[str, Any], origin: str) -> Iterator[tuple[dict[str, Any], str]]:
    named = [name for name in ("widths", *SIZES) if name in table]
    if len(named) != 1:
        raise ExperimentError(f"{origin} needs one of widths, {', '.join(SIZES)}, a list")
    name = named[0]
    for value in _list(table, name, origin, lambda value: _number(name, value)):
        if name == "widths":
            yield {"model.width": value}, ""
        else:
            one, said = sized(start, {name: value})
            yield {"model.width": one.model.width}, f"{origin}: {said}"


def _flops_per_token(experiment: Experiment, convention: str) -> float:
    if convention == "6nd":
        return 6.0 * sum(_weights(experiment).values())
    try:
        return architecture(experiment.settings, experiment.world.build().vocab).flops_per_token(convention)
    except PlanError as problem:
        raise ExperimentError(str(problem)) from None


def _weights(experiment: Experiment) -> dict[str, int]:
    if experiment.model.kind != "transformer":
        raise ExperimentError(
            f'model.kind = "{experiment.model.kind}" has no size of a transformer; give its widths in a plain grid'
        )
    return parameters(experiment.model, experiment.world.build().vocab)


def _size(experiment: Experiment, width: int, name: str) -> int:
    weights = _weights(experiment.having({"model.width": width}))
    return sum(n for role, n in weights.items() if name == "params" or role not in ("embedding", "head"))


def _whole(experiment: Experiment, tokens: float, what: str) -> tuple[int, str]:
    """Whole batches next to a number of tokens, and what it takes to say about it."""
    step = experiment.training.batch * experiment.training.sequence_length
    if tokens < step / 2:
        raise ExperimentError(
            f"{what} leaves {tokens:,.0f} tokens, less than a batch of {step:,}; take more compute, a smaller width or batch"
        )
    count = max(1, round(tokens / step)) * step
    off = count / tokens - 1
    return count, f"{what}: whole batches make {count:,} tokens, {off:+.0%}" if abs(off) > FAR else ""


def _values(key: str, value: Any, origin: str) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, str) and value.count(":") == 2 and not key.startswith("world."):
        parts = value.split(":")
        low, high, count = (_number(key, part) for part in parts)
        if not (low > 0 and high > 0 and count >= 2 and count == int(count)):
            raise ExperimentError(
                f'{origin}: {key} = "{value}" is no geometric range; write LOW:HIGH:COUNT, COUNT from 2 on'
            )
        spaced = np.geomspace(low, high, int(count))
        whole = all(isinstance(x, int) for x in (_plain(parts[0]), _plain(parts[1])))
        rounded = [round(x) if whole else float(f"{x:.6g}") for x in spaced.tolist()]
        return list(dict.fromkeys(rounded))
    return [value]


def _plain(text: str) -> int | float:
    value = parse_quantity(text)
    return int(value) if value.is_integer() else value


def _list(table: Mapping[str, Any], name: str, origin: str, read: Callable[[Any], Any]) -> Sequence[Any]:
    value = table.get(name)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not values:
        raise ExperimentError(f"{origin}.{name} is missing or empty; give a list of numbers")
    return [_in(origin, lambda each=each: read(each)) for each in values]


def _number(name: str, value: Any, expect: str | None = None) -> Any:
    try:
        number = parse_quantity(value, expect=expect)
    except QuantityError as problem:
        raise ExperimentError(f"{name} = {value!r} must be a number: {problem}") from None
    if not number > 0:
        raise ExperimentError(f"{name} = {value!r} must be above 0")
    return int(number) if number.is_integer() and number < 2**53 else number


def _in(origin: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except ScalingLensError as problem:
        if str(problem).startswith(origin):
            raise
        raise type(problem)(f"{origin}: {problem}") from None
