"""Sampling from a trained model: what it samples is what it says, and its entropy is that of what it sampled."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from scalinglens.errors import ExperimentError
from scalinglens.train.generate import _next_logits, generate, write_generated
from scalinglens.train.loop import train_runs
from scalinglens.train.models import read_model
from scalinglens.train.settings import Model, Parameterization, Settings, Training
from scalinglens.train.transformer import Transformer
from scalinglens.worlds.walks import walk

WORLD = walk(graph="er", nodes=32, edges=64)
HOW = Settings(
    model=Model(width=16),
    training=Training(
        tokens=80_000, learning_rate=0.03, sequence_length=20, batch=16, evaluations=1, evaluation_tokens=400
    ),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    outcomes = train_runs(WORLD, [HOW, replace(HOW, seed=1)], weights=path)
    return path, outcomes, read_model(path)[0]


@pytest.mark.parametrize(
    "model", [Model(width=16, zero_head=False), Model(width=16, tied=True, gains=True, qk_norm=False)]
)
def test_token_by_token_equals_all_at_once(model):
    net = Transformer(model, Parameterization("standard", std=0.3), vocab=11, length=9, seeds=(0, 1))
    tokens = torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(0))
    cache = []
    one_by_one = torch.stack([_next_logits(net, tokens[:, t], t, cache, 1) for t in range(9)], 1)
    torch.testing.assert_close(one_by_one, net(tokens.expand(2, 3, 9))[1], rtol=1e-4, atol=1e-5)


def test_a_model_read_back_says_the_same(trained):
    path, outcomes, model = trained
    tokens = torch.from_numpy(WORLD.sample(20, length=21, held_out=True).astype(np.int64)).expand(2, 20, 21)
    losses = model.losses(tokens[..., :-1], tokens[..., 1:])
    for loss, outcome in zip(losses.tolist(), outcomes, strict=True):
        assert loss == pytest.approx(outcome.summary["loss"], abs=0.15)  # 400 sampled tokens, against the exact loss
    assert read_model(path)[1]["settings"] == [HOW, replace(HOW, seed=1)]
    (path.parent / "cut").write_bytes(path.read_bytes()[:500])
    with pytest.raises(ExperimentError, match="is no trained model: it cannot be read"):
        read_model(path.parent / "cut")


def test_samples_follow_the_model(trained):
    model = trained[2]
    found = generate(model, WORLD, count=3000, length=21)
    again = generate(model, WORLD, count=2100, length=21)
    np.testing.assert_array_equal(found.tokens[:2100], again.tokens)
    tokens = torch.from_numpy(found.tokens.astype(np.int64))[None]
    with torch.no_grad():
        logits = model(tokens[..., :-1].expand(2, -1, -1))[0]
    p = torch.log_softmax(logits.double(), -1)
    # mean of -log p of what was sampled, and the mean entropy, estimate the same
    sampled = -p.gather(-1, tokens[0, :, 1:, None]).squeeze(-1).mean(1)
    error = sampled.std().item() / 3000**0.5
    assert sampled.mean().item() == pytest.approx(found.entropy_rate, abs=4 * error)
    assert -(p.exp() * p).sum(-1).mean().item() == pytest.approx(found.entropy_rate, rel=1e-4)
    assert 0 < found.entropy_error < error
    # a trained model mostly walks along edges
    steps = WORLD.transitions.toarray()[found.tokens[:, :-1], found.tokens[:, 1:]]
    assert np.mean(steps > 0) > 0.8


def test_temperature_and_greatest_lower_the_entropy(trained):
    rates = [
        generate(trained[2], WORLD, count=50, length=21, **words).entropy_rate
        for words in ({"temperature": 1.5}, {}, {"temperature": 0.5}, {"greatest": 1})
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0


def test_files(tmp_path, trained):
    found = generate(trained[2], WORLD, count=5, length=21, seed=3)
    path = write_generated(tmp_path / "t.npy", found, facts={"model": "two layers"})
    np.testing.assert_array_equal(np.load(path), found.tokens)
    words = json.loads((tmp_path / "t.npy.json").read_text())
    assert words["vocab"] == 32
    assert words["sequence_length"] == 21
    assert words["entropy_rate"] == found.entropy_rate
    assert words["model"] == "two layers"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"length": 22}, "length from 2 to 21|from 2 to 21"),
        ({"temperature": 0.0}, "temperature = 0.0 must be above 0"),
        ({"greatest": 33}, "greatest = 33"),
        ({"start": walk(graph="er", nodes=16, edges=32)}, "has 16 tokens, the model 32"),
    ],
)
def test_mistakes(words, says, trained):
    words = {"start": WORLD, "count": 2, "length": 21, **words}
    with pytest.raises(ExperimentError, match=says):
        generate(trained[2], words.pop("start"), **words)
