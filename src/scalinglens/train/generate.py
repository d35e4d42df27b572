"""Sequences from a trained transformer: a world whose difficulty is that of the model, and whose entropy it tells itself.

    p(next | before) = softmax(logits/temperature),     H = mean over sampled positions of -sum p log p

The first token of a sequence comes from a world, usually the one that the model learned; all others from the model. Keys and
values of earlier tokens are kept, so that a token costs one pass of one token.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scalinglens.errors import ExperimentError
from scalinglens.files import check_writable, written_whole
from scalinglens.train.operations import EPSILON
from scalinglens.train.transformer import Transformer
from scalinglens.worlds.world import World

__all__ = ["Sampled", "generate", "write_generated"]

ROWS = 2048  # sequences sampled at once; each such block has random numbers of its own


@dataclass(frozen=True, eq=False)
class Sampled:
    """Sequences of a model.

    Attributes:
        tokens: int32 [count, length]. vocab: tokens are below it.
        entropy_rate: mean entropy of the model's next token at the sampled prefixes [nats/token], the lowest loss that a model
            with as long a context can reach on them. entropy_error: its standard error, over sequences.
        temperature: of the sampling. seed: of it.
    """

    tokens: np.ndarray
    vocab: int
    entropy_rate: float
    entropy_error: float
    temperature: float
    seed: int


def generate(
    model: Transformer,
    start: World,
    *,
    count: int,
    length: int,
    temperature: float = 1.0,
    seed: int = 0,
    member: int = 0,
    greatest: int | None = None,
) -> Sampled:
    """Sample sequences from one member of a trained transformer.

    Args:
        model: it. start: its sequences' first tokens begin ours. count: sequences. length: tokens of each, at most one more than
            the model was trained on.
        temperature: divides the logits; 0 is not sampling, and refused. seed: same seed, same bits. member: of the model.
        greatest: sample among so many most probable tokens only; None among all.

    Returns:
        The `Sampled`, with the entropy of the sampled distribution.

    Raises:
        ExperimentError: sequences longer than the model's, another vocabulary, an impossible temperature.

    Cost: 2 params per token, and a pass over its predecessors' keys.

    >>> from scalinglens.train.settings import Model, Parameterization
    >>> from scalinglens.worlds.walks import walk
    >>> fresh = Transformer(Model(), Parameterization(), vocab=64, length=10, seeds=(0,))
    >>> found = generate(fresh, walk(), count=3, length=11)
    >>> found.tokens.shape, round(found.entropy_rate, 3), round(math.log(64), 3)  # a head of zeros is uniform
    ((3, 11), 4.159, 4.159)
    """
    longest = len(model.turns) + 1
    if not (count >= 1 and 2 <= length <= longest):
        raise ExperimentError(
            f"count {count} must be 1 or more, and length {length} from 2 to {longest}, the model's context and one"
        )
    if not (math.isfinite(temperature) and temperature > 0):
        raise ExperimentError(f"temperature = {temperature} must be above 0; near 0 the most probable token is taken")
    if start.vocab != model.vocab:
        raise ExperimentError(
            f"{start.name} has {start.vocab} tokens, the model {model.vocab}; take a world of as many"
        )
    if greatest is not None and not 1 <= greatest <= model.vocab:
        raise ExperimentError(f"greatest = {greatest} must lie between 1 and the vocabulary of {model.vocab}")
    device = model.turns.device
    tokens = np.empty((count, length), dtype=np.int32)
    entropies = np.empty(count)
    tokens[:, 0] = start.sample(count, length=2, seed=seed)[:, 0]
    for block, first in enumerate(range(0, count, ROWS)):
        rows = slice(first, min(first + ROWS, count))
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0x6E4, block]))
        cache: list[tuple[Tensor, Tensor]] = []
        total = torch.zeros(rows.stop - first, dtype=torch.float64, device=device)
        for t in range(length - 1):
            here = torch.from_numpy(tokens[rows, t].astype(np.int64)).to(device)
            logits = _next_logits(model, here, t, cache, member).double() / temperature
            if greatest is not None:
                least = logits.topk(greatest, -1).values[:, -1:]
                logits = logits.masked_fill(logits < least, -torch.inf)
            p = torch.softmax(logits, -1)
            total += torch.special.entr(p).sum(-1)
            u = torch.from_numpy(rng.random(ROWS)[: len(p)]).to(device)
            drawn = torch.searchsorted(p.cumsum(-1), u[:, None], right=True)[:, 0]
            last = (
                model.vocab - 1 - (p > 0).flip(-1).to(torch.int8).argmax(-1)
            )  # rounding must not lead to a token of none
            tokens[rows, t + 1] = torch.minimum(drawn, last).cpu().numpy()
        entropies[rows] = (total / (length - 1)).cpu().numpy()
    error = float(entropies.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    return Sampled(tokens, model.vocab, float(entropies.mean()), error, temperature, seed)


def write_generated(path: str | Path, sampled: Sampled, *, facts: Mapping[str, Any] | None = None) -> Path:
    """Write sampled sequences, for the world `tokens`.

    Args:
        path: of a .npy file of [count, length] whole numbers; PATH.json beside it holds vocab, sequence_length, entropy_rate, its
            standard error, and what else is known (`facts`, such as the model's settings).

    Raises:
        OutputError: the disk refuses.
    """
    check_writable(path, (".npy",))
    kind = np.uint16 if sampled.vocab <= 2**16 else np.uint32
    words = {
        "vocab": sampled.vocab,
        "sequence_length": sampled.tokens.shape[1],
        "entropy_rate": sampled.entropy_rate,
        "entropy_error": sampled.entropy_error,
        "temperature": sampled.temperature,
        "seed": sampled.seed,
        **(facts or {}),
    }
    with written_whole(path, (".npy",)) as part, open(part, "wb") as file:
        np.save(file, sampled.tokens.astype(kind))
    with written_whole(f"{path}.json") as part:
        part.write_text(json.dumps(words, indent=1, default=str) + "\n", encoding="utf-8")
    return Path(path)


@torch.no_grad()
def _next_logits(model: Transformer, tokens: Tensor, t: int, cache: list[tuple[Tensor, Tensor]], member: int) -> Tensor:
    """Logits [B, V] after tokens [B] at position t; the cache [layers] of keys and values [B, h, t, k] grows by one."""
    w, h = {name: weight[member] for name, weight in model.weights.items()}, model.model.heads
    B, d = len(tokens), model.model.width
    turn = model.turns[t]  # k/2

    def norm(x: Tensor, place: str) -> Tensor:
        x = F.rms_norm(x, (d,), eps=EPSILON)
        return x * w[f"{place}_gain"] if model.model.gains else x

    def turned(x: Tensor) -> Tensor:
        x = F.rms_norm(x, (d // h,), eps=EPSILON) if model.model.qk_norm else x
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * turn).flatten(-2)

    x = w["embedding"][tokens] * model.table.tokens  # B, d
    for layer in range(model.model.depth):
        q, key, v = (norm(x, f"{layer}_before") @ w[f"{layer}_qkv"]).view(B, 3, h, 1, d // h).unbind(1)  # B, h, 1, k
        q, key = turned(q), turned(key)
        if t:
            key, v = (torch.cat(pair, 2) for pair in zip(cache[layer], (key, v), strict=True))
            cache[layer] = key, v
        else:
            cache.append((key, v))
        p = torch.softmax(q @ key.mT * model.table.attention, -1)  # B, h, 1, t + 1
        x = x + (p @ v).reshape(B, d) @ w[f"{layer}_out"]
        x = x + F.gelu(norm(x, f"{layer}_between") @ w[f"{layer}_up"]) @ w[f"{layer}_down"]
    head = w["embedding"].mT if model.model.tied else w["head"]
    return (norm(x, "last") * model.table.logits) @ head
