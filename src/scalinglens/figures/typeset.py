"""A formula with numbers in it, as a figure prints it: superscripts as `^{...}`, a cross for products, real minus signs."""

from __future__ import annotations

import re

__all__ = ["powers", "typeset"]


def typeset(formula: str) -> str:
    """A formula with numbers in print: powers of ten and exponents raised, one sign where two meet, air around signs.

    >>> typeset("(-2) + (-3.5e-7)*x^-(-0.5) - y^(-2*0.3)")
    '−2 − 3.5×10^{−7} × x^{0.5} − y^{−2×0.3}'
    """
    text = formula.replace("**", "^")
    number = r"\d[\d.]*(?:e[+-]?\d+)?"
    # (-2)^k keeps its parentheses
    text = re.sub(rf"([-+])(\s*)\(-({number})\)(?!\s*\^)", lambda m: {"-": "+", "+": "-"}[m[1]] + m[2] + m[3], text)
    text = re.sub(rf"(^|[(,])(\s*)\(-({number})\)(?!\s*\^)", r"\1\2-\3", text)
    text = re.sub(r"(^|[\^(,*/])(\s*)\+", r"\1\2", text)
    # a power of ten that is raised, or stands in an exponent, needs parentheses
    text = re.sub(r"(\^\s*-?\s*)(\d[\d.]*e[+-]?\d+)", r"\1(\2)", text)
    text = re.sub(r"(?<![\w.])(\d[\d.]*e[+-]?\d+)(?=\s*\^)", r"(\1)", text)
    text = re.sub(r"(?<![\w.])\d[\d.]*e[+-]?\d+", lambda m: powers(m[0]), text)
    # exponents are raised unless they hold a power themselves: superscripts have one level
    text = re.sub(r"\^\s*(-?)\s*([\w.]++)(?!\s*\()", r"^{\1\2}", text)
    text = re.sub(
        r"\^\s*(-?)\s*\(((?:[^()^{}]|\([^()^{}]*\))*)\)",
        lambda m: "^{" + (f"-({m[2]})" if m[1] else m[2]).replace(" ", "") + "}",
        text,
    )
    text = re.sub(
        r"\{[^{}]*\}|\s*([*/])\s*|(?<=[\w.)}])\s*([-+])\s*",
        lambda m: f" {m[1] or m[2]} " if m[1] or m[2] else m[0],
        text,
    )
    return text.replace("*", "×").replace("-", "−")


def powers(number: str) -> str:
    """Write a number with its power of ten raised.

    >>> powers("1.5e+09"), powers("1e-3"), powers("0.25")
    ('1.5×10^{9}', '10^{−3}', '0.25')
    """
    mantissa, _, exponent = number.partition("e")
    if not exponent:
        return number
    return f"{'' if mantissa == '1' else mantissa + '×'}10^{{{int(exponent)}}}".replace("-", "−")
