"""Perceptrons on tasks of vectors: what is known exactly of small ones, and members beside each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from scalinglens.errors import ExperimentError
from scalinglens.train.loop import train_runs
from scalinglens.train.perceptron import Perceptron
from scalinglens.train.settings import Model, Parameterization, Settings, Training
from scalinglens.worlds.walks import walk
from scalinglens.worlds.world import Description, Task

HOW = Training(tokens=32 * 400, sequence_length=1, batch=32, learning_rate=0.01, evaluations=4, evaluation_tokens=2000)
SMALL = Settings(Model("mlp", width=32), training=HOW)


@dataclass(frozen=True)
class Noisy:
    """The sign of a number, right nine times in ten; or the number itself with noise of variance 0.04."""

    kind: str = "classification"
    name: str = "noisy"
    inputs: int = 4

    @property
    def outputs(self):
        return 2 if self.kind == "classification" else 1

    @property
    def floor(self):
        return -(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) if self.kind == "classification" else 0.04

    def examples(self, count, *, seed=0, first=0, held_out=False):
        rows = [np.random.default_rng([seed, held_out, n]).normal(size=6) for n in range(first, first + count)]
        x = np.array(rows, dtype=np.float32)
        if self.kind == "classification":
            return x[:, :4], ((x[:, 0] > 0) ^ (x[:, 4] > 1.2816)).astype(np.int64)
        return x[:, :4], (x[:, :1] + 0.2 * x[:, 4:5]).astype(np.float32)

    def describe(self):
        return Description(self.name, {}, {})


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_floor_is_approached_and_not_crossed(kind):
    task = Noisy(kind)
    assert isinstance(task, Task)
    (outcome,) = train_runs(task, [SMALL])
    assert outcome.status == "finished"
    excess = outcome.curve["excess"].to_numpy()
    assert excess[-1] < 0.1 * excess[0]
    # 2,000 held-out examples: what they hold exceeds the floor by a standard error of about 0.02 and 0.0013
    assert -0.06 < excess[-1] < 0.1
    assert outcome.summary["loss"] == pytest.approx(outcome.summary["floor"] + excess[-1])
    assert outcome.summary["params"] == 4 * 32 + 32 + 32 * 32 + 32 + task.outputs * 33


def test_members_side_by_side_are_runs_of_their_own():
    members = [SMALL, replace(SMALL, seed=1), replace(SMALL, training=replace(HOW, learning_rate=0.03))]
    together = train_runs(Noisy(), members)
    for alone, beside in zip((train_runs(Noisy(), [each])[0] for each in members), together, strict=True):
        np.testing.assert_allclose(alone.curve["loss"], beside.curve["loss"], rtol=1e-5)


def test_outputs_of_wide_networks_do_not_grow_under_mup():
    """Mean square of the outputs after one step of AdamW, over an eightfold width: flat under muP, growing otherwise."""
    sizes = {}
    for name in ("mup", "standard"):
        for width in (64, 512):
            settings = replace(SMALL, model=Model("mlp", width=width), parameterization=Parameterization(name))
            from scalinglens.train.subject import Subject

            subject = Subject(Noisy(), [settings], device=torch.device("cpu"))
            for step in range(3):
                subject.optimizer.step(subject.gradients(step)[1], 1.0)
            x = torch.from_numpy(Noisy().examples(100)[0])[None]
            sizes[name, width] = subject.model(x).square().mean().sqrt().item()
    assert sizes["mup", 512] / sizes["mup", 64] == pytest.approx(1, abs=0.25)
    assert sizes["standard", 512] / sizes["standard", 64] > 2


def test_repeated_examples():
    (outcome,) = train_runs(Noisy(), [replace(SMALL, training=replace(HOW, tokens_unique=320))])
    assert outcome.summary["epochs"] == 40


def test_mistakes():
    with pytest.raises(ExperimentError, match=r'model.kind = "transformer", but noisy gives examples of vectors; take'):
        train_runs(Noisy(), [Settings()])
    with pytest.raises(ExperimentError, match=r'model.kind = "mlp", but walk er .* gives sequences of tokens'):
        train_runs(walk(), [SMALL])
    with pytest.raises(ExperimentError, match=r"take training.sequence_length = 1"):
        train_runs(Noisy(), [replace(SMALL, training=replace(HOW, sequence_length=2))])
    with pytest.raises(ExperimentError, match=r"model.tied = true"):
        Perceptron(Model("mlp", tied=True), Parameterization(), inputs=1, outputs=1, kind="regression", seeds=(0,))
