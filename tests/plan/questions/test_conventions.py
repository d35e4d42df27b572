"""Counting: the published exponents of Pearce and Song, and their map from blocks to all parameters."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.plan.questions import ask


@pytest.mark.parametrize(
    ("source", "total", "blocks"), [("besiroglu2024", 0.51, 0.78), ("hoffmann2022.a3_printed", 0.46, 0.74)]
)
def test_the_exponents_of_pearce_and_song(source, total, blocks):
    found = ask("counting", source=source, flops_least=10**12.95, flops_most=10**20.7).answer
    assert found["exponent[total]"].value == pytest.approx(total, abs=0.0101)
    assert found["exponent[nonembedding]"].value == pytest.approx(blocks, abs=0.0101)


def test_counting_everything_gives_the_closed_form():
    found = ask("counting", source="besiroglu2024")
    assert found.answer["exponent[total]"].value == pytest.approx(0.3658 / (0.3478 + 0.3658), abs=1e-6)
    large = ask("counting", params_least=1e14, params_most=1e16).answer
    for e in large.values():
        assert e.value == pytest.approx(0.5126, abs=0.003)  # nobody minds a vocabulary of 1% of the model
    assert found.spread["kaplan2020.N_opt"]["exponent"] == 0.73


def test_embeddings_of_a_size():
    found = ask("counting", params_nonembedding=1e9).answer["params"].value
    assert found == pytest.approx(1.0475e9, rel=1e-4)  # catalogue, omega 47491


def test_a_fit_with_draws(chinchilla_fit):
    e = ask("counting", source=chinchilla_fit).answer["exponent[nonembedding]"]
    assert e.low < e.value < e.high
    assert np.isfinite(e.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"flops_least": 1e20}, "give flops_most"),
        ({"params_least": 1e9, "params_most": 1e8}, "is no range"),
        ({"flops_least": 1e18, "flops_most": 1e20, "params_least": 1e6}, "keep one"),
        ({"source": "kaplan2020.L_N"}, "law of tokens and of params"),
        ({"vocab": 0}, "vocab"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("counting", **given)
