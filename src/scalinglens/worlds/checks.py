"""What a world asks of its numbers, and how it complains."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalinglens.errors import WorldError, did_you_mean

__all__ = ["choice", "located", "number", "whole"]


def whole(name: str, value: Any, least: int = 0, most: int | None = None, why: str = "") -> int:
    """Return a whole number between least and most, where `why` says what sets the most.

    >>> whole("edges", 9, 1, 6, "the pairs of 4 nodes")
    Traceback (most recent call last):
    scalinglens.errors.WorldError: edges = 9 is a whole number from 1 to 6 (the pairs of 4 nodes)
    """
    good = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    if not good or (most is not None and value > most):
        upto = f" to {most}{f' ({why})' if why else ''}" if most is not None else " on"
        raise WorldError(f"{name} = {value!r} is a whole number from {least}{upto}")
    return int(value)


def number(name: str, value: Any, least: float = -math.inf, most: float = math.inf, *, open: bool = False) -> float:
    """Return a finite number between least and most, both allowed unless open.

    >>> number("noise", -1.0, 0)
    Traceback (most recent call last):
    scalinglens.errors.WorldError: noise = -1.0 is a number from 0 on
    """
    good = isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not least <= value <= most or (open and value in (least, most)):
        if open:
            says = f"between {least:g} and {most:g}" if math.isfinite(most) else f"above {least:g}"
        else:
            says = f"from {least:g} to {most:g}" if math.isfinite(most) else f"from {least:g} on"
        raise WorldError(f"{name} = {value!r} is a number{'' if least == -math.inf else f' {says}'}")
    return float(value)


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return one of the known words.

    >>> choice("graph", "err", ("er", "ba"))
    Traceback (most recent call last):
    scalinglens.errors.WorldError: there is no graph "err" (did you mean "er"?); graph is one of er, ba
    """
    if value not in known:
        raise WorldError(
            f'there is no {name} "{value}"{did_you_mean(str(value), known)}; {name} is one of {", ".join(known)}'
        )
    return value


def located(path: str | os.PathLike[str]) -> Path:
    """Return the path with ~ and $NAMES filled in, so that an experiment can name files on any machine.

    >>> located("$NO_SUCH_NAME/text.txt")
    Traceback (most recent call last):
    scalinglens.errors.WorldError: path = '$NO_SUCH_NAME/text.txt': there is no environment variable NO_SUCH_NAME; set it
    """
    name = os.fspath(path)
    filled = os.path.expandvars(name)
    left = re.search(r"\$\{?(\w+)", filled)
    if left:
        raise WorldError(f"path = {name!r}: there is no environment variable {left[1]}; set it")
    if not filled:
        raise WorldError("path = '' names nothing; give a file")
    return Path(filled).expanduser()
