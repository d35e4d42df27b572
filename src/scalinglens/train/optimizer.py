"""AdamW and SGD for members that learn side by side: learning rate, weight decay and clipping belong to each member.

All weights of a member lie in one row of a matrix [members, numbers], of which the weights that the model sees are views, and its
gradients in a row of another: a step is a handful of operations on matrices, whatever the number of weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from scalinglens.train.perceptron import Perceptron
from scalinglens.train.settings import Training
from scalinglens.train.transformer import Transformer

__all__ = ["Optimizer"]


class Optimizer:
    """An optimizer over the members of a model; the model's weights become views of its rows.

    Args:
        model: with weights [members, ...] and a table of rules.
        trainings: one per member; they share all but learning rate and weight decay.
    """

    def __init__(self, model: Transformer | Perceptron, trainings: Sequence[Training]) -> None:
        weights = [(model.roles[name], model.weights[name]) for name in model.roles]
        self.weights = [w for _, w in weights]
        self.how = trainings[0]
        members, device = len(trainings), weights[0][1].device
        sizes = [math.prod(w.shape[1:]) for _, w in weights]
        self.numbers = torch.cat([w.detach().reshape(members, -1) for _, w in weights], dim=1)
        self.gradients = torch.zeros_like(self.numbers)
        ends = torch.tensor(sizes).cumsum(0).tolist()
        rates, decays = torch.empty(sum(sizes)), torch.empty(sum(sizes))
        for (role, w), size, end in zip(weights, sizes, ends, strict=True):
            part = slice(end - size, end)
            w.data = self.numbers[:, part].view(w.shape)
            rule = model.table.rules[role]
            rates[part], decays[part] = rule.rate, rule.rate * rule.decays
        rate = torch.tensor([t.learning_rate for t in trainings])[:, None]
        decay = torch.tensor([t.weight_decay for t in trainings])[:, None]
        self.rates = (rate * rates).to(device)  # members, numbers
        self.decays = (rate * decay * decays).to(device)
        kept = 2 if self.how.optimizer == "adamw" else 1
        self.moments = [torch.zeros_like(self.numbers) for _ in range(kept)]
        self.steps = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], factor: float) -> None:
        """Take a step at `factor` times the learning rates; gradients are those of `weights`, in order."""
        how, g = self.how, self.gradients
        torch.cat([part.reshape(len(g), -1) for part in gradients], dim=1, out=g)
        self.steps += 1
        if how.clip:
            norm = torch.linalg.vector_norm(g, dim=1, keepdim=True)
            g.mul_((how.clip / (norm + 1e-6)).clamp(max=1.0))  # as torch.nn.utils.clip_grad_norm_, per member
        self.numbers.addcmul_(self.numbers, self.decays, value=-factor)
        if how.optimizer == "adamw":
            mean, square = self.moments
            mean.lerp_(g, 1 - how.beta1)
            square.mul_(how.beta2).addcmul_(g, g, value=1 - how.beta2)
            size = (square / (1 - how.beta2**self.steps)).sqrt_().add_(how.epsilon)
            update = mean / size
            factor /= 1 - how.beta1**self.steps
        else:
            update = self.moments[0].mul_(how.momentum).add_(g)
        self.numbers.addcmul_(update, self.rates, value=-factor)

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps: weights and moments, [members, numbers] each."""
        return {"numbers": self.numbers, **{f"moment{i}": moment for i, moment in enumerate(self.moments)}}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Go on from a state."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self.steps = steps
