"""Laws that are the root of an equation: values, derivatives against high precision, failure, and their words."""

from __future__ import annotations

import itertools
import math
import pickle
import re
from typing import Any

import mpmath
import numpy as np
import pytest

from scalinglens.errors import FormulaError
from scalinglens.laws.card import card, card_dict, laws_dict
from scalinglens.laws.catalogue import law
from scalinglens.laws.domain import Domain
from scalinglens.laws.implicit import bracketed_root
from scalinglens.laws.law import Law

DIGITS = 60
M4 = law("alabdulmohsin2022.M4")
L_NS_BATCH = law("kaplan2020.L_NS_batch", unverified=True)
TRUE_M4 = {"e_inf": 0.1, "e0": 1.0, "a": 0.5, "b": 2.0, "c": -0.2}
POINTS = {"params_nonembedding": 3e8, "steps": 2e4, "batch_tokens": 3e5}

# laws with equations that cannot be written as a difference of positive parts, or with other ends
UNSIGNED = Law(
    "unsigned",
    "y^3 + p*y - q - x",
    output="y",
    domains={"p": Domain(), "q": Domain(-math.inf)},
    between=("-50", "50"),
)
LAMBERT = Law("lambert", "y*exp(k*y) - s*x", output="y", between=("0", "inf"))
NESTED = Law("nested", "loss - E - A/params^(alpha*loss)", between=("E", "inf"))

CASES = {
    "M4": (M4, TRUE_M4, {"x": 552.43}),
    "M4 near its upper end": (M4, TRUE_M4 | {"a": 0.07}, {"x": 3.0}),
    "M4 near its lower end": (M4, TRUE_M4 | {"c": -0.9}, {"x": 1e7}),
    "M4 without a": (M4, TRUE_M4 | {"a": 0.0}, {"x": 1e4}),
    "M4 with large a": (M4, TRUE_M4 | {"e0": 9.0, "a": 8.0, "b": 1e-7}, {"x": 30.0}),
    "L_NS_batch": (L_NS_BATCH, dict(L_NS_BATCH.constants), POINTS),
    "unsigned": (UNSIGNED, {"p": 0.7, "q": -0.3}, {"x": 4.0}),
    "lambert": (LAMBERT, {"k": 0.8, "s": 2.0}, {"x": 40.0}),
    "nested": (NESTED, {"E": 1.5, "A": 7.0, "alpha": 0.05}, {"params": 1e6}),
}


class Truth:
    """The root with 60 digits, by the formula's own text and mpmath; nothing of ours is used."""

    def __init__(self, found: Law, inputs: dict[str, float]):
        text = re.sub(r"(?<![\w.])(\d+\.?\d*(?:[eE][+-]?\d+)?)", r"mpf('\1')", found.formula).replace("^", "**")
        self.code = compile(text, "formula", "eval")
        self.found = found
        self.inputs = {name: mpmath.mpf(value) for name, value in inputs.items()}

    def equation(self, y: Any, u: tuple[Any, ...]) -> Any:
        pairs = zip(self.found.parameters, u, strict=True)
        named = {n: mpmath.exp(v) if self.found.coordinates[n] == "log" else v for n, v in pairs}
        words = {"mpf": mpmath.mpf, "exp": mpmath.exp, **named, **self.inputs, self.found.output: y}
        return eval(self.code, words)  # formulas of this file and of our own catalogue

    def root(self, u: tuple[Any, ...], near: float) -> Any:
        y = mpmath.mpf(near)
        for _ in range(8):  # Newton from sixteen digits
            y -= self.equation(y, u) / mpmath.diff(lambda v: self.equation(v, u), y, h=mpmath.mpf(10) ** -25)
        return y


@pytest.mark.parametrize("case", CASES)
def test_value_and_derivatives_against_high_precision(case: str) -> None:
    found, constants, inputs = CASES[case]
    theta = [math.log(constants[n]) if found.coordinates[n] == "log" else constants[n] for n in found.parameters]
    code = found.compiled("fit")
    value, *rest = code.run(tuple(map(np.float64, theta)), code.prepare(tuple(np.float64(v) for v in inputs.values())))
    assert list(inputs) == list(found.inputs)
    gradient = dict(zip(code.gradient, rest[: len(code.gradient)], strict=True))
    hessian = dict(zip(code.hessian, rest[len(code.gradient) :], strict=True))
    with mpmath.workdps(DIGITS):
        truth = Truth(found, inputs)
        u = tuple(mpmath.mpf(t) for t in theta)
        exact = truth.root(u, float(value))
        assert abs(value - exact) <= 3e-15 * abs(exact)
        assert float(found.value(constants, inputs)) == pytest.approx(float(exact), rel=3e-15)
        h = mpmath.mpf(10) ** -10  # central differences: errors of 1e-20

        def moved(*steps: tuple[int, int]) -> Any:
            shifted = list(u)
            for i, sign in steps:
                shifted[i] += sign * h
            return truth.root(tuple(shifted), float(value))

        slopes = [(moved((i, 1)) - moved((i, -1))) / (2 * h) for i in range(len(u))]
        largest = max(abs(s) for s in slopes)
        for i, slope in enumerate(slopes):
            assert abs(gradient.get(i, 0.0) - slope) <= 1e-13 * largest, found.parameters[i]
        bends = {
            (i, j): (
                (moved((i, 1), (j, 1)) - moved((i, 1), (j, -1)) - moved((i, -1), (j, 1)) + moved((i, -1), (j, -1)))
                / (4 * h * h)
            )
            for i, j in itertools.combinations_with_replacement(range(len(u)), 2)
        }
        largest = max(abs(b) for b in bends.values())
        for (i, j), bend in bends.items():
            assert abs(hessian.get((i, j), 0.0) - bend) <= 1e-12 * largest, (found.parameters[i], found.parameters[j])


@pytest.mark.parametrize("case", CASES)
def test_elasticities(case: str) -> None:
    found, constants, inputs = CASES[case]
    got = found.elasticities(constants, inputs)
    for name in inputs:
        step = 1e-5
        ends = [found.value(constants, {**inputs, name: inputs[name] * math.exp(s)}) for s in (step, -step)]
        assert float(got[name]) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)


class TestPublished:
    def test_m4_is_the_inverse_of_its_inverse(self) -> None:
        x = np.geomspace(10.0, 1e12, 200)
        error = M4.value(TRUE_M4, x=x)
        np.testing.assert_allclose(law("alabdulmohsin2022.M4_inverse").value(TRUE_M4, error=error), x, rtol=1e-10)
        assert np.all(np.diff(error) < 0)

    def test_m4_without_a_is_m2(self) -> None:
        x = np.geomspace(100.0, 1e9, 50)
        want = law("alabdulmohsin2022.M2").value({"e_inf": 0.1, "b": 2.0, "c": -0.2}, x=x)
        np.testing.assert_allclose(M4.value(TRUE_M4 | {"a": 0.0}, x=x), want, rtol=2e-15)

    def test_batch_law_is_the_limit_of_two_hundred_sweeps(self) -> None:
        c = L_NS_BATCH.constants
        N, S, B = (a.ravel() for a in np.meshgrid([1e6, 1e8, 1e10], [1e3, 1e5, 1e7], [1e4, 1e6, 1e8]))
        capacity = (c["Nc"] / N) ** c["alphaN"]
        loss = capacity
        for _ in range(200):
            s_min = S / (1 + c["Bstar"] / loss ** (1 / c["alphaB"]) / B)
            loss = capacity + (c["Sc"] / s_min) ** c["alphaS"]
            loss_new = loss
        got = L_NS_BATCH.value(points={"params_nonembedding": N, "steps": S, "batch_tokens": B})
        # where the sweeps alternate instead of converging, the root satisfies the equation all the same
        s_min = S / (1 + c["Bstar"] / got ** (1 / c["alphaB"]) / B)
        np.testing.assert_allclose(got, capacity + (c["Sc"] / s_min) ** c["alphaS"], rtol=1e-12)
        settled = np.abs(capacity + (c["Sc"] / (S / (1 + c["Bstar"] / loss ** (1 / c["alphaB"]) / B))) ** c["alphaS"]
                         - loss_new) < 1e-14 * loss  # fmt: skip
        assert settled.sum() >= 18
        np.testing.assert_allclose(got[settled], loss[settled], rtol=1e-14)


class TestNoRoot:
    @pytest.mark.parametrize(
        "changed",
        [{"a": 0.0, "b": 1e3}, {"e_inf": 1.5}, {"e_inf": 1.0}, {"b": 0.0}],
        ids=["power above both ends", "ends the wrong way round", "ends equal", "no amplitude"],
    )
    def test_is_nan_and_leaves_other_points_alone(self, changed: dict[str, float]) -> None:
        constants = {name: np.array([value, changed.get(name, value)]) for name, value in TRUE_M4.items()}
        good, bad = M4.value(constants, x=1e3)
        assert good == M4.value(TRUE_M4, x=1e3)
        assert math.isnan(bad)

    def test_the_solver_ends(self) -> None:
        calls = []

        def kink(z: Any) -> tuple[Any, Any]:  # Newton's method jumps to and fro for ever
            calls.append(z)
            return np.sign(z - 3.0) * np.sqrt(np.abs(z - np.array([3.0]))), 0.5 / np.sqrt(np.abs(z - np.array([3.0])))

        with np.errstate(all="ignore"):
            assert bracketed_root(kink, 1e3, -1e3, 1e3) == pytest.approx(3.0, abs=1e-5)
        assert len(calls) <= 202

    def test_saturates_at_its_end(self) -> None:
        got = M4.value(TRUE_M4 | {"a": 1e-6}, x=[1.0, 10.0, 1e3])
        assert np.all(got[:2] == 1.0)
        assert got[2] < 1.0


class TestWords:
    def test_equation(self) -> None:
        assert str(M4) == "(error - e_inf)/(e0 - error)^a - b*x^c = 0"
        assert M4.latex() == (r"\frac{\mathrm{error} - e_{\mathrm{inf}}}{(e_{0} - \mathrm{error})^{a}} - b x^{c} = 0")
        assert L_NS_BATCH.latex().startswith(r"L - \left(\frac{N_{c}}{N}\right)^{\alpha_{N}}")
        assert "  (error - e_inf)/(e0 - error)^a - b*x^c = 0\n  with error between e_inf and e0   [1]\n" in card(M4)
        assert card_dict(M4)["between"] == ["e_inf", "e0"]

    def test_typed(self) -> None:
        typed = law("error = e_inf + b*x^c*(e0 - error)^a between e_inf and e0 where c < 0, a in [0, 9]")
        assert typed.between == ("e_inf", "e0")
        assert typed.formula == "error - (e_inf + b*x^c*(e0 - error)^a)"
        x = np.geomspace(10.0, 1e8, 20)
        np.testing.assert_allclose(typed.value(TRUE_M4, x=x), M4.value(TRUE_M4, x=x), rtol=1e-14)
        assert law("y = a*exp(-b*x*y) between 0 and a").parameters == ("a", "b")
        with pytest.raises(FormulaError, match="an output lies between two ends, got 1"):
            law("y = a*exp(-b*x*y) between 0")

    def test_names(self) -> None:
        assert (M4.inputs, M4.parameters) == (("x",), ("e_inf", "e0", "a", "b", "c"))
        assert "loss" not in (*L_NS_BATCH.inputs, *L_NS_BATCH.parameters)

    def test_no_javascript(self) -> None:
        with pytest.raises(FormulaError, match="M4 has no JavaScript, because its error is the root of an equation"):
            M4.javascript()
        without = {entry["name"] for entry in laws_dict()["laws"] if not entry["javascript"]}
        assert {"alabdulmohsin2022.M4", "kaplan2020.L_NS_batch"} <= without
        assert all(law(name).between or law(name).scheduled for name in without)

    def test_pickle_and_ties(self) -> None:
        again = pickle.loads(pickle.dumps(M4))
        assert again == M4
        assert hash(again) == hash(M4)
        assert again.between == ("e_inf", "e0")
        tied = M4.with_ties({"e0": 1.0, "e_inf": "b/20"})
        assert tied.parameters == ("b", "a", "c")
        got = tied.value({"a": 0.5, "b": 2.0, "c": -0.2}, x=552.43)
        assert float(got) == pytest.approx(float(M4.value(TRUE_M4, x=552.43)), rel=1e-14)

    @pytest.mark.parametrize(
        ("formula", "between", "message"),
        [
            ("a*x - loss", ("a",), "an output lies between two ends, got 1"),
            ("a*x", ("0", "inf"), "the equation 'a*x' does not hold its output \"loss\""),
            ("a*x - loss", ("0", "q"), '"q" cannot be in an end of loss'),
            ("a*x - loss", ("loss", "inf"), '"loss" cannot be in an end of loss'),
            ("a*x - loss", ("inf", "inf"), "the lower end of loss must be finite"),
        ],
    )
    def test_refuses(self, formula: str, between: tuple[str, ...], message: str) -> None:
        with pytest.raises(FormulaError) as caught:
            Law("wrong", formula, between=between)
        assert message in str(caught.value)
