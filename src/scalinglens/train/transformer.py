"""A decoder-only transformer. M models of one shape are one program: every weight has a leading axis of members.

Pre-norm, RMS normalisation, rotary positions, GELU, no biases. Shapes in the comments: M members, B sequences, T tokens, d width,
h heads, k size of a head, V vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalinglens.train.parameterization import parameterize
from scalinglens.train.settings import Model, Parameterization

__all__ = ["Transformer"]


class Transformer(nn.Module):
    """Members of one shape, each with weights drawn from its own seed.

    Args:
        model: the shape. how: its parameterization. vocab: V. length: longest sequence. seeds: one per member.

    >>> members = Transformer(Model(width=16), Parameterization(), vocab=10, length=8, seeds=(0, 1))
    >>> members(torch.zeros(2, 3, 8, dtype=torch.long)).shape
    torch.Size([2, 3, 8, 10])
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, model: Model, how: Parameterization, *, vocab: int, length: int, seeds: tuple[int, ...]) -> None:
        super().__init__()
        d, f = model.width, model.feedforward * model.width
        self.model, self.table, self.vocab = model, parameterize(model, how), vocab
        shapes = {"embedding": (vocab, d)}
        for layer in range(model.depth):
            shapes |= {
                f"{layer}.qkv": (d, 3 * d),
                f"{layer}.out": (d, d),
                f"{layer}.up": (d, f),
                f"{layer}.down": (f, d),
            }
        if not model.tied:
            shapes["head"] = (d, vocab)
        if model.gains:
            norms = [f"{layer}.{place}" for layer in range(model.depth) for place in ("before", "between")]
            shapes |= {f"{name}.gain": (d,) for name in [*norms, "last"]}
        self.roles = {name: name.rsplit(".", 1)[-1] for name in shapes}
        self.weights = nn.ParameterDict()
        for number, (name, shape) in enumerate(shapes.items()):
            self.weights[name.replace(".", "_")] = nn.Parameter(self._drawn(name, number, shape, seeds))
        half = d // model.heads // 2
        angle = torch.arange(length)[:, None] / 10_000 ** (torch.arange(half) / half)  # T, k/2
        self.register_buffer("cos", torch.cat((angle.cos(), angle.cos()), -1)[:, None], persistent=False)  # T, 1, k
        self.register_buffer("sin", torch.cat((-angle.sin(), angle.sin()), -1)[:, None], persistent=False)

    def _drawn(self, name: str, number: int, shape: tuple[int, ...], seeds: tuple[int, ...]) -> Tensor:
        """Weights of all members; those of a member depend on its seed alone."""
        rule = self.table.rules[self.roles[name]]
        if self.roles[name] == "gain":
            return torch.ones(len(seeds), *shape)
        drawn = np.empty((len(seeds), *shape), dtype=np.float32)
        for member, seed in enumerate(seeds):
            rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, 0x1417, number])))
            drawn[member] = rule.std * rng.standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(drawn)

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
        for layer in range(self.model.depth):
            x = x + self.attention(layer, self.norm(x, f"{layer}_before"), B, T)
            hidden = F.gelu(torch.bmm(self.norm(x, f"{layer}_between"), self.weights[f"{layer}_up"]))  # M, B T, f
            x = x + torch.bmm(hidden, self.weights[f"{layer}_down"])
        return self.norm(x, "last").view(M, B, T, d)

    def attention(self, layer: int, x: Tensor, B: int, T: int) -> Tensor:
        """Return what attention adds to the residual stream [M, B T, d]."""
        M, _, d = x.shape
        h, k = self.model.heads, d // self.model.heads
        qkv = torch.bmm(x, self.weights[f"{layer}_qkv"]).view(M * B, T, 3 * h, k)
        qk, v = qkv[:, :, : 2 * h], qkv[:, :, 2 * h :]  # both rotations and norms at once
        if self.model.qk_norm:
            qk = F.rms_norm(qk, (k,))
        qk = qk * self.cos[:T] + qk.roll(k // 2, -1) * self.sin[:T]
        q, key, v = (part.transpose(1, 2) for part in (qk[:, :, :h], qk[:, :, h:], v))  # M B, h, T, k
        seen = F.scaled_dot_product_attention(q, key, v, is_causal=True, scale=self.table.attention)
        return torch.bmm(seen.transpose(1, 2).reshape(M, B * T, d), self.weights[f"{layer}_out"])

    def norm(self, x: Tensor, place: str) -> Tensor:
        """Return x [M, N, d] at root mean square one, times a gain where there are any."""
        x = F.rms_norm(x, (x.shape[-1],), eps=1e-6)
        return x * self.weights[f"{place}_gain"][:, None] if self.model.gains else x

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits [M, B, T, V] of the last layer [M, B, T, d]."""
        M, B, T, d = features.shape
        head = self.weights["embedding"].mT if self.model.tied else self.weights["head"]  # M, d, V
        return torch.bmm(features.view(M, B * T, d) * self.table.logits, head).view(M, B, T, self.vocab)

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of weights of one member by role."""
        counts: dict[str, int] = {}
        for name, role in self.roles.items():
            counts[role] = counts.get(role, 0) + math.prod(self.weights[name.replace(".", "_")].shape[1:])
        return counts
