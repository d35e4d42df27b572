"""A branch of a trunk is the run of its length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalinglens.errors import ExperimentError
from scalinglens.train.branches import branch_settings, train_branches
from scalinglens.train.loop import train_runs
from scalinglens.train.schedule import factor
from scalinglens.train.settings import Model, Settings, Training
from scalinglens.worlds.walks import walk

WORLD = walk(graph="er", nodes=64, edges=256)
TRUNK = Settings(
    model=Model(width=16),
    training=Training(
        tokens=160 * 60,
        batch=8,
        sequence_length=20,
        schedule="wsd",
        warmup=0.1,
        decay=0.3,
        evaluations=4,
        evaluation_tokens=400,
    ),
)
HORIZONS = (160 * 60, 160 * 20, 160 * 40)


def test_branches_are_runs_of_their_own_to_the_bit():
    members = [TRUNK, replace(TRUNK, seed=1)]
    branches = train_branches(WORLD, members, horizons=HORIZONS)
    assert [branch[0].summary["steps"] for branch in branches] == [60, 20, 40]
    each = [branch_settings(member, HORIZONS) for member in members]
    for number, branch in enumerate(branches):
        alone = train_runs(WORLD, [of[number] for of in each])
        for one, other in zip(branch, alone, strict=True):
            assert one.curve.equals(other.curve)
            assert one.summary["loss"] == other.summary["loss"]


def test_learning_rates_agree_until_the_decay():
    short, long = branch_settings(TRUNK, [160 * 20, 160 * 60])
    rates = [[factor(s.training, step) for step in range(14)] for s in (short, long)]
    np.testing.assert_allclose(*rates)
    assert factor(short.training, 19) < 0.2 < factor(long.training, 19)


@pytest.mark.parametrize(
    ("settings", "horizons", "says"),
    [
        (replace(TRUNK, training=replace(TRUNK.training, schedule="cosine")), HORIZONS, r'schedule = "cosine"'),
        (
            TRUNK,
            (160 * 60, 160 * 6),
            r"a horizon of 960 tokens \(6 steps\) begins to decay before the warm-up of 6 steps",
        ),
        (TRUNK, (), "there is no horizon"),
    ],
)
def test_mistakes(settings, horizons, says):
    with pytest.raises(ExperimentError, match=says):
        train_branches(WORLD, [settings], horizons=horizons)
