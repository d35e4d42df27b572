"""Write compiled formulas out: as a NumPy function, and as a JavaScript function.

Both walk the same instruction list, so the page in a browser and the fit in Python evaluate one and the same program.
Only our own instruction names, variable numbers and literal numbers enter the generated text, never the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from scalinglens.errors import FormulaError
from scalinglens.laws.drops import Sums, lr_sum
from scalinglens.laws.program import Builder, Ref, Value

__all__ = ["javascript_function", "kernel_sums", "numpy_function"]

Arrays = tuple[Any, ...]


_ONE_CALL = 300  # numbers up to which one call of a slow function beats eight of fast ones


def _log_sum_exp(*parts: Any) -> Any:
    """ln sum exp of two or more arrays or numbers; a term of -inf is an absent term, also where all are absent."""
    if len(parts) == 2:
        first, second = parts
        if getattr(first, "size", 1) + getattr(second, "size", 1) < _ONE_CALL:
            return np.logaddexp(first, second)
        top = np.maximum(first, second)
        apart = first - second
        np.abs(apart, out=apart)
        np.negative(apart, out=apart)
        np.exp(apart, out=apart)
        apart += 1.0
        np.log(apart, out=apart)
        apart += top
        finite = np.isfinite(top)
        return apart if finite.all() else np.where(finite, apart, top)
    top = parts[0]
    for part in parts[1:]:
        top = np.maximum(top, part)
    total = 0.0
    for part in parts:
        total = total + np.exp(part - top)
    result = top + np.log(total)
    finite = np.isfinite(top)
    return result if np.all(finite) else np.where(finite, result, top)


def _sigmoid(x: Any) -> Any:
    """1/(1 + exp(-x)) without overflow: exp of the negative absolute value only."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


_NUMPY = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "log": "log({0})",
    "pow": "power({0}, {1})",
    "max": "maximum({0}, {1})",
    "min": "minimum({0}, {1})",
    "ge": "greater_equal({0}, {1}) * 1.0",
    "sigmoid": "sigmoid({0})",
}
_NAMESPACE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "greater_equal": np.greater_equal,
    "sigmoid": _sigmoid,
    "lse": _log_sum_exp,
    "lr_sum": lr_sum,
}
# Values are $0, $1, ..., names $alpha, our functions $$lse: no name collides with anything, not even `var`.
_JAVASCRIPT = {
    **_NUMPY,
    "exp": "Math.exp({0})",
    "expm1": "Math.expm1({0})",
    "log": "Math.log({0})",
    "pow": "Math.pow({0}, {1})",
    "max": "Math.max({0}, {1})",
    "min": "Math.min({0}, {1})",
    "ge": "({0} >= {1} ? 1 : 0)",
    "sigmoid": "$$sigmoid({0})",
}
_JAVASCRIPT_PRELUDE = {
    "lse": "const $$lse = (...t) => { const m = Math.max(...t); "
    "return isFinite(m) ? m + Math.log(t.reduce((s, v) => s + Math.exp(v - m), 0)) : m; };",
    "sigmoid": "const $$sigmoid = (v) => { const e = Math.exp(-Math.abs(v)); return (v >= 0 ? 1 : e) / (1 + e); };",
}


def _needed(builder: Builder, results: Iterable[Value]) -> list[int]:
    """Numbers of the instructions that the results depend on, in order."""
    wanted, stack = set(), [value.index for value in results if isinstance(value, Ref)]
    while stack:
        index = stack.pop()
        if index not in wanted:
            wanted.add(index)
            stack.extend(part.index for part in builder.code[index][1] if isinstance(part, Ref))
    return sorted(wanted)


def numpy_function(
    builder: Builder, results: list[Value]
) -> tuple[Callable[[Arrays], Arrays], Callable[[Arrays, Arrays], Arrays]]:
    """Compile chosen results into two functions, so that work on the inputs alone is done once per table.

    Args:
        builder: the instructions.
        results: the values wanted.

    Returns:
        `prepare(inputs) -> fixed` and `run(coordinates, fixed) -> results`; inputs and coordinates are tuples of arrays
        that broadcast against each other.
    """
    needed = _needed(builder, results)
    fixed = [i for i in needed if not builder.refs[i].on_parameters]
    moving = [i for i in needed if builder.refs[i].on_parameters]
    crossing = {
        part.index for i in moving for part in builder.code[i][1] if isinstance(part, Ref) and not part.on_parameters
    } | {value.index for value in results if isinstance(value, Ref) and not value.on_parameters}
    order = sorted(crossing)
    handed = "".join(f"v{i}, " for i in order)
    lines = ["def prepare(x):", *_numpy_lines(builder, fixed), f"    return ({handed})", "def run(u, fixed):"]
    lines += [f"    ({handed}) = fixed"] if order else []
    lines += [
        *_freed(builder, moving, _numpy_lines(builder, moving), results),
        f"    return ({''.join(_text(value) + ', ' for value in results)})",
    ]
    space: dict[str, Any] = _NAMESPACE | {f"kernel{i}": kernel for i, kernel in enumerate(builder.kernels)}
    exec("\n".join(lines), space)  # text made above from instruction names and numbers only
    return space["prepare"], space["run"]


def _freed(builder: Builder, indices: list[int], lines: list[str], results: list[Value]) -> list[str]:
    """The lines, each followed by giving up what no later one needs: its memory is used again while still in the cache."""
    kept = {value.index for value in results if isinstance(value, Ref)}
    last = {}
    for place, i in enumerate(indices):
        last[i] = place
        last |= {part.index: place for part in builder.code[i][1] if isinstance(part, Ref) and part.index in last}
    over: dict[int, list[int]] = {}
    for i, place in last.items():
        if i not in kept:
            over.setdefault(place, []).append(i)
    return [
        line + (f"; del {', '.join(f'v{i}' for i in over[place])}" if place in over else "")
        for place, line in enumerate(lines)
    ]


def _numpy_lines(builder: Builder, indices: list[int]) -> list[str]:
    lines = []
    for i in indices:
        op, arguments = builder.code[i]
        if op in ("coordinate", "input"):
            text = f"{'u' if op == 'coordinate' else 'x'}[{arguments[0]}]"
        elif op in ("lse", "lr_sum"):
            text = f"{op}({', '.join(map(_text, arguments))})"
        elif op == "plan":
            text = f"kernel{arguments[0]}.plan({', '.join(map(_text, arguments[1:]))})"
        elif op == "sums":
            text = (
                f"kernel{arguments[0]}.sums({_text(arguments[1])}, ({''.join(_text(a) + ', ' for a in arguments[2:])}))"
            )
        elif op == "pick":
            text = f"{_text(arguments[1])}[{arguments[0]}]"
        else:
            text = _NUMPY[op].format(*map(_text, arguments))
        lines.append(f"    v{i} = {text}")
    return lines


def kernel_sums(builder: Builder, results: list[Value]) -> Sums:
    """Compile the kernel of a sum over drops; with derivatives it is for fits, which need fewer digits than values."""
    prepare, run = numpy_function(builder, results)
    return Sums(prepare, run, len(results), exact=not builder.derivatives)


def javascript_function(
    builder: Builder, result: Value, coordinates: tuple[str, ...], inputs: tuple[str, ...], log: bool
) -> str:
    """Return a self-contained JavaScript arrow function `({names}) => number`.

    Args:
        builder: the instructions, built with every coordinate "linear".
        result: the value of the formula, or its logarithm where `log` is set.
        coordinates: names of the parameters.
        inputs: names of the inputs.
        log: whether to return exp(result).
    """
    needed = _needed(builder, [result])
    if any(builder.code[i][0] in ("plan", "lr_sum") for i in needed):
        raise FormulaError(
            "a law over a learning-rate schedule has no JavaScript, because it sums over the steps; "
            "evaluate it in Python with law.value(...)"
        )
    used = {builder.code[i][0] for i in needed}
    names = [*coordinates, *inputs]
    lines = [f"({{{', '.join(f'{name}: ${name}' for name in names)}}}) => {{"]
    lines += [f"  {_JAVASCRIPT_PRELUDE[op]}" for op in ("lse", "sigmoid") if op in used]
    for i in needed:
        op, arguments = builder.code[i]
        if op == "coordinate":
            text = f"${coordinates[int(arguments[0])]}"  # type: ignore[arg-type]  # leaves carry their position
        elif op == "input":
            text = f"${inputs[int(arguments[0])]}"  # type: ignore[arg-type]
        elif op == "lse":
            text = f"$$lse({', '.join(_text(a, '$') for a in arguments)})"
        else:
            text = _JAVASCRIPT[op].format(*(_text(a, "$") for a in arguments))
        lines.append(f"  const ${i} = {text};")
    value = f"Math.exp({_text(result, '$')})" if log else _text(result, "$")
    return "\n".join([*lines, f"  return {value};", "}"])


def _text(value: Value | int, prefix: str = "v") -> str:
    if isinstance(value, Ref):
        return f"{prefix}{value.index}"
    if isinstance(value, float) and value < 0:
        return f"({value!r})"
    return repr(value)
