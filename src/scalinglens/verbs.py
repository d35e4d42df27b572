"""Let a package share its name with the verb it serves: `scalinglens.fit` is a folder, and `scalinglens.fit(runs, law)` a call.

Python binds a sub-package as an attribute of its parent whenever anybody imports from it, which would hide the function of the
same name. A package made callable serves as both, whoever imports what first.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["make_callable"]


def make_callable(package: str, load: Callable[[], Callable[..., Any]]) -> None:
    """Make the package of that name callable; `load` returns the function, imported when first called."""

    class Verb(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return load()(*arguments, **options)

        @property
        def __signature__(self) -> inspect.Signature:
            return inspect.signature(load())

    sys.modules[package].__class__ = Verb
