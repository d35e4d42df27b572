"""What a training is, in numbers: parameters and operations by every convention."""

from __future__ import annotations

from typing import Any

from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.plan.architecture.operations import CONVENTIONS
from scalinglens.train.settings import Settings

__all__ = ["architecture", "counts"]


def architecture(settings: Settings, vocab: int) -> Architecture:
    """Return the shape of a transformer for counting."""
    m = settings.model
    return Architecture(
        width=m.width,
        depth=m.depth,
        heads=m.heads,
        vocab=vocab,
        ffw=m.feedforward * m.width,
        sequence_length=settings.training.sequence_length,
        tied=m.tied,
    )


def counts(settings: Settings, vocab: int, weights: dict[str, int]) -> dict[str, Any]:
    """Return parameters and operations of a training.

    Args:
        settings: it. vocab: of its world. weights: by role, as the model has them.

    Returns:
        `params` with embedding and head, `params_nonembedding` (matrices of the blocks and gains), `flops` = 6 params tokens,
        and `flops_CONVENTION` for every other one [FLOP].
    """
    tokens = settings.training.steps * settings.training.batch * settings.training.sequence_length
    params = sum(weights.values())
    if settings.model.kind == "mlp":  # the conventions are about transformers
        matrices = weights.get("up", 0)
        return {"params": params, "params_nonembedding": matrices, "flops": 6.0 * params * tokens}
    shape = architecture(settings, vocab)
    by_convention = {
        f"flops_{name}": tokens * shape.flops_per_token(name) for name in CONVENTIONS if name not in ("6nd",)
    }
    return {
        "params": params,
        "params_nonembedding": params - weights.get("embedding", 0) - weights.get("head", 0),
        "flops": 6.0 * params * tokens,
        **by_convention,
    }
