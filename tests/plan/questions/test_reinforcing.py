"""Reinforcement: checks of the catalogue, inverses, the last worthwhile doubling by brute force, a fit before the midpoint."""

from __future__ import annotations

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import PlanError
from scalinglens.plan.questions import ask

WORDS = "R0=0.2,B=1.5,C_mid=2000"


def reward(c):
    return 0.2 + 0.41 / (1 + (2000 / np.asarray(c)) ** 1.5)


@pytest.mark.parametrize(("compute", "value"), [(2000, 0.405), (1e4, 0.5763)])
def test_the_checks_of_the_catalogue(compute, value):
    assert ask("reinforcement", compute=compute, constants=WORDS).answer["reward"].value == pytest.approx(
        value, abs=5e-5
    )


def test_targets_are_reached():
    found = ask("reinforcement", compute=1000, constants=WORDS, target_share=0.8, price=2.5).answer
    needed = found["compute_needed"].value
    assert reward(needed) == pytest.approx(0.2 + 0.8 * 0.41)
    assert found["dollars[to the target]"].value == pytest.approx(2.5 * (needed - 1000))
    assert found["reward_gain[next doubling]"].value == pytest.approx(reward(2000) - reward(1000))
    other = ask("reinforcement", compute=1000, constants=WORDS, target_reward=0.5).answer["compute_needed"].value
    assert reward(other) == pytest.approx(0.5)


def test_the_last_doubling_that_is_worth_it_by_brute_force():
    found = ask("reinforcement", compute=50, constants=WORDS, worth=0.03)
    c = np.geomspace(1, 1e7, 400_001)
    last = c[np.flatnonzero(reward(2 * c) - reward(c) >= 0.03)[-1]]
    assert found.answer["compute_worth"].value == pytest.approx(last, rel=1e-4)
    assert any("worth it later" in words for words in found.assumptions)  # far before the midpoint little is gained
    assert any("not worth it" in words for words in ask("reinforcement", compute=2e5, constants=WORDS).assumptions)
    never = ask("reinforcement", compute=50, constants=WORDS, worth=0.5)
    assert "compute_worth" not in never.answer


def test_a_fit_is_doubted_before_the_midpoint(tmp_path):
    widths = []
    for most, doubtful in ((1200, True), (30_000, False)):
        rng = np.random.default_rng(0)
        c = np.geomspace(60, most, 40)
        runs = {"flops": c, "reward": reward(c) * np.exp(0.001 * rng.standard_normal(40))}
        fit = sl.fit(runs, "khatri2025", target="reward", boot=60)
        fit.save(tmp_path / "rl.json")
        found = ask("reinforcement", compute=most, source=str(tmp_path / "rl.json"))
        assert any("before the midpoint" in warning for warning in found.warnings) is doubtful
        a = found.answer["asymptote"]
        assert a.low - 0.01 < 0.61 < a.high + 0.01
        widths.append(a.high - a.low)
    assert widths[0] > 10 * widths[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"compute": 1000}, "no published value for R0"),
        ({"compute": 1000, "constants": WORDS, "target_share": 90}, "for 90% write 0.9"),
        ({"compute": 1000, "constants": WORDS, "target_reward": 0.7}, "which no compute reaches"),
        ({"compute": 1000, "constants": WORDS, "worth": 0.0}, "worth is 0"),
        ({"compute": 0, "constants": WORDS}, "must be positive"),
        ({"compute": 10, "constants": WORDS + ",R1=3"}, 'no parameter "R1"'),
        ({"compute": 10, "constants": "R0=0.7,B=1,C_mid=10"}, "nothing is learned"),
        ({"compute": 10, "source": "besiroglu2024"}, "needs a law with R0, A, B, C_mid"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("reinforcement", **given)
