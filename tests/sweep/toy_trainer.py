"""A trainer of a few milliseconds: it has the signature of `train_runs`, and its curves follow from the settings alone.

Other functions of the same signature go wrong, each in its own way.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import ExperimentError
from scalinglens.train.settings import Settings


@dataclass(frozen=True)
class Outcome:
    status: str
    curve: pd.DataFrame
    summary: dict[str, Any]


def train(
    world: Any,
    settings: Sequence[Settings],
    *,
    device: str = "cpu",
    compile: bool = False,
    checkpoint: Path | None = None,
    every: float = 60.0,
    progress: Any = None,
) -> list[Outcome]:
    """Sleep TOY_SECONDS per group in ten steps, write a line per training that ended to TOY_LOG."""
    whole = float(os.environ.get("TOY_SECONDS", "0.02"))
    for step in range(10):
        time.sleep(whole / 10)
        if progress is not None:
            progress(step + 1, 10, np.zeros(len(settings)))
    found = [_outcome(world, each, len(settings)) for each in settings]
    if log := os.environ.get("TOY_LOG"):
        line = json.dumps([each.seed for each in settings]) + "\n"
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode())
        os.close(handle)
    return found


def _outcome(world: Any, settings: Settings, members: int) -> Outcome:
    # as in a real ensemble, the last bits depend on how many train side by side
    text = json.dumps([world.name, asdict(settings), members], sort_keys=True)
    rng = np.random.default_rng(int(hashlib.sha256(text.encode()).hexdigest()[:12], 16))
    steps = np.array([1, 5, 20, 100])
    loss = 2.0 + 1 / np.sqrt(steps) + 1e-6 * rng.standard_normal(4)
    diverged = settings.training.learning_rate > 1
    curve = pd.DataFrame({"step": steps, "tokens": steps * 100, "loss": loss})
    summary = {
        "loss": float("nan") if diverged else float(loss[-1]),
        "params": 12 * settings.model.depth * settings.model.width**2,
        "tokens": settings.training.tokens,
        "flops": 72.0 * settings.model.depth * settings.model.width**2 * settings.training.tokens,
        "learning_rate": settings.training.learning_rate,
        "width": settings.model.width,
        "depth": settings.model.depth,
        "seed": settings.seed,
        "seconds": 0.0,
    }
    return Outcome("diverged" if diverged else "finished", curve, summary)


def full(world: Any, settings: Sequence[Settings], **_: Any) -> list[Outcome]:
    raise OSError(28, "No space left on device")


def raises(world: Any, settings: Sequence[Settings], **_: Any) -> list[Outcome]:
    raise ZeroDivisionError("no reason")


def hungry(world: Any, settings: Sequence[Settings], **_: Any) -> list[Outcome]:
    return [np.ones(1 << 40)]  # type: ignore[list-item]


def dies(world: Any, settings: Sequence[Settings], **_: Any) -> list[Outcome]:
    os.kill(os.getpid(), 9)
    raise AssertionError("unreachable")


def hungry_or_not(world: Any, settings: Sequence[Settings], **words: Any) -> list[Outcome]:
    if settings[0].seed == 0:
        return hungry(world, settings)
    return train(world, settings, **words)


def refuses(world: Any, settings: Sequence[Settings], **_: Any) -> list[Outcome]:
    raise ExperimentError("model.width = 3 is not to be had")


def fills_memory(world: Any, settings: Sequence[Settings], **_: Any) -> list[Outcome]:
    Path(os.environ["TOY_GROUP"]).write_text(str(os.getpid()))
    held = []
    while True:
        held.append(np.ones(1 << 23))


def dies_once(world: Any, settings: Sequence[Settings], **words: Any) -> list[Outcome]:
    mark = Path(os.environ["TOY_ONCE"])
    if not mark.exists():
        mark.touch()
        dies(world, settings)
    return train(world, settings, **words)
