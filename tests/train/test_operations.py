"""Operations with gradients by hand against the same functions written plainly, with PyTorch's autograd."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from scalinglens.train import operations as ops


def _both(by_hand, plain, *arguments):
    """Values and gradients of two functions of the same tensors, under the same random weights of the outputs."""
    found = []
    for function in (by_hand, plain):
        leaves = [a.detach().clone().requires_grad_() for a in arguments]
        value = function(*leaves)
        weights = torch.randn(value.shape, dtype=value.dtype, generator=torch.Generator().manual_seed(1))
        found.append((value.detach(), torch.autograd.grad((value * weights).sum(), leaves)))
    return found


def _plain_attention(qkv, *, scale, norm):
    """Rotation of pairs by real arithmetic, PyTorch's own attention."""
    S, T, h, k = qkv.shape
    h //= 3
    q, key, v = (part.transpose(1, 2) for part in qkv.split(h, 2))  # S, h, T, k
    angle = torch.outer(torch.arange(T, dtype=qkv.dtype), 10_000.0 ** (-torch.arange(0, k, 2, dtype=qkv.dtype) / k))

    def rotated(x):
        x = F.rms_norm(x, (k,), eps=ops.EPSILON) if norm else x
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), -1).flatten(-2)

    seen = F.scaled_dot_product_attention(rotated(q), rotated(key), v, is_causal=True, scale=scale)
    return seen.transpose(1, 2).reshape(S, T, h * k)


@pytest.mark.parametrize(
    ("norm", "scale", "size"), [(True, 0.35, 1.0), (False, 0.35, 1.0), (True, 40.0, 1.0), (False, 0.35, 20.0)]
)
def test_attention(norm, scale, size):
    qkv = size * torch.randn(3, 7, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turns = ops.turns(7, 8).to(torch.complex128)
    exact = torch.polar(
        torch.ones(7, 4, dtype=torch.float64),
        torch.outer(torch.arange(7.0), 10_000.0 ** (-torch.arange(4, dtype=torch.float64) / 4)),
    )
    torch.testing.assert_close(turns, exact, rtol=1e-6, atol=1e-6)
    (y, dy), (z, dz) = _both(
        lambda x: ops.attend(x, exact, scale=scale, norm=norm),
        lambda x: _plain_attention(x, scale=scale, norm=norm),
        qkv,
    )
    torch.testing.assert_close(y, z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(dy[0], dz[0], rtol=1e-9, atol=1e-9 * dz[0].abs().max().item())


def test_later_tokens_are_not_seen():
    qkv = torch.randn(1, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    changed = qkv.clone()
    changed[:, 4:] += 1
    before, after = (ops.attend(x, ops.turns(6, 4), scale=0.5, norm=True) for x in (qkv, changed))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_attention_sees_distances_only():
    """The same three tokens, elsewhere in the sequence of positions, attend to each other alike."""
    qkv = torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turns = ops.turns(40, 4).to(torch.complex128)
    near, far = (ops.attend(qkv, turns[at : at + 3], scale=0.5, norm=True) for at in (0, 30))
    torch.testing.assert_close(near, far, rtol=1e-5, atol=1e-5)


def test_normalised():
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (y, dy), (z, dz) = _both(ops.normalised, lambda x: F.rms_norm(x, (16,), eps=ops.EPSILON), x)
    torch.testing.assert_close(y, z, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dy[0], dz[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("vocab", [5, 70_000])  # in one chunk, and in many
def test_cross_entropy(vocab):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 12, 8, generator=rng, dtype=torch.float64)
    head = torch.randn(2, 8, vocab, generator=rng, dtype=torch.float64)
    targets = torch.randint(vocab, (2, 12), generator=rng)

    def plain(x, head):
        each = F.cross_entropy((x @ head).flatten(0, 1), targets.flatten(), reduction="none")
        return each.view(2, 12).mean(1)

    (y, dy), (z, dz) = _both(lambda x, head: ops.cross_entropy(x, head, targets), plain, x, head)
    torch.testing.assert_close(y, z, rtol=1e-10, atol=1e-10)
    for a, b in zip(dy, dz, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_a_probability_of_zero_is_a_large_loss_and_no_infinity():
    head = torch.tensor([[[500.0, -500.0]]])
    loss = ops.cross_entropy(torch.ones(1, 1, 1), head, torch.ones(1, 1, dtype=torch.long))
    assert 80 < loss.item() < 100
    assert torch.isnan(ops.cross_entropy(torch.full((1, 1, 1), torch.nan), head, torch.ones(1, 1, dtype=torch.long)))
