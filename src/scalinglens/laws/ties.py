"""Parameters written in terms of others: numbers and formulas put in their place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from scalinglens.errors import FormulaError
from scalinglens.laws import formula as grammar

__all__ = ["resolve_ties", "tie_names", "write_ties"]

_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")  # a name in a formula; the e of 1e9 is none


def resolve_ties(ties: Mapping[str, str | float]) -> dict[str, str]:
    """Return the ties as text, written into each other until none names another.

    Raises:
        FormulaError: a number that is not finite, a parameter tied to itself, or ties that go round in a circle.

    >>> resolve_ties({"beta": "2*alpha", "alpha": 0.5})
    {'beta': '2*(0.5)', 'alpha': '0.5'}
    """
    return _resolved({name: _tie_text(name, tie) for name, tie in ties.items()})


def tie_names(text: str) -> tuple[str, ...]:
    """Names in a formula that may also be a plain number."""
    return grammar.names(grammar.definition(text))


def _tie_text(name: str, tie: str | float) -> str:
    if isinstance(tie, str):
        text = tie.strip()
    elif math.isfinite(tie):
        text = repr(float(tie))
    else:
        raise FormulaError(f'"{name}" cannot be pinned to {tie}; give a finite number')
    if name in tie_names(text):
        raise FormulaError(f'"{name}" cannot be tied to itself: {name} = {text}')
    return text


def _resolved(texts: Mapping[str, str]) -> dict[str, str]:
    """Write ties into each other until none names another."""
    found = dict(texts)
    for _ in texts:
        found = {name: write_ties(text, texts) for name, text in found.items()}
        if not any(other in tie_names(text) for text in found.values() for other in texts):
            return found
    if not found:
        return found
    circle = ", ".join(f"{name} = {text}" for name, text in texts.items())
    raise FormulaError(f"the ties go round in a circle: {circle}")


def write_ties(text: str, ties: Mapping[str, str]) -> str:
    """Write ties into the text of a derived parameter, whole words only."""
    return _NAME.sub(lambda word: f"({ties[word[0]]})" if word[0] in ties else word[0], text)
