"""`Digits`: 1,797 handwritten digits of 8 x 8 pixels, which scikit-learn brings along: a natural task without a download."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scalinglens.errors import WorldError
from scalinglens.worlds.checks import number, whole
from scalinglens.worlds.order import places, shuffled
from scalinglens.worlds.world import Description

__all__ = ["Digits", "digits"]


@dataclass(frozen=True, eq=False)
class Digits:
    """Images as vectors, and which digit each one is.

    Attributes:
        name: of it. images: float32 [n, 64] in 0 to 1. labels: [n]. train, kept_back: which of them.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    kept_back: np.ndarray
    inputs: int = 64
    outputs: int = 10
    kind: str = "classification"
    floor: None = None

    def examples(
        self, count: int, *, seed: int = 0, first: int = 0, held_out: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the examples number first .. first+count-1, in another order each epoch: float32 [count, 64], [count]."""
        known = self.kept_back if held_out else self.train
        at = known[places(count, len(known), seed=seed, first=first, held_out=held_out)]
        return self.images[at], self.labels[at]

    def describe(self) -> Description:
        """Return sizes."""
        values = {"inputs": 64, "outputs": 10, "train": len(self.train), "held_out": len(self.kept_back), "floor": None}
        return Description(self.name, values, {"train": "images of an epoch", "floor": "nats/example"})


def digits(*, reserved: float = 0.2, seed: int = 0) -> Digits:
    """Return the digits of scikit-learn.

    Args:
        reserved: Share that is held out.
        seed: Of which ones those are.

    Raises:
        WorldError: scikit-learn is not installed, or nothing is left to train on.
    """
    number("reserved", reserved, 0, 1, open=True)
    whole("seed", seed)
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise WorldError("digits need scikit-learn, which is not installed: pip install scikit-learn") from None
    images, labels = (np.asarray(part) for part in load_digits(return_X_y=True))
    order = shuffled(np.arange(len(labels)), len(labels), key=(seed, 0xD161))
    held = math.ceil(reserved * len(labels))
    if held >= len(labels):
        raise WorldError(f"reserved = {reserved:g} leaves none of {len(labels)} images to train on")
    name = f"digits reserved {reserved:g} seed {seed}"
    return Digits(
        name, (images / 16).astype(np.float32), labels.astype(np.int64), np.sort(order[held:]), np.sort(order[:held])
    )
