"""`vocabulary_sizes`: how many entries a vocabulary should have for a model, by the three approaches of one study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.best import best_inputs
from scalinglens.plan.problem import numbers

__all__ = ["APPROACHES", "VocabularySizes", "vocabulary_sizes"]

APPROACHES: Mapping[str, str] = {
    "approach1": "best vocabularies over budgets, a power of compute",
    "approach2": "where the loss no longer falls with the vocabulary, a power of the model's size",
    "approach3": "the least loss of a law of size, vocabulary and data",
}
"""The three approaches: name -> what it does."""
_SEARCHED = (1e2, 1e7)  # entries


@dataclass(frozen=True, eq=False)
class VocabularySizes:
    """The result of `vocabulary_sizes`; arrays are by model [n].

    Attributes:
        params_nonvocab, width, flops: what was asked.
        sizes: approach -> entries of the vocabulary [n].
        near_optimal: entries within the tolerance of the best loss, by the law of approach 3 [n, 2].
        tolerance: relative, of that range.
    """

    params_nonvocab: np.ndarray
    width: np.ndarray
    flops: np.ndarray
    sizes: Mapping[str, np.ndarray]
    near_optimal: np.ndarray
    tolerance: float

    def to_frame(self) -> pd.DataFrame:
        """Return one row per model: what was asked, the three sizes, and the near-optimal range."""
        return pd.DataFrame(
            {
                "params_nonvocab": self.params_nonvocab,
                "width": self.width,
                "flops": self.flops,
                **self.sizes,
                "near_low": self.near_optimal[:, 0],
                "near_high": self.near_optimal[:, 1],
            }
        )


def vocabulary_sizes(
    params_nonvocab: Any, width: Any, *, flops: Any = None, tolerance: float = 1e-3
) -> VocabularySizes:
    """Find the best number of entries of a vocabulary.

    approach 1: V width = exp(-c2) C^p;   2: V width ~ N^0.835;   3: argmin over V of the loss at N, V width and C

    Args:
        params_nonvocab: parameters without the vocabulary, a number, text ("7B") or array [n].
        width: of the residual stream, likewise.
        flops: training compute; by default what approach 1 pairs with the size, (N exp(c1))^2. More compute asks for a larger
            vocabulary in approaches 1 and 3; approach 2 knows the size only.
        tolerance: of the near-optimal range, relative to the loss of approach 3.

    Returns:
        The `VocabularySizes`. The spread of the three is the least that is not known.

    Raises:
        PlanError: amounts that are not positive, of several lengths, or a tolerance outside [0, 1).

    Cost: about 100 evaluations of the law per model.

    Source: Tao et al. 2024, arXiv 2407.13623; laws `tao2024.*`.

    >>> found = vocabulary_sizes("7B", 4096)
    >>> [round(float(entries[0])) for entries in found.sizes.values()]
    [62281, 67450, 59548]
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise PlanError(f"the tolerance is a share of the loss, from 0 to below 1, got {tolerance!r}; write 0.001")
    given = [numbers("params_nonvocab", params_nonvocab), numbers("width", width)]
    given += [
        law("tao2024.approach1_flops").value(params_nonvocab=given[0]) if flops is None else numbers("flops", flops)
    ]
    lengths = {len(array) for array in given} - {1}
    if len(lengths) > 1:
        found = ", ".join(map(str, sorted(lengths)))
        raise PlanError(f"sizes, widths and compute have lengths {found}; give as many of each, or one")
    size, wide, compute = np.broadcast_arrays(*given)
    model = {"params_nonvocab": size, "width": wide}
    # the loss of approach 3 is -5.5 and so: its share is a tolerance as of any loss
    best = best_inputs("tao2024.approach3", {"vocab": _SEARCHED}, {**model, "flops": compute}, tolerance=tolerance)
    sizes = {
        "approach1": law("tao2024.approach1_vocab").value(flops=compute, width=wide),
        "approach2": law("tao2024.approach2_vocab").value(points=model),
        "approach3": best.optimum["vocab"].value,
    }
    return VocabularySizes(size, wide, compute, sizes, best.near_optimal["vocab"], float(tolerance))
