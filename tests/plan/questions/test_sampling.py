"""Samples at test time: printed points, exact means over problems, and the split of compute by brute force."""

from __future__ import annotations

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.questions import ask


def test_the_printed_points_of_brown():
    found = ask("sampling", samples="1,250", target_coverage=0.56).answer
    assert found["coverage[1]"].value == pytest.approx(0.159, abs=5e-4)
    assert found["coverage[250]"].value == pytest.approx(0.56, abs=5e-4)
    assert found["samples_needed"].value == pytest.approx(250, rel=5e-3)
    far = ask("sampling", samples="2500").extrapolation_decades
    assert far == {"samples": pytest.approx(1)}


def test_both_forms_of_the_law_agree():
    one = ask("sampling", samples="7", target_coverage=0.9)
    other = ask(
        "sampling", samples="7", target_coverage=0.9, source="schaeffer2025.aggregate", constants="c=1.839,b=0.209"
    )
    for name in ("coverage[7]", "samples_needed"):
        assert one.answer[name].value == pytest.approx(other.answer[name].value)


def test_success_rates_of_problems():
    one = ask("sampling", samples="100", success_rates="0.01").answer
    assert one["coverage[100]"].value == pytest.approx(0.63397, abs=5e-6)  # catalogue
    rates = [0.003, 0.02, 0.4, 0.9]
    found = ask("sampling", samples=[30], success_rates=rates, target_coverage=0.95).answer
    k = found["samples_needed"].value
    assert np.mean(1 - (1 - np.array(rates)) ** k) == pytest.approx(0.95)
    draws = np.random.default_rng(0).random((20_000, 30, 4)) < rates
    assert found["coverage[30]"].value == pytest.approx(draws.any(axis=1).mean(), abs=0.005)


def test_the_split_of_compute_by_brute_force():
    found = ask("sampling", flops=1e22, queries=1e6)
    s = np.linspace(0.001, 0.999, 99_801)
    # Elo from the printed line: log10 test = -1.2 log10 train + 0.004 Elo + 29
    elo = (np.log10((1 - s) * 1e22 / 1e6) + 1.2 * np.log10(s * 1e22) - 29) / 0.004
    assert found.answer["train_share"].value == pytest.approx(s[np.argmax(elo)], abs=1e-4)
    good = s[elo >= elo.max() - 10]
    assert found.near_optimal["train_share"] == pytest.approx((good[0], good[-1]), abs=1e-4)
    half = elo[np.argmin(np.abs(s - 0.5))] - elo.max()
    assert found.answer["elo_difference[half and half]"].value == pytest.approx(half, abs=1e-3)
    # the line that relates both computes gives the same test compute at that Elo
    test = law("jones2021.train_test").value(flops_train=found.answer["flops_train"].value, elo=elo.max())
    assert found.answer["flops_test"].value == pytest.approx(float(test), rel=1e-4)


def test_a_bigger_model_at_equal_compute():
    given = {"params": 3e9, "tokens": 1e12, "answer_tokens": 500, "queries": 1e9, "params_factor": 14}
    k = ask("sampling", **given).answer["samples_matched"].value
    served = 1e9 * 500
    assert 6 * 3e9 * 1e12 + 2 * 3e9 * served * k == pytest.approx(14 * (6 * 3e9 * 1e12 + 2 * 3e9 * served))


def test_a_fit_with_draws(tmp_path):
    rng = np.random.default_rng(0)
    k = np.logspace(0, 3, 15)
    coverage = np.exp(-1.8 * k**-0.2) * np.exp(0.003 * rng.standard_normal(15))
    fit = sl.fit({"samples": k, "coverage": coverage}, "brown2024_monkeys", target="coverage", boot=60)
    fit.save(tmp_path / "k.json")
    found = ask("sampling", source=str(tmp_path / "k.json"), samples="1e4", target_coverage=0.8)
    e = found.answer["samples_needed"]
    assert e.low < e.value < e.high
    assert e.low * 0.9 < (np.log(0.8) / -1.8) ** (1 / -0.2) < e.high * 1.1
    assert found.extrapolation_decades["samples"] > 0.9


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"samples": "0.5"}, "at least one answer"),
        ({"samples": ""}, "samples is empty"),
        ({"target_coverage": 1.0}, "target_coverage is 1"),
        ({"success_rates": "0.1,0", "target_coverage": 0.6}, "only 0.5 of the problems"),
        ({"success_rates": "10"}, "for 10% write 0.1"),
        ({"flops": 1e22}, "give queries"),
        ({"source": "besiroglu2024"}, "needs a law with samples"),
        ({"params": 1e9, "answer_tokens": 10, "tokens": 1e9, "queries": 10, "params_factor": 0.5}, "above 1"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("sampling", **given)
