"""The table of parameterizations: against published rules, and conventions against each other by training."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from scalinglens.train.optimizer import Optimizer
from scalinglens.train.parameterization import ROLES, absolute_learning_rate, parameterize, restate
from scalinglens.train.settings import Model, Parameterization, Training
from scalinglens.train.transformer import Transformer

MATRICES = ("qkv", "out", "up", "down")


def trained(table, learning_rate, steps=8):
    """Losses of a small model that begins from fixed numbers times the table's standard deviations."""
    model = Model(width=16, zero_head=False)
    net = Transformer(model, Parameterization("mup", base_width=8), vocab=11, length=8, seeds=(0,)).double()
    for name, role in net.roles.items():
        net.weights[name].data *= table.rules[role].std / net.table.rules[role].std
    net.table = table
    how = Training(learning_rate=learning_rate, epsilon=1e-30, weight_decay=0.0, clip=0.0)
    optimizer, losses = Optimizer(net, [how]), []
    for step in range(steps):
        tokens = torch.randint(11, (1, 4, 9), generator=torch.Generator().manual_seed(step))
        loss = net.losses(tokens[..., :-1], tokens[..., 1:])
        optimizer.step(torch.autograd.grad(loss.sum(), optimizer.weights), 1.0)
        losses.append(loss.item())
    return losses


def test_conventions_train_the_same_function():
    d, how = 16, Parameterization("mup", base_width=8)
    relative = parameterize(Model(width=d, zero_head=False), how)
    absolute = restate(relative, tokens=math.sqrt(d), logits=1 / math.sqrt(d), learning_rate=how.base_width)
    rate = absolute_learning_rate(0.01, how)
    assert rate == pytest.approx(0.08)
    assert trained(absolute, rate) == pytest.approx(trained(relative, 0.01), rel=1e-6)
    # moving the multipliers without the rest is another training
    assert trained(replace(relative, tokens=absolute.tokens), 0.01) != pytest.approx(trained(relative, 0.01), rel=1e-3)


@pytest.mark.parametrize("width", [16, 64, 256])
def test_absolute_mup_is_that_of_nanogpt_mup(width):
    """Study of random walks, section 2: standard deviations, multipliers and learning rates of its tied variant."""
    table = parameterize(Model(width=width, tied=True, qk_norm=False, depth=3), Parameterization("mup-absolute"))
    std = 1 / math.sqrt(width)
    assert [table.rules[role].std for role in ("embedding", "qkv", "up")] == pytest.approx([std] * 3)
    assert [table.rules[role].std for role in ("out", "down")] == pytest.approx([std / math.sqrt(6)] * 2)
    assert [table.rules[role].rate for role in ("embedding", "gain", "up")] == pytest.approx([std, 1.0, 1 / width])
    assert (table.tokens, table.logits, table.attention) == pytest.approx((math.sqrt(width), std, 4 / width))
    assert not table.rules["gain"].decays


@pytest.mark.parametrize("name", ["mup", "mup-absolute"])
@pytest.mark.parametrize("tied", [True, False])
def test_widths_follow_mup(name, tied):
    """Table 8 of Yang and others for Adam, in what enters the function: matrices n^-1/2 and n^-1, input 1 and 1, output
    (after its multiplier) learning rate n^-1. A table that is not tied of nanoGPT-mup has n^-3/2 for the output instead."""
    small, large = (parameterize(Model(width=d, tied=tied), Parameterization(name)) for d in (32, 128))
    for role in MATRICES:
        assert large.rules[role].std == pytest.approx(small.rules[role].std / 2)
        assert large.rules[role].rate == pytest.approx(small.rules[role].rate / 4)
    (s0, r0), (s1, r1) = small.effective("embedding"), large.effective("embedding")
    assert (s1, r1) == pytest.approx((s0, r0))
    head = "embedding" if tied else "head"
    drop = small.rules[head].rate * small.logits / (large.rules[head].rate * large.logits)
    assert drop == pytest.approx(8 if name == "mup-absolute" and not tied else 4)


def test_matched_equals_mup_at_the_base_width_only():
    for width in (16, 32, 64):
        mup, matched = (parameterize(Model(width=width), Parameterization(name)) for name in ("mup", "matched"))
        assert (mup == matched) == (width == 32)
        assert matched.rules["up"].rate == 1.0


def test_standard_has_one_learning_rate_and_one_standard_deviation():
    table = parameterize(Model(width=48, zero_head=False), Parameterization("standard", std=0.03))
    assert {table.rules[role].rate for role in ROLES} == {1.0}
    assert {table.rules[role].std for role in ("embedding", "qkv", "up", "head")} == {0.03}
    assert (table.tokens, table.logits) == (1.0, 1.0)
