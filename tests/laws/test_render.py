"""LaTeX and the equation with numbers in it."""

from __future__ import annotations

import re

import pytest

from scalinglens.laws.catalogue import law, typed_law
from scalinglens.laws.render import equation, letters

FROZEN = {
    "besiroglu2024": r"E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}",
    "kaplan2020.L_ND": r"\left(\left(\frac{N_{c}}{N}\right)^{\alpha_{N}/\alpha_{D}} "
    r"+ \frac{D_{c}}{D}\right)^{\alpha_{D}}",
    "kaplan2020.lr": r"a - b \ln(N)",
    "caballero2022.n1": r"a + b x^{-c_{0}} \left(1 + \left(\frac{x}{d_{1}}\right)^{1/f_{1}}\right)^{-c_{1} f_{1}}",
    "hoffmann2022.N_opt": r"\left(\frac{\alpha A}{\beta B}\right)^{1/(\alpha + \beta)} "
    r"\left(\frac{C}{6}\right)^{\beta/(\alpha + \beta)}",
    "flops.6nd": "6 N D",
    "gpt3_2020.L_C": r"a \left(\frac{C}{8.64 \cdot 10^{19}}\right)^{-b}",
    "schaeffer2025.problem": "1 - (1 - p)^{k}",
    "rosenfeld2019": r"\frac{e_{0}}{\sqrt{1 + \left(\frac{\eta}{a n^{-\alpha} + b N^{-\beta} + "
    r"c_{\mathrm{inf}}}\right)^{2}}}",
    "ruan2024": r"h \operatorname{sigmoid}(w_{1} \cdot \mathrm{pc}_{1} + w_{2} \cdot \mathrm{pc}_{2} + "
    r"w_{3} \cdot \mathrm{pc}_{3} + b)",
    "cost.rental": r"\mathrm{chip\_hours} \cdot \mathrm{price}",
    "sardana2023.cost": r"6 N D + 2 N D_{\mathrm{inf}}",
}


@pytest.mark.parametrize("name", FROZEN)
def test_frozen(name: str) -> None:
    assert law(name).latex() == FROZEN[name]


def test_every_law_prints_balanced_latex(every_name: str) -> None:
    text = law(every_name).latex()
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\left(") == text.count(r"\right)")
    assert bare.count("(") == bare.count(")")
    assert "  " not in text
    assert "--" not in text
    assert "^{}" not in text
    # nothing but commands, letters with indices, numbers and signs: no name of ours is left as a run of letters
    left = re.sub(r"\\(mathrm|operatorname)\{[^}]*\}|\\[A-Za-z]+|_\{[A-Z]?[0-9]*\}", " ", text)
    assert not re.search(r"[A-Za-z]{2,}", left), left


def test_distinct_names_have_distinct_letters(every_name: str) -> None:
    found = letters(law(every_name))
    assert len(set(found.values())) == len(found)


def test_derived_parameters_are_symbols_with_definitions() -> None:
    text = law("muennighoff2023").latex()
    assert text.startswith(r"E + \frac{A}{\left(\min(N, G_{2} \min(D, U))")
    assert text.endswith(r", \quad G_{2} = \left(\frac{A}{B}\right)^{1/\alpha}")


def test_ties_follow_the_formula() -> None:
    tied = law("besiroglu2024").with_ties({"beta": "alpha", "E": 1.8})
    assert tied.latex() == r"E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}, \quad \beta = \alpha, \quad E = 1.8"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("a - (b - c) - x", "a - (b - c) - x"),
        ("a + (b - c) + x", "a + b - c + x"),
        ("a - -b + x", "a - (-b) + x"),
        ("-(a + b)*x", "-(a + b) x"),
        ("-a^2 + x", "-a^{2} + x"),
        ("(-a)^2 + x", "(-a)^{2} + x"),
        ("(a^b)^x", r"\left(a^{b}\right)^{x}"),
        ("a^b^x", "a^{b^{x}}"),
        ("a/b/x", r"\frac{a}{b x}"),
        ("a/(b/x)", r"\frac{a}{\frac{b}{x}}"),
        ("2*3*x", r"2 \cdot 3 x"),
        ("1/a*x", r"\frac{x}{a}"),
        ("a*(-x)", "a (-x)"),
        ("x + 0.5 + 1234567 + 1e5 + 1e-7 + 2.5e30", r"x + 0.5 + 1234567 + 10^{5} + 10^{-7} + 2.5 \cdot 10^{30}"),
        ("exp(-x)^2", r"(\exp(-x))^{2}"),
        ("sqrt(x)*max(a, x/b)", r"\sqrt{x} \max\left(a, \frac{x}{b}\right)"),
    ],
)
def test_grammar(formula: str, expected: str) -> None:
    assert typed_law(f"y = {formula}").latex() == expected


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("alphaN", r"\alpha_{N}"),
        ("alpha", r"\alpha"),
        ("beta_g", r"\beta_{g}"),
        ("gamma_inf", r"\gamma_{\mathrm{inf}}"),
        ("lam", r"\lambda"),
        ("eps", r"\varepsilon"),
        ("gam2", r"\gamma_{2}"),
        ("Nc", "N_{c}"),
        ("c0", "c_{0}"),
        ("d12", "d_{12}"),
        ("CA1", "C_{A1}"),
        ("Emin", r"E_{\mathrm{min}}"),
        ("L_inf", r"L_{\mathrm{inf}}"),
        ("flops0", "C_{0}"),
        ("multi", r"\mathrm{multi}"),  # does not begin with the Greek letter mu
        ("pie", r"\mathrm{pie}"),
        ("a__b", r"a_{\mathrm{\_b}}"),
    ],
)
def test_letters(name: str, letter: str) -> None:
    assert letters(typed_law(f"y = {name}*x"))[name] == letter


def test_letters_that_would_coincide_give_way() -> None:
    # two inputs of the letter N, a parameter called N beside params, and two spellings of one Greek letter
    found = letters(typed_law("y = a*params + b*params_nonembedding"))
    assert (found["params"], found["params_nonembedding"]) == (r"\mathrm{params}", r"\mathrm{params\_nonembedding}")
    assert letters(typed_law("y = N*params"))["params"] == r"\mathrm{params}"
    assert letters(typed_law("y = gam*x^gamma")) == {"gam": r"\gamma", "gamma": r"\mathrm{gamma}", "x": "x"}


def test_equation_leaves_numbers_alone() -> None:
    numbers = {"e": "0.94", "e9": "7", "a": "-1.5", "params": "N"}
    assert equation("e + a*(params/1e9)^(-2e-3)", numbers) == "0.94 + (-1.5)*(N/1e9)^(-2e-3)"
