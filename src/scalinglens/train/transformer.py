"""A decoder-only transformer. M models of one shape are one program: every weight has a leading axis of members.

Pre-norm, RMS normalisation, rotary positions, GELU, no biases. Shapes in the comments: M members, B sequences, T tokens, d width,
h heads, k size of a head, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalinglens.train import operations
from scalinglens.train.parameterization import drawn, parameterize
from scalinglens.train.settings import Model, Parameterization

__all__ = ["Transformer"]


class Transformer(nn.Module):
    """Members of one shape, each with weights drawn from its own seed.

    Args:
        model: the shape. how: its parameterization. vocab: V. length: longest sequence. seeds: one per member.
        by_hand: whether to use the operations with gradients by hand: in float32, for sequences of a few hundred tokens, not
            under torch.compile, which makes fast versions of PyTorch's own.

    >>> members = Transformer(Model(width=16), Parameterization(), vocab=10, length=8, seeds=(0, 1))
    >>> members(torch.zeros(2, 3, 8, dtype=torch.long)).shape
    torch.Size([2, 3, 8, 10])
    """

    turns: Tensor

    def __init__(
        self,
        model: Model,
        how: Parameterization,
        *,
        vocab: int,
        length: int,
        seeds: tuple[int, ...],
        by_hand: bool = True,
    ) -> None:
        super().__init__()
        d, f = model.width, model.feedforward * model.width
        self.model, self.table, self.vocab = model, parameterize(model, how), vocab
        self.by_hand = by_hand
        self.watch: Callable[[str, Tensor], None] | None = (
            None  # is told the residual stream after each part, and the logits
        )
        shapes = {"embedding": (vocab, d)}
        for layer in range(model.depth):
            shapes |= {
                f"{layer}_qkv": (d, 3 * d),
                f"{layer}_out": (d, d),
                f"{layer}_up": (d, f),
                f"{layer}_down": (f, d),
            }
        if not model.tied:
            shapes["head"] = (d, vocab)
        if model.gains:
            norms = [f"{layer}_{place}" for layer in range(model.depth) for place in ("before", "between")]
            shapes |= {f"{name}_gain": (d,) for name in [*norms, "last"]}
        self.roles = {name: name.rsplit("_", 1)[-1] for name in shapes}
        self.weights = nn.ParameterDict()
        for number, (name, shape) in enumerate(shapes.items()):
            self.weights[name] = nn.Parameter(self._drawn(name, number, shape, seeds))
        self.register_buffer("turns", operations.turns(length, d // model.heads), persistent=False)  # T, k/2

    def _drawn(self, name: str, number: int, shape: tuple[int, ...], seeds: tuple[int, ...]) -> Tensor:
        """Weights of all members; those of a member depend on its seed alone."""
        if self.roles[name] == "gain":
            return torch.ones(len(seeds), *shape)
        return drawn(self.table.rules[self.roles[name]], number, shape, seeds)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits [M, B, T, V] after each token [M, B, T]."""
        return self.logits(self.features(tokens))

    def features(self, tokens: Tensor) -> Tensor:
        """Return the normalised last layer [M, B, T, d]."""
        M, B, T = tokens.shape
        d = self.model.width
        table = self.weights["embedding"]  # M, V, d
        where = tokens + torch.arange(M, device=tokens.device)[:, None, None] * self.vocab
        x = F.embedding(where.view(-1), table.reshape(-1, d)).view(M, B * T, d)
        if self.table.tokens != 1:
            x = x * self.table.tokens
        self._tell("embedding", x)
        for layer in range(self.model.depth):
            seen = self.attention(torch.bmm(self.norm(x, f"{layer}_before"), self.weights[f"{layer}_qkv"]), B, T)
            x = torch.baddbmm(x, seen, self.weights[f"{layer}_out"])  # M, B T, d
            self._tell(f"attention {layer + 1}", x)
            hidden = F.gelu(torch.bmm(self.norm(x, f"{layer}_between"), self.weights[f"{layer}_up"]))  # M, B T, f
            x = torch.baddbmm(x, hidden, self.weights[f"{layer}_down"])
            self._tell(f"mlp {layer + 1}", x)
        return self.norm(x, "last").view(M, B, T, d)

    def attention(self, qkv: Tensor, B: int, T: int) -> Tensor:
        """Return what each token has seen [M, B T, d] for queries, keys and values [M, B T, 3 d]."""
        M, d, h = qkv.shape[0], self.model.width, self.model.heads
        qkv = qkv.view(M * B, T, 3 * h, d // h)
        turns, scale = self.turns[:T], self.table.attention
        if self.by_hand:
            return operations.attend(qkv, turns, scale=scale, norm=self.model.qk_norm).view(M, B * T, d)
        qk, v = qkv.split((2 * h, h), 2)
        if self.model.qk_norm:
            qk = F.rms_norm(qk, (d // h,), eps=operations.EPSILON)
        even, odd = qk.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = turns.real[:, None], turns.imag[:, None]  # T, 1, k/2
        qk = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(v.dtype)
        q, key, v = (part.transpose(1, 2) for part in (*qk.split(h, 2), v))  # M B, h, T, k
        seen = F.scaled_dot_product_attention(q, key, v, is_causal=True, scale=scale)
        return seen.transpose(1, 2).reshape(M, B * T, d)

    def norm(self, x: Tensor, place: str) -> Tensor:
        """Return x [M, N, d] at root mean square one, times a gain where there are any."""
        x = operations.normalised(x) if self.by_hand else F.rms_norm(x, (x.shape[-1],), eps=operations.EPSILON)
        return x * self.weights[f"{place}_gain"][:, None] if self.model.gains else x

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits [M, B, T, V] of the last layer [M, B, T, d]."""
        M, B, T, d = features.shape
        logits = torch.bmm(features.view(M, B * T, d) * self.table.logits, self._head())
        self._tell("logits", logits)
        return logits.view(M, B, T, self.vocab)

    def losses(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy [M] over the targets [M, B, T] that follow the tokens [M, B, T]."""
        features = self.features(tokens)
        if self.by_hand:
            scaled = features.flatten(1, 2) * self.table.logits
            return operations.cross_entropy(scaled, self._head(), targets.flatten(1))
        logits = self.logits(features)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # bf16 is too coarse for a loss
        each = F.cross_entropy(logits.flatten(0, 2), targets.flatten(), reduction="none")
        return each.view(len(tokens), -1).mean(1)

    def _tell(self, place: str, x: Tensor) -> None:
        if self.watch is not None:
            self.watch(place, x)

    def _head(self) -> Tensor:
        return self.weights["embedding"].mT if self.model.tied else self.weights["head"]  # M, d, V

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of weights of one member by role."""
        counts: dict[str, int] = {}
        for name, role in self.roles.items():
            counts[role] = counts.get(role, 0) + math.prod(self.weights[name].shape[1:])
        return counts
