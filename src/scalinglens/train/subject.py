"""What is trained on what: members of a model, their batches and their evaluation, whichever kind of world it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from scalinglens.errors import ExperimentError
from scalinglens.train.data import Batches
from scalinglens.train.evaluation import Evaluation, TaskEvaluation
from scalinglens.train.optimizer import Optimizer
from scalinglens.train.perceptron import Perceptron
from scalinglens.train.settings import Settings
from scalinglens.train.transformer import Transformer
from scalinglens.worlds.world import Task, World

__all__ = ["Subject"]

LONGEST = 256  # tokens of a sequence whose attention scores are kept as they are; PyTorch's attention keeps none

Losses = Callable[[Tensor, Tensor], Tensor]
Evaluate = Callable[[], tuple[np.ndarray, np.ndarray]]  # loss and excess of each member


class Subject:
    """Members of one shape at the beginning, with all that a step needs.

    Args:
        world: what they learn. settings: one per member, already known to share their shape.
        device: where they live. compile: whether torch compiles the model.

    Raises:
        ExperimentError: the kind of model does not go with the kind of world.
    """

    def __init__(
        self, world: World | Task, settings: Sequence[Settings], *, device: torch.device, compile: bool = False
    ) -> None:
        self.how, self.device = settings[0], device
        self.model, self.evaluate = _model_and_evaluation(world, settings, device, _by_hand(self.how) and not compile)
        self.optimizer = Optimizer(self.model, [each.training for each in settings])
        self.losses_of: Losses = torch.compile(self.model.losses) if compile else self.model.losses
        self.batches = Batches(world, settings)

    def batch(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of a step [M, batch, ...], or of part of each member's batch."""
        arrays = [torch.from_numpy(np.ascontiguousarray(array[:, part])) for array in self.batches(step)]
        arrays = [array.to(self.device) for array in arrays]
        if len(arrays) == 2:
            return arrays[0], arrays[1]
        tokens = arrays[0].long()  # M, batch, T + 1
        return tokens[..., :-1], tokens[..., 1:]

    def gradients(self, step: int) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the losses of the members [M] on the batch of a step, and their gradients."""
        inputs, targets = self.batch(step)
        with self.autocast():
            losses = self.losses_of(inputs, targets)
        # members share nothing, so that each gets the gradient of its own loss
        return losses.detach(), torch.autograd.grad(losses.sum(), self.optimizer.weights)

    def autocast(self) -> torch.autocast:
        """Return the context in which the model computes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.how.training.precision == "bf16")


def _by_hand(how: Settings) -> bool:
    return how.training.precision == "float32" and how.training.sequence_length <= LONGEST


def _model_and_evaluation(
    world: World | Task, settings: Sequence[Settings], device: torch.device, by_hand: bool
) -> tuple[Transformer | Perceptron, Evaluate]:
    how, seeds = settings[0], tuple(each.seed for each in settings)
    training = how.training
    wanted = "mlp" if isinstance(world, Task) else "transformer"
    if how.model.kind != wanted:
        what = "examples of vectors" if wanted == "mlp" else "sequences of tokens"
        raise ExperimentError(
            f'model.kind = "{how.model.kind}", but {world.name} gives {what}; take model.kind = "{wanted}"'
        )
    if isinstance(world, Task):
        if training.sequence_length != 1:
            raise ExperimentError(
                f"training.sequence_length = {training.sequence_length}, but {world.name} gives examples one by one; take "
                "training.sequence_length = 1, so that tokens and batch count examples"
            )
        shape = {"inputs": world.inputs, "outputs": world.outputs, "kind": world.kind}
        perceptron = Perceptron(how.model, how.parameterization, seeds=seeds, **shape).to(device)
        examples = TaskEvaluation(world, examples=training.evaluation_tokens, device=device)
        return perceptron, lambda: examples(perceptron)
    length = training.sequence_length
    transformer = Transformer(
        how.model, how.parameterization, vocab=world.vocab, length=length, seeds=seeds, by_hand=by_hand
    ).to(device)
    tokens = Evaluation(world, length=length, tokens=training.evaluation_tokens, device=device)
    return transformer, lambda: tokens(transformer)
