"""The training loop: settings of one shape, side by side, from seeds to learning curves.

    outcome, = train_runs(walk(nodes=64, edges=256), [Settings()])

The bits of a member depend on its settings, on how many members train beside it and on the number of threads; not on whether
the training was interrupted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from scalinglens.errors import ExperimentError
from scalinglens.train.checkpoint import read_checkpoint, write_checkpoint
from scalinglens.train.counts import counts
from scalinglens.train.data import Batches
from scalinglens.train.evaluation import Evaluation
from scalinglens.train.optimizer import Optimizer
from scalinglens.train.schedule import factor
from scalinglens.train.settings import Settings
from scalinglens.train.transformer import Transformer
from scalinglens.worlds.world import World

__all__ = ["Outcome", "evaluation_steps", "train_runs"]

LONGEST = 256  # tokens of a sequence whose attention scores are kept as they are; PyTorch's attention keeps none
Progress = Callable[[int, int, np.ndarray], None]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one training.

    Attributes:
        status: "finished", or "diverged" if the loss was no finite number at some time.
        curve: one row per evaluation: step, tokens, flops, loss, excess, train_loss, learning_rate.
        summary: canonical columns and facts; `loss` is NaN where the training diverged.
    """

    status: str
    curve: pd.DataFrame
    summary: dict[str, Any]


def train_runs(
    world: World,
    settings: Sequence[Settings],
    *,
    device: str = "cpu",
    compile: bool = False,
    checkpoint: Path | None = None,
    every: float = 60.0,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Train members of one shape side by side.

    Args:
        world: what they learn. settings: one per member; they may differ in seed, learning rate and weight decay.
        device: of torch. compile: whether torch compiles the model. checkpoint: file to go on from, and to write every so many
        seconds (`every`). progress: called about once a second with (step, steps, training losses [M]).

    Returns:
        One outcome per member, in order.

    Raises:
        ExperimentError: members of different shapes, an unknown device, a model for another kind of world.
        OutputError: the checkpoint cannot be written.
    """
    how, steps = _shared(settings), settings[0].training.steps
    place = _device(device)
    model = Transformer(
        how.model,
        how.parameterization,
        vocab=world.vocab,
        length=how.training.sequence_length,
        seeds=tuple(each.seed for each in settings),
        by_hand=how.training.precision == "float32" and not compile and how.training.sequence_length <= LONGEST,
    ).to(place)
    optimizer = Optimizer(model, [each.training for each in settings])
    losses_of = torch.compile(model.losses) if compile else model.losses
    batches = Batches(world, settings)
    evaluate = Evaluation(
        world, length=how.training.sequence_length, tokens=how.training.evaluation_tokens, device=place
    )
    rates = np.array([each.training.learning_rate for each in settings])
    owner = _owner(world, settings)
    rows: list[dict[str, Any]] = []
    begin, spent = 0, 0.0
    if checkpoint is not None:
        found, _ = read_checkpoint(checkpoint, owner)
        if found is not None:
            begin, spent, rows = found.facts["steps"], found.facts["seconds"], found.facts["rows"]
            optimizer.load({name: t.to(place) for name, t in found.tensors.items()}, begin)
    stops = set(evaluation_steps(steps, how.training.evaluations))
    started = told = saved = time.monotonic()
    losses = torch.full((len(settings),), float("nan"))
    for step in range(begin, steps):
        scale = factor(how.training, step)
        tokens = torch.from_numpy(batches(step)).to(place).long()  # M, batch, T + 1
        with torch.autocast(place.type, torch.bfloat16, enabled=how.training.precision == "bf16"):
            losses = losses_of(tokens[..., :-1], tokens[..., 1:])
        # members share nothing, so that each gets the gradient of its own loss
        optimizer.step(torch.autograd.grad(losses.sum(), optimizer.weights), scale)
        now = time.monotonic()
        if step + 1 in stops:
            loss, excess = evaluate(model)
            rows += _rows(step + 1, how, rates * scale, losses.detach(), loss, excess)
            if not np.any(np.isfinite(loss)):
                break
        if progress is not None and now - told > 1:
            progress(step + 1, steps, losses.detach().cpu().numpy())
            told = now
        if checkpoint is not None and now - saved > every and step + 1 < steps:
            facts = {"steps": step + 1, "seconds": spent + now - started, "rows": rows}
            write_checkpoint(checkpoint, owner, optimizer.state(), facts)
            saved = time.monotonic()
    seconds = spent + time.monotonic() - started
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    weights = model.parameter_counts()
    return [_outcome(world, each, member, rows, weights, seconds) for member, each in enumerate(settings)]


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """Return the steps after which to evaluate: evenly spaced in the logarithm, the last one at the end.

    >>> evaluation_steps(100, 4)
    [1, 5, 22, 100]
    """
    if evaluations == 1:
        return [steps]
    return sorted({round(step) for step in np.geomspace(1, steps, evaluations)})


def _shared(settings: Sequence[Settings]) -> Settings:
    """The settings that all members share."""
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


def _device(name: str) -> torch.device:
    try:
        place = torch.device(name)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as problem:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ExperimentError(
            f'device "{name}" is not to be had ({str(problem).splitlines()[0]}); there is {", ".join(there)}'
        ) from None
    return place


def _owner(world: World, settings: Sequence[Settings]) -> str:
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


def _outcome(
    world: World, settings: Settings, member: int, rows: list[dict[str, Any]], weights: dict[str, int], seconds: float
) -> Outcome:
    how = settings.training
    numbers = counts(settings, world.vocab, weights)
    curve = pd.DataFrame([row for row in rows if row["member"] == member]).drop(columns="member")
    curve.insert(2, "flops", 6.0 * numbers["params"] * curve["tokens"])
    diverged = not np.all(np.isfinite(curve["loss"]))
    curve = curve.loc[np.isfinite(curve["loss"])].reset_index(drop=True)
    tokens = how.steps * how.batch * how.sequence_length
    last = curve.iloc[-1] if len(curve) and not diverged else None
    summary = {
        "loss": float("nan") if last is None else float(last["loss"]),
        "excess": float("nan") if last is None else float(last["excess"]),
        "train_loss": float("nan") if last is None else float(last["train_loss"]),
        "entropy_rate": world.entropy_rate,
        **numbers,
        "tokens": tokens,
        "steps": how.steps,
        "batch_tokens": how.batch * how.sequence_length,
        "learning_rate": how.learning_rate,
        "weight_decay": how.weight_decay,
        "width": settings.model.width,
        "depth": settings.model.depth,
        "heads": settings.model.heads,
        "vocab": world.vocab,
        "epochs": tokens / how.tokens_unique if how.tokens_unique else 1.0,
        "seed": settings.seed,
        "world": world.name,
        "parameterization": settings.parameterization.name,
        "seconds": seconds,
    }
    return Outcome("diverged" if diverged else "finished", curve, summary)
