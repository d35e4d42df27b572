"""What determines one training: the model, how it scales with width, and how it is trained. Where it runs is not part of it.

The defaults are the reference configuration for walks: those of a model that comes within a per cent of the entropy of small
graphs on one processor (study-random-walks 8.1), with normalised queries and keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from scalinglens.errors import ExperimentError, did_you_mean

__all__ = ["Model", "Parameterization", "Settings", "Training"]


@dataclass(frozen=True)
class Model:
    """What is trained.

    Attributes:
        kind: "transformer" for sequences of tokens, "mlp" for tasks of vectors.
        width: of the residual stream, or of each hidden layer of an mlp. depth: number of layers.
        heads: of attention; width/heads is even, because positions rotate pairs. feedforward: width of the MLP over `width`.
        tied: whether the head is the embedding table. zero_head: whether the head begins at zero (untied only).
        qk_norm: whether queries and keys are normalised. gains: whether norms have weights.

    >>> Model(width=100)
    Traceback (most recent call last):
    scalinglens.errors.ExperimentError: model.width = 100 makes 4 heads of size 25, which is no even whole number; 96 or 104 do
    """

    kind: str = "transformer"
    width: int = 32
    depth: int = 2
    heads: int = 4
    feedforward: int = 4
    tied: bool = False
    zero_head: bool = True
    qk_norm: bool = True
    gains: bool = False

    def __post_init__(self) -> None:
        _typed(self, "model")
        _one_of("model.kind", self.kind, ("transformer", "mlp"))
        for name in ("width", "depth", "heads", "feedforward"):
            _from(f"model.{name}", getattr(self, name), 1)
        if self.kind == "transformer" and self.width % (2 * self.heads):
            step = 2 * self.heads
            low, high = self.width // step * step, (self.width // step + 1) * step
            near = f"{low} or {high} do" if low else f"{high} does"
            raise ExperimentError(
                f"model.width = {self.width} makes {self.heads} heads of size {self.width / self.heads:g}, which is no even "
                f"whole number; {near}"
            )


@dataclass(frozen=True)
class Parameterization:
    """How initialisation, learning rates and multipliers follow the width; the rules are a table in parameterization.py.

    Attributes:
        name: "mup" (relative to a base width), "mup-absolute" (without one), "standard", or "matched": standard with the
            multipliers that make it equal to "mup" at the base width.
        base_width: at which "mup" and "matched" are the same.
        embedding_lr, head_lr: learning rates of the embedding and the head over that of the matrices, at the base width.
        logits: multiplier of the logits at the base width, times the square root of the base width over itself.
        std: of all weights in "standard".
    """

    name: str = "mup"
    base_width: int = 32
    embedding_lr: float = 8.0
    head_lr: float = 8.0
    logits: float = 4.0
    std: float = 0.02

    def __post_init__(self) -> None:
        _typed(self, "parameterization")
        _one_of("parameterization.name", self.name, ("mup", "mup-absolute", "standard", "matched"))
        _from("parameterization.base_width", self.base_width, 1)
        for name in ("embedding_lr", "head_lr", "logits", "std"):
            _positive(f"parameterization.{name}", getattr(self, name))


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Attributes:
        tokens: predictions trained on in all; whole batches, at least one. For an mlp: examples.
        sequence_length: predictions per sequence. batch: sequences (examples) per step.
        learning_rate: peak. optimizer: "adamw" or "sgd". beta1, beta2, epsilon: of AdamW. momentum: of SGD.
        weight_decay: decoupled, times the learning rate of each group. clip: largest norm of the gradient; 0 never clips.
        schedule: "cosine" or "linear" to zero, "constant", or "wsd" (constant, then linear to zero over the last `decay`).
        warmup, decay: fractions of the steps.
        tokens_unique: tokens that are repeated, in a new order each time; 0 never repeats.
        evaluations: how many, spaced evenly in the logarithm of the step; the last is at the end.
        evaluation_tokens: predictions each rests on. precision: "float32" or "bf16" (autocast).
    """

    tokens: int = 1_000_000
    sequence_length: int = 50
    batch: int = 32
    learning_rate: float = 0.02
    optimizer: str = "adamw"
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    momentum: float = 0.9
    weight_decay: float = 0.01
    clip: float = 1.0
    schedule: str = "cosine"
    warmup: float = 0.02
    decay: float = 0.2
    tokens_unique: int = 0
    evaluations: int = 12
    evaluation_tokens: int = 4000
    precision: str = "float32"

    def __post_init__(self) -> None:
        _typed(self, "training")
        _one_of("training.optimizer", self.optimizer, ("adamw", "sgd"))
        _one_of("training.schedule", self.schedule, ("cosine", "linear", "constant", "wsd"))
        _one_of("training.precision", self.precision, ("float32", "bf16"))
        for name in ("tokens", "sequence_length", "batch", "evaluations", "evaluation_tokens"):
            _from(f"training.{name}", getattr(self, name), 1)
        _positive("training.learning_rate", self.learning_rate)
        _positive("training.epsilon", self.epsilon)
        for name in ("beta1", "beta2", "momentum", "warmup"):
            _between(f"training.{name}", getattr(self, name), 0.0, 1.0, "below 1", lambda x: x < 1)
        _between("training.decay", self.decay, 0.0, 1.0, "above 0 and up to 1", lambda x: x > 0)
        for name in ("weight_decay", "clip", "tokens_unique"):
            _from(f"training.{name}", getattr(self, name), 0)
        step = self.batch * self.sequence_length
        for name in ("tokens", "tokens_unique"):
            if 0 < getattr(self, name) < step:
                raise ExperimentError(
                    f"training.{name} = {getattr(self, name):,} is less than a batch of {self.batch} x {self.sequence_length} = "
                    f"{step:,}; make the batch at most {max(1, getattr(self, name) // self.sequence_length)}, or take more"
                )

    @property
    def steps(self) -> int:
        """Number of steps: whole batches next to `tokens`."""
        return max(1, round(self.tokens / (self.batch * self.sequence_length)))


@dataclass(frozen=True)
class Settings:
    """All that determines one training but its world.

    >>> Settings(training=Training(tokens=500_000)).training.steps
    312
    """

    model: Model = field(default_factory=Model)
    parameterization: Parameterization = field(default_factory=Parameterization)
    training: Training = field(default_factory=Training)
    seed: int = 0

    def __post_init__(self) -> None:
        _from("seed", self.seed, 0)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ExperimentError(f"seed = {self.seed!r} is a whole number from 0 on")


def _typed(part: Any, table: str) -> None:
    """Refuse a value of another type than its default; whole numbers stand for floats."""
    for each in fields(part):
        value, kind = getattr(part, each.name), type(each.default)
        if kind is float and type(value) is int:
            object.__setattr__(part, each.name, float(value))
        elif type(value) is not kind:
            says = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[kind]
            raise ExperimentError(f"{table}.{each.name} = {value!r} must be {says}, such as {each.default!r}")


def _one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ExperimentError(f'{key} = "{value}" is not one of {", ".join(known)}{did_you_mean(value, known)}')


def _from(key: str, value: float, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ExperimentError(f"{key} = {value} must be {least} or more")


def _positive(key: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ExperimentError(f"{key} = {value} must be above 0")


def _between(key: str, value: float, low: float, high: float, says: str, also: Callable[[float], bool]) -> None:
    if not (math.isfinite(value) and low <= value <= high and also(value)):
        raise ExperimentError(f"{key} = {value} must be between {low:g} and {high:g}, {says}")
