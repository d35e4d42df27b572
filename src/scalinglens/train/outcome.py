"""`Outcome`: what became of one training, as a learning curve and as one row of a table of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.train.counts import counts
from scalinglens.train.settings import Settings
from scalinglens.worlds.world import Task, World

__all__ = ["Outcome", "outcome_of"]


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


def outcome_of(
    world: World | Task,
    settings: Settings,
    rows: Sequence[Mapping[str, Any]],
    weights: Mapping[str, int],
    seconds: float,
) -> Outcome:
    """Return the outcome of one member.

    Args:
        world: what it learned. settings: its own. rows: one per evaluation. weights: their number, by role. seconds: of all
            members together.
    """
    how = settings.training
    task = isinstance(world, Task)
    numbers = counts(settings, 0 if task else world.vocab, dict(weights))
    curve = pd.DataFrame(list(rows))
    curve.insert(2, "flops", 6.0 * numbers["params"] * curve["tokens"])
    diverged = not np.all(np.isfinite(curve["loss"]))
    curve = curve.loc[np.isfinite(curve["loss"].to_numpy())].reset_index(drop=True)
    tokens = how.steps * how.batch * how.sequence_length
    # the loss of the last batch has a name of its own: a table holds one column that could be the loss
    ends = {"loss": "loss", "excess": "excess", "batch_loss": "train_loss"}
    last = dict.fromkeys(ends, float("nan"))
    if len(curve) and not diverged:
        last = {name: float(curve[column].to_numpy()[-1]) for name, column in ends.items()}
    if task:
        unit = "nats/example" if world.kind == "classification" else "squared error"
        facts = {"floor": world.floor, "inputs": world.inputs, "outputs": world.outputs, "loss_unit": unit}
    else:
        facts = {"entropy_rate": world.entropy_rate, "vocab": world.vocab, "loss_unit": "nats/token"}
    summary = {
        **last,
        **facts,
        **numbers,
        "tokens": tokens,
        "steps": how.steps,
        "batch_tokens": how.batch * how.sequence_length,
        "learning_rate": how.learning_rate,
        "weight_decay": how.weight_decay,
        "width": settings.model.width,
        "depth": settings.model.depth,
        "heads": settings.model.heads,
        "epochs": tokens / how.tokens_unique if how.tokens_unique else 1.0,
        "seed": settings.seed,
        "world": world.name,
        "parameterization": settings.parameterization.name,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds if seconds > 0 else float("nan"),
    }
    return Outcome("diverged" if diverged else "finished", curve, summary)
