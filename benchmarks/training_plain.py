"""The peer of our trainer: one model, one plain loop, in the manner of nanoGPT, with nothing but PyTorch's own parts.

The same model as the default of `scalinglens train`: pre-norm, RMS normalisation without gains, rotary positions, GELU, no
biases, an untied head that starts at zero, normalised queries and keys; AdamW with warm-up and cosine, gradients clipped at 1.
Batches are drawn from a token array in memory, as nanoGPT draws them from its file.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Plain", "train_plain"]


@dataclass(frozen=True)
class Plain:
    """One training."""

    vocab: int
    width: int
    steps: int
    depth: int = 2
    heads: int = 4
    length: int = 50
    batch: int = 32
    learning_rate: float = 0.02
    base_width: int = 32
    seed: int = 0


class Attention(nn.Module):
    def __init__(self, c: Plain) -> None:
        super().__init__()
        self.heads = c.heads
        self.qkv = nn.Linear(c.width, 3 * c.width, bias=False)
        self.out = nn.Linear(c.width, c.width, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        B, T, d = x.shape
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(d, dim=2))
        q, k = (F.rms_norm(rotated(part, cos, sin), (d // self.heads,)) for part in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, d))


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class Block(nn.Module):
    def __init__(self, c: Plain) -> None:
        super().__init__()
        self.attention = Attention(c)
        self.up = nn.Linear(c.width, 4 * c.width, bias=False)
        self.down = nn.Linear(4 * c.width, c.width, bias=False)
        self.width = c.width

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(F.rms_norm(x, (self.width,)), cos, sin)
        return x + self.down(F.gelu(self.up(F.rms_norm(x, (self.width,)))))


class Transformer(nn.Module):
    def __init__(self, c: Plain) -> None:
        super().__init__()
        self.width = c.width
        self.scale = 4 * math.sqrt(c.base_width) / c.width
        self.embedding = nn.Embedding(c.vocab, c.width)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.depth))
        self.head = nn.Linear(c.width, c.vocab, bias=False)
        nn.init.zeros_(self.head.weight)
        for block in self.blocks:
            for linear in (block.attention.qkv, block.attention.out, block.up, block.down):
                nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
            for linear in (block.attention.out, block.down):
                linear.weight.data /= math.sqrt(2 * c.depth)
        half = c.width // c.heads // 2
        angle = torch.arange(c.length)[:, None] / 10000 ** (torch.arange(half) / half)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(F.rms_norm(x, (self.width,))) * self.scale
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def train_plain(tokens: np.ndarray, c: Plain) -> tuple[float, float]:
    """Train on a token array [sequences, length + 1] and return the last loss and the seconds of the loop."""
    torch.manual_seed(c.seed)
    model = Transformer(c)
    m = c.width / c.base_width
    outer = [model.embedding.weight, model.head.weight]
    inner = [p for block in model.blocks for p in block.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": outer, "factor": 8.0}, {"params": inner, "factor": 1 / m}],
        lr=c.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.01,
        fused=True,  # the fastest of PyTorch's own
    )
    rng = np.random.default_rng(c.seed)
    warmup = max(1, round(0.02 * c.steps))
    loss = torch.zeros(())
    begin = time.perf_counter()
    for step in range(c.steps):
        rate = (
            (step + 1) / warmup
            if step < warmup
            else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (c.steps - warmup)))
        )
        for group in optimizer.param_groups:
            group["lr"] = c.learning_rate * group["factor"] * rate
        batch = torch.from_numpy(tokens[rng.integers(len(tokens), size=c.batch)].astype(np.int64))
        loss = model(batch[:, :-1], batch[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return loss.item(), time.perf_counter() - begin
