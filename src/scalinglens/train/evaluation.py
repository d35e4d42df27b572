"""How far members are from the best possible: exactly, where the world knows the next token's distribution, or sampled.

    excess = mean over positions of KL(W_x || q) = -sum W log q - H(W_x)

The sequences are held out and the same for every run on a world, so that runs differ by what they learned and not by luck.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scalinglens.train.perceptron import Perceptron
from scalinglens.train.transformer import Transformer
from scalinglens.worlds.world import Task, World

__all__ = ["Evaluation", "TaskEvaluation"]

SEED = 20  # of the held-out sequences


class Evaluation:
    """Held-out sequences with what is known of their continuation.

    Args:
        world: it. length: predictions per sequence. tokens: predictions in all, rounded up to whole sequences.
    """

    def __init__(self, world: World, *, length: int, tokens: int, device: torch.device) -> None:
        count = -(-tokens // length)
        drawn = world.sample(count, length=length + 1, seed=SEED, held_out=True)
        self.inputs = torch.from_numpy(drawn[:, :-1].astype(np.int64)).to(device)
        self.targets = torch.from_numpy(drawn[:, 1:].astype(np.int64)).to(device)
        known = world.next_token(drawn[:, :-1])
        self.exact = known is not None
        if known is not None:
            W = torch.from_numpy(known).to(device)  # B, T, V
            self.distribution = W
            self.entropy = float(-torch.special.xlogy(W.double(), W.double()).sum(-1).mean())
        self.floor = world.entropy_rate

    @torch.no_grad()
    def __call__(self, model: Transformer) -> tuple[np.ndarray, np.ndarray]:
        """Return (loss, excess over the entropy) of each member [M] in nats/token; the excess is NaN where it is not known."""
        members = model.weights["embedding"].shape[0]
        losses = np.zeros(members)
        for part in range(0, len(self.inputs), 64):  # what fits the caches
            inputs = self.inputs[part : part + 64]
            logits = model(inputs.expand(members, *inputs.shape)).float()
            share = len(inputs) / len(self.inputs)
            losses += share * self._loss(logits, part)
        if not self.exact:
            return losses, losses - self.floor if self.floor is not None else np.full(members, np.nan)
        excess = losses - self.entropy
        return (self.floor if self.floor is not None else self.entropy) + excess, excess

    def _loss(self, logits: Tensor, part: int) -> np.ndarray:
        M, B, T, V = logits.shape
        if self.exact:
            W = self.distribution[part : part + B]
            cross = torch.logsumexp(logits, -1) - torch.einsum("mbtv,btv->mbt", logits, W)
        else:
            targets = self.targets[part : part + B].expand(M, B, T)
            cross = F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1), reduction="none").view(M, B, T)
        return cross.double().mean((1, 2)).cpu().numpy()


class TaskEvaluation:
    """Held-out examples of a task.

    Args:
        task: it. examples: how many.
    """

    def __init__(self, task: Task, *, examples: int, device: torch.device) -> None:
        x, y = task.examples(examples, seed=SEED, held_out=True)
        self.inputs, self.targets = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
        self.floor = task.floor

    @torch.no_grad()
    def __call__(self, model: Perceptron) -> tuple[np.ndarray, np.ndarray]:
        """Return (loss, excess over the floor) of each member [M]; the excess is NaN where the floor is not known."""
        members = len(model.weights["embedding"])
        x, y = (t.expand(members, *t.shape) for t in (self.inputs, self.targets))
        losses = model.losses(x, y).double().cpu().numpy()
        return losses, losses - (self.floor if self.floor is not None else np.nan)
