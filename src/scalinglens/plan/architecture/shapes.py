"""A sensible shape for a model of a given size."""

from __future__ import annotations

import math
from typing import Any

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.quantities import format_quantity, parse_quantity

__all__ = ["shaped"]

COUNTS = ("params", "params_nonembedding", "params_active")
MAX_DEPTH = 200


def shaped(
    params: float | str,
    *,
    count: str = "params",
    vocab: int = 50_304,
    aspect: float | None = None,
    key_size: int | None = None,
    group: int = 1,
    gated: bool = True,
    tied: bool | None = None,
    tolerance: float = 0.05,
    **options: Any,
) -> Architecture:
    """Find depth and width for a size, near the usual ratio of width to depth.

    Every depth up to 200 with the whole number of heads nearest to the size is a candidate; chosen is the least
    400 ln(size/target)^2 + ln(width/depth/aspect)^2, so that one percent of size weighs as much as a fifth of the ratio.

    Args:
        params: target size, a number or text such as "7B".
        count: which size that is: "params", "params_nonembedding" or "params_active".
        vocab: entries of the vocabulary.
        aspect: width/depth; by default 64 at 1e8 parameters, growing as their power 0.15, between 32 and 128: what GPT-2
            (64), GPT-3 and Llama (128 from 7B on) use. Loss hardly depends on it (Kaplan et al. 2020, figure 5).
        key_size: of a head; by default 128 from 1e9 parameters on, 64, 32 or 16 below 1e9, 1e7, 1e6.
        group: query heads per key-value head.
        gated: an MLP of three matrices. tied: by default below 1e9 parameters.
        tolerance: how far the size may be off, as a share.
        options: further fields of `Architecture`: sequence_length, experts, experts_active, ...

    Returns:
        The architecture.

    Raises:
        PlanError: nothing within the tolerance, most often because the vocabulary alone is too large for the size.

    Cost: 200 candidates, milliseconds.

    >>> model = shaped("7B", vocab=32_000, tied=False)
    >>> model.depth, model.width, model.heads, format_quantity(model.params)
    (33, 4096, 32, '6.94B')
    """
    target = _size(params)
    if count not in COUNTS:
        raise PlanError(f'there is no count "{count}"{did_you_mean(str(count), COUNTS)}; there are {", ".join(COUNTS)}')
    for name in ("width", "depth", "heads", "kv_heads"):
        if name in options:
            raise PlanError(f"{name} is what is looked for; leave it out, or make an Architecture of chosen dimensions")
    for name, value in (("aspect", aspect), ("tolerance", tolerance)):
        if value is not None and not 0 < value < math.inf:
            raise PlanError(f"{name} is {value!r}; it must be a positive number")
    ratio = aspect or min(max(64 * (target / 1e8) ** 0.15, 32.0), 128.0)
    head = key_size or (128 if target >= 1e9 else 64 if target >= 1e7 else 32 if target >= 1e6 else 16)
    step = max((8 if target >= 1e10 else 4 if target >= 1e9 else 1) // group, 1)  # heads that divide over accelerators
    tied = target < 1e9 if tied is None else tied

    def made(depth: int, groups: int) -> Architecture:
        groups *= step
        heads = groups * group
        return Architecture(
            width=heads * head, depth=depth, heads=heads, kv_heads=groups, key_size=head, vocab=vocab, gated=gated,
            tied=tied, **options,
        )  # fmt: skip

    best: tuple[float, Architecture] | None = None
    for depth in range(max(1, options.get("dense_layers", 0)), MAX_DEPTH + 1):
        low, high = 1, 2
        while getattr(made(depth, high), count) < target:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if getattr(made(depth, middle), count) < target else (low, middle)
        for groups in (low, high):
            model = made(depth, groups)
            off, shape = math.log(getattr(model, count) / target), math.log(model.width / depth / ratio)
            score = 400 * off**2 + shape**2
            if best is None or score < best[0]:
                best = score, model
    assert best is not None  # the range of depths is never empty
    found = getattr(best[1], count)
    if abs(found / target - 1) > tolerance:
        raise PlanError(
            f"no shape has {format_quantity(target)} {count} within {tolerance:.0%}; the nearest has "
            f"{format_quantity(found)} (width {best[1].width}, depth {best[1].depth}), of which "
            f"{format_quantity(best[1].params_embedding)} are the embedding of {vocab} tokens; "
            'lower vocab, raise tolerance, or give count="params_nonembedding"'
        )
    return best[1]


def _size(params: float | str) -> float:
    target = parse_quantity(params, expect="params")
    if target < 1:
        raise PlanError(f"the size is {params!r}; it must be a positive number of parameters, such as 7B")
    return target
