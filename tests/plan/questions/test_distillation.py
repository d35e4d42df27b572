"""Distillation: values of the catalogue, limits of the law, brute force over teachers, accounting."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.plan.questions import ask
from scalinglens.plan.questions.distillation import SCENARIOS, student_loss, supervised_loss


def test_values_of_the_catalogue():
    assert float(supervised_loss(1e9, 2e10)) == pytest.approx(2.3747, abs=5e-5)
    assert float(supervised_loss(7e9, 1.4e11)) == pytest.approx(2.0188, abs=5e-5)
    assert float(student_loss(1e9, 2e10, 2.2)) == pytest.approx(2.317, abs=5e-4)


def test_a_student_without_limits_is_its_teacher():
    assert float(student_loss(1e15, 1e18, 2.2)) == pytest.approx(2.2, abs=1e-3)


def test_a_teacher_can_be_too_strong():
    losses = student_loss(1e9, 2e10, np.array([1.3, 1.7, 2.2]))
    assert losses[1] < losses[0]
    assert losses[1] < losses[2]


@pytest.mark.parametrize("teacher", SCENARIOS)
def test_against_brute_force(teacher):
    found = ask("distillation", params_nonembedding=1e9, flops=1e21, teacher=teacher).answer
    logits, trained, _ = SCENARIOS[teacher]
    nt = np.geomspace(1e7, 1e12, 1501)[:, None]
    ratio = np.geomspace(1, 1000, 601)[None, :] if trained else np.array([[20.0]])
    dt = nt * ratio
    d = (1e21 - 6 * trained * nt * dt) / (6e9 + 2 * nt * logits)
    losses = np.where(d > 0, student_loss(1e9, np.where(d > 0, d, 1.0), supervised_loss(nt, dt)), np.inf)
    assert found["loss_distilled"].value == pytest.approx(losses.min(), rel=1e-5)
    assert found["loss_distilled"].value <= losses.min() * (1 + 1e-9)
    assert found["flops"].value == pytest.approx(1e21, rel=1e-9)
    assert found["loss_alone"].value == pytest.approx(float(supervised_loss(1e9, 1e21 / 6e9)))


def test_paying_more_for_the_teacher_never_helps():
    gain = {
        t: ask("distillation", params_nonembedding=1e9, flops=1e21, teacher=t).answer["gain_loss"].value
        for t in SCENARIOS
    }
    assert gain["free"] > gain["inference"]
    assert gain["pretraining"] > gain["both"]


def test_a_settled_teacher():
    found = ask("distillation", params_nonembedding=1e9, tokens=2e10, params_teacher=8e9, tokens_teacher=1e12).answer
    teacher = float(supervised_loss(8e9, 1e12))
    assert found["loss_teacher"].value == pytest.approx(teacher)
    assert found["loss_distilled"].value == pytest.approx(float(student_loss(1e9, 2e10, teacher)))
    assert found["flops"].value == pytest.approx(6 * 1e9 * 2e10 + 2 * 8e9 * 2e10)
    assert found["gain_loss"].value == pytest.approx(
        found["loss_alone_same_tokens"].value - found["loss_distilled"].value
    )


def test_says_what_is_not_known():
    found = ask("distillation", params_nonembedding=1e9, flops=1e21)
    assert any("unverified" in text for text in found.warnings)
    assert any("could not be verified" in text for text in found.warnings)
    assert any("train alone" in text for text in found.warnings)  # with this much compute
    assert not any(
        "train alone" in t for t in ask("distillation", params_nonembedding=1e9, flops=1e21, teacher="free").warnings
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tokens": 1e10, "teacher": "inferense"}, 'did you mean "inference"'),
        ({}, "give tokens or flops"),
        ({"flops": 1e18, "params_teacher": 1e12, "tokens_teacher": 1e12, "teacher": "both"}, "do not pay that teacher"),
    ],
)
def test_refusals(given, said):
    with pytest.raises(PlanError, match=said):
        ask("distillation", params_nonembedding=1e9, **given)
