"""The three operations of a transformer whose gradients are written by hand, because they are most of a small model's time.

Autograd's own versions are chains of small steps; on a processor, each costs a pass through memory and most cost more than the
matrix products beside them. Same functions, same gradients to rounding (tests/train/test_operations.py), fewer passes:

    normalised      y = x r,  r = 1/rms(x):          dx = r (g - y mean(y g))
    attend          rotation, normalisation and causal attention of a layer, from its products with the weights
    cross_entropy   loss and gradient by chunks of tokens, so that the logits of all tokens never exist at once

Shapes in the comments: S sequences of all members, T tokens, h heads, k size of a head, M members, N tokens of a member, d width,
V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["EPSILON", "attend", "cross_entropy", "normalised", "turns"]

EPSILON = 1e-6  # added to the mean square
_LEAST = 1e-38  # a probability below is not told from zero
_BOUND = 60.0  # largest score whose exponential is summed without subtracting the row's largest first
_CHUNK = 400 * 1024  # logits computed at once: 1.6 MB, what the second cache holds


def turns(length: int, size: int) -> Tensor:
    """Return the rotations exp(i t / 10000^(j/(k/2))) of position t and pair j: complex [T, k/2].

    Source: Su and others, arXiv 2104.09864, eq. 34; pairs are neighbours.

    >>> turns(3, 4).shape
    torch.Size([3, 2])
    """
    half = size // 2
    angle = torch.arange(length)[:, None] / 10_000 ** (torch.arange(half) / half)
    return torch.polar(torch.ones_like(angle), angle)


def normalised(x: Tensor) -> Tensor:
    """Return x over its root mean square along the last axis.

    >>> normalised(torch.tensor([[3.0, -4.0]])).square().mean().round(decimals=4)
    tensor(1.)
    """
    return _Normalised.apply(x)


def attend(qkv: Tensor, rotations: Tensor, *, scale: float, norm: bool) -> Tensor:
    """Return causal attention [S, T, h k] over queries, keys and values [S, T, 3 h, k].

    Args:
        qkv: of each token, h queries, then h keys, then h values.
        rotations: of each position, from `turns`: complex [T, k/2].
        scale: of the scores.
        norm: whether queries and keys are divided by their root mean square.

    Cost: all T^2 scores are kept until the gradient: for T of a few hundred at most.

    >>> attend(torch.randn(2, 5, 6, 4), turns(5, 4), scale=0.5, norm=True).shape
    torch.Size([2, 5, 8])
    """
    return _Attention.apply(qkv, rotations, scale, norm)


def cross_entropy(features: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of -log softmax(features head)[target] of each member: [M].

    Args:
        features: [M, N, d]. head: [M, d, V]. targets: whole numbers [M, N].

    >>> cross_entropy(torch.zeros(1, 6, 4), torch.zeros(1, 4, 8), torch.arange(6)[None]).exp().round(decimals=4)
    tensor([8.])
    """
    return _CrossEntropy.apply(features, head, targets)


def _inverse_rms(x: Tensor) -> Tensor:
    return torch.linalg.vecdot(x, x).div_(x.shape[-1]).add_(EPSILON).rsqrt_().unsqueeze(-1)


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        r = _inverse_rms(x)
        y = x * r
        ctx.save_for_backward(y, r)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        y, r = ctx.saved_tensors
        along = torch.linalg.vecdot(y, g).div_(-y.shape[-1]).unsqueeze(-1)
        return torch.addcmul(g, y, along).mul_(r)


class _Attention(torch.autograd.Function):
    """Scores of normalised queries and keys are bounded by scale x k, so that exp(score) is summed as it is. The sum comes out of
    the product with the values, which carry a column of ones; what the gradient of a softmax subtracts enters the same way."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, rotations: Tensor, scale: float, norm: bool) -> Tensor:
        S, T, h, k = qkv.shape
        h //= 3
        raw = qkv[:, :, : 2 * h]
        # queries carry the scale; complex numbers are pairs of neighbours
        rotations = torch.stack((rotations * scale, rotations), 1).repeat_interleave(h, 1)  # T, 2 h, k/2
        turned = qkv.new_empty(S, 2 * h, T, k)
        torch.mul(_pairs(raw).transpose(1, 2), rotations.transpose(0, 1), out=_pairs(turned))
        r = _inverse_rms(raw) if norm else None  # S, T, 2 h, 1
        if r is not None:
            turned.mul_(r.transpose(1, 2))
        q, key = (part.reshape(S * h, T, k) for part in turned.split(h, 1))
        v = qkv.new_ones(S, h, T, k + 1)
        v[..., :k] = qkv[:, :, 2 * h :].transpose(1, 2)
        v = v.view(S * h, T, k + 1)
        p = torch.bmm(q, key.mT)  # S h, T, T
        if not norm or scale * k > _BOUND:
            later = torch.ones(T, T, dtype=torch.bool, device=p.device).triu_(1)
            p.masked_fill_(later, -torch.inf)
            p.sub_(p.amax(-1, keepdim=True))
        p.exp_().tril_()
        seen = torch.bmm(p, v).view(S, h, T, k + 1)
        total = seen[..., k:]  # S, h, T, 1
        y = qkv.new_empty(S, T, h, k)
        torch.div(seen[..., :k], total, out=y.transpose(1, 2))
        ctx.save_for_backward(q, key, v, p, total, y, r, rotations)
        ctx.scale = scale
        return y.view(S, T, h * k)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        q, key, v, p, total, y, r, rotations = ctx.saved_tensors
        S, T, h, k = y.shape
        g = g.reshape(S, T, h, k)
        over = g.new_empty(S, h, T, k + 1)  # g/total, and minus its product with y, which is what softmax subtracts
        over[..., :k] = g.transpose(1, 2)
        over[..., k] = torch.linalg.vecdot(g, y).neg_().transpose(1, 2)
        over.div_(total)
        over = over.view(S * h, T, k + 1)
        out = g.new_empty(S, T, 3 * h, k)
        out[:, :, 2 * h :] = torch.bmm(p.mT, over).view(S, h, T, k + 1)[..., :k].transpose(1, 2)
        scores = torch.bmm(over, v.mT).mul_(p)  # gradient of the scores
        turned = g.new_empty(2, S, h, T, k)
        torch.bmm(scores, key, out=turned[0].view(S * h, T, k))
        torch.bmm(scores.mT, q, out=turned[1].view(S * h, T, k))
        if r is not None:  # what points along a normalised vector does not reach it; queries have length scale sqrt(k)
            for part, n, length in ((turned[0], q, ctx.scale), (turned[1], key, 1.0)):
                n = n.view(S, h, T, k)
                part.addcmul_(n, torch.linalg.vecdot(part, n).div_(-k * length**2).unsqueeze(-1))
        back = out[:, :, : 2 * h].unflatten(2, (2, h))  # S, T, 2, h, k
        rotations = rotations.view(T, 2, h, k // 2).conj_physical()
        torch.mul(_pairs(turned).permute(1, 3, 0, 2, 4), rotations, out=_pairs(back))
        if r is not None:
            out[:, :, : 2 * h].mul_(r)
        return out, None, None, None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        M, N, _ = features.shape
        dx, dw = torch.empty_like(features), torch.zeros_like(head)
        loss = features.new_zeros(M)
        step = max(1, _CHUNK // (M * head.shape[-1]))
        for first in range(0, N, step):
            part = slice(first, first + step)
            x, y = features[:, part], targets[:, part].unsqueeze(-1)
            p = torch.softmax(torch.bmm(x, head), -1)  # M, n, V
            right = p.gather(-1, y)
            p.scatter_(-1, y, right - 1)
            loss -= right.clamp_min_(_LEAST).log_().sum((1, 2))
            dx[:, part] = torch.bmm(p, head.mT)
            dw.baddbmm_(x.mT, p)
        ctx.save_for_backward(dx, dw)
        ctx.tokens = N
        return loss / N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        dx, dw = ctx.saved_tensors
        each = (g / ctx.tokens)[:, None, None]
        return dx * each, dw * each, None


def _pairs(x: Tensor) -> Tensor:
    """See the last axis as complex numbers [..., k/2]."""
    return torch.view_as_complex(x.unflatten(-1, (-1, 2)))
