"""Where to start a fit, from the formula and the data alone.

Most laws are linear in some parameters once the others are given: E, A, B of E + A/N^alpha + B/D^beta. So only the others are
searched, on a low-discrepancy set shifted by the seed, and the linear ones follow from least squares of the relative error
with their signs respected (variable projection). The candidates are ranked by the true objective; starts are taken from the
top of that list at a distance from each other, so that their agreement later means something.

Nothing published enters: ranges come from the role a parameter plays in the formula and from the range of the inputs.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.fit.model import lanes_at_a_time
from scalinglens.fit.products import Products, products, solved_products
from scalinglens.laws import formula as grammar
from scalinglens.laws.backends import numpy_function
from scalinglens.laws.domain import roles
from scalinglens.laws.formula import Call, Mul, Node, Num, Pow, Sym
from scalinglens.laws.law import Law
from scalinglens.laws.program import Builder, sign

__all__ = ["Separation", "candidates", "hidden", "separate", "signed_least_squares", "spread"]

_STEP = 10.0  # argument of a sigmoid at which it is within 1e-4 of its end
TINY_SHARE = 1e-3  # a term that least squares switches off starts at this share of the output


@dataclass(frozen=True)
class Separation:
    """output = sum_j c_j phi_j(x; others) + phi_0(x; others).

    For an implicit law the equation itself, 0 in place of the output, whose phi may hold the output; parameters in the
    ends of the output are searched, because they must lie beyond all observations.

    Attributes:
        linear: parameters c_j that the law is linear in, at most one per term.
        others: the parameters that remain to be searched.
    """

    linear: tuple[str, ...]
    others: tuple[str, ...]
    prepare: Any
    run: Any
    logs: tuple[bool, ...]  # whether phi_j comes as its logarithm
    rest: bool  # whether there is a phi_0; it comes last


def separate(law: Law) -> Separation:
    """Find the parameters a law is linear in.

    >>> from scalinglens.laws.catalogue import law
    >>> separate(law("hoffmann2022")).linear, separate(law("hoffmann2022")).others
    (('E', 'A', 'B'), ('alpha', 'beta'))
    """
    names = (law.output, *law.inputs) if law.between else law.inputs
    ends = tuple(name for end in law.ends if end is not None for name in grammar.names(end)) if law.between else ()
    return _separate(law.tree, law.parameters, names, tuple(sorted(law.signs.items())), ends)


@functools.lru_cache(maxsize=256)
def _separate(
    tree: Node,
    parameters: tuple[str, ...],
    inputs: tuple[str, ...],
    signs: tuple[tuple[str, int], ...],
    searched: tuple[str, ...],
) -> Separation:
    rest = list(grammar.expand(tree))
    linear: list[str] = []
    shapes: list[Node] = []
    for name in parameters:
        of_it = [term for term in rest if name in grammar.names(term)]
        divided = [_without(term, name) for term in of_it]
        if name in searched or not of_it or None in divided:
            continue
        linear.append(name)
        shapes.append(grammar.add(*(part for part in divided if part is not None)))
        rest = [term for term in rest if term not in of_it]
    known = dict(signs)
    builder = Builder(dict.fromkeys(parameters, "linear"), inputs, known, derivatives=False)
    results, logs = [], []
    for shape in [*shapes, grammar.add(*rest)] if rest else shapes:
        positive = sign(shape, known) > 0
        results.append((builder.log(shape) if positive else builder.linear(shape)).value)
        logs.append(positive)
    prepare, run = numpy_function(builder, results)
    others = tuple(name for name in parameters if name not in linear)
    return Separation(tuple(linear), others, prepare, run, tuple(logs), bool(rest))


def _without(term: Node, name: str) -> Node | None:
    """The term divided by a name that is one of its factors and stands nowhere else in it, else None."""
    factors = term.factors if isinstance(term, Mul) else (term,)
    others = [factor for factor in factors if factor != Sym(name)]
    if len(others) != len(factors) - 1 or any(name in grammar.names(factor) for factor in others):
        return None
    return grammar.mul(*others)


def candidates(
    law: Law,
    inputs: tuple[np.ndarray, ...],
    observed: np.ndarray,
    weights: np.ndarray,
    *,
    held: Mapping[str, float],
    count: int,
    seed: int,
    relative: bool = True,
) -> np.ndarray:
    """Return parameter vectors [candidates, parameters] in natural units, linear parameters already fitted.

    Args:
        law: the law.
        inputs: one array [rows] per input.
        observed: output values [rows].
        weights: row weights [rows].
        held: parameters with a fixed value.
        count: how many points of the search set.
        seed: shifts the search set.
        relative: whether the linear parameters fit best in relative error, or in that of the output itself.

    Cost: `count` evaluations of the law and as many small least-squares problems.
    """
    parts = separate(law)
    powers = _powers(law) if relative and np.all(observed > 0) else None
    searched = [name for name in (powers.searched if powers else parts.others) if name not in held]
    known = dict(zip(law.inputs, inputs, strict=True))
    ranges = [_end_range(law, name, observed) or search_range(law, name, known) for name in searched]
    points = _lattice(count if searched else 1, len(searched), seed)
    values: dict[str, np.ndarray] = {name: np.full(len(points), float(value)) for name, value in held.items()}
    for k, (name, (low, high, geometric)) in enumerate(zip(searched, ranges, strict=True)):
        values[name] = low * (high / low) ** points[:, k] if geometric else low + (high - low) * points[:, k]
    block = lanes_at_a_time(len(observed), 10 * (1 + len(parts.linear)))
    if powers:
        values |= solved_products(law, powers, values, inputs, observed, weights, held)
        return np.stack([np.broadcast_to(values[name], len(points)) for name in law.parameters], axis=1)
    solved = [
        _linear_parameters(
            law,
            parts,
            {name: array[k : k + block] for name, array in values.items()},
            inputs,
            observed,
            weights,
            held,
            _unit(observed, relative),
        )
        for k in range(0, len(points), block)
    ]
    values |= {name: np.concatenate([part[name] for part in solved]) for name in solved[0]}
    return np.stack([values[name] for name in law.parameters], axis=1)


def _linear_parameters(
    law: Law,
    parts: Separation,
    values: Mapping[str, np.ndarray],
    inputs: tuple[np.ndarray, ...],
    observed: np.ndarray,
    weights: np.ndarray,
    held: Mapping[str, float],
    unit: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the linear parameters that fit best in units of `unit`, for each setting [candidates] of the others."""
    free = [j for j, name in enumerate(parts.linear) if name not in held]
    if not free:
        return {}
    lanes = max((len(array) for array in values.values()), default=1)
    arrays = tuple(values.get(name, np.ones(lanes))[:, None] for name in law.parameters)
    shape = (lanes, len(observed))
    with np.errstate(all="ignore"):
        raw = parts.run(arrays, parts.prepare((observed, *inputs) if law.between else inputs))
        basis = [np.broadcast_to(np.exp(r) if log else r, shape) for r, log in zip(raw, parts.logs, strict=True)]
        # an equation is divided by its part without linear parameters: sum_j c_j phi_j/(-phi_0) = 1
        scale = unit if not law.between else -basis.pop() if parts.rest else observed
        basis = [np.where(np.isfinite(scale), part / scale, 0.0) if law.between else part / scale for part in basis]
        offset = basis.pop() if parts.rest and not law.between else np.zeros(len(observed))
        for j, name in enumerate(parts.linear):
            if name in held:
                offset = offset + held[name] * basis[j]
        signs = np.array([law.domain(parts.linear[j]).sign for j in free])
        goal = 1.0 if law.between else observed / unit
        solved = signed_least_squares(np.stack([basis[j] for j in free], axis=1), goal - offset, weights, signs)
    return {parts.linear[j]: solved[:, k] for k, j in enumerate(free)}


def _unit(observed: np.ndarray, relative: bool) -> np.ndarray:
    """What errors are relative to: each observation, or their mean size (always where some are zero or differ in sign)."""
    if relative and (np.all(observed > 0) or np.all(observed < 0)):
        return observed
    return np.full(len(observed), float(np.mean(np.abs(observed))) or 1.0)


def hidden(law: Law) -> tuple[str, ...]:
    """Return the parameters that have to be searched; all others follow from them.

    >>> from scalinglens.laws.catalogue import law
    >>> hidden(law("hoffmann2022")), hidden(law("alabdulmohsin2022.M4"))
    (('alpha', 'beta'), ('e_inf', 'e0'))
    """
    powers = _powers(law)
    return powers.searched if powers else separate(law).others


def _powers(law: Law) -> Products | None:
    """The law as a product of powers, where that leaves less to search."""
    found = products(law)
    return found if found is not None and len(found.searched) < len(separate(law).others) else None


def spread(points: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """Pick up to `count` of the best-scoring points that keep a distance from each other.

    Args:
        points: [candidates, p].
        scores: [candidates], smaller is better; not finite means unusable.
        count: how many to pick.

    Returns:
        Indices into `points`, best first.
    """
    order = np.argsort(np.where(np.isfinite(scores), scores, np.inf), kind="stable")
    order = order[np.isfinite(scores[order])][: 40 * count]
    if len(order) == 0:
        return order
    pool = points[order]
    width = np.ptp(pool, axis=0)
    pool = pool / np.where(width > 0, width, 1.0)
    picked = [0]
    nearest = np.max(np.abs(pool - pool[0]), axis=1)
    for distance in (0.08, 0.04, 0.0):
        while len(picked) < count:
            apart = np.flatnonzero(nearest > distance)
            if not len(apart):
                break
            picked.append(int(apart[0]))
            nearest = np.minimum(nearest, np.max(np.abs(pool - pool[apart[0]]), axis=1))
    return order[picked]


def search_range(law: Law, parameter: str, inputs: Mapping[str, np.ndarray]) -> tuple[float, float, bool]:
    """Return (low, high, geometric): where to look for a parameter that is not linear in the law.

    A scale is looked for around the input it divides or is divided by, an exponent between 0.03 and 1.5 on the side its
    domain allows, anything else within two decades of one.
    """
    domain = law.domain(parameter)
    scale = _scaled_input(law.tree, parameter, set(law.inputs))
    beside = _added_to(law.tree, parameter, inputs)
    if (
        beside is not None
    ):  # b (1/x + g)^c: an offset matters where it is neither far below nor far above the other part
        bounds = (beside[0] * 1e-3, beside[1], True)
    elif scale is not None and np.all(inputs[scale] > 0):
        low, high = float(np.min(inputs[scale])), float(np.max(inputs[scale]))
        bounds = (low * 1e-2, high * 1e4, True)
        if _within_power(law.tree, parameter):  # a break is looked for where the data are
            bounds = (low, high * 3.0, True)
    elif law.coordinates[parameter] == "log":
        inside = "exponent" in roles(law.tree, parameter)  # the sharpness of a break, the base of a saturation
        bounds = (0.03, 3.0 if inside else 30.0, True)
    elif domain.sign > 0:
        bounds = (0.03, 30.0 if law.between else 1.5, True)  # (e0 - y)^a with large e0 and a is nearly an exponential
    elif domain.sign < 0:
        bounds = (-1.5, -0.03, False)
    else:
        reach = _sigmoid_reach(law.tree, parameter, inputs)
        bounds = (-reach, reach, False)
    low, high, geometric = bounds
    if math.isfinite(domain.high):
        high = min(high, domain.high)
    if math.isfinite(domain.low) and (domain.low > 0 or not geometric):
        low = max(low, domain.low)
    if low >= high:  # the domain lies elsewhere: search all of it
        low = domain.low if math.isfinite(domain.low) else domain.high - 10.0
        high = domain.high if math.isfinite(domain.high) else domain.low + 10.0
        geometric = low > 0 and high / low > 10
    return low, high, geometric and low > 0


def _end_range(law: Law, parameter: str, observed: np.ndarray) -> tuple[float, float, bool] | None:
    """Where to look for a parameter that is itself an end of an implicit law's output: beyond all observations."""
    if not law.between or Sym(parameter) not in law.ends:
        return None
    domain = law.domain(parameter)
    least, most = float(np.min(observed)), float(np.max(observed))
    reach = max(most - least, abs(most), abs(least))
    if law.ends[0] == Sym(parameter):
        bounds = max(least - reach, domain.low), least
    else:
        bounds = most, min(most + 30.0 * reach, domain.high)
    geometric = bounds[0] > 0 and law.ends[0] != Sym(parameter)
    return (*bounds, geometric) if bounds[0] < bounds[1] else None


def _scaled_input(node: Node, parameter: str, inputs: set[str]) -> str | None:
    """The input whose ratio with the parameter appears somewhere: x/d, Nc/params."""
    for part in grammar.walk(node):
        if isinstance(part, Mul):
            words = {f.name for f in part.factors if isinstance(f, Sym)}
            under = {
                f.base.name
                for f in part.factors
                if isinstance(f, Pow) and isinstance(f.base, Sym) and f.exponent == Num(-1.0)
            }
            opposite = under if parameter in words else words if parameter in under else set()
            for name in opposite & inputs:
                return name
    return None


def _added_to(node: Node, parameter: str, inputs: Mapping[str, np.ndarray]) -> tuple[float, float] | None:
    """Ends of what a parameter is added to inside a power, where that is a power of one input: 1/x + g."""
    for part in grammar.walk(node):
        if not (isinstance(part, Pow) and isinstance(part.base, grammar.Add) and len(part.base.terms) == 2):
            continue
        rest = [term for term in part.base.terms if term != Sym(parameter)]
        if len(rest) != 1:
            continue
        other = rest[0]
        if isinstance(other, Pow) and isinstance(other.base, Sym) and isinstance(other.exponent, Num):
            name, exponent = other.base.name, other.exponent.value
        elif isinstance(other, Sym):
            name, exponent = other.name, 1.0
        else:
            continue
        if name in inputs and np.all(inputs[name] > 0):
            values = inputs[name] ** exponent
            return float(values.min()), float(values.max())
    return None


def _sigmoid_reach(node: Node, parameter: str, inputs: Mapping[str, np.ndarray]) -> float:
    """How far a parameter of either sign is looked for: a slope or an offset inside a sigmoid until it is a step."""
    for part in grammar.walk(node):
        if isinstance(part, Call) and part.function == "sigmoid" and isinstance(part.arguments[0], grammar.Add):
            for term in part.arguments[0].terms:
                if term == Sym(parameter):
                    return _STEP
                factors = term.factors if isinstance(term, Mul) else ()
                others = [factor for factor in factors if factor != Sym(parameter)]
                if len(others) == 1 and isinstance(others[0], Sym) and Sym(parameter) in grammar.children(term):
                    values = inputs.get(others[0].name)
                    if values is not None and np.std(values) > 0:
                        return _STEP / float(np.std(values))
    return 1.5


def _within_power(node: Node, parameter: str) -> bool:
    """Whether the parameter scales an input inside a power inside a sum: (1 + (x/d)^p)^q, a break."""
    for part in grammar.walk(node):
        if isinstance(part, Pow) and isinstance(part.base, grammar.Add):
            for term in part.base.terms:
                if isinstance(term, Pow) and parameter in grammar.names(term.base):
                    return any(isinstance(t, Num) for t in part.base.terms)
        if isinstance(part, Call) and part.function == "sigmoid" and parameter in grammar.names(part):
            return True
    return False


def _lattice(count: int, dimensions: int, seed: int) -> np.ndarray:
    """A Kronecker sequence in the unit cube, shifted at random: even cover in any dimension, no tables needed."""
    if dimensions == 0:
        return np.zeros((1, 0))
    base = 2.0
    for _ in range(32):  # the root of g^(d+1) = g + 1, the golden ratio in d dimensions
        base = (1.0 + base) ** (1.0 / (dimensions + 1))
    steps = base ** -np.arange(1, dimensions + 1)
    shift = np.random.default_rng(seed).random(dimensions)
    return (shift + np.arange(1, count + 1)[:, None] * steps) % 1.0


def signed_least_squares(basis: np.ndarray, target: np.ndarray, weights: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Least squares with signs: basis [candidates, k, rows], target [candidates, rows] or [rows] -> [candidates, k].

    Every subset of the signed coefficients is tried (there are few), and the best one whose signs are right is kept;
    coefficients left out start at a tiny share of the output instead of zero.
    """
    count, k, _ = basis.shape
    weighted = basis * (weights / weights.sum())
    gram = np.matmul(weighted, basis.transpose(0, 2, 1))
    if target.ndim == 1:
        moment = weighted @ target
    else:
        moment = np.matmul(weighted, target[:, :, None])[:, :, 0]
    size = np.sqrt(np.einsum("ckk->ck", gram))
    size = np.where((size > 0) & np.isfinite(size), size, 1.0)
    gram = gram / (size[:, :, None] * size[:, None, :])
    moment = moment / size
    usable = np.isfinite(gram).all(axis=(1, 2)) & np.isfinite(moment).all(axis=1)
    gram = np.where(usable[:, None, None], gram, np.eye(k))
    moment = np.where(usable[:, None], moment, 0.0)
    gram = gram + 1e-10 * np.trace(gram, axis1=1, axis2=2)[:, None, None] / k * np.eye(k)
    signed = [j for j in range(k) if signs[j]]
    best = np.full(count, -1.0)
    answer = np.zeros((count, k))
    subsets = [set(s) for n in range(len(signed), -1, -1) for s in itertools.combinations(signed, n)]
    if len(signed) > 5:
        subsets = [set(signed)]
    for subset in subsets:
        chosen = [j for j in range(k) if j in subset or not signs[j]]
        if not chosen:
            continue
        part = np.linalg.solve(gram[:, chosen][:, :, chosen], moment[:, chosen, None])[:, :, 0]
        gain = np.einsum("cj,cj->c", part, moment[:, chosen])  # what the squares fall by
        right = np.all(part * signs[chosen] >= 0, axis=1) | (len(signed) > 5)
        better = right & (gain > best)
        best = np.where(better, gain, best)
        full = np.zeros((count, k))
        full[:, chosen] = part
        answer[better] = full[better]
    tiny = TINY_SHARE * np.where(signs == 0, 1, signs)
    low = (answer * signs < TINY_SHARE) & (signs != 0)
    answer = np.where(low, tiny, answer)
    return np.where(usable[:, None], answer / size, np.nan)
