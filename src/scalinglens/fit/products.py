"""Starts for laws that are products of powers: exponents and factors follow from least squares of logarithms.

    b (1/x + g)^(-c)                        ln y = ln b - c ln(1/x + g)
    (y - E)/(e0 - y)^a - b x^c = 0          ln(y - E) = a ln(e0 - y) + ln b + c ln x

Given what stands inside the bases (g; E and e0), such a law is linear in its exponents and in the logarithms of its factors.
So only that is searched, in one or two dimensions in place of three or four.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.laws import formula as grammar
from scalinglens.laws.backends import numpy_function
from scalinglens.laws.formula import Add, Mul, Node, Num, Pow, Sym
from scalinglens.laws.law import Law
from scalinglens.laws.program import Builder

__all__ = ["Products", "products", "solved_products"]


@dataclass(frozen=True)
class Products:
    """sum_k theta_k column_k + offset = ln output (0 for an implicit law).

    Attributes:
        solved: parameters theta_k.
        factors: whether theta_k is the logarithm of the parameter [solved].
        searched: parameters inside the bases.
        columns: (number, base or None for 1) of the terms of each theta_k.
        offset: the same for what has no parameter.
    """

    solved: tuple[str, ...]
    factors: tuple[bool, ...]
    searched: tuple[str, ...]
    columns: tuple[tuple[tuple[float, int | None], ...], ...]
    offset: tuple[tuple[float, int | None], ...]
    prepare: Any
    run: Any


def products(law: Law) -> Products | None:
    """Take a law apart into a product of powers, or return None.

    >>> from scalinglens.laws.catalogue import law
    >>> found = products(law("alabdulmohsin2022.M4"))
    >>> found.searched, found.solved
    (('e_inf', 'e0'), ('a', 'b', 'c'))
    >>> products(law("hoffmann2022")) is None
    True
    """
    if law.scheduled:
        return None
    return _products(law.tree, law.parameters, law.inputs, law.output if law.between else "")


@functools.lru_cache(maxsize=256)
def _products(tree: Node, parameters: tuple[str, ...], inputs: tuple[str, ...], unknown: str) -> Products | None:
    sides: list[tuple[float, Node]] = [(1.0, tree)]
    if unknown:  # P - Q = 0 becomes ln P - ln Q = 0
        if not isinstance(tree, Add) or len(tree.terms) != 2:
            return None
        minus = [isinstance(t, Mul) and Num(-1.0) in t.factors for t in tree.terms]
        if sum(minus) != 1:
            return None
        positive, negative = tree.terms[minus.index(False)], tree.terms[minus.index(True)]
        sides = [(1.0, positive), (-1.0, grammar.mul(Num(-1.0), negative))]
    bases: list[Node] = []
    terms: dict[str, list[tuple[float, int | None]]] = {}
    kinds: dict[str, bool] = {}
    offset: list[tuple[float, int | None]] = []

    def place(base: Node) -> int:
        if base not in bases:
            bases.append(base)
        return bases.index(base)

    for side, product in sides:
        for factor in product.factors if isinstance(product, Mul) else (product,):
            base, exponent = (factor.base, factor.exponent) if isinstance(factor, Pow) else (factor, Num(1.0))
            scaled = _scaled_parameter(exponent, parameters)
            if isinstance(exponent, Num) and isinstance(base, Sym) and base.name in parameters:
                name, kind, entry = base.name, True, (side * exponent.value, None)
            elif scaled is not None:
                name, kind, entry = scaled[1], False, (side * scaled[0], place(base))
            elif isinstance(exponent, Num):
                offset.append((side * exponent.value, place(base)))
                continue
            else:
                return None
            if kinds.setdefault(name, kind) != kind:
                return None
            terms.setdefault(name, []).append(entry)
    inside = {name for base in bases for name in grammar.names(base) if name in parameters}
    if not terms or inside & set(terms) or inside | set(terms) != set(parameters):
        return None
    solved = tuple(name for name in parameters if name in terms)
    searched = tuple(name for name in parameters if name in inside)
    known = dict.fromkeys((*inputs, unknown), 1)
    builder = Builder(
        dict.fromkeys(parameters, "linear"), (unknown, *inputs) if unknown else inputs, known, derivatives=False
    )
    prepare, run = numpy_function(builder, [builder.linear(base).value for base in bases])
    return Products(
        solved,
        tuple(kinds[name] for name in solved),
        searched,
        tuple(tuple(terms[name]) for name in solved),
        tuple(offset),
        prepare,
        run,
    )


def _scaled_parameter(exponent: Node, parameters: tuple[str, ...]) -> tuple[float, str] | None:
    """k and p of an exponent k p."""
    match exponent:
        case Sym(name) if name in parameters:
            return 1.0, name
        case Mul((Num(k), Sym(name))) if name in parameters:
            return k, name
    return None


def solved_products(
    law: Law,
    parts: Products,
    values: Mapping[str, np.ndarray],
    inputs: tuple[np.ndarray, ...],
    observed: np.ndarray,
    weights: np.ndarray,
    held: Mapping[str, float],
) -> dict[str, np.ndarray]:
    """Return the solved parameters [candidates] for each setting of the searched ones; NaN where a base is not positive."""
    from scalinglens.fit.starts import signed_least_squares

    lanes = max((len(array) for array in values.values()), default=1)
    arrays = tuple(values.get(name, np.ones(lanes))[:, None] for name in law.parameters)
    shape = (lanes, len(observed))
    with np.errstate(all="ignore"):
        raw = parts.run(arrays, parts.prepare((observed, *inputs) if law.between else inputs))
        logs = [np.broadcast_to(np.log(base), shape) for base in raw]

    def total(entries: tuple[tuple[float, int | None], ...]) -> np.ndarray:
        return sum((k * (np.ones(shape) if i is None else logs[i]) for k, i in entries), np.zeros(shape))

    target = (np.zeros(shape) if law.between else np.broadcast_to(np.log(observed), shape)) - total(parts.offset)
    columns = []
    free = []
    for name, kind, entries in zip(parts.solved, parts.factors, parts.columns, strict=True):
        column = total(entries)
        if name in held:
            target = target - column * (np.log(held[name]) if kind else held[name])
        else:
            columns.append(column)
            free.append((name, kind))
    if not free:
        return {}
    fine = np.asarray(np.isfinite(target).all(axis=1) & np.isfinite(np.stack(columns)).all(axis=(0, 2)))
    signs = np.array([0 if kind else law.domain(name).sign for name, kind in free])
    basis = np.where(fine[:, None, None], np.stack(columns, axis=1), 1.0)
    answer = signed_least_squares(basis, np.where(fine[:, None], target, 1.0), weights, signs)
    answer = np.where(fine[:, None], answer, np.nan)
    with np.errstate(all="ignore"):
        return {name: np.exp(answer[:, k]) if kind else answer[:, k] for k, (name, kind) in enumerate(free)}
