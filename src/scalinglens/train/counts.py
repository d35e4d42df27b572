"""What a training is, in numbers: parameters and operations by every convention."""

from __future__ import annotations

from typing import Any

from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.plan.architecture.operations import CONVENTIONS
from scalinglens.train.settings import Model, Settings

__all__ = ["architecture", "counts", "parameters"]


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


def parameters(model: Model, vocab: int) -> dict[str, int]:
    """Return the weights of a transformer by role, as the model has them, without making it.

    >>> parameters(Model(width=32, depth=2), vocab=64)
    {'embedding': 2048, 'qkv': 6144, 'out': 2048, 'up': 8192, 'down': 8192, 'head': 2048}
    """
    d, depth = model.width, model.depth
    found = {"embedding": vocab * d, "qkv": 3 * depth * d * d, "out": depth * d * d}
    found |= dict.fromkeys(("up", "down"), depth * model.feedforward * d * d)
    found |= {} if model.tied else {"head": vocab * d}
    return found | ({"gain": (2 * depth + 1) * d} if model.gains else {})


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
