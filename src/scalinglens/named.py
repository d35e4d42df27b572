"""Functions that are asked for by name: one line of a table each, imported when first wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from scalinglens.errors import ScalingLensError, did_you_mean

__all__ = ["Named", "check_name", "named"]


@dataclass(frozen=True)
class Named:
    """Where a function is: its module below a package, its name there, and what it is, in a line."""

    module: str
    function: str
    says: str


def named(
    noun: str, name: str, table: Mapping[str, Named], *, package: str, error: type[ScalingLensError]
) -> Callable[..., Any]:
    """Return the function of a name.

    Args:
        noun: what the table holds, for the message. name: asked for. table: name -> where it is.
        package: that modules are below. error: raised if there is no such name.

    >>> from scalinglens.errors import PlanError
    >>> table = {"file": Named("files", "written_whole", "a file that is whole or not there")}
    >>> named("tool", "file", table, package="scalinglens", error=PlanError).__name__
    'written_whole'
    """
    check_name(noun, name, table, error)
    known = table[name]
    return getattr(importlib.import_module(f"{package}.{known.module}"), known.function)


def check_name(noun: str, name: str, known: Collection[str], error: type[ScalingLensError]) -> None:
    """Raise unless a name is known; the nearest one is suggested.

    >>> from scalinglens.errors import PlanError
    >>> check_name("tool", "fiel", ["file"], PlanError)
    Traceback (most recent call last):
    scalinglens.errors.PlanError: there is no tool "fiel" (did you mean "file"?); there are file
    """
    if name not in known:
        raise error(f'there is no {noun} "{name}"{did_you_mean(str(name), known)}; there are {", ".join(known)}')
