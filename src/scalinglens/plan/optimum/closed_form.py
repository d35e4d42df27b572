"""The optimum in closed form: laws of two monomials in two free inputs, and costs that are one monomial.

    loss = outer(T1 + T2 + rest),  T_i = c_i N^s_iN D^s_iD,  cost = k N^p D^q = C

Along the budget ln T_i has the slope m_i = s_iN - s_iD p/q by ln N; where m1 < 0 < m2 the sum is least at
|m1| T1 = m2 T2, which is linear in ln N:

    ln N = (ln c2 - ln c1 + ln(m2/|m1|) + (s2D - s1D) ln(C/k)/q) / (m1 - m2)

For E + A/N^alpha + B/D^beta and 6 N D it is eq. 4 of Hoffmann et al. 2022.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalinglens.laws import formula as grammar
from scalinglens.laws.compiled import Compiled, compile_law
from scalinglens.laws.formula import Add, Mul, Node, Pow, Sym
from scalinglens.laws.law import Law

__all__ = ["ClosedForm", "closed_form", "powers_of"]


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """ln input = start + exponent * ln budget for both free inputs, per draw.

    Attributes:
        start: input -> [draws, 1].
        exponents: input -> [draws, 1].
        floor: the value at an endless budget [draws, 1], or None where it has no simple form.
        gamma: exponent of the reducible value [draws, 1], or None.
        scale: ln K in value = floor + K budget^-gamma [draws, 1], or None.
        proper: whether the optimum exists [draws, 1]: one term falls along the budget, the other rises.
    """

    start: Mapping[str, np.ndarray]
    exponents: Mapping[str, np.ndarray]
    floor: np.ndarray | None
    gamma: np.ndarray | None
    scale: np.ndarray | None
    proper: np.ndarray

    def logs(self, log_budgets: np.ndarray) -> dict[str, np.ndarray]:
        """ln of the optimum [draws, n] at ln budgets [n] or [draws, n]."""
        return {name: self.start[name] + self.exponents[name] * log_budgets for name in self.start}

    def value(self, log_budgets: np.ndarray) -> np.ndarray | None:
        """The least value [draws, n], where there is a floor."""
        if self.floor is None or self.gamma is None or self.scale is None:
            return None
        return self.floor + np.exp(self.scale - self.gamma * log_budgets)

    def log_budget(self, values: np.ndarray) -> np.ndarray | None:
        """ln of the budget that a value needs [draws, n]; inf at the floor and below."""
        if self.floor is None or self.gamma is None or self.scale is None:
            return None
        above = values - self.floor
        with np.errstate(all="ignore"):
            needed = (self.scale - np.log(np.where(above > 0, above, 1.0))) / self.gamma
        return np.where(above > 0, needed, np.inf)


def closed_form(
    law: Law, natural: np.ndarray, cost: Law, free: tuple[str, ...], fixed: Mapping[str, float]
) -> ClosedForm | None:
    """Return the optimum in closed form, or None where law or cost are not of the form.

    Args:
        law: what is minimised. natural: its parameters [draws, p].
        cost: the formula of the cost, with all constants.
        free: the two inputs that are chosen. fixed: the others -> value.

    Cost: a few operations on [draws, 1].
    """
    if len(free) != 2 or law.between or law.scheduled or any(name not in (*law.inputs, *cost.inputs) for name in free):
        return None
    with np.errstate(divide="ignore"):  # a sparsity of 0 is a value
        logs = dict.fromkeys(free, 0.0) | {name: float(np.log(value)) for name, value in fixed.items()}
    paid = _monomials(cost, np.array([[cost.constants[name] for name in cost.parameters]]), free, logs)
    found = _monomials(law, natural, free, logs)
    if paid is None or found is None or len(paid.terms) != 1 or paid.floors or len(found.terms) != 2:
        return None
    (log_k, slopes), x, y = paid.terms[0], *free
    p, q = slopes[x], slopes[y]
    (c1, s1), (c2, s2) = found.terms
    with np.errstate(all="ignore"):
        m1, m2 = s1[x] - s1[y] * p / q, s2[x] - s2[y] * p / q
        swap = m1 > 0
        c1, c2 = np.where(swap, c2, c1), np.where(swap, c1, c2)
        at1 = {name: np.where(swap, s2[name], s1[name]) for name in free}
        at2 = {name: np.where(swap, s1[name], s2[name]) for name in free}
        m1, m2 = np.where(swap, m2, m1), np.where(swap, m1, m2)
        proper = (m1 < 0) & (m2 > 0) & (q > 0) & (p > 0)
        exponent = (at2[y] - at1[y]) / q / (m1 - m2)
        start = (c2 - c1 + np.log(m2 / -m1)) / (m1 - m2) - exponent * log_k
        exponents = {x: exponent, y: (1 - p * exponent) / q}
        starts = {x: start, y: (-log_k - p * start) / q}
        fall = -sum(at1[name] * exponents[name] for name in free)  # both terms fall with the budget alike
        level = c1 + sum(at1[name] * starts[name] for name in free)
        level = level + np.log1p(-m1 / m2)  # T1 + T2 = T1 (1 + |m1|/m2)
    shape = (len(natural), 1)
    if found.floors is None:
        floor = gamma = scale = None
    else:
        floor = np.broadcast_to(np.asarray(sum(found.floors, np.zeros(shape))), shape)
        outer = found.outer
        gamma, scale = np.broadcast_to(fall * outer, shape), np.broadcast_to(level * outer, shape)
    return ClosedForm(
        {name: np.broadcast_to(v, shape) for name, v in starts.items()},
        {name: np.broadcast_to(v, shape) for name, v in exponents.items()},
        floor,
        gamma,
        scale,
        np.broadcast_to(proper, shape),
    )


def powers_of(cost: Law) -> tuple[float, dict[str, float]] | None:
    """Return ln k and the power of each input where a cost is k times powers of all its inputs, else None.

    >>> from scalinglens.plan.cost import training_flops
    >>> log_k, powers = powers_of(training_flops().law)
    >>> round(float(np.exp(log_k)), 9), powers
    (6.0, {'params': 1.0, 'tokens': 1.0})
    """
    constants = np.array([[cost.constants[name] for name in cost.parameters]])
    paid = _monomials(cost, constants, cost.inputs, dict.fromkeys(cost.inputs, 0.0))
    if paid is None or len(paid.terms) != 1 or paid.floors or not np.all(paid.outer == 1.0):
        return None
    log_k, slopes = paid.terms[0]
    return float(np.ravel(log_k)[0]), {name: float(np.ravel(slope)[0]) for name, slope in slopes.items()}


@dataclass(frozen=True)
class _Parts:
    """Monomials in the free inputs: ln coefficient and exponents; what is added outside; the power around the sum."""

    terms: list[tuple[np.ndarray, dict[str, np.ndarray]]]
    floors: list[np.ndarray] | None  # None where something constant stands inside the power
    outer: np.ndarray


def _monomials(law: Law, natural: np.ndarray, free: tuple[str, ...], logs: Mapping[str, float]) -> _Parts | None:
    taken = _taken_apart(law, free)
    if taken is None:
        return None
    inside, outside, power = taken
    theta = tuple(natural[:, i : i + 1] for i in range(natural.shape[1]))
    x = tuple(np.asarray(logs[name]) for name in law.inputs)

    def run(compiled: Compiled, moved: float = 0.0) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        there = tuple(
            a + moved * (1 + i) * (name in free) for i, (name, a) in enumerate(zip(law.inputs, x, strict=True))
        )
        with np.errstate(all="ignore"):
            value, *slopes = compiled.run(there, compiled.prepare(theta))
            return np.asarray(value), dict(zip(compiled.gradient, slopes, strict=False))

    terms, floors = [], []
    for compiled, moves in inside:
        value, slopes = run(compiled)
        if not moves:
            floors.append(np.exp(value) if compiled.log else value)
            continue
        places = {name: law.inputs.index(name) for name in free if name in law.inputs}
        if not compiled.log:  # of unknown sign for any inputs
            with np.errstate(all="ignore"):
                if not np.all(value > 0):
                    return None
                value, slopes = np.log(value), {i: slope / value for i, slope in slopes.items()}
        terms.append((value, {name: np.asarray(slopes.get(places.get(name, -1), 0.0)) for name in free}))
    within = bool(floors)
    for compiled in outside:
        value, _ = run(compiled)
        floors.append(np.exp(value) if compiled.log else value)
    outer = np.ones((1, 1))
    if power is not None:
        value, _ = run(power)
        outer = np.exp(value) if power.log else value
        if not np.all(outer > 0):
            return None
    return _Parts(terms, None if power is not None and within else floors, outer)


@functools.lru_cache(maxsize=256)
def _taken_apart(
    law: Law, free: tuple[str, ...]
) -> tuple[list[tuple[Compiled, bool]], list[Compiled], Compiled | None] | None:
    """Compile each term of a law by itself: (term, whether it depends on the free inputs), terms outside a power, the power."""
    tree, power, outside = law.tree, None, []
    moving = [term for term in _terms(tree) if _depends(term, free)]
    if len(moving) == 1 and isinstance(moving[0], Pow) and isinstance(moving[0].base, Add):
        outside = [term for term in _terms(tree) if not _depends(term, free)]
        tree, power = moving[0].base, moving[0].exponent
        if _depends(power, free):
            return None
    inside = []
    for term in _terms(tree):
        for part in (term,) if _is_monomial(term, free) else grammar.expand(term, limit=12):
            if not _is_monomial(part, free):
                return None
            inside.append((_compiled(law, part), _depends(part, free)))
    return inside, [_compiled(law, term) for term in outside], None if power is None else _compiled(law, power)


def _compiled(law: Law, term: Node) -> Compiled:
    coordinates = tuple((name, "linear") for name in law.parameters)
    return compile_law(term, coordinates, law.inputs, tuple(sorted(law.signs.items())), "inputs", None)


def _terms(tree: Node) -> tuple[Node, ...]:
    return tree.terms if isinstance(tree, Add) else (tree,)


def _is_monomial(node: Node, free: tuple[str, ...]) -> bool:
    """Whether a term is a coefficient times powers of the free inputs, whatever their values."""
    if isinstance(node, Sym) or not _depends(node, free):
        return True
    if isinstance(node, Mul):
        return all(_is_monomial(factor, free) for factor in node.factors)
    return isinstance(node, Pow) and not _depends(node.exponent, free) and _is_monomial(node.base, free)


def _depends(node: Node, free: tuple[str, ...]) -> bool:
    return any(name in free for name in grammar.names(node))
