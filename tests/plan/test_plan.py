"""The verb `plan` and its answer."""

from __future__ import annotations

import json

import numpy as np
import pytest

import scalinglens.plan as planning
from scalinglens.plan.frontier import frontier
from scalinglens.plan.plan import Plan, plan


def test_besiroglu():
    found = plan("besiroglu2024", flops="5.76e23")
    assert f"{found.answer['params'].value:.3e}" == "7.225e+10"
    assert f"{found.answer['tokens'].value:.4e}" == "1.3287e+12"
    assert f"{found.answer['tokens_per_param'].value:.1f}" == "18.4"
    low, high = found.near_optimal["params"]
    assert low < found.answer["params"].value < high
    assert found.near_optimal["tolerance"] == 1e-3
    assert len(found.spread) >= 4
    assert "hoffmann2022.a3_tex" in found.spread
    assert found.spread["hoffmann2022.a3_tex"]["params"] == pytest.approx(40.36e9, rel=2e-4)
    assert found.extrapolation_decades == {}
    assert "other laws" in repr(found)


def test_the_package_is_the_verb():
    assert planning("besiroglu2024", flops=1e21).answer["params"].value == pytest.approx(2.7785e9, rel=2e-5)
    assert planning.Plan is Plan


def test_json(chinchilla_fit):
    words = json.loads(json.dumps(plan(chinchilla_fit, flops=5.76e23).to_dict(), allow_nan=False))
    assert words["schema"] == 1
    assert set(words) >= {
        "schema", "question", "answer", "near_optimal", "extrapolation_decades", "assumptions", "warnings",
    }  # fmt: skip
    assert set(words["answer"]["params"]) == {"value", "low", "high"}
    assert {"params", "tokens", "flops", "loss"} <= set(words["answer"])
    assert set(words["near_optimal"]) == {"tolerance", "params", "tokens"}
    assert len(words["near_optimal"]["params"]) == 2
    assert words["extrapolation_decades"]["flops"] > 2
    assert words["spread"] == {}  # a user with runs is not told what others measured on theirs


def test_intervals_and_views(chinchilla_fit, tmp_path):
    found = plan(chinchilla_fit, flops=1e23, level=0.8)
    again = frontier(chinchilla_fit, 1e23, level=0.8)
    e = found.answer["params"]
    assert (e.low, e.high, e.level) == (again.optimum["params"].low[0], again.optimum["params"].high[0], 0.8)
    assert "80% interval" in repr(found)
    assert "<table>" in found._repr_html_()
    assert found.to_frame().loc["params", "near_low"] == found.near_optimal["params"][0]
    assert found.citations()
    found.plot(tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 10_000


def test_fixed_size():
    found = plan("besiroglu2024", flops=1e23, fix={"params": "7B"})
    assert found.answer["tokens"].value == pytest.approx(1e23 / 6 / 7e9)
    assert found.answer["params"].value == 7e9


def test_fixed_size_and_target():
    found = plan("besiroglu2024", target_loss=2.05, fix={"params": "70B"})
    tokens = (2085.43 / (2.05 - 1.8172 - 482.01 / 70e9**0.3478)) ** (1 / 0.3658)
    assert found.answer["tokens"].value == pytest.approx(tokens, rel=1e-9)
    assert found.answer["flops"].value == pytest.approx(6 * 70e9 * tokens, rel=1e-9)


def test_limited_tokens():
    found = plan("muennighoff2023", flops=1e23, tokens_unique="100B")
    assert found.answer["epochs"].value == pytest.approx(found.answer["tokens"].value / 1e11)
    assert found.answer["tokens_unique"].value == 1e11
    free = plan("muennighoff2023.base", flops=1e23)
    assert found.answer["params"].value < free.answer["params"].value  # epochs before parameters: R_N* < R_D*
    assert found.answer["loss"].value > free.answer["loss"].value
    assert any("Muennighoff" in text for text in found.citations())


def test_limited_tokens_of_ones_own_fit(chinchilla_fit):
    plenty = plan(chinchilla_fit, flops=1e23, tokens_unique=1e15)
    scarce = plan(chinchilla_fit, flops=1e23, tokens_unique="50B")
    assert plenty.answer["params"].value == pytest.approx(
        plan(chinchilla_fit, flops=1e23).answer["params"].value, rel=1e-7
    )
    assert scarce.answer["params"].value > plenty.answer["params"].value
    assert scarce.answer["params"].low < scarce.answer["params"].value < scarce.answer["params"].high
    assert any("Muennighoff" in text for text in scarce.assumptions)


def test_many_epochs_are_warned_of():
    found = plan("muennighoff2023", flops=1e24, tokens_unique="1B", fix={"params": "1B"})
    assert any("epochs" in warning for warning in found.warnings)


def test_served_model_is_smaller():
    plain = plan("besiroglu2024", flops=1e23)
    served = plan("besiroglu2024", flops=1e23, inference_tokens="2T")
    assert served.answer["params"].value < plain.answer["params"].value
    total = served.answer["flops_training"].value + served.answer["flops_inference"].value
    assert total == pytest.approx(1e23)
    assert "tokens_inference" not in served.answer


def test_cost_in_dollars():
    dollars = plan("besiroglu2024", budget=1e6, cost="dollars = 2e-18*6*params*tokens")
    assert dollars.answer["params"].value == pytest.approx(
        plan("besiroglu2024", flops=5e23).answer["params"].value, rel=1e-9
    )
    assert dollars.answer["usd"].value == 1e6


def test_a_pool_and_a_surface(chinchilla_pool, chinchilla_surface):
    for source, flops in ((chinchilla_pool, 1e22), (chinchilla_surface, 1e20)):
        found = plan(source, flops=flops)
        assert found.answer["params"].low < found.answer["params"].value < found.answer["params"].high
        target = plan(source, target_loss=float(found.answer["loss"].value))
        assert target.answer["flops"].value == pytest.approx(flops, rel=2e-3)
        assert target.answer["flops"].low < flops < target.answer["flops"].high


def test_assumptions_and_decades(chinchilla_fit):
    found = plan(chinchilla_fit, flops=1e26)
    assert any("60 runs, certified" in text for text in found.assumptions)
    assert any("cost = 6*params*tokens [FLOP]" in text for text in found.assumptions)
    largest = (6 * chinchilla_fit.points["params"] * chinchilla_fit.points["tokens"]).max()
    assert found.extrapolation_decades["flops"] == pytest.approx(np.log10(1e26 / largest))
    assert any("beyond the runs" in warning for warning in found.warnings)
