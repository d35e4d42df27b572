"""What an architecture keeps in memory: weights, caches, the states of training.

These functions are methods of `Architecture`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.laws.catalogue import law
from scalinglens.plan.amounts import positive, whole
from scalinglens.plan.architecture.itemised import Itemised
from scalinglens.plan.architecture.operations import span

if TYPE_CHECKING:
    from scalinglens.plan.architecture.architecture import Architecture

__all__ = ["RECOMPUTATION", "kv_cache_bytes", "training_bytes", "weight_bytes", "weight_bytes_read"]

RECOMPUTATION: Mapping[str, str] = {
    "none": "all activations of a layer are kept: 34 + 5*heads*sequence_length/width bytes per token and unit of width",
    "selective": "attention is computed again in the backward pass: 34 bytes per token and unit of width",
    "full": "only the input of each layer is kept: 2 bytes per token and unit of width",
}
"""What is computed again in the backward pass: name -> activations kept (Korthikanti et al. 2022, arXiv 2205.05198, table 2)."""


def weight_bytes(shape: Architecture, bytes_per_param: float = 2.0) -> float:
    """Return the memory of all weights; 2 bytes for bf16, 1 for fp8, 0.5 for 4 bits."""
    return shape.params * positive("bytes_per_param", bytes_per_param)


def weight_bytes_read(shape: Architecture, batch: int = 1, bytes_per_param: float = 2.0) -> float:
    """Return the weights one decoding step must read: of the embedding only rows, of the experts those visited.

    With `batch` tokens routed independently and evenly, experts (1 - (1 - active/experts)^batch) of the experts are
    visited in expectation.
    """
    batch = whole("batch", batch)
    parts = shape.parameters()
    lookups = parts["positions"] + (0 if shape.tied else parts["embedding"])
    missed = (1 - shape.experts_active / shape.experts) ** batch
    each = shape.expert_layers * (3 if shape.gated else 2) * shape.width * shape.mlp_width
    unread = each * shape.experts * missed
    return (shape.params - lookups - unread) * positive("bytes_per_param", bytes_per_param)


def kv_cache_bytes(
    shape: Architecture, context: int | None = None, *, batch: int = 1, bytes_per_value: float = 2.0
) -> float:
    """Return the memory of keys and values: 2 depth kv_heads key_size context bytes per sequence.

    Args:
        context: tokens held; by default the sequence length. A window bounds it.
        batch: sequences held at once. bytes_per_value: 2 for bf16, 1 for fp8.

    Source: catalogue law `memory.kv_cache`.

    >>> from scalinglens.plan.architecture.architecture import Architecture
    >>> llama3 = Architecture(width=4096, depth=32, heads=32, kv_heads=8, vocab=128_256, sequence_length=8192)
    >>> llama3.kv_cache_bytes()
    1073741824.0
    """
    tokens = shape.sequence_length if context is None else whole("context", context)
    points = {**shape.columns(), "sequence_length": span(shape, tokens)}
    points["bytes"] = positive("bytes_per_value", bytes_per_value)
    cache = law("memory.kv_cache")
    each = float(cache.value(points={name: points[name] for name in cache.inputs}))
    return float(round(whole("batch", batch) * each))  # a law multiplies by logarithms; bytes are whole


def training_bytes(
    shape: Architecture,
    batch: int = 1,
    *,
    sequence_length: int | None = None,
    state_bytes: float = 16.0,
    recomputation: str = "selective",
) -> Itemised:
    """Return the memory of training, over all accelerators together.

    Args:
        batch: sequences whose activations are held at once.
        sequence_length: by default that of the architecture.
        state_bytes: per parameter: 16 for mixed-precision Adam (bf16 weights and gradients, fp32 weights and two
            moments), 18 with fp32 gradients.
        recomputation: a name of `RECOMPUTATION`.

    Returns:
        Bytes of the states and of the activations. The activations are an estimate for a block of the standard
        shape, the logits in fp32 included.

    Source: Korthikanti et al. 2022 (arXiv 2205.05198), table 2.

    >>> from scalinglens.plan.architecture.architecture import Architecture
    >>> gpt3 = Architecture(width=12288, depth=96, heads=96, vocab=50257, sequence_length=2048)
    >>> gpt3.training_bytes(recomputation="none")["activations"] / 96 / 2048 / 12288  # 34 + 5 * 96 * 2048 / 12288
    114.0
    """
    if recomputation not in RECOMPUTATION:
        near = did_you_mean(str(recomputation), RECOMPUTATION)
        raise PlanError(f'there is no recomputation "{recomputation}"{near}; there are {", ".join(RECOMPUTATION)}')
    tokens = shape.sequence_length if sequence_length is None else whole("sequence_length", sequence_length)
    each = {"none": 34 + 5 * shape.heads * span(shape, tokens) / shape.width, "selective": 34.0, "full": 2.0}
    held = whole("batch", batch) * tokens
    parts = {
        "states": shape.params * positive("state_bytes", state_bytes),
        "activations": held * shape.width * shape.depth * each[recomputation],
        "logits": held * shape.vocab * 4.0,
    }
    return Itemised(parts, "bytes")
