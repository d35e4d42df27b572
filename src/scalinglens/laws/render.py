"""Show a law: LaTeX, the equation with numbers in it, and the law card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scalinglens.laws.formula import Add, Call, Mul, Node, Num, Pow, Sym
from scalinglens.quantities import QUANTITIES

if TYPE_CHECKING:
    from scalinglens.laws.law import Law

__all__ = ["equation", "latex"]

_GREEK = frozenset(
    "alpha beta gamma delta epsilon eps zeta eta theta kappa lam lambda mu nu xi rho sigma tau phi psi omega".split()
)
_SPELLING = {"lam": "lambda", "eps": "varepsilon", "gam": "gamma", "epsilon": "varepsilon"}


def latex(law: Law) -> str:
    """Return the formula in LaTeX, terms in the order written, inputs by the field's letters."""
    import sympy

    symbols: dict[str, Any] = {}
    letters: dict[Any, str] = {}
    for name in (*law.inputs, *law.parameters):
        symbols[name] = sympy.Symbol(name, positive=True)
        letters[symbols[name]] = _letter(name, law)
    with sympy.evaluate(False):  # keeps the author's form, and never computes anything from user text
        return sympy.latex(_to_sympy(law.tree, symbols), symbol_names=letters, order="none")


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

    return re.sub(r"[A-Za-z_]\w*", replaced, formula)


def _letter(name: str, law: Law) -> str:
    """The LaTeX of one name; an input's letter is used unless two inputs of the law share it."""
    if name in law.inputs:
        letter = QUANTITIES[name].symbol if name in QUANTITIES else name
        shared = [other for other in law.inputs if other in QUANTITIES and QUANTITIES[other].symbol == letter]
        if letter and len(shared) == 1 and letter not in law.parameters:
            return letter
        return rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"
    stem, digits = re.fullmatch(r"(.*?)_?(\d*)", name).groups()  # type: ignore[union-attr]  # matches every name
    word = _SPELLING.get(stem, stem)
    if stem in _GREEK or stem in _SPELLING:
        base = rf"\{word}"
    elif greek := next((g for g in sorted(_GREEK, key=len, reverse=True) if stem.startswith(g)), ""):
        base, digits = rf"\{greek}_{{{stem[len(greek) :].lstrip('_')}{digits}}}", ""
    elif "_" in stem or len(stem) > 1:
        first, _, rest = stem.partition("_") if "_" in stem else (stem[0], "_", stem[1:])
        base = rf"{first}_{{\mathrm{{{rest.replace('_', ' ')}{digits}}}}}"
        digits = ""
    else:
        base = word
    return f"{base}_{{{digits}}}" if digits else base


def _to_sympy(node: Node, symbols: Mapping[str, Any]) -> Any:
    import sympy

    match node:
        case Num(value):
            return (
                sympy.Integer(int(value))
                if value == int(value) and abs(value) < 1e6
                else sympy.Float(f"{value:.10g}")
            )
        case Sym(name):
            return symbols[name]
        case Add(terms):
            return sympy.Add(*(_to_sympy(term, symbols) for term in terms))
        case Mul(factors):
            return _product(factors, symbols)
        case Pow(base, Num(value)) if value == 0.5:
            return sympy.sqrt(_to_sympy(base, symbols))
        case Pow(base, exponent):
            if (flipped := _negated(exponent)) is not None:
                bottom = _to_sympy(Pow(base, flipped) if flipped != Num(1.0) else base, symbols)
                return sympy.Pow(bottom, sympy.Integer(-1))
            return sympy.Pow(_to_sympy(base, symbols), _to_sympy(exponent, symbols))
        case Call("sigmoid", (argument,)):
            return sympy.Function("sigmoid")(_to_sympy(argument, symbols))
        case Call(function, arguments):
            return getattr(sympy, {"max": "Max", "min": "Min"}.get(function, function))(
                *(_to_sympy(argument, symbols) for argument in arguments)
            )


def _product(factors: tuple[Node, ...], symbols: Mapping[str, Any]) -> Any:
    """A product as one fraction: factors with negative powers go below the line."""
    import sympy

    above: list[Any] = []
    below: list[Any] = []
    for factor in factors:
        if isinstance(factor, Pow) and (flipped := _negated(factor.exponent)) is not None:
            below.append(
                _to_sympy(Pow(factor.base, flipped) if flipped != Num(1.0) else factor.base, symbols)
            )
        else:
            above.append(_to_sympy(factor, symbols))
    top = sympy.Mul(*above) if len(above) != 1 else above[0]
    if not below:
        return top
    bottom = sympy.Mul(*below) if len(below) != 1 else below[0]
    return sympy.Mul(top, sympy.Pow(bottom, sympy.Integer(-1)))


def _negated(exponent: Node) -> Node | None:
    """The exponent without its minus sign, or None where it has none."""
    match exponent:
        case Num(value) if value < 0:
            return Num(-value)
        case Mul((Num(value), *rest)) if value < 0:
            left = [Num(-value)] if value != -1 else []
            parts = (*left, *rest)
            return parts[0] if len(parts) == 1 else Mul(parts)
    return None
