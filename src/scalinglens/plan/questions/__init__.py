"""Questions of planning beyond size and data: one function each, numbers in, a `Plan` out.

    from scalinglens.plan.questions import ask, learning_rate
    ask("learning-rate", params_nonembedding="1B", tokens="100B")

A question is a function with keyword arguments only, in a module of this folder, and one line in `QUESTIONS`; the command line
reads its options from the signature and their help from the docstring.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalinglens.errors import PlanError
from scalinglens.named import check_name

if TYPE_CHECKING:
    from scalinglens.plan.plan import Plan

__all__ = ["QUESTIONS", "Question", "ask", "question"]


@dataclass(frozen=True)
class Question:
    """Where a question is answered: module of this folder, and what it asks, in a line."""

    module: str
    asks: str


QUESTIONS: Mapping[str, Question] = {
    "learning-rate": Question(
        "hyperparameters", "which learning rate, batch and weight decay; how far do laws disagree?"
    ),
    "epochs": Question("epochs", "how often should limited data be repeated, and what are repetitions worth?"),
    "vocabulary": Question("vocabulary", "how many entries should the vocabulary have?"),
    "parallel-streams": Question("parallel_streams", "several passes of one set of weights, or a bigger model?"),
    "pruning": Question("pruning", "what is weight sparsity worth, and how much of it is best?"),
    "precision": Question(
        "precision", "how many bits to train with, and what does quantisation after training damage?"
    ),
    "shape": Question("shape", "which width and depth, for language or vision?"),
    "distillation": Question("distillation", "a teacher or none, and how large?"),
    "mixture-of-experts": Question("mixture_of_experts", "how sparse and how finely split, or dense?"),
    "over-training": Question(
        "over_training", "what does a smaller model cost more to train, and when does serving pay?"
    ),
    "batch-size": Question("batch", "how large a batch is useful, and what does a fast run cost?"),
    "schedule": Question("schedules", "which learning-rate schedule, over which share of the steps should it decay?"),
    "data-mixture": Question("mixture", "which shares of the domains give the least loss?"),
    "fine-tuning": Question("tuning", "more fine-tuning data or a bigger model; what is pretraining worth?"),
    "accuracy": Question("benchmarks", "what accuracy does a loss, or a size with its tokens, give on benchmarks?"),
    "reinforcement": Question("reinforcing", "is a reinforcement-learning run worth continuing?"),
    "sampling": Question("sampling", "how many samples at test time; training or test compute?"),
    "progress": Question("algorithms", "what are years of better algorithms worth in compute and in size?"),
    "counting": Question("conventions", "which exponent comes from counting embeddings, head and attention or not?"),
    "hardware": Question("clusters", "days, dollars, energy and memory of a run on each accelerator?"),
}
"""Question -> where it is answered; the function has the same name with underscores."""


def question(name: str) -> Callable[..., Plan]:
    """Return the function that answers a question.

    Raises:
        PlanError: no such question; the nearest one is suggested.

    >>> question("learning-rate").__name__
    'learning_rate'
    """
    check_name("question", name, QUESTIONS, PlanError)
    module = importlib.import_module(f"{__name__}.{QUESTIONS[name].module}")
    return getattr(module, name.replace("-", "_"))


def ask(name: str, **given: Any) -> Plan:
    """Answer a question by name, with what is given to its function.

    >>> f"{ask('learning-rate', params_nonembedding='1B', tokens='100B').answer['learning_rate'].value:.4g}"
    '0.001662'
    """
    return question(name)(**given)
