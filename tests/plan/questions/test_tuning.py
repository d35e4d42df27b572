"""Fine-tuning: checks of the catalogue, break-even by definition, and a fitted law inverted."""

from __future__ import annotations

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import PlanError
from scalinglens.plan.questions import ask


@pytest.mark.parametrize(("pretrained", "moved"), [("text", 1.6548e8), ("mix", 6.9538e8)])
def test_the_checks_of_the_catalogue(pretrained, moved):
    found = ask("fine-tuning", params_nonembedding="100M", finetune_characters=1e5, pretrained=pretrained)
    assert found.answer["characters_transferred"].value == pytest.approx(moved, rel=5e-5)
    other = 6.9538e8 if pretrained == "text" else 1.6548e8
    (spread,) = found.spread.values()
    assert spread["characters_transferred"] == pytest.approx(other, rel=5e-5)
    if pretrained == "text":
        assert found.answer["transfer_factor[10x data]"].value == pytest.approx(1.514, abs=5e-4)
        assert found.answer["transfer_factor[10x params]"].value == pytest.approx(2.399, abs=5e-4)


def test_break_even_and_trade():
    first = ask("fine-tuning", params_nonembedding=3e8, finetune_characters=1e6).answer
    even = first["characters_break_even"].value
    at = ask("fine-tuning", params_nonembedding=3e8, finetune_characters=even)
    assert at.answer["characters_transferred"].value == pytest.approx(even)
    assert any("ossification" in warning for warning in at.warnings)
    # ten times the data, or so much more size, transfer the same
    data = ask("fine-tuning", params_nonembedding=3e8, finetune_characters=1e7).answer
    size = 3e8 * first["params_factor[like 10x data]"].value
    bigger = ask("fine-tuning", params_nonembedding=size, finetune_characters=1e6).answer
    assert bigger["characters_transferred"].value == pytest.approx(data["characters_transferred"].value)


def test_a_fitted_law(tmp_path):
    rng = np.random.default_rng(1)
    n, d = (a.ravel() for a in np.meshgrid(np.logspace(8, 10, 6), np.logspace(5, 8, 6)))
    loss = (1 + 30 * n**-0.1 * d**-0.05) * np.exp(1e-4 * rng.standard_normal(36))
    fit = sl.fit({"params": n, "finetune_tokens": d, "loss": loss}, "zhang2024_ft.model", boot=60)
    fit.save(tmp_path / "ft.json")
    given = {"source": str(tmp_path / "ft.json"), "params": "1B"}
    found = ask("fine-tuning", finetune_tokens="1M", target_loss=2.5, **given).answer
    truth = 1 + 30 * 1e-9**0.1 * 1e-6**0.05
    assert found["loss"].value == pytest.approx(truth, rel=1e-3)
    assert found["loss"].low < found["loss"].value < found["loss"].high
    assert found["data_factor[like 2x size]"].value == pytest.approx(4, rel=0.05)
    needed = found["finetune_tokens_needed"].value
    back = ask("fine-tuning", finetune_tokens=needed, **given).answer["loss"].value
    assert back == pytest.approx(2.5, rel=1e-9)
    double = ask("fine-tuning", finetune_tokens="2M", **given).answer["loss"].value
    assert found["loss[2x finetune_tokens]"].value == pytest.approx(double)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "transfer needs params_nonembedding"),
        ({"params_nonembedding": 1e8, "finetune_characters": 1e5, "pretrained": "texts"}, 'did you mean "text"'),
        ({"source": "zhang2024_ft.model"}, "no published value for A, alpha, beta, E"),
        ({"source": "besiroglu2024", "params": 1e9}, "needs a law with A, alpha, beta, E, finetune_tokens"),
        ({"source": "zhang2024_ft.model", "constants": "A=30,alpha=0.1,beta=0.05,E=1"}, "needs params"),
        (
            {"source": "zhang2024_ft.peft", "constants": "A=30,alpha=0.1,beta=0.05,E=1", "params_peft": 1e6},
            "give finetune_tokens",
        ),
        (
            {
                "source": "zhang2024_ft.model",
                "constants": "A=30,alpha=0.1,beta=0.05,E=1",
                "params": 1e9,
                "target_loss": 0.9,
            },
            "no amount of data",
        ),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("fine-tuning", **given)
