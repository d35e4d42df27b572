"""The training loop: settings of one shape, side by side, from seeds to learning curves.

    outcome, = train_runs(walk(nodes=64, edges=256), [Settings()])

The bits of a member depend on its settings, on how many members train beside it and on the number of threads; not on whether
the training was interrupted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scalinglens.errors import ExperimentError
from scalinglens.train.checkpoint import Journal
from scalinglens.train.outcome import Outcome, outcome_of
from scalinglens.train.schedule import factor
from scalinglens.train.settings import Settings
from scalinglens.train.subject import Subject
from scalinglens.worlds.world import Task, World

__all__ = [
    "Outcome",
    "Progress",
    "advance",
    "evaluation_steps",
    "outcomes",
    "owner_of",
    "placed",
    "shared",
    "train_runs",
]

Progress = Callable[[int, int, np.ndarray], None]


def train_runs(
    world: World | Task,
    settings: Sequence[Settings],
    *,
    device: str = "cpu",
    compile: bool = False,
    checkpoint: Path | None = None,
    every: float = 60.0,
    weights: Path | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Train members of one shape side by side.

    Args:
        world: what they learn. settings: one per member; they may differ in seed, learning rate and weight decay.
        device: of torch. compile: whether torch compiles the model.
        checkpoint: file to go on from, and to write every so many seconds (`every`).
        weights: file to write the trained weights to, for `scalinglens.train.models.read_model`.
        progress: called about once a second with (step, steps, training losses [M]).

    Returns:
        One outcome per member, in order.

    Raises:
        ExperimentError: members of different shapes, an unknown device, a model for another kind of world.
        OutputError: the checkpoint cannot be written.
    """
    how = shared(settings)
    subject = Subject(world, settings, device=placed(device), compile=compile)
    journal = Journal(checkpoint, owner_of(world, settings), every)
    journal.resume(subject.optimizer)
    steps = how.training.steps
    advance(
        subject,
        settings,
        journal.rows,
        range(journal.begin, steps),
        steps=steps,
        stops=evaluation_steps(steps, how.training.evaluations),
        save=lambda step: journal.save(subject.optimizer, step),
        progress=progress,
    )
    seconds = journal.seconds
    if weights is not None:
        from scalinglens.train.models import write_model

        write_model(weights, subject.model, settings, world)
    journal.end()
    return outcomes(world, settings, journal.rows, subject, seconds)


def advance(
    subject: Subject,
    settings: Sequence[Settings],
    rows: list[dict[str, Any]],
    span: range,
    *,
    steps: int,
    stops: Collection[int],
    gradients: Callable[[int], tuple[torch.Tensor, Sequence[torch.Tensor]]] | None = None,
    save: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Take the steps of a span, of a training that has `steps` in all, and append evaluations to the rows.

    Args:
        subject: members. settings: theirs. rows: what was evaluated, appended to. span: steps, counted from 0.
        steps: the horizon of the schedule. stops: numbers of steps after which to evaluate.
        gradients: losses and gradients of a step, where they are not those of the subject. save: called after every step but
            the last with the number taken. progress: as in `train_runs`.
    """
    how = subject.how
    rates = np.array([each.training.learning_rate for each in settings])
    marks, told = set(stops), time.monotonic()
    for step in span:
        scale = factor(how.training, step, steps)
        losses, slopes = (gradients or subject.gradients)(step)
        subject.optimizer.step(slopes, scale)
        if step + 1 in marks:
            loss, excess = subject.evaluate()
            rows += _rows(step + 1, how, rates * scale, losses, loss, excess)
            if not np.any(np.isfinite(loss)):
                return
        if progress is not None and time.monotonic() - told > 1:
            progress(step + 1, steps, losses.cpu().numpy())
            told = time.monotonic()
        if save is not None and step + 1 < steps:
            save(step + 1)


def outcomes(
    world: World | Task,
    settings: Sequence[Settings],
    rows: Sequence[Mapping[str, Any]],
    subject: Subject,
    seconds: float,
) -> list[Outcome]:
    """Return the outcome of every member."""
    weights = subject.model.parameter_counts()
    of = [
        [{k: v for k, v in row.items() if k != "member"} for row in rows if row["member"] == m]
        for m in range(len(settings))
    ]
    return [outcome_of(world, each, mine, weights, seconds) for each, mine in zip(settings, of, strict=True)]


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """Return the steps after which to evaluate: evenly spaced in the logarithm, the last one at the end.

    >>> evaluation_steps(100, 4)
    [1, 5, 22, 100]
    """
    if evaluations == 1:
        return [steps]
    return sorted({round(step) for step in np.geomspace(1, steps, evaluations)})


def shared(settings: Sequence[Settings]) -> Settings:
    """Return the first member's settings, checked to be those of all but for seed, learning rate and weight decay."""
    if not settings:
        raise ExperimentError("there is nothing to train; give the settings of one member at least")
    blank = [replace(s, seed=0, training=replace(s.training, learning_rate=1.0, weight_decay=0.0)) for s in settings]
    for member, each in enumerate(blank):
        if each != blank[0]:
            apart = [
                f"{table}.{key}"
                for table, words in asdict(each).items()
                if isinstance(words, dict)
                for key in words
                if words[key] != asdict(blank[0])[table][key]
            ]
            raise ExperimentError(
                f"member {member} differs from the first in {', '.join(apart)}; those that train side by "
                "side may differ in seed, learning_rate and weight_decay only"
            )
    return settings[0]


def placed(name: str) -> torch.device:
    """Return a device, tried."""
    try:
        place = torch.device(name)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as problem:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ExperimentError(
            f'device "{name}" is not to be had ({str(problem).splitlines()[0]}); there is {", ".join(there)}'
        ) from None
    return place


def owner_of(world: World | Task, settings: Sequence[Settings]) -> str:
    """Return what a checkpoint of this training is marked with."""
    return hashlib.sha256(repr((world.name, list(settings), torch.__version__)).encode()).hexdigest()[:16]


def _rows(
    step: int, how: Settings, rates: np.ndarray, losses: torch.Tensor, loss: np.ndarray, excess: np.ndarray
) -> list[dict[str, Any]]:
    training = losses.cpu().numpy()
    return [
        {
            "member": member,
            "step": step,
            "tokens": step * how.training.batch * how.training.sequence_length,
            "loss": float(loss[member]),
            "excess": float(excess[member]),
            "train_loss": float(training[member]),
            "learning_rate": float(rates[member]),
        }
        for member in range(len(rates))
    ]
