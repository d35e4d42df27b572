"""Show a law: LaTeX, and the equation with numbers in it.

LaTeX is written from the author's text and not from the compiled tree, so the terms keep their order, C/6 stays C/6,
and a parameter defined through others stays one symbol with its definition beside it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from scalinglens.errors import FormulaError
from scalinglens.expressions import parse_expression
from scalinglens.laws.drops import LOCAL
from scalinglens.laws.formula import FUNCTIONS
from scalinglens.quantities import QUANTITIES

if TYPE_CHECKING:
    from scalinglens.laws.law import Law

__all__ = ["equation", "latex", "letters"]

_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")  # a name in a formula; the e of 1e9 is none

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega".split()
)
_SPELLING = {"lam": "lambda", "eps": "varepsilon", "gam": "gamma", "epsilon": "varepsilon"}
_SUM, _PRODUCT, _POWER, _ATOM = range(4)  # how tightly a piece of LaTeX holds together


def latex(law: Law) -> str:
    r"""Return the formula in LaTeX, terms as written, inputs by the field's letters.

    Args:
        law: any law; its derived parameters and ties follow after the formula, as `\beta = \alpha`.

    Returns:
        One line for a display: no dollar signs, no left side; an equation `... = 0` for an implicit law.

    Cost: linear in the length of the formula.

    >>> from scalinglens.laws.law import Law
    >>> print(latex(Law("typed", "E + A/(params/6)^(alpha/beta)", derived={"beta": "2*alpha"})))
    E + \frac{A}{\left(\frac{N}{6}\right)^{\alpha/\beta}}, \quad \beta = 2 \alpha
    """
    words = letters(law)
    parts = [_formula(law.formula, words) + (" = 0" if law.between else "")]
    parts += [f"{words[name]} = {_formula(text, words)}" for name, text in law.derived.items() if name in words]
    return r", \quad ".join(parts)


def equation(formula: str, numbers: Mapping[str, str]) -> str:
    """Write numbers into the text of a formula, whole names only.

    >>> equation("E + A/params^alpha", {"E": "1.82", "A": "482", "alpha": "0.348"})
    '1.82 + 482/params^0.348'
    """

    def replaced(word: re.Match[str]) -> str:
        text = numbers.get(word[0])
        if text is None:
            return word[0]
        return f"({text})" if text.startswith("-") else text

    return _NAME.sub(replaced, formula)


def letters(law: Law) -> dict[str, str]:
    r"""Return the LaTeX of every name of a law; no two names share one.

    >>> from scalinglens.laws.law import Law
    >>> letters(Law("typed", "(Nc/params)^alphaN"))
    {'Nc': 'N_{c}', 'alphaN': '\\alpha_{N}', 'params': 'N'}
    """
    written = _NAME.findall(" ".join((law.formula, *law.derived.values(), *law.derived)))
    measured = {*law.inputs, law.output} if law.between else {*law.inputs}
    measured |= {"lr_sum", *LOCAL} if law.scheduled else set()
    inputs = [name for name in dict.fromkeys(written) if name in measured]
    others = [name for name in dict.fromkeys(written) if name not in measured and name not in FUNCTIONS]
    symbols = {name: _input_letter(name) for name in inputs}
    chosen: dict[str, str] = {}
    for name in (*others, *inputs):  # the author chose the parameters' letters, so an input gives way
        letter = symbols.get(name) or _letter(name)
        rivals = [other for other in inputs if other != name and symbols[other] == letter] if name in symbols else []
        chosen[name] = _word(name) if rivals or letter in chosen.values() else letter
    return chosen


def _input_letter(name: str) -> str:
    """The letter of the field, tokens_input after the pattern of tokens, and else the word itself."""
    if name not in QUANTITIES:
        return _letter(name)  # a mixture share h1, r1
    if QUANTITIES[name].symbol:
        return _letter(QUANTITIES[name].symbol)
    stem, _, index = name.partition("_")
    if index and stem in QUANTITIES and QUANTITIES[stem].symbol:
        return _scripted(stem, index)
    word, digits = re.fullmatch(r"(.*?)([0-9]*)", name).groups()  # type: ignore[union-attr]  # matches every name
    return (f"{_word(word)}" if len(word) > 1 else word) + (f"_{{{digits}}}" if digits else "")


def _letter(name: str) -> str:
    r"""The LaTeX of one name: alphaN is \alpha_{N}, Nc is N_{c}, c0 is c_{0}, L_inf is L_{\mathrm{inf}}."""
    found = re.fullmatch(r"([A-Za-z]+?)_?([0-9]*)", name)
    if found and (found[1] in _GREEK or found[1] in _SPELLING or len(found[1]) == 1):
        return _scripted(found[1], found[2])
    for greek in sorted(_GREEK | set(_SPELLING), key=len, reverse=True):
        if name.startswith(greek) and re.match(r"[A-Z_]", name[len(greek) :]):
            return _scripted(greek, name[len(greek) :].lstrip("_"))
    if "_" in name:
        stem, _, rest = name.partition("_")
        return _scripted(stem, rest) if stem and rest else _word(name)
    # one letter and an index: Nc, aN, Emin, pe; a longer word in lower case stays a word
    if re.fullmatch(r"[A-Za-z][A-Z]+[0-9]*|[A-Z][a-z]+[0-9]*|[a-z]{2}[0-9]*", name):
        return _scripted(name[0], name[1:])
    return _scripted(found[1], found[2]) if found else _word(name)


def _scripted(stem: str, index: str) -> str:
    base = rf"\{_SPELLING.get(stem, stem)}" if stem in _GREEK or stem in _SPELLING else stem
    if base == stem and len(stem) > 1:
        base = QUANTITIES[stem].symbol if stem in QUANTITIES and len(QUANTITIES[stem].symbol) == 1 else _word(stem)
    if not index:
        return base
    upright = len(index) > 1 and not re.fullmatch(r"[A-Z]?[0-9]*", index)
    return f"{base}_{{{_word(index) if upright else index}}}"


def _word(name: str) -> str:
    return rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"


# ---- from the text's syntax tree to LaTeX ---------------------------------------------------------------------------


def _formula(text: str, words: Mapping[str, str]) -> str:
    return _piece(parse_expression(text, FUNCTIONS, error=FormulaError), words, False)[0]


def _piece(node: ast.expr, words: Mapping[str, str], small: bool) -> tuple[str, int]:
    """LaTeX of a tree and how tightly it holds together; `small` inside exponents, where fractions are written a/b."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return _number(float(value))
        case ast.Name(id=name):
            return words[name], _ATOM
        case ast.UnaryOp(op=op, operand=operand):
            inner = _wrapped(operand, words, small, _PRODUCT)
            return (f"-{inner}", _SUM) if isinstance(op, ast.USub) else (inner, _SUM)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return _sum(node, words, small), _SUM
        case ast.BinOp(op=ast.Mult() | ast.Div()):
            return _product(node, words, small)
        case ast.BinOp(left=base, right=exponent):
            raised = _piece(exponent, words, True)[0]
            return f"{_wrapped(base, words, small, _ATOM)}^{{{raised}}}", _POWER
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument]):
            return rf"\sqrt{{{_piece(argument, words, small)[0]}}}", _ATOM
        case ast.Call(func=ast.Name(id="drops"), args=[kernel]):
            inner = _piece(kernel, words, small)[0]
            return rf"\sum_{{k \le t}} (\eta_{{k-1}} - \eta_k) \left[{inner}\right]", _PRODUCT
        case ast.Call(func=ast.Name(id=function), args=arguments):
            inner = ", ".join(_piece(argument, words, small)[0] for argument in arguments)
            shown = {"log": r"\ln", "sigmoid": r"\operatorname{sigmoid}"}.get(function, f"\\{function}")
            return f"{shown}{_parentheses(inner)}", _POWER
    raise AssertionError(node)  # parse_expression lets nothing else through


def _sum(node: ast.expr, words: Mapping[str, str], small: bool) -> str:
    first, rest = _chain(node, (ast.Add, ast.Sub))
    text = _piece(first, words, small)[0]
    for op, term in rest:
        minus = isinstance(op, ast.Sub)
        # a + (b - c) loses its parentheses, a - (b - c) and a + -b do not
        inner, strength = _piece(term, words, small)
        if strength == _SUM and (minus or inner.startswith("-")):
            inner = _parentheses(inner)
        text += f" {'-' if minus else '+'} {inner}"
    return text


def _product(node: ast.expr, words: Mapping[str, str], small: bool) -> tuple[str, int]:
    first, rest = _chain(node, (ast.Mult, ast.Div))
    above = [first, *(factor for op, factor in rest if isinstance(op, ast.Mult))]
    below = [factor for op, factor in rest if isinstance(op, ast.Div)]
    if isinstance(first, ast.UnaryOp):  # the sign of a product stands before the whole of it
        sign = "-" if isinstance(first.op, ast.USub) else ""
        positive, _ = _quotient([first.operand, *above[1:]], below, words, small)
        return sign + positive, _SUM
    return _quotient(above, below, words, small)


def _quotient(above: list[ast.expr], below: list[ast.expr], words: Mapping[str, str], small: bool) -> tuple[str, int]:
    if not below:
        return _factors(above, words, small), _PRODUCT
    if len(above) > 1 and isinstance(above[0], ast.Constant) and above[0].value == 1:
        above = above[1:]  # 1/b*c is c over b
    if small:
        bottom = _wrapped(below[0], words, small, _POWER) if len(below) == 1 else None
        return f"{_factors(above, words, small)}/{bottom or _parentheses(_factors(below, words, small))}", _PRODUCT
    top = _piece(above[0], words, small)[0] if len(above) == 1 else _factors(above, words, small)
    bottom = _piece(below[0], words, small)[0] if len(below) == 1 else _factors(below, words, small)
    return rf"\frac{{{top}}}{{{bottom}}}", _PRODUCT


def _factors(factors: list[ast.expr], words: Mapping[str, str], small: bool) -> str:
    """Factors side by side; a dot where two numbers or two words would run together."""
    pieces = [_wrapped(factor, words, small, _PRODUCT) for factor in factors]
    text = pieces[0]
    for left, right in pairwise(pieces):
        dot = right[0].isdigit() or left.startswith(r"\mathrm") or right.startswith(r"\mathrm")
        text += rf" \cdot {right}" if dot else f" {right}"
    return text


def _chain(node: ast.expr, kinds: tuple[type, ...]) -> tuple[ast.expr, list[tuple[ast.operator, ast.expr]]]:
    """Unroll a + b - c + ... from its nested pairs, without recursion: a chain may have hundreds of parts."""
    rest: list[tuple[ast.operator, ast.expr]] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, kinds):
        rest.append((node.op, node.right))
        node = node.left
    return node, rest[::-1]


def _wrapped(node: ast.expr, words: Mapping[str, str], small: bool, least: int) -> str:
    text, strength = _piece(node, words, small)
    return text if strength >= least else _parentheses(text)


def _parentheses(text: str) -> str:
    tall = r"\frac" in text or "^" in text or r"\left" in text
    return rf"\left({text}\right)" if tall else f"({text})"


def _number(value: float) -> tuple[str, int]:
    """Digits as they are, but a power of ten where a number ends in many zeros or is far from one."""
    plain = f"{value:.15g}"
    if "e" not in plain and (len(plain) < 6 or not plain.endswith("0000")):
        return plain, _ATOM
    mantissa, _, power = f"{value:.14e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    scale = f"10^{{{int(power)}}}"
    return (scale, _POWER) if mantissa == "1" else (rf"{mantissa} \cdot {scale}", _PRODUCT)
