"""The factor of the learning rate at every step."""

from __future__ import annotations

import math

from scalinglens.train.settings import Training

__all__ = ["decay_steps", "factor", "warmup_steps"]


def factor(how: Training, step: int, steps: int | None = None) -> float:
    """Return the factor of the learning rate at a step, counted from 0.

    It rises linearly over the first `warmup` of the steps, then follows the schedule; "cosine", "linear" and the end of "wsd"
    reach zero one step after the last.

    >>> how = Training(tokens=160_000, schedule="linear", warmup=0.1)
    >>> [round(factor(how, step), 3) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.5, 0.011]
    """
    steps = how.steps if steps is None else steps
    warm = warmup_steps(how, steps)
    if step < warm:
        return (step + 1) / warm
    if how.schedule == "constant":
        return 1.0
    if how.schedule == "wsd":
        return min(1.0, (steps - step) / decay_steps(how, steps))
    part = (step - warm) / max(1, steps - warm)
    return 1 - part if how.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * part))


def warmup_steps(how: Training, steps: int) -> int:
    """Return over how many steps the rate rises."""
    return max(1, round(how.warmup * steps)) if how.warmup else 0


def decay_steps(how: Training, steps: int) -> int:
    """Return over how many steps "wsd" falls to zero."""
    return max(1, round(how.decay * steps))
