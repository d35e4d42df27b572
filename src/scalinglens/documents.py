"""Results as plain data that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any, *, endless: str | None = None) -> Any:
    """Return mappings, sequences, arrays and NumPy scalars as plain data; NaN becomes None.

    Args:
        value: anything made of those. endless: what infinity becomes, with a sign in front where it is negative; None is null.

    >>> plain({"x": np.array([1.0, np.inf])}), plain((np.int64(3), -np.inf), endless="inf")
    ({'x': [1.0, None]}, [3, '-inf'])
    """
    if isinstance(value, Mapping):
        return {str(key): plain(part, endless=endless) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), endless=endless)
    if isinstance(value, list | tuple):
        return [plain(part, endless=endless) for part in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        if np.isfinite(value):
            return float(value)
        return None if endless is None or np.isnan(value) else endless if value > 0 else f"-{endless}"
    return int(value) if isinstance(value, np.integer) else value
