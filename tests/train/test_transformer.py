"""The transformer against itself written with PyTorch's own operations, and against what must hold of any transformer."""

from __future__ import annotations

import pytest
import torch

from scalinglens.train.settings import Model, Parameterization
from scalinglens.train.transformer import Transformer

MODELS = [
    Model(width=16),
    Model(width=16, tied=True, gains=True, qk_norm=False, depth=1),
    Model(width=24, heads=2, feedforward=2, zero_head=False),
]


@pytest.mark.parametrize("name", ["mup", "mup-absolute", "standard"])
@pytest.mark.parametrize("model", MODELS)
def test_gradients_by_hand_are_those_of_autograd(model, name):
    tokens = torch.randint(11, (2, 3, 9), generator=torch.Generator().manual_seed(0))
    found = []
    for by_hand in (True, False):
        net = Transformer(
            model, Parameterization(name, std=0.2), vocab=11, length=8, seeds=(0, 1), by_hand=by_hand
        ).double()
        if not model.tied:  # a head of zeros would hide the rest
            net.weights["head"].data += 0.3 * torch.randn(
                2, model.width, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
            )
        net.turns = torch.polar(torch.ones(8, net.turns.shape[1], dtype=torch.float64), net.turns.angle().double())
        losses = net.losses(tokens[..., :-1], tokens[..., 1:])
        found.append((losses, torch.autograd.grad(losses.sum(), list(net.weights.values()))))
    (losses, slopes), (losses2, slopes2) = found
    torch.testing.assert_close(losses, losses2, rtol=1e-9, atol=0)
    for a, b in zip(slopes, slopes2, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9 * (b.abs().max().item() + 1e-9))


@pytest.mark.parametrize("model", MODELS)
def test_the_future_is_not_seen(model):
    net = Transformer(model, Parameterization("standard", std=0.2), vocab=11, length=8, seeds=(0,))
    tokens = torch.randint(11, (1, 1, 8), generator=torch.Generator().manual_seed(0))
    other = tokens.clone()
    other[..., 5:] = (other[..., 5:] + 1) % 11
    before, after = net(tokens), net(other)
    assert torch.equal(before[..., :5, :], after[..., :5, :])
    if model.tied or not model.zero_head:
        assert not torch.equal(before[..., 5:, :], after[..., 5:, :])


def test_a_zero_head_begins_at_the_uniform_loss():
    net = Transformer(Model(), Parameterization(), vocab=11, length=8, seeds=(0,))
    tokens = torch.randint(11, (1, 4, 9), generator=torch.Generator().manual_seed(0))
    assert net.losses(tokens[..., :-1], tokens[..., 1:]).item() == pytest.approx(2.3979, abs=1e-4)


def test_a_member_is_drawn_from_its_seed_alone():
    one, two = (Transformer(Model(), Parameterization(), vocab=11, length=8, seeds=s) for s in ((7,), (3, 7)))
    for name, weights in one.weights.items():
        assert torch.equal(weights[0], two.weights[name][1])
