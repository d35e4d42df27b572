"""One larger model on several processes: PyTorch's DistributedDataParallel under torchrun.

    torchrun --nproc-per-node 2 train.py        # a script that calls train_parallel(world, settings)

Each process takes its share of every batch; gradients are averaged before clipping, so that the run is that of a single process
up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from scalinglens.errors import ExperimentError
from scalinglens.train.checkpoint import Journal
from scalinglens.train.loop import Progress, advance, evaluation_steps, outcomes, owner_of, placed
from scalinglens.train.outcome import Outcome
from scalinglens.train.settings import Settings
from scalinglens.train.subject import Subject
from scalinglens.worlds.world import Task, World

__all__ = ["train_parallel"]


def train_parallel(
    world: World | Task,
    settings: Settings,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    every: float = 60.0,
    weights: Path | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Train one model on all processes that torchrun has started; each returns the outcome, the first one writes files.

    Args:
        world: what it learns. settings: of the run; the number of processes divides its batch.
        device: "cpu" (gloo), or "cuda" (nccl, one device per process of a machine).
        checkpoint, every, weights, progress: as `train_runs`.

    Raises:
        ExperimentError: not started by torchrun, or a batch that cannot be shared out.
    """
    if "RANK" not in os.environ:
        raise ExperimentError("train_parallel runs under torchrun: torchrun --nproc-per-node 2 SCRIPT")
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    place = placed(device)
    opened = not distributed.is_initialized()
    if opened:
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        return _train(world, settings, place, checkpoint, every, weights, progress)
    finally:
        if opened:
            distributed.destroy_process_group()


class _Losses(nn.Module):
    """The losses of a model as the `forward` that DistributedDataParallel wraps."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.model.losses(inputs, targets)


def _train(
    world: World | Task,
    settings: Settings,
    place: torch.device,
    checkpoint: Path | None,
    every: float,
    weights: Path | None,
    progress: Progress | None,
) -> Outcome:
    rank, size = distributed.get_rank(), distributed.get_world_size()
    batch = settings.training.batch
    if batch % size:
        near = ", ".join(str(n) for n in range(size, batch + size, size) if abs(n - batch) < size)
        raise ExperimentError(f"training.batch = {batch} cannot be shared by {size} processes; {near} can")
    subject = Subject(world, [settings], device=place)
    part = slice(rank * batch // size, (rank + 1) * batch // size)
    # all processes draw the same weights from the same seed: there is nothing to send at the beginning
    shared_out = DistributedDataParallel(_Losses(subject.model), broadcast_buffers=False, init_sync=False)

    def gradients(step: int) -> tuple[Tensor, Sequence[Tensor]]:
        for weight in subject.optimizer.weights:
            weight.grad = None
        with subject.autocast():
            losses = shared_out(*subject.batch(step, part))
        losses.sum().backward()  # averages the gradients over the processes
        mean = losses.detach().clone()
        distributed.all_reduce(mean)
        return mean / size, [weight.grad for weight in subject.optimizer.weights]  # type: ignore[misc]

    journal = Journal(checkpoint, owner_of(world, [settings]), every)
    journal.resume(subject.optimizer, keep=rank > 0)
    distributed.barrier()
    begins = [0] * size
    distributed.all_gather_object(begins, journal.begin)
    if len(set(begins)) > 1:
        raise ExperimentError(
            f"the processes read different checkpoints (steps {begins}); put {checkpoint} where all machines see it"
        )
    steps = settings.training.steps
    advance(
        subject,
        [settings],
        journal.rows,
        range(journal.begin, steps),
        steps=steps,
        stops=evaluation_steps(steps, settings.training.evaluations),
        gradients=gradients,
        save=(lambda step: journal.save(subject.optimizer, step)) if rank == 0 else None,
        progress=progress if rank == 0 else None,
    )
    if rank == 0:
        if weights is not None:
            from scalinglens.train.models import write_model

            write_model(weights, subject.model, [settings], world)
        journal.end()
    distributed.barrier()
    return outcomes(world, [settings], journal.rows, subject, journal.seconds)[0]
