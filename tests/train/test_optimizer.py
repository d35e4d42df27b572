"""The optimizer against torch.optim and torch.nn.utils.clip_grad_norm_, member by member."""

from __future__ import annotations

import pytest
import torch

from scalinglens.train.optimizer import Optimizer
from scalinglens.train.settings import Model, Parameterization, Training
from scalinglens.train.transformer import Transformer

MODEL = Model(width=16, gains=True, zero_head=False)
FACTORS = (0.5, 1.0, 0.8, 0.3, 0.1)


def network(seeds):
    return Transformer(MODEL, Parameterization("mup", base_width=8), vocab=11, length=8, seeds=seeds).double()


def losses_of(net, step, seeds):
    tokens = torch.stack(
        [torch.randint(11, (4, 9), generator=torch.Generator().manual_seed(97 * seed + step)) for seed in seeds]
    )
    return net.losses(tokens[..., :-1], tokens[..., 1:])


def by_torch(make, seed, how):
    """Weights after a few steps with an optimizer of PyTorch, one group per role."""
    net = network((seed,))
    groups = []
    for name, role in net.roles.items():
        rule = net.table.rules[role]
        decay = how.weight_decay if rule.decays else 0.0
        rate = how.learning_rate * rule.rate
        groups.append({"params": [net.weights[name]], "weight_decay": decay, "lr": rate, "peak": rate})
    optimizer = make(groups)
    norms = []
    for step, factor in enumerate(FACTORS):
        for group in optimizer.param_groups:
            group["lr"] = factor * group["peak"]
        optimizer.zero_grad()
        losses_of(net, step, (seed,)).sum().backward()
        if how.clip:
            norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), how.clip).item())
        optimizer.step()
    return net, norms


def ours(seeds, trainings):
    net = network(seeds)
    optimizer = Optimizer(net, trainings)
    for step, factor in enumerate(FACTORS):
        optimizer.step(torch.autograd.grad(losses_of(net, step, seeds).sum(), optimizer.weights), factor)
    return net


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_adamw(clip):
    seeds = (3, 4, 5)
    hows = [
        Training(learning_rate=lr, weight_decay=wd, clip=clip) for lr, wd in ((0.02, 0.1), (0.1, 0.0), (0.003, 1.0))
    ]
    net = ours(seeds, hows)
    for member, (seed, how) in enumerate(zip(seeds, hows, strict=True)):
        alone, norms = by_torch(lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8), seed, how)
        if clip:
            assert max(norms) > clip > min(norms) / 10  # it mattered
        for name, weights in alone.weights.items():
            torch.testing.assert_close(net.weights[name][member], weights[0], rtol=1e-5, atol=1e-7)


def test_sgd():
    how = Training(learning_rate=0.05, weight_decay=0.0, optimizer="sgd", momentum=0.8, clip=0.5)
    net = ours((3,), [how])
    alone, _ = by_torch(lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=0.8), 3, how)
    for name, weights in alone.weights.items():
        torch.testing.assert_close(net.weights[name], weights, rtol=1e-6, atol=1e-8)


def test_sgd_decays_as_adamw_does():
    """One step without gradient: weights shrink by learning rate times decay, gains stay."""
    net = network((0,))
    before = {name: w.detach().clone() for name, w in net.weights.items()}
    optimizer = Optimizer(net, [Training(optimizer="sgd", learning_rate=0.1, weight_decay=0.5)])
    optimizer.step([torch.zeros_like(w) for w in optimizer.weights], 1.0)
    for name, role in net.roles.items():
        rule = net.table.rules[role]
        torch.testing.assert_close(net.weights[name], before[name] * (1 - 0.05 * rule.rate * rule.decays))
