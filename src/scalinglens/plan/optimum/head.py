"""`Head`: one law with its parameters and their draws, as a function of log inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.laws.law import Law

__all__ = ["Head", "Model", "negative"]

Model = Callable[[Mapping[str, Any]], tuple[np.ndarray, dict[str, np.ndarray]]]
"""ln input -> (value, derivatives by each ln input); arrays broadcast."""


@dataclass(frozen=True, eq=False)
class Head:
    """One law with its parameters and their draws; a pool has several.

    Attributes:
        law: the law.
        values: its parameters [p], in its order.
        draws: of the parameters [draws, p], in natural units, finite; may be empty.
        weight: share in the forecast.
        widening: factor that spreads what the draws give about what the estimate gives, for few runs.
    """

    law: Law
    values: np.ndarray
    draws: np.ndarray
    weight: float = 1.0
    widening: float = 1.0

    def model(self, natural: np.ndarray | None = None) -> Model:
        """Return the law as a function of log inputs [k, n]: its value and its derivatives by each log input.

        Args:
            natural: parameters [k, p]; by default the estimate.
        """
        law = self.law
        natural = self.values[None] if natural is None else natural
        compiled = law.compiled("slopes")
        with np.errstate(all="ignore"):
            theta = compiled.prepare(tuple(natural[:, i : i + 1] for i in range(natural.shape[1])))
        slots = {name: position for position, name in enumerate(law.inputs)}

        def evaluate(logs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            with np.errstate(all="ignore"):
                value, *slopes = compiled.run(tuple(np.asarray(logs[name]) for name in law.inputs), theta)
                by_slot = dict(zip(compiled.gradient, slopes, strict=False))
                value = np.exp(value) if compiled.log else value
                scale = value if compiled.log else 1.0
                return value, {name: scale * by_slot.get(slot, 0.0) for name, slot in slots.items()}

        return evaluate


def negative(model: Model) -> Model:
    """The same with its sign turned, for what is to be as large as it can be."""

    def evaluate(logs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        value, slopes = model(logs)
        return -value, {name: -slope for name, slope in slopes.items()}

    return evaluate
