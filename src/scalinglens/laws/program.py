"""Compile a formula into straight-line code: value, gradient and Hessian for NumPy, value for JavaScript.

Positive parts of a formula are carried as logarithms. A sum of positive terms becomes a log-sum-exp, a power a product,
a product a sum; so a broken power law with a sharp break, (1 + (x/d)^(1/f))^(-c f), neither overflows nor loses digits,
and a parameter estimated in logs enters without a detour. Parts of unknown sign are carried as they are.

The code is a list of instructions in single-assignment form with common parts shared. Derivatives are built forward, to
second order, on the same list: each value knows which parameters it depends on and nothing is computed for the others.

    l = log-sum-exp(l_k),  s_k = exp(l_k - l):   dl/di = sum_k s_k l_k,i
                                                 d2l/didj = sum_k s_k (l_k,ij + l_k,i l_k,j) - l,i l,j
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalinglens.errors import FormulaError
from scalinglens.laws.drops import LOCAL
from scalinglens.laws.formula import Add, Call, Mul, Node, Num, Pow, Sym, names

__all__ = ["Builder", "Derivatives", "Ref", "Sign", "sign"]

MAX_INSTRUCTIONS = 30_000  # the longest code of the catalogue, twelve breaks with derivatives, has a tenth of that

Sign = Mapping[str, int]  # +1 or -1 for names known to be positive or negative; others are absent


def sign(node: Node, known: Sign) -> int:
    """Return +1 or -1 where the value of a tree has that sign for all values of its names, else 0."""
    match node:
        case Num(value):
            return (value > 0) - (value < 0)
        case Sym(name):
            return known.get(name, 0)
        case Add(terms):
            if (part := complement(terms)) is not None and sign(part, known) < 0:
                return 1
            signs = {sign(term, known) for term in terms}
            return signs.pop() if len(signs) == 1 else 0
        case Mul(factors):
            return math.prod(sign(factor, known) for factor in factors)
        case Pow(base, exponent):
            even = isinstance(exponent, Num) and exponent.value % 2 == 0
            return 1 if sign(base, known) > 0 or (even and sign(base, known)) else 0
        case Call("exp" | "sigmoid", _):
            return 1
        case Call("max" | "min" as function, arguments):
            signs = [sign(argument, known) for argument in arguments]
            if len(set(signs)) == 1:
                return signs[0]
            decisive = 1 if function == "max" else -1
            return decisive if decisive in signs else 0
    return 0


def complement(terms: tuple[Node, ...]) -> Node | None:
    """Return u where the terms are those of 1 - exp(u), which loses all digits near u = 0 unless computed as one."""
    match terms:
        case (Mul((Num(-1.0), Call("exp", (u,)))), Num(1.0)) | (Num(1.0), Mul((Num(-1.0), Call("exp", (u,))))):
            return u
    return None


@dataclass(frozen=True, slots=True)
class Ref:
    """One computed value: its number, and whether it depends on inputs and on parameters."""

    index: int
    on_inputs: bool
    on_parameters: bool


Value = Ref | float


@dataclass
class Derivatives:
    """A value with its first and second derivatives, each a reference into the code (absent means zero)."""

    value: Value
    gradient: dict[int, Value] = field(default_factory=dict)
    hessian: dict[tuple[int, int], Value] = field(default_factory=dict)


class Builder:
    """Collects instructions for one tree.

    Args:
        coordinates: name -> "log" or "linear" for each name to differentiate by, in the order of the coordinates; a
            "log" name reaches the code as its logarithm.
        inputs: the other names, reaching the code as they are.
        known: signs of names.
        derivatives: build derivatives as well as values.
    """

    def __init__(self, coordinates: Mapping[str, str], inputs: tuple[str, ...], known: Sign, derivatives: bool):
        self.coordinates = {name: (position, scale) for position, (name, scale) in enumerate(coordinates.items())}
        self.inputs = {name: position for position, name in enumerate(inputs)}
        self.known = known
        self.derivatives = derivatives
        self.code: list[tuple[str, tuple[Value | int, ...]]] = []
        self.refs: list[Ref] = []
        self.kernels: list[Any] = []  # of the sums over drops, see `laws/drops.py`
        self._seen: dict[tuple[str, tuple[Value | int, ...]], Ref] = {}
        self._linear: dict[Node, Derivatives] = {}
        self._log: dict[Node, Derivatives] = {}

    # ---- instructions ---------------------------------------------------------------------------------------------

    def emit(self, op: str, *arguments: Value | int) -> Value:
        """Append an instruction, or return the value already computed by an equal one; fold constants."""
        simple = _simplify(op, arguments)
        if simple is not None:
            return simple
        if op in ("add", "mul"):
            arguments = tuple(
                sorted(arguments, key=lambda v: (isinstance(v, float), v.index if isinstance(v, Ref) else v))
            )
        key = (op, arguments)
        if key not in self._seen:
            if len(self.code) >= MAX_INSTRUCTIONS:
                raise FormulaError(
                    f"the formula with its derivatives takes more than {MAX_INSTRUCTIONS} operations; simplify it, "
                    "or give it fewer parameters"
                )
            parts = [argument for argument in arguments if isinstance(argument, Ref)]
            ref = Ref(
                len(self.code),
                op == "input" or any(part.on_inputs for part in parts),
                op == "coordinate" or any(part.on_parameters for part in parts),
            )
            self.code.append(key)
            self.refs.append(ref)
            self._seen[key] = ref
        return self._seen[key]

    def _total(self, values: list[Value]) -> Value:
        result: Value = 0.0
        for value in values:
            result = self.emit("add", result, value)
        return result

    def _coordinate(self, position: int) -> Derivatives:
        value = self.emit("coordinate", position)
        return Derivatives(value, {position: 1.0} if self.derivatives else {})

    def define(self, name: str, value: Derivatives) -> None:
        """Let a name that is neither coordinate nor input stand for a value already emitted."""
        self._linear[Sym(name)] = value

    def difference(self, a: Derivatives, b: Derivatives) -> Derivatives:
        """Emit a - b."""
        return self._sum([a, self._scaled(b, -1.0)])

    # ---- derivative rules -----------------------------------------------------------------------------------------

    def _unary(
        self, value: Value, a: Derivatives, first: Callable[[], Value], second: Callable[[], Value]
    ) -> Derivatives:
        """Chain rule for f(a): the factories make f' and f'' only when some derivative needs them."""
        if not a.gradient:
            return Derivatives(value)
        f1, f2 = first(), second()
        gradient = {i: self.emit("mul", f1, da) for i, da in a.gradient.items()}
        hessian = {key: self.emit("mul", f1, h) for key, h in a.hessian.items()}
        if f2 != 0.0:
            for i, j in _pairs(a.gradient):
                product = self.emit("mul", f2, self.emit("mul", a.gradient[i], a.gradient[j]))
                hessian[i, j] = self.emit("add", hessian.get((i, j), 0.0), product)
        return Derivatives(value, gradient, hessian)

    def _sum(self, parts: list[Derivatives]) -> Derivatives:
        value = self._total([part.value for part in parts])
        gradient = {i: self._total([p.gradient[i] for p in parts if i in p.gradient]) for i in _keys(parts, "gradient")}
        hessian = {k: self._total([p.hessian[k] for p in parts if k in p.hessian]) for k in _keys(parts, "hessian")}
        return Derivatives(value, gradient, hessian)

    def _product(self, a: Derivatives, b: Derivatives) -> Derivatives:
        value = self.emit("mul", a.value, b.value)
        parts = [self._scaled(a, b.value), self._scaled(b, a.value)]
        cross: dict[tuple[int, int], Value] = {}
        for i, da in a.gradient.items():
            for j, db in b.gradient.items():
                key, product = (min(i, j), max(i, j)), self.emit("mul", da, db)
                cross[key] = self.emit(
                    "add", cross.get(key, 0.0), self.emit("mul", 2.0, product) if i == j else product
                )
        both = self._sum([*parts, Derivatives(0.0, {}, cross)])
        return Derivatives(value, both.gradient, both.hessian)

    def _scaled(self, a: Derivatives, factor: Value) -> Derivatives:
        return Derivatives(
            self.emit("mul", a.value, factor),
            {i: self.emit("mul", da, factor) for i, da in a.gradient.items()},
            {key: self.emit("mul", h, factor) for key, h in a.hessian.items()},
        )

    def _exp(self, a: Derivatives) -> Derivatives:
        value = self.emit("exp", a.value)
        return self._unary(value, a, lambda: value, lambda: value)

    def _ln(self, a: Derivatives) -> Derivatives:
        def inverse() -> Value:
            return self.emit("div", 1.0, a.value)

        def bend() -> Value:
            return self.emit("neg", self.emit("mul", inverse(), inverse()))

        return self._unary(self.emit("log", a.value), a, inverse, bend)

    def _reciprocal(self, a: Derivatives) -> Derivatives:
        value = self.emit("div", 1.0, a.value)

        def slope() -> Value:
            return self.emit("neg", self.emit("mul", value, value))

        def bend() -> Value:
            return self.emit("mul", 2.0, self.emit("mul", value, self.emit("mul", value, value)))

        return self._unary(value, a, slope, bend)

    def _sigmoid(self, a: Derivatives) -> Derivatives:
        value = self.emit("sigmoid", a.value)

        def complement() -> Value:  # 1 - value would lose its digits where the value is nearly one
            return self.emit("sigmoid", self.emit("neg", a.value))

        def slope() -> Value:
            return self.emit("mul", value, complement())

        def bend() -> Value:
            return self.emit("mul", slope(), self.emit("sub", complement(), value))

        return self._unary(value, a, slope, bend)

    def _whole_power(self, a: Derivatives, exponent: Value) -> Derivatives:
        """a^e for a fixed e: d(a^e) = e a^(e-1) da holds for negative a with whole e, and at zero as well."""
        below = self.emit("sub", exponent, 1.0)

        def slope() -> Value:
            return self.emit("mul", exponent, self.emit("pow", a.value, below))

        def bend() -> Value:
            down = self.emit("pow", a.value, self.emit("sub", exponent, 2.0))
            return self.emit("mul", self.emit("mul", exponent, below), down)

        return self._unary(self.emit("pow", a.value, exponent), a, slope, bend)

    def _complement(self, a: Derivatives) -> Derivatives:
        """1 - exp(a)."""
        slope = self._exp(a).value if a.gradient else 0.0
        minus = self.emit("neg", slope) if a.gradient else 0.0
        return self._unary(self.emit("neg", self.emit("expm1", a.value)), a, lambda: minus, lambda: minus)

    def _log_sum_exp(self, parts: list[Derivatives]) -> Derivatives:
        constants = [part.value for part in parts if isinstance(part.value, float)]
        if len(constants) == len(parts):
            return Derivatives(float(np.logaddexp.reduce(constants)))
        value = self.emit("lse", *(part.value for part in parts))
        if not any(part.gradient for part in parts):
            return Derivatives(value)
        gradients: list[tuple[int, Value]] = []
        hessians: list[tuple[tuple[int, int], Value]] = []
        for part in parts:
            if not part.gradient:
                continue
            weight = self.emit("exp", self.emit("sub", part.value, value))
            gradients += [(i, self.emit("mul", weight, da)) for i, da in part.gradient.items()]
            for i, j in _pairs(part.gradient):
                bend = self.emit("mul", part.gradient[i], part.gradient[j])
                bend = self.emit("add", bend, part.hessian.get((i, j), 0.0))
                hessians.append(((i, j), self.emit("mul", weight, bend)))
        gradient: dict[int, Value] = {}
        for i, term in gradients:
            gradient[i] = self.emit("add", gradient.get(i, 0.0), term)
        hessian: dict[tuple[int, int], Value] = {}
        for key, term in hessians:
            hessian[key] = self.emit("add", hessian.get(key, 0.0), term)
        for i, j in _pairs(gradient):
            hessian[i, j] = self.emit("sub", hessian.get((i, j), 0.0), self.emit("mul", gradient[i], gradient[j]))
        return Derivatives(value, gradient, hessian)

    def _extremum(self, op: str, a: Derivatives, b: Derivatives) -> Derivatives:
        """Larger or smaller of two; at a tie the derivative of the first is taken."""
        value = self.emit(op, a.value, b.value)
        if not (a.gradient or b.gradient):
            return Derivatives(value)
        first = self.emit("ge", a.value, b.value) if op == "max" else self.emit("ge", b.value, a.value)
        both = self._sum([self._scaled(a, first), self._scaled(b, self.emit("sub", 1.0, first))])
        return Derivatives(value, both.gradient, both.hessian)

    def _drops(self, kernel: Node) -> Derivatives:
        """A sum over the drops of the schedule: one instruction makes it with all its derivatives, others pick them out."""
        from scalinglens.laws.backends import kernel_sums  # which writes out the code collected here

        involved = {name: scale for name, (_, scale) in self.coordinates.items() if name in names(kernel)}
        others = tuple(name for name in self.inputs if name in names(kernel))
        inner = Builder(involved, (*LOCAL, *others), self.known, self.derivatives)
        root = inner.linear(kernel)
        gradient = sorted(root.gradient)
        hessian = sorted(key for key, entry in root.hessian.items() if entry != 0.0)
        results = [root.value, *(root.gradient[i] for i in gradient), *(root.hessian[key] for key in hessian)]
        number = len(self.kernels)
        self.kernels.append(kernel_sums(inner, results))
        inputs = (self.emit("input", self.inputs[name]) for name in ("steps", "schedule", *others))
        plan = self.emit("plan", number, *inputs)
        place = [self.coordinates[name][0] for name in involved]
        sums = self.emit("sums", number, plan, *(self.emit("coordinate", i) for i in place))
        picked = iter([self.emit("pick", i, sums) for i in range(len(results))])
        return Derivatives(
            next(picked),
            {place[i]: next(picked) for i in gradient},
            {(min(place[i], place[j]), max(place[i], place[j])): next(picked) for i, j in hessian},
        )

    # ---- the two ways to carry a tree -----------------------------------------------------------------------------

    def linear(self, node: Node) -> Derivatives:
        """Emit the value of a tree as it is."""
        if node not in self._linear:
            self._linear[node] = self._make_linear(node)
        return self._linear[node]

    def log(self, node: Node) -> Derivatives:
        """Emit the logarithm of a tree that is known to be positive."""
        if node not in self._log:
            self._log[node] = self._make_log(node)
        return self._log[node]

    def root(self, node: Node) -> tuple[Derivatives, bool]:
        """Emit a whole formula; the flag tells whether the result is its logarithm."""
        positive = sign(node, self.known) > 0
        return (self.log(node) if positive else self.linear(node)), positive

    def _make_linear(self, node: Node) -> Derivatives:
        match node:
            case Num(value):
                return Derivatives(value)
            case Sym(name) if name in self.coordinates:
                position, scale = self.coordinates[name]
                return self._exp(self.log(node)) if scale == "log" else self._coordinate(position)
            case Sym("lr_sum") if "schedule" in self.inputs:
                return Derivatives(
                    self.emit("lr_sum", *(self.emit("input", self.inputs[n]) for n in ("steps", "schedule")))
                )
            case Sym(name):
                return Derivatives(self.emit("input", self.inputs[name]))
            case Add(terms) if (part := complement(terms)) is not None:
                return self._complement(self.linear(part))
            case Add(terms):
                return self._sum([self.linear(term) for term in terms])
            case Mul(factors):
                if sign(node, self.known) > 0 and any(self._needs_log(factor) for factor in factors):
                    return self._exp(self.log(node))
                result = Derivatives(1.0)
                for factor in factors:
                    result = self._product(result, self.linear(factor))
                return result
            case Pow(base, exponent):
                return self._make_power(base, exponent)
            case Call("exp", (argument,)):
                return self._exp(self.linear(argument))
            case Call("log", (argument,)):
                return self.log(argument) if sign(argument, self.known) > 0 else self._ln(self.linear(argument))
            case Call("sigmoid", (argument,)):
                return self._sigmoid(self.linear(argument))
            case Call("max" | "min" as function, arguments):
                result = self.linear(arguments[0])
                for argument in arguments[1:]:
                    result = self._extremum(function, result, self.linear(argument))
                return result
            case Call("drops", (kernel,)):
                return self._drops(kernel)
        raise AssertionError(node)

    def _needs_log(self, factor: Node) -> bool:
        return isinstance(factor, Pow) and not isinstance(factor.exponent, Num)

    def _make_power(self, base: Node, exponent: Node) -> Derivatives:
        if isinstance(exponent, Num) and exponent.value in (2.0, 3.0, -1.0, -2.0):
            a = self.linear(base)
            if exponent.value < 0:
                a = self._reciprocal(a)
            result = a
            for _ in range(int(abs(exponent.value)) - 1):
                result = self._product(result, a)
            return result
        if sign(base, self.known) > 0:
            return self._exp(self._product(self.linear(exponent), self.log(base)))
        a, e = self.linear(base), self.linear(exponent)
        if not e.gradient:
            return self._whole_power(a, e.value)
        value = self.emit("pow", a.value, e.value)
        return self._unary(value, self._product(e, self._ln(a)), lambda: value, lambda: value)

    def _make_log(self, node: Node) -> Derivatives:
        match node:
            case Num(value):
                return Derivatives(math.log(value))
            case Sym(name) if name in self.coordinates and self.coordinates[name][1] == "log":
                return self._coordinate(self.coordinates[name][0])
            case Add(terms) if all(sign(term, self.known) > 0 for term in terms):
                return self._log_sum_exp([self.log(term) for term in terms])
            case Mul(factors) if all(sign(factor, self.known) > 0 for factor in factors):
                return self._sum([self.log(factor) for factor in factors])
            case Pow(base, exponent) if sign(base, self.known) > 0:
                return self._product(self.linear(exponent), self.log(base))
            case Call("exp", (argument,)):
                return self.linear(argument)
            case Call("sigmoid", (argument,)):
                minus = self._scaled(self.linear(argument), -1.0)
                return self._scaled(self._log_sum_exp([Derivatives(0.0), minus]), -1.0)
            case Call("max" | "min" as function, arguments) if all(sign(a, self.known) > 0 for a in arguments):
                result = self.log(arguments[0])
                for argument in arguments[1:]:
                    result = self._extremum(function, result, self.log(argument))
                return result
        return self._ln(self.linear(node))


def _pairs(gradient: Mapping[int, Any]) -> list[tuple[int, int]]:
    order = sorted(gradient)
    return [(i, j) for position, i in enumerate(order) for j in order[position:]]


def _keys(parts: list[Derivatives], which: str) -> list[Any]:
    return sorted({key for part in parts for key in getattr(part, which)})


def _simplify(op: str, arguments: tuple[Value | int, ...]) -> Value | None:
    """Return the result where it is known without computing: constants, and the neutral elements of sum and product."""
    if op in ("coordinate", "input"):
        return None
    if all(isinstance(argument, float) for argument in arguments):
        with np.errstate(all="ignore"):
            value = float(_FOLD[op](*arguments))
        if not math.isfinite(value):
            raise FormulaError(f"a constant part of the formula, {op} of {arguments}, is not a finite number")
        return value
    if op in ("add", "mul"):
        for one, other in (arguments, arguments[::-1]):
            if isinstance(one, float):
                if op == "mul" and one == 0.0:
                    return 0.0
                if one == (0.0 if op == "add" else 1.0):
                    return other
    if op in ("sub", "div") and arguments[1] == (0.0 if op == "sub" else 1.0):
        return arguments[0]
    return None


_FOLD: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "pow": np.power,
    "max": np.maximum,
    "min": np.minimum,
    "ge": lambda a, b: float(a >= b),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
}
