"""A made language and softmax models of several sizes of it: small enough to train in a second, for examples.

p(y | x) = softmax(x' W),   W_kc ~ N(0, s^2 / k),   x ~ N(0, I);   a model of size d sees the first d features of x
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, softmax

__all__ = ["FEATURES", "VOCAB", "OnePassRun", "draw_labels", "made_language", "train_one_pass"]

FEATURES, VOCAB = 32, 20
_BATCH = 16


@dataclass(frozen=True, eq=False)
class OnePassRun:
    """One run on the same new tokens as the others.

    Attributes:
        size: features that the model sees.
        steps: of the checkpoints.
        losses: of each new token at each checkpoint, nats [tokens, checkpoints].
        accuracy: share of new tokens whose likeliest label is right [checkpoints].
    """

    size: int
    steps: np.ndarray
    losses: np.ndarray
    accuracy: np.ndarray


def made_language(rng: np.random.Generator, *, scale: float = 1.0) -> np.ndarray:
    """Return the weights W of a language [features, vocab], finer features the weaker.

    >>> made_language(np.random.default_rng(0)).shape
    (32, 20)
    """
    return scale * rng.normal(size=(FEATURES, VOCAB)) * np.arange(1, FEATURES + 1)[:, None] ** -0.5


def draw_labels(rng: np.random.Generator, inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return a label for each row of inputs, drawn from softmax(x' W).

    >>> draw_labels(np.random.default_rng(0), np.ones((2, 1)), np.array([[0.0, 50.0]])).tolist()
    [1, 1]
    """
    chances = softmax(inputs @ weights, axis=1).cumsum(1)
    return (chances[:, :-1] < rng.random((len(inputs), 1))).sum(1)


def train_one_pass(
    rng: np.random.Generator, *, size: int, truth: np.ndarray, inputs: np.ndarray, labels: np.ndarray, steps: int
) -> OnePassRun:
    """Return a softmax model's run of one pass of SGD, at a rate that grows with its size, 0.02 at 8 features.

    Args:
        rng: of its batches of 16.
        size: features that it sees. truth: W of the language. steps: of the run, at least 10.
        inputs: x of the new tokens [tokens, features]. labels: of them [tokens].

    Returns:
        The `OnePassRun`, with up to 25 checkpoints from step 10 on.

    Cost: `steps` products of a batch and the weights.
    """
    rate = 0.02 * size / 8
    at = np.unique(np.geomspace(10, steps, 25).astype(int))
    weights, losses, right = np.zeros((size, VOCAB)), [], []
    rows = np.arange(_BATCH)
    for step in range(1, at[-1] + 1):
        x = rng.normal(size=(_BATCH, FEATURES))
        error = softmax(x[:, :size] @ weights, axis=1)
        error[rows, draw_labels(rng, x, truth)] -= 1
        weights -= rate * x[:, :size].T @ error / _BATCH
        if step in at:
            logs = log_softmax(inputs[:, :size] @ weights, axis=1)
            losses.append(-logs[np.arange(len(labels)), labels])
            right.append(np.mean(logs.argmax(1) == labels))
    return OnePassRun(size, at, np.array(losses).T, np.array(right))
