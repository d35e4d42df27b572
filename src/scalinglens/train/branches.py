"""Several horizons from one training: a trunk at constant learning rate, with a cooldown branching off for each horizon.

With the schedule "wsd" (warm-up, stable, decay), runs of different lengths are the same until their decay begins. The trunk takes
those steps once; each branch is, to the bit, the run of its length alone. All horizons together cost the longest one and the
decays of the others, where separate runs cost their sum.

Source: Hägele and others, arXiv 2405.18392.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scalinglens.errors import ExperimentError
from scalinglens.train.loop import Progress, advance, evaluation_steps, outcomes, placed, shared
from scalinglens.train.outcome import Outcome
from scalinglens.train.schedule import decay_steps, warmup_steps
from scalinglens.train.settings import Settings
from scalinglens.train.subject import Subject
from scalinglens.worlds.world import Task, World

__all__ = ["branch_settings", "train_branches"]


def branch_settings(settings: Settings, horizons: Sequence[int]) -> list[Settings]:
    """Return the settings of each branch as a run of its own: its tokens, and the warm-up of the longest in steps.

    >>> from scalinglens.train.settings import Training
    >>> trunk = Settings(training=Training(tokens=160_000, schedule="wsd", warmup=0.1))
    >>> [s.training.warmup for s in branch_settings(trunk, [80_000, 160_000])]
    [0.2, 0.1]
    """
    how = settings.training
    if how.schedule != "wsd":
        raise ExperimentError(
            f'training.schedule = "{how.schedule}", but horizons branch off "wsd" only; take schedule = "wsd"'
        )
    if not horizons:
        raise ExperimentError("there is no horizon to train to; give the tokens of one at least")
    longest = replace(how, tokens=max(horizons)).steps
    warm = warmup_steps(how, longest)
    found = []
    for tokens in horizons:
        steps = replace(how, tokens=tokens).steps
        if warm > steps - decay_steps(how, steps):
            raise ExperimentError(
                f"a horizon of {tokens:,} tokens ({steps} steps) begins to decay before the warm-up of {warm} steps has ended; "
                "leave it out, or shorten training.warmup"
            )
        found.append(replace(settings, training=replace(how, tokens=tokens, warmup=warm / steps)))
    return found


def train_branches(
    world: World | Task,
    settings: Sequence[Settings],
    *,
    horizons: Sequence[int],
    device: str = "cpu",
    compile: bool = False,
    progress: Progress | None = None,
) -> list[list[Outcome]]:
    """Train members of one shape side by side to several horizons.

    Args:
        world: what they learn. settings: one per member, with schedule "wsd"; their `tokens` are replaced by the horizons.
        horizons: tokens of each branch. device, compile, progress: as `train_runs`.

    Returns:
        For each horizon, in order, one outcome per member; its `seconds` are those of the trunk before it and of the branch.

    Raises:
        ExperimentError: another schedule, a horizon shorter than the warm-up, and as `train_runs`.

    Cost: steps of the longest horizon, plus `decay` of the steps of every other.
    """
    shared(settings)
    branches = [branch_settings(each, horizons) for each in settings]  # members, horizons
    trunk = [max(of, key=lambda each: each.training.tokens) for of in branches]
    subject = Subject(world, trunk, device=placed(device), compile=compile)
    lengths = [each.training.steps for each in branches[0]]
    stops = [evaluation_steps(steps, trunk[0].training.evaluations) for steps in lengths]
    rows: list[dict[str, Any]] = []
    results: dict[int, list[Outcome]] = {}
    done, spent, longest = 0, 0.0, max(lengths)
    for number in sorted(range(len(horizons)), key=lambda n: lengths[n]):
        mine, steps, started = [of[number] for of in branches], lengths[number], time.monotonic()
        start = steps - decay_steps(trunk[0].training, steps)
        on_the_way = {stop for each in stops for stop in each}
        advance(subject, trunk, rows, range(done, start), steps=longest, stops=on_the_way, progress=progress)
        done = start
        spent += time.monotonic() - started
        kept = {name: tensor.clone() for name, tensor in subject.optimizer.state().items()}
        started = time.monotonic()
        own = [row for row in rows if row["step"] in stops[number]]
        advance(subject, mine, own, range(start, steps), steps=steps, stops=stops[number], progress=progress)
        results[number] = outcomes(world, mine, own, subject, spent + time.monotonic() - started)
        subject.optimizer.load(kept, start)
    return [results[number] for number in range(len(horizons))]
