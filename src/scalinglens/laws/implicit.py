"""Laws whose output is the root of an equation: g(output, inputs, parameters) = 0 with one root between two ends.

The unknown is not the output y but its place z between the ends,

    y = low + (high - low) sigmoid(z)        (y = low + exp(z) where there is no upper end),

so the gaps y - low and high - y are products that keep their digits however small they are, and the search has no edges
to fall off. Where g is a difference of positive parts, ln(positive part) - ln(negative part) = 0 is solved in its place,
which is close to a straight line in z. Newton's method inside a shrinking bracket then takes some six steps.

Derivatives follow from the implicit function theorem, to second order, for H(u, z(u)) = 0 and y = Y(u, z(u)):

    z_i  = -H_i/H_z
    z_ij = -(H_ij + H_iz z_j + H_jz z_i + H_zz z_i z_j)/H_z
    y_i  = Y_i + Y_z z_i
    y_ij = Y_ij + Y_iz z_j + Y_jz z_i + Y_zz z_i z_j + Y_z z_ij

They are instructions like any other, so the result runs wherever the code of an ordinary law does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalinglens.errors import FormulaError
from scalinglens.laws import formula as grammar
from scalinglens.laws.backends import numpy_function
from scalinglens.laws.formula import Add, Call, Mul, Node, Num, Pow, Sym
from scalinglens.laws.program import Builder, Derivatives, Sign, Value, sign

__all__ = ["bracketed_root", "compile_root"]

Run = Callable[[Any, Any], Any]

_PLACE, _WIDTH = Sym("_z"), Sym("_width")  # no name in a formula begins with an underscore
# (far, low, high) for `bracketed_root`. Between two ends z = 800 is the upper one, with no slope left in double precision;
# downwards the gap keeps its digits, and is gone beyond -1100 however far the ends are apart.
_CLOSED = (1e8, -1100.0, 800.0)
_OPEN = (300.0, -300.0, 300.0)  # without an upper end: y between low + 1e-130 and low + 1e130
_STEPS = 200
_FREE_STEPS = 8
_CLOSE = 1e-7  # a last step of this size leaves an error of its square, which the final correction squares again


def compile_root(
    tree: Node,
    ends: tuple[Node, Node | None],
    output: str,
    coordinates: Mapping[str, str],
    inputs: tuple[str, ...],
    known: Sign,
    derivatives: bool = True,
) -> tuple[Callable[[Any], Any], Run, tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Compile the root of an equation, with its first and second derivatives.

    Args:
        tree: g, a tree with the output's name in it.
        ends: the trees of the lower and the upper end of the output; None where there is no upper end.
        output: name of the unknown.
        coordinates: name -> "log" or "linear" for each name to differentiate by.
        inputs: the other names.
        known: signs of names.
        derivatives: return derivatives as well as the value.

    Returns:
        `prepare(inputs) -> fixed`, `run(coordinates, fixed) -> [value, *gradient, *hessian]`, and the coordinates that
        gradient and Hessian belong to, as in `law.Compiled`. All results are NaN where there is no root.

    Raises:
        FormulaError: the equation does not depend on the output.

    Cost: a few milliseconds; `run` evaluates the equation about eight times.
    """
    builder = Builder({**coordinates, _PLACE.name: "linear"}, inputs, {**known, _WIDTH.name: 1}, derivatives=True)
    last = len(coordinates)  # position of z
    low, high = ends
    if high is None:
        above: Node = Call("exp", (_PLACE,))
        gaps = {}
    else:
        builder.define(_WIDTH.name, builder.linear(_minus(high, low)))
        above = Mul((_WIDTH, Call("sigmoid", (_PLACE,))))
        gaps = {_minus(high, Sym(output)): Mul((_WIDTH, Call("sigmoid", (grammar.mul(Num(-1.0), _PLACE),))))}
    place = grammar.add(low, above)
    gaps |= {_minus(Sym(output), low): above, Sym(output): place}
    equation = _balance(builder, _rewritten(tree, gaps))
    if last not in equation.gradient:
        raise FormulaError(f"the equation does not depend on {output}, so it does not determine it")
    found = _root_derivatives(builder, equation, builder.linear(place), last)
    gradient = tuple(sorted(found.gradient)) if derivatives else ()
    hessian = tuple(sorted(key for key, entry in found.hessian.items() if entry != 0.0)) if derivatives else ()
    results = [found.value, *(found.gradient[i] for i in gradient), *(found.hessian[key] for key in hessian)]
    prepare_equation, run_equation = numpy_function(builder, [equation.value, equation.gradient[last]])
    prepare_root, run_root = numpy_function(builder, results)
    stretch = _OPEN if high is None else _CLOSED

    def prepare(x: Any) -> Any:
        return prepare_equation(x), prepare_root(x)

    def run(u: Any, fixed: Any) -> Any:
        with np.errstate(all="ignore"):
            z = bracketed_root(lambda z: run_equation((*u, z), fixed[0]), *stretch)
            return run_root((*u, z), fixed[1])

    return prepare, run, gradient, hessian


@np.errstate(all="ignore")  # a slope of zero makes a step to infinity, which is cut off
def bracketed_root(function: Callable[[Any], tuple[Any, Any]], far: float, low: float, high: float) -> np.ndarray:
    """Find one root for each element of an array, by Newton's method inside a shrinking bracket.

    Args:
        function: z -> (value, slope), elementwise; called with a number first, and then with an array of the shape of
            the values.
        far: there is a root where the values at -far and far differ in sign.
        low, high: where it matters: a root beyond is as good as the end itself.

    Returns:
        The roots; NaN where there is none. A last step of 1e-7 leaves an error of about its square.

    Cost: about eight calls; at most 202.

    >>> bracketed_root(lambda z: (z**3 - np.array([8.0, 27.0, 1e9]), 3 * z**2), 1e6, -50.0, 50.0).round(3)
    array([ 2.,  3., 50.])
    >>> bracketed_root(lambda z: (z**2 + np.ones(1), 2 * z), 10.0, -10.0, 10.0)
    array([nan])
    """
    (first, slope_first), (final, slope_final) = function(-far), function(far)
    first, final = np.asarray(first, dtype=float), np.asarray(final, dtype=float)
    bracketed = np.sign(first) * np.sign(final) == -1.0  # false for NaN
    # far out most equations are straight lines; where the nearer one of the two crosses zero is a first guess
    left, right = -far - first / slope_first, far - final / slope_final
    z = np.where((left > low) & (left < 0), left, np.where((right > 0) & (right < high), right, 0.0))
    z, settled = _newton(function, z, low, high)
    if np.all(settled | ~bracketed):
        return np.where(bracketed, z, np.nan)
    rising = final > 0
    below, above = np.full(first.shape, low), np.full(first.shape, high)
    z, done = np.where(settled, z, 0.0), settled | ~bracketed
    for attempt in range(_STEPS):
        value, slope = function(z)
        beyond = (value > 0) == rising
        below, above = np.where(beyond, below, z), np.where(beyond, z, above)
        trial = np.clip(z - value / slope, low, high)
        stuck = attempt > 10 and attempt % 2 == 1
        trial = np.where(stuck | ~((trial >= below) & (trial <= above)), 0.5 * (below + above), trial)
        close = np.abs(trial - z) <= _CLOSE * (1.0 + np.abs(z))
        z = np.where(done, z, trial)
        done = done | close
        if done.all():
            break
    return np.where(bracketed, z, np.nan)


def _newton(
    function: Callable[[Any], tuple[Any, Any]], z: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """A few steps without a bracket, which is all that most roots need; returns where they led and which have settled."""
    settled = np.zeros(z.shape, dtype=bool)
    for _ in range(_FREE_STEPS):
        value, slope = function(z)
        trial = np.minimum(np.maximum(z - value / slope, low), high)
        settled = np.abs(trial - z) <= _CLOSE * (1.0 + np.abs(z))  # false for NaN
        z = trial
        if settled.all():
            break
    return z, settled


def _minus(left: Node, right: Node) -> Node:
    return grammar.add(left, grammar.mul(Num(-1.0), right))


def _rewritten(node: Node, table: Mapping[Node, Node]) -> Node:
    """Replace whole parts of a tree, larger ones before their own parts."""
    if node in table:
        return table[node]
    match node:
        case Add(terms):
            return grammar.add(*(_rewritten(term, table) for term in terms))
        case Mul(factors):
            return grammar.mul(*(_rewritten(factor, table) for factor in factors))
        case Pow(base, exponent):
            return grammar.power(_rewritten(base, table), _rewritten(exponent, table))
        case Call(function, arguments):
            return grammar.call(function, tuple(_rewritten(argument, table) for argument in arguments))
    return node


def _balance(builder: Builder, tree: Node) -> Derivatives:
    """The equation as ln(positive terms) - ln(negative terms), or as it is where the signs are not all known."""
    terms = tree.terms if isinstance(tree, Add) else (tree,)
    signs = [sign(term, builder.known) for term in terms]
    if set(signs) != {1, -1}:
        return builder.linear(tree)
    left = grammar.add(*(term for term, s in zip(terms, signs, strict=True) if s > 0))
    right = grammar.add(*(grammar.mul(Num(-1.0), term) for term, s in zip(terms, signs, strict=True) if s < 0))
    return builder.difference(builder.log(left), builder.log(right))


def _root_derivatives(builder: Builder, equation: Derivatives, place: Derivatives, last: int) -> Derivatives:
    """Value and derivatives of Y(u, z(u)) where H(u, z(u)) = 0; z is the coordinate number `last`."""
    emit = builder.emit
    slope = equation.gradient[last]
    involved = sorted({*equation.gradient, *place.gradient} - {last})

    def total(*values: Value) -> Value:
        result: Value = 0.0
        for value in values:
            result = emit("add", result, value)
        return result

    def product(*values: Value) -> Value:
        result: Value = 1.0
        for value in values:
            result = emit("mul", result, value)
        return result

    def against(value: Value) -> Value:
        return emit("neg", emit("div", value, slope))

    first = {i: against(equation.gradient.get(i, 0.0)) for i in involved}

    def along(part: Derivatives, i: int, j: int) -> Value:
        """Second derivative of a part as z moves with the coordinates, but for the bend of z itself."""
        bend = part.hessian.get
        return total(
            bend((i, j), 0.0),
            product(bend((i, last), 0.0), first[j]),
            product(bend((j, last), 0.0), first[i]),
            product(bend((last, last), 0.0), first[i], first[j]),
        )

    rise = place.gradient.get(last, 0.0)
    # what Newton's method still lacks goes into the value: free here, and one step less to take
    value = total(place.value, product(rise, against(equation.value)))
    gradient = {i: total(place.gradient.get(i, 0.0), product(rise, first[i])) for i in involved}
    hessian = {
        (i, j): total(along(place, i, j), product(rise, against(along(equation, i, j))))
        for i, j in itertools.combinations_with_replacement(involved, 2)
    }
    return Derivatives(value, gradient, hessian)
