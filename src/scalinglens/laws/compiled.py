"""A law as array code, made once per formula: for evaluation, for fitting, for derivatives by log inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.laws import formula as grammar
from scalinglens.laws.backends import numpy_function
from scalinglens.laws.formula import Node
from scalinglens.laws.implicit import compile_root
from scalinglens.laws.program import Builder, Ref, sign

__all__ = ["Compiled", "affine_terms", "compile_law"]

Terms = list[tuple[np.ndarray, dict[int, np.ndarray]]]  # per term its constant [rows] and coordinate -> slope [rows]


@dataclass(frozen=True)
class Compiled:
    """A law as array code: `run(coordinates, prepare(inputs))` gives the values named in `layout`."""

    prepare: Any
    run: Any
    log: bool  # the value comes as its logarithm
    gradient: tuple[int, ...]  # which coordinates the results after the value are derivatives by
    hessian: tuple[tuple[int, int], ...]
    operations: int = 100  # about how many arrays an evaluation holds at once


@functools.lru_cache(maxsize=256)
def compile_law(
    tree: Node,
    coordinates: tuple[tuple[str, str], ...],
    inputs: tuple[str, ...],
    signs: tuple[tuple[str, int], ...],
    mode: str,
    unknown: tuple[str, tuple[Node, Node | None]] | None,
) -> Compiled:
    """Compile a tree; see `Law.compiled` for the modes. `unknown` names the output of an implicit law and its ends."""
    moving, fixed, known = dict(coordinates), inputs, dict(signs)
    if mode in ("inputs", "slopes"):  # differentiate by log inputs; parameters play the part of the data
        moving, fixed = dict.fromkeys(inputs, "log"), tuple(name for name, _ in coordinates)
        known |= dict.fromkeys(inputs, 1)
    if unknown:
        output, ends = unknown
        prepare, run, gradient, hessian = compile_root(tree, ends, output, moving, fixed, known, mode != "value")
        return Compiled(prepare, run, False, gradient, hessian)
    builder = Builder(moving, fixed, known, mode != "value")
    root, log = builder.root(tree)
    gradient = tuple(sorted(root.gradient)) if mode != "value" else ()
    bent = mode not in ("value", "slopes")
    hessian = tuple(sorted(key for key, entry in root.hessian.items() if entry != 0.0)) if bent else ()
    results = [root.value, *(root.gradient[i] for i in gradient), *(root.hessian[key] for key in hessian)]
    prepare, run = numpy_function(builder, results)
    wide = 50 if builder.kernels else 1  # a sum over drops has some fifty nodes for each row
    return Compiled(prepare, run, log, gradient, hessian, wide * len(builder.code))


@functools.lru_cache(maxsize=256)
def affine_terms(
    tree: Node,
    coordinates: tuple[tuple[str, str], ...],
    inputs: tuple[str, ...],
    signs: tuple[tuple[str, int], ...],
) -> Callable[[tuple[np.ndarray, ...]], Terms] | None:
    """Find the affine terms of a tree; see `Law.affine_terms`."""
    known = dict(signs)
    terms = grammar.expand(tree, limit=8)
    if not all(sign(term, known) > 0 for term in terms):
        return None
    builder = Builder(dict(coordinates), inputs, known, derivatives=True)
    logs = [builder.log(term) for term in terms]
    moving = [
        entry for part in logs for entry in part.gradient.values() if isinstance(entry, Ref) and entry.on_parameters
    ]
    bent = any(entry != 0.0 for part in logs for entry in part.hessian.values())
    if moving or bent:
        return None
    results = [entry for part in logs for entry in (part.value, *part.gradient.values())]
    prepare, run = numpy_function(builder, results)

    def evaluate(arrays: tuple[np.ndarray, ...]) -> Terms:
        rows = len(arrays[0]) if arrays else 1
        found = iter(run((np.zeros(1),) * len(coordinates), prepare(arrays)))

        def full(value: Any) -> np.ndarray:
            return np.broadcast_to(np.asarray(value, dtype=float), (rows,)).copy()

        return [(full(next(found)), {i: full(next(found)) for i in part.gradient}) for part in logs]

    return evaluate
