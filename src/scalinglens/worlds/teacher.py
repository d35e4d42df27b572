"""`Teacher`: what a random perceptron answers to Gaussian inputs; a student of the same shape or larger can reach the noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from scalinglens.worlds.checks import choice, number, whole
from scalinglens.worlds.streams import BLOCK, drawn
from scalinglens.worlds.world import Description

__all__ = ["ACTIVATIONS", "Teacher", "teacher"]

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "erf": lambda x: erf(x / np.sqrt(2)),
}


@dataclass(frozen=True, eq=False)
class Teacher:
    """A perceptron with fixed weights.

    Attributes:
        name: of it. weights: of each layer [in, out]. activation: between them. noise: added to its answers.

    >>> task = teacher(inputs=3, hidden=5)
    >>> x, y = task.examples(4)
    >>> bool(np.allclose(y, task.answer(x), rtol=1e-5))
    True
    """

    name: str
    weights: tuple[np.ndarray, ...]
    activation: str
    noise: float
    kind: str = "regression"

    @property
    def inputs(self) -> int:
        """Numbers per example."""
        return len(self.weights[0])

    @property
    def outputs(self) -> int:
        """Numbers to predict."""
        return self.weights[-1].shape[1]

    @property
    def floor(self) -> float:
        """Mean squared error of the teacher itself."""
        return self.noise**2

    def answer(self, x: np.ndarray) -> np.ndarray:
        """Return what the teacher says, without noise, to inputs [..., inputs]."""
        for weights in self.weights[:-1]:
            x = ACTIVATIONS[self.activation](x @ weights)
        return x @ self.weights[-1]

    def examples(
        self, count: int, *, seed: int = 0, first: int = 0, held_out: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the examples number first .. first+count-1: float32 [count, inputs] and [count, outputs]."""
        x, y = drawn(self._draw, count, seed=seed, first=first, held_out=held_out)
        return x, y

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        x = rng.standard_normal((BLOCK, self.inputs)).astype(np.float32)
        y = self.answer(x.astype(float)) + self.noise * rng.standard_normal((BLOCK, self.outputs))
        return x, y.astype(np.float32)

    def describe(self) -> Description:
        """Return sizes and the floor."""
        y = self.examples(BLOCK)[1]
        values = {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "params": sum(w.size for w in self.weights),
            "floor": self.floor,
            "untrained": float(np.mean(np.square(y))),
        }
        says = {
            "params": "of the teacher",
            "floor": "squared error of the teacher, exact",
            "untrained": f"squared error of zero, over {BLOCK} examples",
        }
        return Description(self.name, values, says)


def teacher(
    *,
    inputs: int = 16,
    hidden: int = 32,
    depth: int = 2,
    outputs: int = 1,
    activation: str = "tanh",
    noise: float = 0.0,
    seed: int = 0,
) -> Teacher:
    """Return the task of a random perceptron.

    Args:
        inputs: Independent Gaussian numbers of variance 1.
        hidden: Units of each layer between.
        depth: Layers of weights; 1 is linear.
        outputs: Numbers to predict.
        activation: "relu", "tanh" or "erf".
        noise: Standard deviation of what is added to each answer.
        seed: Of the weights, Gaussian with variance gain/fan-in, gain 2 before "relu" and 1 otherwise.

    Raises:
        WorldError: a number out of its range, an unknown activation.
    """
    for name, value in (("inputs", inputs), ("hidden", hidden), ("depth", depth), ("outputs", outputs)):
        whole(name, value, 1)
    whole("seed", seed)
    choice("activation", activation, tuple(ACTIVATIONS))
    number("noise", noise, 0)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x7E]))
    sizes = [inputs, *[hidden] * (depth - 1), outputs]
    gains = [2.0 if activation == "relu" and at < depth - 1 else 1.0 for at in range(depth)]
    weights = tuple(
        rng.standard_normal((a, b)) * np.sqrt(gain / a) for a, b, gain in zip(sizes, sizes[1:], gains, strict=False)
    )
    name = f"teacher {'-'.join(map(str, sizes))} {activation} noise {noise:g} seed {seed}"
    return Teacher(name, weights, activation, float(noise))
