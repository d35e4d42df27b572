"""The solvable models by name: one function each, numbers in, an `Answer` out.

A model is a function with keyword arguments only and one line in `MODELS`; the command line reads its options from the signature
and their help from the docstring.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalinglens.errors import TheoryError, did_you_mean

if TYPE_CHECKING:
    from scalinglens.theory.answer import Answer

__all__ = ["MODELS", "Model", "model"]


@dataclass(frozen=True)
class Model:
    """Where a model is answered: module and function below `scalinglens.theory`, and what it says, in a line."""

    module: str
    function: str
    says: str


MODELS: Mapping[str, Model] = {
    "random-features": Model(
        "random_features.commands",
        "random_features",
        "losses of random features over time, N and P: the dynamical model",
    ),
    "frontier": Model("random_features.commands", "frontier", "the dynamical model's best size at each compute"),
    "exponents": Model("random_features.commands", "exponents", "its exponents by regime, and those of its relatives"),
    "learning-curve": Model(
        "learning_curve_command", "learning_curve", "losses of students of your own data, from its measured spectrum"
    ),
}


def model(name: str) -> Callable[..., Answer]:
    """Return the function of a model.

    Raises:
        TheoryError: no such model; the nearest one is suggested.

    >>> model("frontier").__name__
    'frontier'
    """
    if name not in MODELS:
        raise TheoryError(f'there is no model "{name}"{did_you_mean(name, MODELS)}; there are {", ".join(MODELS)}')
    known = MODELS[name]
    return getattr(importlib.import_module(f"scalinglens.theory.{known.module}"), known.function)
