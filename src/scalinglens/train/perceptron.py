"""A perceptron of several layers for tasks of vectors. M models of one shape are one program, as in transformer.py.

    x = gelu(inputs W / sqrt(n) + b),  then depth - 1 times  x = gelu(x W + b),  then  outputs = c x H + b

with the standard deviations, learning rates and the multiplier c of the parameterization's table: the first matrix is an
"embedding" of n numbers of order one, the others are "up". Shapes in the comments: M members, B examples, d width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalinglens.errors import ExperimentError
from scalinglens.train.parameterization import drawn, parameterize
from scalinglens.train.settings import Model, Parameterization

__all__ = ["Perceptron"]


class Perceptron(nn.Module):
    """Members of one shape, each with weights drawn from its own seed.

    Args:
        model: the shape. how: its parameterization. inputs, outputs: numbers per example. kind: "classification" or
            "regression". seeds: one per member.

    Raises:
        ExperimentError: a tied head or gains, which a perceptron has not.

    >>> model = Perceptron(Model("mlp"), Parameterization(), inputs=8, outputs=3, kind="classification", seeds=(0, 1))
    >>> model(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 3])
    """

    def __init__(
        self,
        model: Model,
        how: Parameterization,
        *,
        inputs: int,
        outputs: int,
        kind: str,
        seeds: tuple[int, ...],
    ) -> None:
        super().__init__()
        for name in ("tied", "gains"):
            if getattr(model, name):
                raise ExperimentError(f'model.{name} = true, but model.kind = "mlp" knows no {name}; leave it out')
        d = model.width
        self.model, self.table, self.kind = model, parameterize(model, how), kind
        shapes = {"embedding": (inputs, d)}
        shapes |= {f"{layer}_up": (d, d) for layer in range(1, model.depth)}
        shapes |= {"head": (d, outputs)}
        shapes |= {f"{layer}_bias": (d,) for layer in range(model.depth)} | {"last_bias": (outputs,)}
        self.roles = {name: name.rsplit("_", 1)[-1] for name in shapes}
        self.weights = nn.ParameterDict()
        for number, (name, shape) in enumerate(shapes.items()):
            rule = self.table.rules[self.roles[name]]
            self.weights[name] = nn.Parameter(drawn(rule, number, shape, seeds))
        self.scale = self.table.tokens / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs [M, B, outputs] of inputs [M, B, n]."""
        w = self.weights
        x = F.gelu(torch.baddbmm(w["0_bias"][:, None], x * self.scale, w["embedding"]))  # M, B, d
        for layer in range(1, self.model.depth):
            x = F.gelu(torch.baddbmm(w[f"{layer}_bias"][:, None], x, w[f"{layer}_up"]))
        return torch.baddbmm(w["last_bias"][:, None], x * self.table.logits, w["head"])

    def losses(self, x: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss [M]: cross-entropy in nats, or the squared error of a number."""
        found = self(x)
        found = found.to(torch.promote_types(found.dtype, torch.float32))
        if self.kind == "classification":
            each = F.cross_entropy(found.flatten(0, 1), targets.flatten(), reduction="none")
            return each.view(len(x), -1).mean(1)
        return (found - targets.reshape(found.shape)).square().mean((1, 2))

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of weights of one member by role."""
        counts: dict[str, int] = {}
        for name, role in self.roles.items():
            counts[role] = counts.get(role, 0) + math.prod(self.weights[name].shape[1:])
        return counts
