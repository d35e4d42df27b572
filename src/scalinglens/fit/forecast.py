"""`Forecast`: what a fitted law, a pool of laws and a surface without a law have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

__all__ = ["Forecast"]


@runtime_checkable
class Forecast(Protocol):
    """Something that predicts a column from others, says how sure it is, and refuses where it knows nothing.

    Attributes:
        inputs: columns it predicts from.
        target: column it predicts.
        level: of its intervals.
        status: "certified", "at_bound", "not_identified" or "not_converged".
        refusal: why there are no intervals, or an empty string.
        warnings: what a reader should know, in sentences.
        points: input -> values [n] of the runs it was made from.
        observed: values [n] of the target in those runs.
    """

    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def target(self) -> str: ...
    @property
    def level(self) -> float: ...
    @property
    def status(self) -> str: ...
    @property
    def refusal(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def points(self) -> Mapping[str, np.ndarray]: ...
    @property
    def observed(self) -> np.ndarray: ...

    def predict(
        self, points: Any = None, level: float | None = None, noise: bool = True, **columns: Any
    ) -> pd.DataFrame:
        """Predict at points: a frame with the inputs, the target, `low` and `high`.

        The interval is of a single new run, or without `noise` of the law itself.
        """
        ...

    def sample(self, points: Any = None, noise: bool = False, **columns: Any) -> np.ndarray:
        """Draw predictions [draws, n]; no rows where intervals are refused or were not asked for."""
        ...

    def extrapolation(self, points: Any = None, **columns: Any) -> tuple[str, ...]:
        """Return a sentence for each input that lies far outside the runs."""
        ...

    def to_dict(self) -> dict[str, Any]: ...

    def citations(self) -> tuple[str, ...]: ...
