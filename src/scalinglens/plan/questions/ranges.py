"""How far published laws reach: the range of the runs behind them, and how many decades beyond it a question lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalinglens.plan.source import Source

__all__ = ["RANGES", "decades"]

RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "abnar2025": {"flops": (3e19, 1e21)},
    "brown2024_monkeys": {"samples": (1, 250)},
    "clark2022": {"tokens": (1.3e11, 1.3e11)},
    "gadre2024": {"params": (11e6, 6.9e9), "tokens_per_param": (20, 640)},
    "kaplan2020": {"params": (768, 1.5e9), "tokens": (22e6, 23e9)},
    "krajewski2024": {"params_nonembedding": (129e6, 3.7e9), "tokens": (16e9, 130e9), "granularity": (1, 16)},
    "kumar2024": {"params_nonembedding": (0, 1.7e9), "tokens": (0, 26e9)},
    "luo2025_mpl": {"steps": (24e3, 72e3), "peak": (3e-4, 3e-4)},
    "muennighoff2023": {"params": (10e6, 9e9), "epochs": (0, 1500)},
}
"""Study -> quantity -> (least, most) of its runs, from its catalogue entry; 0 where the least is not recorded."""


def decades(law: str | Source, **values: float) -> dict[str, float]:
    """Return how many decades each value lies beyond the runs behind a law or a fit; 0 inside, and only what is known.

    >>> decades("abnar2025.main", flops=1e22, params=1e9)
    {'flops': 1.0}
    """
    if isinstance(law, Source):
        if not law.published:
            return law.beyond(values)
        law = law.name
    known = RANGES.get(law.partition(".")[0], {})
    found = {}
    for name, value in values.items():
        if name in known:
            low, high = known[name]
            with np.errstate(divide="ignore"):
                far = max(np.log10(value / high), np.log10(low / value) if low else 0.0, 0.0)
            found[name] = float(far)
    return found
