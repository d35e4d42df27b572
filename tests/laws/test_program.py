"""Values and derivatives of every law against SymPy, evaluated by mpmath with 40 digits."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy

from scalinglens.errors import FormulaError, PredictionError
from scalinglens.laws.catalogue import law, typed_law
from scalinglens.laws.formula import FUNCTIONS
from scalinglens.laws.law import Law

DIGITS = 40


class Step(sympy.Function):
    """1 for positive arguments, else 0; SymPy's Max would bring Heaviside(0) = 1/2 and Dirac deltas along."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        return sympy.S.Zero


class Larger(sympy.Function):
    nargs = 2

    def fdiff(self, argindex: int = 1) -> Any:
        first, second = self.args
        return Step(first - second) if argindex == 1 else 1 - Step(first - second)


class Smaller(sympy.Function):
    nargs = 2

    def fdiff(self, argindex: int = 1) -> Any:
        first, second = self.args
        return Step(second - first) if argindex == 1 else 1 - Step(second - first)


def symbolic(found: Law) -> tuple[Any, dict[str, Any]]:
    """The formula as SymPy reads it from its text, by a way that shares nothing with our parser."""
    number = re.compile(r"(?<![\w.])(\d+\.?\d*(?:[eE][+-]?\d+)?)")
    written = " ".join((found.formula, *found.derived.values()))
    names: dict[str, Any] = {
        name: sympy.Symbol(name) for name in re.findall(r"(?<![\w.])[A-Za-z_]\w*", written) if name not in FUNCTIONS
    }
    functions = {
        "exact": sympy.Rational,
        "exp": sympy.exp,
        "log": sympy.log,
        "sqrt": sympy.sqrt,
        "sigmoid": lambda v: 1 / (1 + sympy.exp(-v)),
        "max": lambda *arguments: functools.reduce(Larger, arguments),
        "min": lambda *arguments: functools.reduce(Smaller, arguments),
    }

    def read(text: str) -> Any:
        return eval(number.sub(r"exact('\1')", text).replace("^", "**"), {**functions, **names})  # our own catalogue

    names |= {name: read(text) for name, text in found.derived.items()}
    return read(found.formula), names


def compiled(arguments: list[Any], results: Any) -> Callable[..., Any]:
    own = {"Step": lambda v: mpmath.mpf(v > 0), "Larger": max, "Smaller": min}
    return sympy.lambdify(arguments, results, [own, "mpmath"], cse=True)


@dataclass
class Truth:
    """A law in its estimation coordinates with all first and second derivatives, for mpmath."""

    evaluate: Callable[..., list[Any]]
    size: int

    @classmethod
    def of(cls, found: Law) -> Truth:
        formula, names = symbolic(found)
        u = sympy.symbols(f"u0:{len(found.parameters)}")
        moved = {
            names[name]: sympy.exp(u[i]) if found.coordinates[name] == "log" else u[i]
            for i, name in enumerate(found.parameters)
        }
        f = formula.subs(moved, simultaneous=True)
        gradient = [f.diff(v) for v in u]
        hessian = [gradient[i].diff(u[j]) for i in range(len(u)) for j in range(i, len(u))]
        return cls(compiled([*u, *(names[name] for name in found.inputs)], [f, *gradient, *hessian]), len(u))

    def at(self, arguments: list[float], log: bool) -> tuple[Any, list[Any], dict[tuple[int, int], Any]]:
        """Value, gradient and Hessian of the law, or of its logarithm."""
        k = self.size
        with mpmath.workdps(DIGITS):
            f, *rest = self.evaluate(*(mpmath.mpf(float(a)) for a in arguments))
            g = rest[:k]
            pairs = [(i, j) for i in range(k) for j in range(i, k)]
            h = dict(zip(pairs, rest[k:], strict=True))
            if not log:
                return f, g, h
            g = [part / f for part in g]
            return mpmath.log(f), g, {(i, j): h[i, j] / f - g[i] * g[j] for i, j in pairs}


def fitted(
    found: Law, theta: list[float], x: list[float]
) -> tuple[float, np.ndarray, dict[tuple[int, int], float], bool]:
    """What the compiled code says in one point: value, gradient, Hessian, and whether these are of the logarithm."""
    code = found.compiled("fit")
    with np.errstate(all="ignore"):
        value, *rest = code.run(tuple(map(np.float64, theta)), code.prepare(tuple(map(np.float64, x))))
    gradient = np.zeros(len(theta))
    gradient[list(code.gradient)] = rest[: len(code.gradient)]
    return float(value), gradient, dict(zip(code.hessian, rest[len(code.gradient) :], strict=True)), code.log


def assert_equal_derivatives(found: Law, truth: Truth, theta: list[float], x: list[float], tolerance: float) -> None:
    """Compare in scaled terms: derivatives by relative changes of the parameters, relative to the value of the law."""
    value, gradient, hessian, log = fitted(found, theta, x)
    exact, slopes, bends = truth.at([*theta, *x], log)
    base = 1.0 if log else abs(float(exact))
    # a value carried linearly may be what a cancellation leaves: of 1 - exp(-1e-7) nine digits are left
    assert abs(value - exact) <= (tolerance if log else 1e-8) * max(base, abs(float(exact)))
    scale = [1.0 if found.coordinates[n] == "log" else abs(t) for n, t in zip(found.parameters, theta, strict=True)]
    wanted = [float(slope) * s / base for slope, s in zip(slopes, scale, strict=True)]
    largest = max(1.0, *(abs(v) for v in wanted)) if wanted else 1.0
    for i, want in enumerate(wanted):
        assert abs(gradient[i] * scale[i] / base - want) <= tolerance * largest, found.parameters[i]
    curvature = {(i, j): float(bend) * scale[i] * scale[j] / base for (i, j), bend in bends.items()}
    largest = max([1.0, *(abs(v) for v in curvature.values())])
    for (i, j), want in curvature.items():
        got = float(hessian.get((i, j), 0.0)) * scale[i] * scale[j] / base
        assert abs(got - want) <= tolerance * largest, (found.parameters[i], found.parameters[j])


@functools.cache
def sharp() -> tuple[Law, Truth]:
    found = law("caballero2022.n1")
    return found, Truth.of(found)


class TestDerivatives:
    def test_agree_with_sympy(self, form_name: str, points: Any) -> None:
        found = law(form_name, unverified=True)
        truth = Truth.of(found)
        constants, inputs = points(found, 3)
        for row in range(3):
            theta = [
                float(np.log(constants[name][row]) if found.coordinates[name] == "log" else constants[name][row])
                for name in found.parameters
            ]
            # thirteen digits are what double precision leaves after some ten operations; nine are promised
            assert_equal_derivatives(found, truth, theta, [inputs[name][row] for name in found.inputs], 1e-12)

    def test_elasticities_agree_with_differences_in_high_precision(self, form_name: str, points: Any) -> None:
        found = law(form_name, unverified=True)
        formula, names = symbolic(found)
        function = compiled([names[name] for name in (*found.parameters, *found.inputs)], formula)
        constants, inputs = points(found, 1)
        theta = [mpmath.mpf(float(constants[name][0])) for name in found.parameters]
        x = [mpmath.mpf(float(inputs[name][0])) for name in found.inputs]
        got = found.elasticities(constants, inputs)
        with mpmath.workdps(DIGITS):
            value = abs(function(*theta, *x))
            for i, name in enumerate(found.inputs):
                moved = lambda t, i=i: function(*theta, *x[:i], x[i] * mpmath.exp(t), *x[i + 1 :])  # noqa: E731
                want = mpmath.diff(moved, 0)
                assert abs(got[name][0] - want) <= 1e-9 * max(abs(want), value), name

    @pytest.mark.parametrize("ratio", [1e6, 1e-6, 1 + 1e-4, 1.0, 1 - 1e-3])
    @pytest.mark.parametrize("sharpness", [0.006, 0.05, 3.0])
    def test_sharp_breaks_neither_overflow_nor_lose_digits(self, sharpness: float, ratio: float) -> None:
        # written out, (x/d)^(1/f) is 1e1000 here
        found, truth = sharp()
        values = {"a": 0.4, "b": 2.3, "c0": 0.055, "d1": 612.0, "c1": 5.66, "f1": sharpness}
        theta = [
            float(np.log(values[name])) if found.coordinates[name] == "log" else values[name]
            for name in found.parameters
        ]
        assert_equal_derivatives(found, truth, theta, [612.0 * ratio], 1e-11)
        with mpmath.workdps(DIGITS):
            want = mpmath.exp(truth.at([*theta, 612.0 * ratio], log=True)[0])
        assert float(found.value(values, x=612.0 * ratio)) == pytest.approx(float(want), rel=1e-13)

    def test_sigmoid_keeps_its_derivative_where_it_saturates(self) -> None:
        found = typed_law("y = sigmoid(a*x) + b where a real, b real")
        _, gradient, _, _ = fitted(found, [1.0, -1.0], [40.0])
        assert gradient[0] == pytest.approx(40 * np.exp(-40.0), rel=1e-14)

    @pytest.mark.parametrize(
        ("text", "theta", "x"),
        [
            # powers: a base of either sign with a whole, a fractional, a parameter's and an input's exponent
            ("(a - b)^4 + x", [1.0, 3.0], 2.0),
            ("(x - b)^2.5", [1.5], 2.0),
            ("(x - b)^c", [1.5, 0.3], 2.0),
            ("(a - b)^x", [2.0, 0.5], 3.0),
            ("(a - b)^(-3) + x", [1.0, 3.0], 2.0),
            ("x/(a*x - b*c)", [1.0, 3.0, 0.7], 2.0),
            # functions whose value may be negative, or that stand in a sum that may
            ("sigmoid(a*x - b) - c", [0.7, 0.4, 0.1], 2.0),
            ("-sigmoid(a*b*x)*c", [0.7, 0.4, 0.3], -2.0),
            ("log(a - b*x)*a", [4.0, 0.7], 2.0),
            ("exp(a*b - x) - c", [0.4, 0.7, 3.0], 2.0),
            ("max(a*b - x, b*x - a)*c", [0.4, 0.7, 3.0], 2.0),
            ("min(a*b - x, b*x - a, c)*c", [0.4, 0.7, 3.0], 2.0),
            ("a*b*c*x + a*a*b", [0.4, 0.7, -3.0], 2.0),
        ],
    )
    def test_parts_of_unknown_sign(self, text: str, theta: list[float], x: float) -> None:
        pattern = re.compile(r"(?<![\w.])[abc](?!\w)")
        free = ", ".join(f"{name} real" for name in dict.fromkeys(pattern.findall(text)))
        found = typed_law(f"y = {text} where {free}")
        assert set(found.coordinates.values()) == {"linear"}
        assert_equal_derivatives(found, Truth.of(found), theta, [x], 1e-13)


class TestValue:
    def test_log_sum_exp_of_nothing_is_nothing(self) -> None:
        found = typed_law("E + A/params^alpha")
        assert found.value({"E": 0.0, "A": 0.0, "alpha": 0.3}, params=1e9) == 0.0

    def test_shapes_broadcast(self) -> None:
        found = typed_law("E + A/params^alpha")
        theta = {"E": 1.0, "A": np.array([[1.0], [2.0]]), "alpha": 0.0}
        got = found.value(theta, params=np.array([1e3, 1e6, 1e9]))
        assert got == pytest.approx(np.array([[2.0] * 3, [3.0] * 3]))
        assert found.value({"E": 1, "A": 1, "alpha": 0}, params=7).shape == ()

    def test_overflow_is_infinite_and_silent(self) -> None:
        found = typed_law("A*exp(k*params)")
        assert found.value({"A": 1.0, "k": 1.0}, params=1e6) == np.inf

    @pytest.mark.parametrize(
        ("constants", "inputs", "message"),
        [
            ({"E": -1.0}, {}, 'the parameter "E" is -1, but E + A/params^alpha needs it positive'),
            ({"E": np.nan}, {}, 'the parameter "E" is nan, but E + A/params^alpha needs it finite'),
            ({}, {"params": [1.0, 0.0]}, '"params" is 0 at point 1; it must be finite and positive'),
            (
                {},
                {"params": "70B"},
                "\"params\" is '70B', which is no number; write for example params=70e9, "
                'or read text with parse_quantity("70B")',
            ),
            ({}, {"params": np.inf}, '"params" is inf at point 0; it must be finite and positive'),
            ({}, {"parms": 1.0}, 'the law has no input "parms" (did you mean "params"?); it needs params'),
        ],
    )
    def test_refuses_what_the_formula_cannot_mean(self, constants: Any, inputs: Any, message: str) -> None:
        found = typed_law("E + A/params^alpha")
        with pytest.raises(PredictionError) as caught:
            found.value({"E": 1.0, "A": 1.0, "alpha": 0.3, **constants}, {"params": 1e9, **inputs})
        assert str(caught.value) == message

    def test_names_what_is_missing(self) -> None:
        found = typed_law("E + A/params^alpha")
        with pytest.raises(PredictionError, match="has no value for A, alpha; fit the law to runs"):
            found.value({"E": 1.0}, params=1.0)
        with pytest.raises(PredictionError, match=r'the law needs "params"; give its value, for example params=1e9'):
            found.value({"E": 1.0, "A": 1.0, "alpha": 1.0})

    def test_domains_of_inputs(self) -> None:
        share = typed_law("a*sparsity^b + c where sparsity in [0, 1], c real")
        with pytest.raises(PredictionError, match=r'"sparsity" is 2 at point 0; it must be finite in \[0, 1\]'):
            share.value({"a": 1, "b": 1, "c": 1}, sparsity=2)
        assert share.value({"a": 1, "b": 1, "c": 1}, sparsity=0) == 1
        assert typed_law("a + b*years").value({"a": 1, "b": 1}, years=-0.5) == 0.5
        with pytest.raises(PredictionError, match=r'"years" is -0.5 at point 0; it must be finite and positive'):
            typed_law("a + b*years where years > 0").value({"a": 1, "b": 1}, years=-0.5)


class TestTies:
    LAW = typed_law("E + A/params^alpha + B/tokens^beta")

    def test_to_numbers_and_formulas(self) -> None:
        tied = self.LAW.with_ties({"beta": "alpha", "E": 1.5, "B": "2*A"})
        assert tied.parameters == ("A", "alpha")
        got = tied.value({"A": 3.0, "alpha": 0.5}, params=4.0, tokens=16.0)
        assert got == pytest.approx(1.5 + 3 / 2 + 6 / 4)

    def test_ties_may_name_each_other(self) -> None:
        tied = self.LAW.with_ties({"beta": "alpha", "alpha": 0.5})
        assert tied.parameters == ("E", "A", "B")
        again = self.LAW.with_ties({"beta": "alpha"}).with_ties({"alpha": 0.5})
        assert again.tree == tied.tree

    def test_exponents_of_numbers_are_no_names(self) -> None:
        tied = typed_law("e + a*(flops/1e9)^(-c)").with_ties({"c": "e/2e3"}).with_ties({"e": 2.0})
        assert tied.value({"a": 1.0}, flops=1e9) == pytest.approx(3.0)

    @pytest.mark.parametrize(
        ("ties", "message"),
        [
            ({"alpha": "beta", "beta": "alpha"}, "the ties go round in a circle: alpha = beta, beta = alpha"),
            ({"alpha": "2*alpha"}, '"alpha" cannot be tied to itself: alpha = 2*alpha'),
            ({"alpha": float("nan")}, '"alpha" cannot be pinned to nan; give a finite number'),
            (
                {"alfa": 1},
                'the law has no parameter "alfa" to tie or pin (did you mean "alpha"?); it has E, A, alpha, B, beta',
            ),
            ({"alpha": "beta +"}, "cannot read 'beta +'"),
        ],
    )
    def test_bad_ties(self, ties: Any, message: str) -> None:
        with pytest.raises(FormulaError) as caught:
            self.LAW.with_ties(ties)
        assert message in str(caught.value)
