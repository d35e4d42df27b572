"""What is computed does not depend on how: in bf16, and compiled."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from scalinglens.train.loop import train_runs
from scalinglens.train.settings import Model, Settings, Training
from scalinglens.worlds.walks import walk

WORLD = walk(graph="er", nodes=32, edges=64)
HOW = Settings(
    model=Model(width=16),
    training=Training(tokens=32_000, sequence_length=20, batch=16, evaluations=3, evaluation_tokens=400),
)


def test_bf16_learns_alike():
    exact, coarse = (
        train_runs(WORLD, [replace(HOW, training=replace(HOW.training, precision=p))])[0] for p in ("float32", "bf16")
    )
    assert not np.array_equal(exact.curve["loss"], coarse.curve["loss"])
    # bf16 has 8 bits: rounding of 0.4% of logits of order one; weights and evaluation stay in float32
    np.testing.assert_allclose(coarse.curve["loss"], exact.curve["loss"], rtol=0.03)


def test_sequences_too_long_for_scores_in_memory_learn_alike(monkeypatch):
    """Beyond a length attention is PyTorch's own; the run is the same to rounding."""
    from scalinglens.train import subject

    members = [HOW, replace(HOW, seed=1)]
    by_hand = train_runs(WORLD, members)
    monkeypatch.setattr(subject, "LONGEST", 10)
    for one, other in zip(by_hand, train_runs(WORLD, members), strict=True):
        np.testing.assert_allclose(one.curve["loss"], other.curve["loss"], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_compiled_learns_alike():
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a processor, and there is no g++")
    plain, compiled = (train_runs(WORLD, [HOW], compile=c)[0] for c in (False, True))
    np.testing.assert_allclose(compiled.curve["loss"], plain.curve["loss"], rtol=1e-3)
